"""``crjax profile``."""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import structs

from cr_jax.cli.functions import FunctionOptions
from cr_jax.cli.options import Dataset, OptionalModel, Preset, PricingOptions, Run, WorkloadOptions, add_command
from cr_jax.cli.paths import check_file
from cr_jax.cli.progress import StatusLine
from cr_jax.cli.streams import say, write_json
from cr_jax.errors import BadConfig
from cr_jax.profiling.request import Listener

if TYPE_CHECKING:
    from cr_jax.documents.cost_report import CostReport
    from cr_jax.profiling.function_request import FunctionRequest
    from cr_jax.profiling.request import Request
    from cr_jax.report.prediction import Refine


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(app, "profile", profile)


@dataclass(frozen=True, kw_only=True)
class _Subject:
    model: OptionalModel = None
    dataset: Dataset = "cell-phones"
    device: Annotated[str, typer.Option(help="cpu, gpu, tpu or a name of `crjax list accelerators`.")] = "cpu"
    preset: Preset = "published"
    run: Run = None


@dataclass(frozen=True, kw_only=True)
class ProfileOptions(PricingOptions, WorkloadOptions, FunctionOptions, _Subject):
    """The options of ``crjax profile``."""

    require_compiled: Annotated[
        bool, typer.Option("--require-compiled", help="Refuse a program that was not compiled for the device.")
    ] = False
    replay: Annotated[
        bool, typer.Option("--replay", help="Time the program's own operations, for a better prediction (calibrated CPU).")
    ] = False
    memory: Annotated[
        bool, typer.Option("--memory", help="Show the live memory over each program, and the buffers at its peak.")
    ] = False
    depth: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Show modules as a tree to so many levels; 0: all, and equal layers one by one. Default for a function: 2.",
        ),
    ] = None
    max_batch: Annotated[
        bool, typer.Option("--max-batch", help="Find the largest training batch that fits the device, by compiling.")
    ] = False
    memory_gb: Annotated[float | None, typer.Option(help="Memory for --max-batch, in 10^9 bytes. Default: the device's.")] = None
    out: Annotated[Path | None, typer.Option(help="Write the report to this file (- for stdout).")] = None
    json_: Annotated[bool, typer.Option("--json", help="The report to stdout, nothing else.")] = False
    get: Annotated[str | None, typer.Option(help="Print one field, such as peak_bytes or parameters.trainable.")] = None


def profile(options: ProfileOptions) -> None:
    """Count the cost of training and of answering turns, or of one call of a function of yours: FLOPs, bytes, memory,
    parameters; predict time where possible.

    profile counts, bench measures, estimate covers whole runs. Nothing is run on data.
    """
    # This process only traces, and compiles for the CPU; attached cards are a worker's business.
    os.environ["JAX_PLATFORMS"] = "cpu"

    if options.memory_gb is not None and (not options.max_batch or options.memory_gb <= 0):
        raise BadConfig(f"--memory-gb {options.memory_gb}: must be more than 0, and belongs to --max-batch")
    check_file("--out", options.out)
    rates = options.rates([options.device])
    command = ("crjax", *sys.argv[1:])
    request = _request(options, command)

    from cr_jax.profiling.max_batch import largest_batches
    from cr_jax.profiling.pipeline import profile as run
    from cr_jax.report.prediction import Options

    line = StatusLine()
    listener = Listener(line.compiling, line.warn)
    report = run(request, Options(rates, _refine(options.device) if options.replay else None), listener)
    if options.max_batch:
        memory_bytes = int(options.memory_gb * 1e9) if options.memory_gb else None
        report = structs.replace(report, max_batch=largest_batches(request, memory_bytes, listener))
    line.clear()
    for shortfall in _shortfalls(report):
        line.warn(shortfall)
    _emit(report, options)


def _request(options: ProfileOptions, command: Sequence[str]) -> "Request | FunctionRequest":
    call = options.named(options.model) if options.run is None else None
    if options.run is not None:
        if options.function:
            raise BadConfig("both --run and --function; legal: one of them")
        from cr_jax.profiling.run_request import of_run

        asked = options.request(options.model or "", options.dataset, (options.device,), options.preset, command)
        request = of_run(asked, options.run)
    elif call is not None:
        request = options.function_request(call, options, (options.device,), command)
    else:
        assert options.model is not None
        request = options.request(options.model, options.dataset, (options.device,), options.preset, command)
    return replace(request, require_compiled=options.require_compiled)


def _emit(report: "CostReport", options: ProfileOptions) -> None:
    """Write the report to its file, and the requested output to standard output."""
    from cr_jax.report.document import get_field, to_json, write

    to_stdout = str(options.out) == "-"
    if options.out is not None and not to_stdout:
        write(report, options.out)
    if options.json_ or to_stdout:
        write_json(to_json(report))
    if options.get is not None:
        value = get_field(report, options.get)
        write_json(f"{value if isinstance(value, str) else json.dumps(value)}\n")
    if options.json_ or to_stdout or options.get is not None:
        return
    from cr_jax.render.cost import render_cost, show

    show(render_cost(report, options.memory, options.depth))
    if options.out is not None:
        say(f"report written to {options.out}")


def _refine(device: str) -> "Refine":
    """The function of ``--replay``. Raises ``BadConfig`` for a device whose operations cannot be timed here."""
    from cr_jax.catalog import load

    accelerator = load.accelerator_or_none(device)
    if accelerator is None or accelerator.calibration is None:
        raise BadConfig(f"--replay: {device!r} is no calibrated CPU profile; legal: one that crjax calibrate wrote")
    from cr_jax.measure.replay import refine

    return refine


def _shortfalls(report: "CostReport") -> list[str]:
    """One line for a missing compiler, and one for each step that the compiler failed at."""
    problem = report.target.problem
    if problem:
        return [f"counted as traced: {problem}"]
    return [f"{step.name} is counted as traced: {step.reason}" for step in report.steps if step.outcome == "failed"]
