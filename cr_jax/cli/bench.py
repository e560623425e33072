"""``crjax bench`` and ``crjax bench sweep``."""

import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cr_jax.cli.functions import calls, refuse_of_models
from cr_jax.cli.options import (
    MODEL_HELP,
    Batch,
    Dataset,
    Dtype,
    ItemsScored,
    Precision,
    Preset,
    Settings,
    Turns,
    Users,
    add_command,
    from_fields,
    importable,
    settings,
)
from cr_jax.cli.progress import StatusLine, progress_bar
from cr_jax.cli.shards import Shard, sweep_shard, write_sweep_shard
from cr_jax.errors import BadConfig
from cr_jax.records import plain

if TYPE_CHECKING:
    from cr_jax.documents.bench_report import BenchReport
    from cr_jax.measure.bench import Say
    from cr_jax.measure.cases import AnyCase
    from cr_jax.measure.clock import Plan
    from cr_jax.measure.function_case import FunctionCase
    from cr_jax.report.bench import Doing

Mode = Annotated[str | None, typer.Option(help="replay or incremental. Default: both.")]
Model = Annotated[str | None, typer.Option(help=MODEL_HELP, callback=importable)]
Functions = Annotated[
    list[str] | None,
    typer.Option(
        help="Instead of a model: package.module:NAME, which returns (function, arguments) as for profile; the function is RUN. "
        "Arrays are used as they are, shapes get made values. Repeat it.",
        callback=importable,
    ),
]
Device = Annotated[str, typer.Option(help="cpu, gpu, tpu or an accelerator's name; it has to be attached.")]

#: Options of a case that a function has too.
_OF_FUNCTIONS = ("device", "precision")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help="Measure compiled training and inference on the attached device.", rich_markup_mode=None, invoke_without_command=True
    )
    group.callback()(from_fields(bench))
    add_command(group, "sweep", sweep)
    app.add_typer(group, name="bench")


@dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """The samples of a program's time, and the quantities measured beside it."""

    runs: Annotated[int, typer.Option(help="Samples at least.")] = 10
    warmup: Annotated[int, typer.Option(help="Calls before the first sample.")] = 3
    seconds: Annotated[float, typer.Option(help="Seconds of samples at least.")] = 3.0
    limit: Annotated[float, typer.Option(help="Seconds of samples at most.")] = 20.0
    tightness: Annotated[float, typer.Option(help="Sample until the interval of the median is within this share of it.")] = 0.02
    memory: Annotated[bool, typer.Option("--memory/--no-memory", help="Measure peak memory (on CPU in a fresh process).")] = True
    energy: Annotated[bool, typer.Option("--energy/--no-energy", help="Measure energy where there is a meter.")] = True

    def plan(self) -> "Plan":
        """The samples to take."""
        from cr_jax.measure.clock import Plan

        return Plan(self.warmup, self.runs, self.seconds, self.limit, self.tightness)


@dataclass(frozen=True, kw_only=True)
class _Case:
    model: Model = None
    function: Functions = None
    dataset: Dataset = "cell-phones"
    device: Device = "cpu"
    phase: Annotated[str, typer.Option(help="train, precompute or infer.")] = "infer"
    batch: Batch = None
    users: Users = 1
    turns: Turns = None
    turn: Annotated[int | None, typer.Option(help="The turn t that is answered. Default: the last.")] = None
    mode: Mode = None
    objective: Annotated[str | None, typer.Option(help="Of a training step. Default: each.")] = None
    items_scored: ItemsScored = None
    preset: Preset = "published"
    precision: Precision = "default"
    dtype: Dtype = "float32"
    set_: Settings = None


@dataclass(frozen=True, kw_only=True)
class BenchOptions(SamplingOptions, _Case):
    """The options of ``crjax bench``."""

    against: Annotated[
        list[str] | None, typer.Option(help="A saved bench report, or KEY=VALUE of a case to measure in turn.")
    ] = None
    trace: Annotated[Path | None, typer.Option(help="Write a profiler trace (XProf, Perfetto) to this folder.")] = None
    out: Annotated[Path | None, typer.Option("--out", "--export", help="Write the report to this file (- for stdout).")] = None
    json_: Annotated[bool, typer.Option("--json", help="The report to stdout, nothing else.")] = False


