"""``crjax estimate``."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from cr_jax.catalog.topologies import read_mesh
from cr_jax.cli.functions import Function
from cr_jax.cli.options import (
    MODEL_HELP,
    CountingOptions,
    Dataset,
    Mesh,
    PresetAcross,
    PricingOptions,
    Run,
    add_command,
    importable,
    names,
)
from cr_jax.cli.paths import check_file
from cr_jax.cli.streams import write_json
from cr_jax.documents.run_estimate import FailedRun, RunEstimates
from cr_jax.errors import BadConfig, BadInput
from cr_jax.profiling.request import Request
from cr_jax.records import Precision


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(app, "estimate", estimate)


@dataclass(frozen=True, kw_only=True)
class _Subject:
    model: Annotated[
        str | None, typer.Option(help=f"{MODEL_HELP.replace('A name', 'Names')[:-1]}; dmn,mmn.", callback=importable)
    ] = None
    function: Function = None
    dataset: Dataset = "cell-phones"
    device: Annotated[str, typer.Option(help="cpu, gpu, tpu or names of `crjax list accelerators`; such as cpu,h100.")] = "cpu"
    schedule: Annotated[str, typer.Option(help="published, epochs=N, or equal-turns[=N] (times the data set).")] = "published"
    preset: PresetAcross = None
    run: Run = None


@dataclass(frozen=True, kw_only=True)
class EstimateOptions(PricingOptions, CountingOptions, _Subject):
    """The options of ``crjax estimate``."""

    mesh: Mesh = None
    steps: Annotated[int | None, typer.Option(help="With --function: the number of its calls.")] = None
    scaling: Annotated[
        str | None, typer.Option(help="Numbers of devices, such as 1,2,4,8: the same batch on all of them (strong scaling).")
    ] = None
    weak: Annotated[bool, typer.Option("--weak", help="With --scaling: the batch grows with the devices.")] = False
    deadline: Annotated[
        str | None, typer.Option(help="With --scaling or --steps: the longest time, such as 90s, 30m, 2h or 1d.")
    ] = None
    plot: Annotated[Path | None, typer.Option(help="With --scaling: draw the step times to this file (SVG).")] = None
    measured: Annotated[
        list[Path] | None,
        typer.Option(help="A training or bench report of the same run, whose time is shown beside the prediction; repeat it."),
    ] = None
    out: Annotated[Path | None, typer.Option(help="Write the estimate (JSON) to this file.")] = None
    json_: Annotated[bool, typer.Option("--json", help="The estimate to stdout, nothing else.")] = False


def estimate(options: EstimateOptions) -> None:
    """Estimate whole training runs: optimizer steps, FLOPs, bytes, evaluation, and where a prediction exists time and price.

    Several models or devices give a row each. A failed run is shown and does not affect the others. --scaling shows one model or
    function on growing numbers of devices, by epoch or --schedule epochs=N; --function with --steps N the cost of N calls.
    """
    os.environ["JAX_PLATFORMS"] = "cpu"  # this process only traces; attached cards are a worker's business
    check_file("--out", options.out)
    if options.function is not None or options.scaling is not None:
        if options.run is not None:
            raise BadConfig("--run: of a whole training run; legal without --function and --scaling")
        from cr_jax.cli.scaling import estimate_scaling

        return estimate_scaling(options)
    for option in ("steps", "weak", "deadline", "plot"):
        if getattr(options, option):
            raise BadConfig(f"--{option}: legal with --scaling or --function")
    if options.model is None and options.run is None:
        raise BadConfig("neither --model nor --function; legal: --model NAMES or --function package.module:NAME")
    models, devices = [""] if options.model is None else names("--model", options.model), names("--device", options.device)
    if options.run is not None and len(models) > 1:
        raise BadConfig("--run: a run is of one model; legal: without --model")
    if options.set_ and len(models) > 1:
        raise BadConfig("--set: models do not share configuration keys; legal with one --model")
    request = Request(
        models[0],
        options.dataset,
        tuple(devices),
        preset=options.preset or ("matched" if len(models) > 1 else "published"),
        batch=options.batch,
        precision=cast(Precision, options.precision),  # the request refuses any other
        dtype=options.dtype,
        settings=options.settings(),
        mesh=read_mesh(options.mesh) if options.mesh is not None else (),
    )
    if options.run is not None:
        from cr_jax.profiling.run_request import of_run

        request = of_run(request, options.run)
        models = [request.model]
    measured, rates = _measured(options.measured or [], models), options.rates(devices)

    from cr_jax.profiling import run_estimate as estimating
    from cr_jax.report.document import to_json, write

    run = estimating.RunRequest(request, options.schedule, measured, rates)
    single = len(models) == 1 and len(devices) == 1
    document = estimating.estimate(run) if single else estimating.estimates(run, models)
    if options.out is not None:
        write(document, options.out)
    if options.json_:
        write_json(to_json(document))
    else:
        from cr_jax.render.cost import show
        from cr_jax.render.estimate import render_estimate

        show(render_estimate(document))
    if isinstance(document, RunEstimates) and all(isinstance(run, FailedRun) for run in document.runs):
        raise typer.Exit(1)


def _measured(files: Sequence[Path], models: Sequence[str]) -> dict[str, Any]:
    """The reports by file name. Raises ``BadInput`` for another kind, or a report of no model that is asked for."""
    from cr_jax.json_text import read_json
    from cr_jax.report.document import validate

    found: dict[str, Any] = {}
    for file in files:
        document = read_json(file)
        kind = validate(document, str(file))
        if kind not in ("training-report", "bench-report"):
            raise BadInput(str(file), f"kind: {kind!r}; legal: a training-report or a bench-report")
        if document["model"] is None:
            raise BadInput(str(file), "model: null: nothing was measured; legal: a report of a run that was")
        if document["model"]["name"] not in models:
            raise BadInput(str(file), f"of model {document['model']['name']!r}; legal: of {', '.join(models)}")
        found[str(file)] = document
    return found
