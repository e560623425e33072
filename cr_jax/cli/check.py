"""``crjax check``: the regression gate."""

import os
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import structs

from cr_jax.cli.options import add_command, importable
from cr_jax.documents.base import known
from cr_jax.errors import BadConfig, BadInput
from cr_jax.printable import one_line
from cr_jax.profiling.request import Listener, Request
from cr_jax.version import __version__

if TYPE_CHECKING:
    from cr_jax.documents.cost_report import CostReport
    from cr_jax.documents.gate_result import GateResult
    from cr_jax.profiling.function_request import FunctionRequest
    from cr_jax.report.gate import NotComparable

#: Exit codes: a breach; nothing that could be compared. Misuse is 2, as everywhere.
REGRESSION, NOT_COMPARABLE = 1, 3


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(app, "check", check)


@dataclass(frozen=True, kw_only=True)
class CheckOptions:
    """The options of ``crjax check``."""

    baseline: Annotated[Path, typer.Option(help="A cost report, as crjax profile --out writes it.")]
    limit: Annotated[
        list[str] | None, typer.Option(help="METRIC=PERCENT that compiled_flops, hbm_bytes or peak_bytes may rise by; repeat it.")
    ] = None
    update: Annotated[bool, typer.Option("--update", help="Write this run's report over the baseline.")] = False
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Exit with 0 and a message where there is no baseline file.")
    ] = False
    model: Annotated[
        str | None,
        typer.Option(
            help="The baseline's model package.module:SPEC; imports that module and runs its code.", callback=importable
        ),
    ] = None
    function: Annotated[
        str | None,
        typer.Option(
            help="The baseline's function package.module:NAME; calls NAME() and traces its function.", callback=importable
        ),
    ] = None
    dataset: Annotated[str | None, typer.Option(help="The file of the baseline's data set, if it is not a profile.")] = None
    device: Annotated[str | None, typer.Option(help="Run for this device: only exact figures are then compared.")] = None
    time: Annotated[
        float | None, typer.Option(help="Percent that a step's time may rise by; needs an attached device and kept programs.")
    ] = None
    keep_programs: Annotated[
        bool, typer.Option("--keep-programs", help="Keep this run's programs beside the baseline (NAME.programs), for --time.")
    ] = False
    json_: Annotated[bool, typer.Option("--json", help="The result as JSON to stdout, nothing else.")] = False


def check(options: CheckOptions) -> None:
    """Run a baseline's own workload again and compare the figures.

    Parameters and model FLOPs must be equal; compiled FLOPs, bytes and peak memory may rise by their
    limits (1, 2 and 2%) and are compared on the same toolchain only. Exit code 0: within limits;
    1: regression; 2: misuse; 3: not comparable. The baseline chooses no code and no file: a model from outside the
    package is run, and a data set's file read, only where --model and --dataset name them.

    --time never compares times of different days. The programs that --keep-programs kept with the baseline (as traced)
    are compiled again beside the current ones, by the current compiler, and both run in turn on the attached device. A
    step breaks the limit when the whole 95% interval of the ratio lies above it; when the interval contains the limit,
    the step is undecided. A program that has not changed is not run. Without kept programs or the device the exit code
    is 3. The effect of another compiler is not seen.
    """
    from cr_jax.report import gate
    from cr_jax.report.document import validate

    limits = gate.read_limits(options.limit or [])
    if not _there(options):
        return
    baseline = options.baseline
    try:
        old = gate.read_baseline(baseline)
        result, now = _checked(old, limits, options)
    except gate.NotComparable as error:
        raise _incomparable(error) from None
    if options.update:
        result = structs.replace(result, updated=_update(old, now, baseline))
    validate(result, "the gate's result (a bug in cr_jax: please report it)")
    _emit(result, options.json_)
    if result.breaches and not options.update:
        raise typer.Exit(REGRESSION)