def bench(context: typer.Context, options: BenchOptions) -> None:
    """Measure time, peak memory and energy of a training step or of answering a turn, or of one call of a function of yours.

    No other command runs a function of yours.

    Stages, first call and steady state are measured apart; samples are taken until the interval of the median is tight.
    """
    if context.invoked_subcommand is not None:
        return
    if options.model is None and not options.function:
        raise BadConfig("bench needs --model; legal: a name of `crjax list models`")
    from cr_jax.measure.bench import Options, with_saved
    from cr_jax.measure.bench import bench as measure

    case = _case(options)
    against, trace = options.against or [], options.trace
    other, saved = _against(case, against)
    place = None if trace is None else str(trace)
    how = Options(options.memory, options.energy, place, command=["crjax", *sys.argv[1:]], say=_say())
    report = measure(case, options.plan(), how, other)
    if saved is not None:
        report = with_saved(report, saved, str(against[0]))
    _finish(report, options.out, options.json_)
    if trace is not None and report.steps:
        print(
            f"trace written to {trace}: open it with `xprof {trace}` (pip install xprof), or load the\n"
            "perfetto_trace.json.gz below it in https://ui.perfetto.dev",
            file=sys.stderr,
        )
    if report.status != "measured":
        raise typer.Exit(130 if report.status == "interrupted" else 1)


def _case(options: BenchOptions) -> "AnyCase":
    """The case that the options ask for. Raises ``BadConfig`` and ``UnknownName``."""
    if options.function:
        if options.model is not None:
            raise BadConfig("both --model and --function; legal: --model NAME or --function package.module:NAME")
        refuse_of_models(options, _Case, _OF_FUNCTIONS)
        return _function_case(options.function, options.device, options.precision)
    from cr_jax.measure.case import Case

    shared = {field.name for field in fields(Case)} & {field.name for field in fields(_Case)}
    return Case(**{name: getattr(options, name) for name in shared}, settings=settings(options.set_))


def _function_case(function: list[str], device: str, precision: str) -> "FunctionCase":
    from cr_jax.measure.function_case import FunctionCase

    if os.environ.get("CRJAX_DEBUG") != "1":  # an error of a callback is one line, without JAX's own report of it
        logging.getLogger("jax._src.callback").setLevel(logging.CRITICAL)
    return FunctionCase(tuple(calls(function)), device, precision)


@dataclass(frozen=True, kw_only=True)
class _Cells:
    out: Annotated[Path, typer.Option(help="The folder of the cells' reports; finished ones are not run again.")]
    models: Annotated[str, typer.Option(help="Names, comma-separated; all: every model.", callback=importable)] = "all"
    function: Functions = None
    datasets: Annotated[str, typer.Option(help="Data set profiles, comma-separated.")] = "cell-phones"
    phases: Annotated[str, typer.Option(help="train, precompute, infer, comma-separated.")] = "train,infer"
    users: Annotated[str, typer.Option(help="Conversations answered at once, comma-separated.")] = "1,32"
    batches: Annotated[str, typer.Option(help="Examples per training step, comma-separated; published.")] = "published"
    dtypes: Annotated[str, typer.Option(help="float32, bfloat16, comma-separated.")] = "float32"
    device: Device = "cpu"
    preset: Preset = "published"
    precision: Precision = "default"
    turns: Turns = None
    mode: Mode = None


@dataclass(frozen=True, kw_only=True)
class SweepOptions(SamplingOptions, _Cells):
    """The options of ``crjax bench sweep``."""

    cell_seconds: Annotated[float, typer.Option(help="Seconds without progress after which a cell has failed.")] = 900.0
    shard: Shard = None

    def cases(self) -> "Sequence[AnyCase]":
        """The cells, each program once. Raises ``BadConfig`` and ``UnknownName``."""
        if self.function:
            refuse_of_models(self, _Cells, _OF_FUNCTIONS)
            whole = _function_case(self.function, self.device, self.precision)
            return [replace(whole, functions=(call,)) for call in whole.functions]
        from cr_jax.measure.sweep import cells
        from cr_jax.models import spec

        chosen = list(spec.names()) if self.models == "all" else _names("models", self.models)
        for name in chosen:
            spec.find(name)
        sizes = [None if text == "published" else _whole("batches", text) for text in _names("batches", self.batches)]
        same = {name: getattr(self, name) for name in ("device", "preset", "precision", "turns", "mode")}
        users = [_whole("users", text) for text in _names("users", self.users)]
        datasets, phases = _names("datasets", self.datasets), _names("phases", self.phases)
        return cells(chosen, datasets, phases, users, sizes, _names("dtypes", self.dtypes), **same)


