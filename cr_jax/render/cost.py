"""The cost report as terminal tables."""

from collections.abc import Sequence
from typing import IO

from msgspec import UNSET, UnsetType
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cr_jax.documents.cost_report import CostReport, LargestBatch, ReportedTarget, TurnCosts
from cr_jax.documents.reported_step import ReportedStep
from cr_jax.render.collectives import collectives_table
from cr_jax.render.escape import shown, terminal
from cr_jax.render.function import call_table, function_header
from cr_jax.render.memory import memory_tables
from cr_jax.render.module_passes import module_passes
from cr_jax.render.modules import DEPTH, render_modules
from cr_jax.render.phrases import whole_count
from cr_jax.render.predicted import render_predicted
from cr_jax.render.product_types import product_types_line
from cr_jax.units import count, scaled


def render_cost(report: CostReport, memory: bool = False, depth: int | None = None) -> RenderableType:
    """Header, parameters, training, precomputation, turns, predicted times, modules, coverage; with ``memory`` its timelines.

    A user's function has one table in the place of training, precomputation and turns. depth: levels of the tree of modules, 0
    for all; by default a function's has two, and a model's modules are a flat table with a column per pass.
    """
    report = shown(report)
    parts: list[RenderableType] = [_header(report), _parameters(report)]
    calls = [s for s in report.steps if s.phase == "step"]
    if calls:
        parts.append(_spaced(call_table(calls, grid)))
    train = [s for s in report.steps if s.phase == "train"]
    if train:
        parts.append(_training(train))
    if report.max_batch:
        parts.append(_max_batch(report.max_batch))
    items = [s for s in report.steps if s.phase == "precompute"]
    if items:
        parts.append(_precompute(items))
    if report.turns:
        parts.append(_turns(report))
    if (types := product_types_line(report.steps)) is not None:
        parts.append(types)
    predicted = render_predicted(report, grid)
    if predicted is not None:
        parts.append(predicted)
    if report.target.devices:
        parts.append(_shared_products(report.steps))
    parts += [_module_table(report, step, depth) for step in _detailed(report.steps)]
    parts += [
        _spaced(collectives_table(step.collectives, f"Collectives of {step.name}", grid))
        for step in _detailed(report.steps)
        if step.collectives
    ]
    if memory:
        parts.append(memory_tables([*items, *_detailed(report.steps)]))
    parts.append(_coverage(report))
    return Group(*parts)


def show(renderable: RenderableType, file: IO[str] | None = None) -> None:
    """Print to the terminal; as wide as the table needs when the output is no terminal."""
    console = terminal(file)
    if not console.is_terminal:
        console = terminal(file, 140)
    console.print(renderable)


def grid(title: str, *columns: str, note: str = "") -> Table:
    """A table: the first column left-aligned, the others right-aligned numbers."""
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        caption=note or None,
        caption_justify="left",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
        header_style="dim",
    )
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right", no_wrap=number == 0)
    return table


def _header(report: CostReport) -> Text:
    model, data, target, work = report.model, report.dataset, report.target, report.workload
    if data is None:
        return function_header(report, _target(target))
    text = Text()
    text.append(f"{model.title} on {data.title}", style="bold")
    text.append(f" · {_target(target)} · {work.dtype}, precision {work.precision}\n")
    phases = ", ".join(work.phases)
    text.append(
        f"data set {data.name} ({count(data.sizes['items'])} items, {count(data.sizes['users'])} users, "
        f"{count(data.sizes['words'])} words) · preset {work.preset} · phases {phases} · "
        f"turns 0 to {work.turns} · {work.users} user{'s' if work.users != 1 else ''} a turn · "
        f"top {work.top_k}\n",
        style="dim",
    )
    config = ", ".join(f"{k}={v}" for k, v in model.config.items())
    text.append(f"configuration {config}\n", style="dim")
    if target.devices and target.compiled_for:
        text.append(
            f"figures per step and peak memory are per device, of {target.devices}; those per example, turn and epoch, energy "
            "and price are of all\n",
            style="yellow",
        )
    for line in data.problems:
        text.append(f"skipped: {line}\n", style="yellow")
    return text


