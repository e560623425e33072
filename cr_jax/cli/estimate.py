"""``crjax estimate``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from cr_jax.cli.compare import names
from cr_jax.cli.paths import check_file
from cr_jax.cli.profile import settings
from cr_jax.cli.rates import Grid, GridSource, HostW, Price, Pue
from cr_jax.cli.streams import write_json
from cr_jax.errors import BadConfig, BadInput


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("estimate")(estimate)


def estimate(
    model: Annotated[
        str,
        typer.Option(
            help="Names of `crjax list models`, or package.module:SPEC, which imports and runs that module's code; dmn,mmn."
        ),
    ],
    dataset: Annotated[str, typer.Option(help="A data set profile, or a file or folder of conversations.")] = "cell-phones",
    device: Annotated[str, typer.Option(help="cpu, gpu, tpu or names of `crjax list accelerators`; such as cpu,h100.")] = "cpu",
    schedule: Annotated[str, typer.Option(help="published, epochs=N, or equal-turns[=N] (times the data set).")] = "published",
    preset: Annotated[str | None, typer.Option(help="Default: published for one model, matched across models.")] = None,
    batch: Annotated[int | None, typer.Option(help="Examples per training step. Default: as published.")] = None,
    precision: Annotated[str, typer.Option(help="default, high or highest matmul precision.")] = "default",
    dtype: Annotated[str, typer.Option(help="float32 or bfloat16.")] = "float32",
    set_: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE of the model's configuration.")] = None,
    measured: Annotated[
        list[Path] | None,
        typer.Option(help="A training or bench report of the same run: its time stands beside the prediction; repeat it."),
    ] = None,
    price_per_hour: Price = None,
    pue: Pue = None,
    host_w: HostW = None,
    grid_g_per_kwh: Grid = None,
    grid_source: GridSource = None,
    out: Annotated[Path | None, typer.Option(help="Write the estimate (JSON) to this file.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="The estimate to stdout, nothing else.")] = False,
) -> None:
    """Estimate whole training runs: optimizer steps, FLOPs, bytes, evaluation, and where a prediction exists time and price.

    With several models or devices one row each; a run that fails is shown and leaves the others alone.
    """
    import os

    os.environ["JAX_PLATFORMS"] = "cpu"  # this process only traces; attached cards are a worker's business
    from cr_jax import estimate as estimating
    from cr_jax.predict.money.pricing import read_rates
    from cr_jax.report.document import to_json, write

    check_file("--out", out)
    models, devices = names("--model", model), names("--device", device)
    if set_ and len(models) > 1:
        raise BadConfig("--set: models do not share configuration keys; legal with one --model")
    options: dict[str, Any] = {
        "preset": preset or ("matched" if len(models) > 1 else "published"),
        "batch": batch,
        "precision": precision,
        "dtype": dtype,
        "settings": settings(set_ or []),
        "measured": _measured(measured or [], models),
        "rates": read_rates(price_per_hour, pue, host_w, grid_g_per_kwh, grid_source, devices),
    }
    if len(models) == 1 and len(devices) == 1:
        document = estimating.estimate(models[0], dataset, schedule, device=devices[0], **options)
    else:
        document = estimating.estimates(models, devices, dataset, schedule, **options)
    if out is not None:
        write(document, out)
    if json_:
        write_json(to_json(document))
    else:
        from cr_jax.render.cost import show
        from cr_jax.render.estimate import render_estimate

        show(render_estimate(document))
    if all("error" in run for run in document.get("runs", [{}])):
        raise typer.Exit(1)


def _measured(files: list[Path], models: list[str]) -> dict[str, Any]:
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