def sweep(options: SweepOptions) -> None:
    """Measure the product of models, data sets, phases, sizes and dtypes, or functions of yours, one file per cell.

    A killed sweep continues where it stopped; a failed cell is a result.
    """
    from cr_jax.measure import device as devices
    from cr_jax.measure.sweep import Budget
    from cr_jax.measure.sweep import sweep as run
    from cr_jax.render.bench import render_sweep
    from cr_jax.render.cost import show
    from cr_jax.targets.resolve import resolve

    if not 0 < options.cell_seconds < float("inf"):
        raise BadConfig(f"--cell-seconds {options.cell_seconds:g}: must be above 0")
    if options.device == "cpu":
        devices.attached(options.device)
    elif not resolve(options.device).attached:  # looked up in a worker: this process must not hold the cells' device
        raise devices.none_attached(options.device)
    cases = options.cases()
    mine = cases if options.shard is None else sweep_shard(options.shard, cases)
    budget = Budget(options.cell_seconds, options.memory, options.energy)
    with _Progress(len(mine)) as progress:
        reports = run(mine, options.plan(), options.out, budget, progress.cell)
    show(render_sweep(reports))
    if options.shard is not None:
        settings = {"plan": plain(options.plan()), "memory": options.memory, "energy": options.energy}
        write_sweep_shard(options.shard, cases, settings, reports, options.out)
    failed = sum(report.status != "measured" for report in reports)
    print(f"{len(reports)} cells in {options.out}, {failed} failed", file=sys.stderr)


class _Progress:
    """A bar with the time left on a terminal, a line per cell elsewhere."""

    def __init__(self, total: int) -> None:
        from rich.progress import TextColumn, TimeElapsedColumn, TimeRemainingColumn

        left = TimeRemainingColumn(elapsed_when_finished=False)
        self._bar = progress_bar(TimeElapsedColumn(), TextColumn("left"), left)
        self._task, self._total, self._done = self._bar.add_task("sweep", total=total), total, 0

    def __enter__(self) -> "_Progress":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def cell(self, case: "AnyCase", report: "BenchReport", had: bool, seconds: float) -> None:
        """One cell is finished."""
        self._done += 1
        what = "there already" if had else f"{report.status} in {seconds:.0f} s"
        if report.error:
            what += f": {report.error.kind}"
        if not self._bar.disable:
            self._bar.update(self._task, advance=1, description=case.slug())
        else:
            print(f"[{self._done}/{self._total}] {case.slug()}: {what}", file=sys.stderr, flush=True)


def _against(case: "AnyCase", references: list[str]) -> "tuple[AnyCase | None, BenchReport | None]":
    """(another case, ``None``) for KEY=VALUE pairs, (``None``, a report) for a file, two ``None`` for nothing."""
    if not references:
        return None, None
    if len(references) == 1 and os.path.exists(references[0]):
        from cr_jax.report.document import read_bench

        return None, read_bench(references[0], "legal: a file written by crjax bench --out")
    pairs: dict[str, str] = {}
    for reference in references:
        key, equals, value = reference.partition("=")
        if not equals:
            raise BadConfig(f"--against {reference!r}: no such file; legal: a saved bench report, or KEY=VALUE")
        pairs[key.strip()] = value.strip()
    if "device" in pairs:
        raise BadConfig("--against device=...: legal on one device only; save one report and name its file")
    return case.changed(pairs), None


def _finish(report: "BenchReport", out: Path | None, json_: bool) -> None:
    from cr_jax.report.document import to_json, validate, write

    validate(report, "the report (a bug in cr_jax: please report it)")
    if out is not None and str(out) != "-":
        write(report, out)
    if json_ or str(out) == "-":
        sys.stdout.write(to_json(report))
        return
    from cr_jax.render.bench import render_bench
    from cr_jax.render.cost import show

    show(render_bench(report))
    if out is not None:
        print(f"report written to {out}", file=sys.stderr)


def _say() -> "Say":
    line = StatusLine()

    def say(stage: str, doing: "Doing") -> None:
        line.clear() if stage == "measured" else line.show(f"{stage} {doing.step}")

    return say


def _names(option: str, text: str) -> list[str]:
    names = [part.strip() for part in text.split(",") if part.strip()]
    if not names:
        raise BadConfig(f"--{option} {text!r}: legal: names, comma-separated")
    return names


def _whole(option: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18 or int(text) < 1:
        raise BadConfig(f"--{option} {text[:60]!r}: legal: whole numbers from 1, comma-separated")
    return int(text)