def _there(options: CheckOptions) -> bool:
    """Whether there is a baseline to check. Raises ``BadConfig`` and ``BadInput`` for impossible options."""
    from cr_jax.profiling.rerun import BARE

    baseline, time = options.baseline, options.time
    if time is not None and not 0 <= time < float("inf"):
        raise BadConfig(f"--time {time:g}: legal: a percentage of 0 or more")
    if options.update and options.device is not None:
        raise BadConfig(
            f"--update with --device {options.device!r}: the baseline belongs to its own device; legal: one of the two"
        )
    if os.path.lexists(baseline):
        return True
    if str(baseline) in BARE:
        raise BadConfig(f"--baseline {str(baseline)!r} is a kind of device; legal: the file of a cost report")
    if not options.allow_missing:
        raise BadInput(str(baseline), "no such file; make it with crjax profile --out, or pass --allow-missing")
    print(f"crjax: {baseline}: no baseline, nothing checked; make it with crjax profile --out", file=sys.stderr)
    return False


def _checked(old: "CostReport", limits: dict[str, float], options: CheckOptions) -> "tuple[GateResult, CostReport]":
    """The gate's result and the report of today. Raises ``NotComparable``."""
    from cr_jax.catalog import load
    from cr_jax.profiling.rerun import rerun
    from cr_jax.report import gate

    baseline = options.baseline
    if known(old.function) is not None or options.function is not None:
        return _checked_function(old, limits, options)
    request = rerun(old, str(baseline), load.dataset_names(), options.dataset, options.device, options.model)
    now = _again(request)
    result = gate.gate(old, now, limits, str(baseline), __version__)
    if options.time is not None:
        from cr_jax.measure.paired_baseline import timed
        from cr_jax.report.gate_time import with_times

        result = with_times(result, timed(baseline, request, options.time))
    if options.keep_programs and (options.update or not result.breaches):
        from cr_jax.measure.paired_baseline import keep

        print(f"programs kept in {keep(baseline, request)}", file=sys.stderr)
    return result, now


def _checked_function(old: "CostReport", limits: dict[str, float], options: CheckOptions) -> "tuple[GateResult, CostReport]":
    """The same for the report of a function. Raises ``NotComparable``, and ``BadConfig`` for options that belong to models."""
    from cr_jax.profiling.rerun import rerun_function
    from cr_jax.report import gate

    for option, value in (
        ("--time", options.time),
        ("--keep-programs", options.keep_programs or None),
        ("--model", options.model),
    ):
        if value is not None:
            raise BadConfig(f"{option}: belongs to the report of a model; {options.baseline} is of a function")
    request = rerun_function(old, str(options.baseline), options.function, options.device)
    now = _again(request)
    return gate.gate(old, now, limits, str(options.baseline), __version__), now


def _again(request: "Request | FunctionRequest") -> "CostReport":
    from cr_jax.profiling import pipeline

    on = f" on {request.dataset}" if isinstance(request, Request) else ""
    print(f"counting {request.model}{on}, {request.devices[0]}", file=sys.stderr)
    return pipeline.profile(request, listener=Listener(warn=partial(print, file=sys.stderr)))


def _emit(result: "GateResult", as_json: bool) -> None:
    from cr_jax.report.document import to_json

    if as_json:
        sys.stdout.write(to_json(result))
        return
    from cr_jax.render.cost import show
    from cr_jax.render.gate import render_gate

    show(render_gate(result))


def _update(old: "CostReport", now: "CostReport", file: Path) -> bool:
    """Whether the baseline was rewritten: an equal one keeps its bytes, time stamp included."""
    from cr_jax.report.document import without_times, write

    if old.target.compiled_for is not None and now.target.compiled_for is None:
        raise BadConfig(
            f"{file}: not rewritten: this run is not compiled for {now.target.name} and would lose the "
            "compiled figures; legal: --update on a machine with its compiler"
        )
    if without_times(old) == without_times(now):
        return False
    write(now, file)
    return True


def _incomparable(error: "NotComparable") -> typer.Exit:
    print(f"crjax: {one_line(error)}", file=sys.stderr)
    return typer.Exit(NOT_COMPARABLE)