def _target(target: ReportedTarget) -> str:
    if target.compiled_for is None:
        return f"{target.name}: not compiled for it, counts are of the traced program"
    if target.devices:
        axes = ", ".join(f"{name}={size}" for name, size in (target.mesh or {}).items())
        return f"compiled for {target.devices} x {target.name} ({axes}; ahead of time)"
    return f"compiled for {target.name} ({'attached' if target.attached else 'ahead of time'})"


def _parameters(report: CostReport) -> Text:
    account = report.parameters
    text = Text("Parameters  ", style="bold")
    if account is None:
        text.append("unknown: no argument is known to hold weights; weights= names it\n", style="not bold dim")
        return text
    text.append(f"{count(account.trainable)} trainable ({scaled(account.trainable_bytes, 'B')})", style="not bold")
    text.append(f" · {count(account.frozen)} frozen", style="not bold")
    for state in account.optimizer_state:
        label = f"optimizer state of {state.objective}"
        text.append(f" · {label} {scaled(state.bytes, 'B')}", style="not bold")
    paper = account.paper
    if paper:
        text.append(f"\n            {count(paper.counted)} by the paper's account: {paper.note}", style="not bold")
    text.append("\n")
    return text


def _training(steps: Sequence[ReportedStep]) -> Table:
    table = grid(
        "Training, one optimizer step per objective",
        "objective",
        "batch",
        "matmul FLOP",
        "FLOP/step",
        "FLOP/example",
        "FLOP/turn",
        "FLOP/epoch",
        "bytes/step",
        "peak memory",
        "XLA's FLOP (loops once)",
    )
    for s in steps:
        per = s.per
        table.add_row(
            str(s.labels.objective),
            str(s.labels.batch),
            scaled(s.best.matmul_flops),
            scaled(per.flops_per_step),
            _per_unit(per.flops_per_example),
            _per_unit(per.flops_per_supervised_turn),
            _per_unit(per.flops_per_epoch),
            scaled(per.hbm_bytes_per_step, "B"),
            scaled(s.memory.peak_bytes, "B"),
            scaled(s.xla.flops),
        )
    return _spaced(table)


def _per_unit(value: float | UnsetType | None) -> str:
    """A figure per unit of work, where the step is made of such units."""
    return "-" if value is UNSET or value is None else scaled(value)


def _max_batch(rows: Sequence[LargestBatch]) -> Table:
    table = grid(
        "Largest batch that fits, found by compiling",
        "objective",
        "memory",
        "batch",
        "peak memory",
        "does not fit",
        "its peak",
        "compiled",
    )
    for row in rows:
        table.add_row(
            row.objective,
            scaled(row.memory_bytes, "B"),
            "none" if row.batch is None else count(row.batch),
            "-" if row.peak_bytes is None else scaled(row.peak_bytes, "B"),
            "-" if row.next_batch is None else count(row.next_batch),
            scaled(row.next_peak_bytes, "B"),
            str(row.programs_compiled),
        )
    return _spaced(table)


def _precompute(steps: Sequence[ReportedStep]) -> Table:
    table = grid("Item side, paid once per set of weights", "step", "FLOP", "bytes moved", "bytes kept", "peak memory")
    for s in steps:
        table.add_row(
            s.name,
            scaled(s.best.flops),
            scaled(s.best.hbm_bytes, "B"),
            scaled(s.memory.output_bytes, "B"),
            scaled(s.memory.peak_bytes, "B"),
        )
    return _spaced(table)


def _turns(report: CostReport) -> Table:
    rows: dict[int, dict[str, TurnCosts]] = {}
    for row in report.turns:
        rows.setdefault(row.t, {})[row.mode] = row
    carried = report.model.carried
    items = any(s.phase == "precompute" for s in report.steps)
    note = f"carried: {carried}" if carried else "carried: nothing; every turn computes its whole window"
    columns = [
        "turn",
        "replay FLOP",
        "incremental FLOP",
        "saving",
        "replay bytes",
        "incremental bytes",
        "padding (replay)",
        "padding (incr.)",
    ]
    table = grid("Answering turn t, per user", *columns, *(["with item side"] if items else []), note=note)
    for t, modes in sorted(rows.items()):
        again = modes.get("incremental")
        both = [modes.get("replay"), again]
        saving = again.saving_over_replay if again else None
        cells = [
            str(t),
            *(scaled(row.flops_per_turn if row else None) for row in both),
            "unknown" if saving is None else f"{saving:.1f}x",
            *(scaled(row.hbm_bytes_per_turn if row else None, "B") for row in both),
            *(f"{row.padding_share:.0%}" if row else "unknown" for row in both),
        ]
        table.add_row(*cells, *([scaled(again.flops_per_turn_with_item_side if again else None)] if items else []))
    return _spaced(table)


