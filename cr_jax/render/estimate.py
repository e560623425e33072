"""The estimate of training runs as terminal tables; input is the document alone."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from cr_jax.documents.run_estimate import (
    EvaluationCosts,
    FailedRun,
    ItemSideCosts,
    ObjectiveCosts,
    RunCosts,
    RunEstimate,
    RunEstimates,
    TrainingCosts,
)
from cr_jax.render.cost import grid
from cr_jax.render.escape import shown
from cr_jax.render.phrases import energy_text, interval, method_text, validated
from cr_jax.units import count, plain_number, scaled, small, time_text

_Costs = ObjectiveCosts | TrainingCosts | EvaluationCosts | ItemSideCosts | RunCosts


def render_estimate(document: RunEstimate | RunEstimates) -> RenderableType:
    """One run: a row per objective, their total, evaluation, item side and the whole. Several: a row each."""
    document = shown(document)
    return _several(document.runs) if isinstance(document, RunEstimates) else _single(document)


def _single(run: RunEstimate) -> RenderableType:
    columns = _columns([run])
    table = grid(
        f"Training {run.model.name} on {run.dataset.name}: {_devices(run)}, schedule {run.schedule}",
        "part",
        "batch",
        "steps",
        "epochs",
        "FLOP",
        "bytes moved",
        "peak memory",
        "time",
        "interval",
        *columns,
    )
    for row in run.objectives:
        epochs = "-" if row.epochs is None else plain_number(row.epochs)
        if row.patience:
            epochs = f"up to {epochs}"
        table.add_row(row.objective, str(row.batch), count(row.optimizer_steps), epochs, *_figures(row, columns))
    total, judged = run.total, run.evaluation
    if len(run.objectives) > 1:
        table.add_row("training in all", "", count(total.optimizer_steps), "", *_figures(total, columns))
    passes = judged.validation_passes + judged.test_passes
    table.add_row(f"evaluation, {passes:,} passes", str(judged.batch), "", "", *_figures(judged, columns))
    if run.item_side:
        table.add_row("item side, once", "", "", "", *_figures(run.item_side, columns))
    table.add_row("whole run", "", "", "", *_figures(run.whole, columns), style="bold")
    return Group(table, Text("\n".join(_notes([run])), style="dim"))


def _several(runs: Sequence[RunEstimate | FailedRun]) -> RenderableType:
    good = [run for run in runs if isinstance(run, RunEstimate)]
    columns = _columns(good)
    schedule = f", schedule {good[0].schedule}, on {good[0].dataset.name}" if good else ""
    table = grid(
        f"Training runs{schedule}",
        "run",
        "steps",
        "turns",
        "FLOP",
        "peak memory",
        "fits",
        "training",
        "evaluation",
        "whole run",
        "interval",
        *columns,
    )
    lines = []
    for run in runs:
        if isinstance(run, FailedRun):
            table.add_row(f"{run.model}@{run.device}", *["-"] * (9 + len(columns)))
            lines.append(f"{run.model}@{run.device} failed: {run.error}")
            continue
        turns = [row.supervised_turns for row in run.objectives if row.supervised_turns]
        whole = run.whole
        table.add_row(
            f"{run.model.name}@{_devices(run)}",
            count(run.total.optimizer_steps),
            scaled(max(turns)) if turns else "-",
            scaled(whole.flops),
            scaled(whole.peak_bytes, "B"),
            _fits(run),
            time_text(run.total.seconds),
            time_text(run.evaluation.seconds),
            time_text(whole.seconds),
            interval(whole.low_s, whole.high_s),
            *_extra(whole, columns, run.total.measured_s),
        )
    return Group(table, Text("\n".join(lines + _notes(good)), style="dim"))


def _devices(run: RunEstimate) -> str:
    """``h100``, or ``8 x h100``."""
    return f"{run.target.devices} x {run.target.name}" if run.target.devices else run.target.name


def _columns(runs: Sequence[RunEstimate]) -> list[str]:
    """Columns that are shown where some run has a figure for them."""
    rows = [row for run in runs for row in (run.total, *run.objectives, run.evaluation)]
    figures = {
        "measured": [_measured(row) for row in rows],
        "energy": [row.energy_j for row in rows],
        "USD": [row.price_usd for row in rows],
        "g CO2e": [row.carbon_g for row in rows],
    }
    return [title for title, values in figures.items() if any(value is not None for value in values)]


def _measured(row: _Costs) -> float | None:
    if isinstance(row, ObjectiveCosts):
        return row.measured.seconds if row.measured else None
    return row.measured_s if isinstance(row, TrainingCosts) else None


def _figures(row: _Costs, columns: list[str]) -> list[str]:
    return [
        scaled(row.flops),
        scaled(row.hbm_bytes, "B"),
        scaled(row.peak_bytes, "B"),
        time_text(row.seconds),
        interval(row.low_s, row.high_s),
        *_extra(row, columns, _measured(row)),
    ]


def _extra(row: _Costs, columns: list[str], measured_s: float | None) -> list[str]:
    cells = {
        "measured": time_text(measured_s),
        "energy": small(row.energy_j, "J"),
        "USD": plain_number(row.price_usd),
        "g CO2e": plain_number(row.carbon_g),
    }
    return [cells[column] for column in columns]


def _fits(run: RunEstimate) -> str:
    size, peak = run.grounds.device_memory_bytes, run.whole.peak_bytes
    return "unknown" if size is None or peak is None else "yes" if peak <= size else "no"


def _notes(runs: Sequence[RunEstimate]) -> list[str]:
    lines: dict[str, list[str]] = {}

    def say(line: str, run: RunEstimate, who: str = "device") -> None:
        names = lines.setdefault(line, [])
        name = run.target.name if who == "device" else f"{run.model.name}@{run.target.name}"
        if name not in names:
            names.append(name)

    for run in runs:
        for problem in run.dataset.problems:
            say(f"skipped: {problem}", run)
        grounds = run.grounds
        for row in (*run.objectives, run.evaluation):
            if row.reason:
                say(f"no time: {row.reason}", run, "run")
            if isinstance(row, ObjectiveCosts) and row.measured:
                measured = row.measured
                say(
                    f"measured: {row.objective} {time_text(measured.seconds_per_step)} a step, {measured.source} "
                    f"({measured.note}); its energy and price are of the measured time",
                    run,
                    "run",
                )
        if run.frozen:
            frozen = run.frozen
            say(
                f"frozen {', '.join(frozen.modules)}: {scaled(frozen.flops)}FLOP of the training, in the rows above; "
                f"{scaled(frozen.flops_once)}FLOP once, if its outputs are kept",
                run,
                "run",
            )
        if grounds.method:
            width = "an assumption" if grounds.coverage is None else f"{grounds.coverage:.0%} of past comparisons"
            held_against = validated(grounds.validated_on)
            say(f"times by {method_text(grounds.method)}; {held_against}; the interval is {width}", run)
        if grounds.energy:
            say(f"energy: {energy_text(grounds.energy)}", run)
        if grounds.per_hour_usd is not None:
            say(f"price: {grounds.per_hour_usd:g} USD an hour, {grounds.price_source}", run)
        for figure, reason in (("energy", grounds.energy_reason), ("price", grounds.price_reason)):
            if reason and grounds.method:
                say(f"no {figure}: {reason}", run)
    several = len(runs) > 1
    shown = [f"{', '.join(names)}: {line}" if several else line for line, names in lines.items()]
    return shown + list(dict.fromkeys(line for run in runs for line in run.note.splitlines()))


def duration(seconds: float | None) -> str:
    """``5400`` -> ``1.5 h``; ``None`` -> ``unknown``."""
    return "unknown" if seconds is None else f"{seconds:.3g} s" if seconds < 60 else time_text(seconds)