def _shared_products(steps: Sequence[ReportedStep]) -> Table:
    """The matrix products of all devices of a mesh beside those of the traced program."""
    table = grid(
        "Matrix products shared by the devices", "step", "traced", "per device", "of all devices", "replicated", "removed"
    )
    for step in steps:
        account = step.matmul_account
        if account is None or not account.devices:
            continue
        each = account.compiled_flops + account.as_multiply_and_sum_flops
        table.add_row(
            step.name,
            scaled(account.traced_flops),
            scaled(each),
            scaled(account.devices * each),
            scaled(account.replicated_flops or 0),
            scaled(account.removed_flops),
        )
    return _spaced(table)


def _detailed(steps: Sequence[ReportedStep]) -> list[ReportedStep]:
    """The steps with a table of modules: training, the last incremental turn, and a user's function."""
    whole = [s for s in steps if s.phase in ("train", "step")]
    infer = [s for s in steps if s.phase == "infer" and s.labels.mode == "incremental"]
    return whole + infer[-1:]


def _module_table(report: CostReport, step: ReportedStep, depth: int | None) -> Table:
    if depth is None and step.phase != "step":
        return _spaced(module_passes(step, grid))
    account = report.parameters
    weights = {row.module: row.trainable + row.frozen for row in account.modules} if account else {}
    return _spaced(render_modules(step, weights, DEPTH if depth is None else depth, grid))


def _coverage(report: CostReport) -> Text:
    steps = report.steps
    loops = [loop for s in steps for loop in s.loops]
    sources = {kind: sum(x.source == kind for x in loops) for kind in ("annotated", "inferred", "given", "assumed", "unknown")}
    named = ", ".join(f"{n} {kind}" for kind, n in sources.items() if n) or "none"
    uncounted = sorted({u.operation for s in steps for u in s.coverage.uncounted})
    complete = all(s.coverage.complete for s in steps)
    known = whole_count(s.coverage.bound for s in steps if s.coverage.bound is not UNSET) if complete else "lower bound"
    text = Text("Coverage  ", style="bold")
    text.append(known, style="green" if known == "exact" else "bold red")
    text.append(f" · loops: {named} · {_attributed(steps)}", style="not bold")
    text.append(f" · operations not counted: {', '.join(uncounted) or 'none'}", style="not bold")
    for said, sources in (("declared or by formula", ("declared", "formula")), ("cost assumed", ("assumed",))):
        calls = sorted({d.operation for s in steps for d in s.coverage.declared if d.source in sources})
        if calls:
            text.append(f" · {said}: {', '.join(calls)}", style="yellow")
    agrees = all(s.jaxpr.agrees for s in steps)
    text.append(" · jaxpr walk ", style="not bold")
    if not agrees and any(s.jaxpr.unknown_loops for s in steps):  # it counts such a loop once
        text.append("cannot tell: a loop's count is unknown to it", style="not bold")
    else:
        text.append("agrees" if agrees else "DISAGREES", style="green" if agrees else "bold red")
    return text


def _attributed(steps: Sequence[ReportedStep]) -> str:
    """The share of FLOPs without a module, or that no program names one, and what gives names."""
    names = {row.module for step in steps for row in step.modules}
    if names <= {"(none)"}:
        return "no module is named: jax.named_scope does it, modules of Flax, Haiku and Equinox have names already"
    return f"unattributed at most {max((s.coverage.unattributed_share for s in steps), default=0.0):.1%}"


def _spaced(table: Table) -> Table:
    table.caption = f"{table.caption}\n" if table.caption else "\n"
    return table
