"""``crjax estimate``."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from cr_jax.cli.profile import settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("estimate")(estimate)


def estimate(
    model: Annotated[str, typer.Option(help="A name of `crjax list models`, or package.module:SPEC.")],
    dataset: Annotated[str, typer.Option(help="A data set profile, or a file or folder of conversations.")] = "cell-phones",
    device: Annotated[str, typer.Option(help="cpu, gpu, tpu or a name of `crjax list accelerators`.")] = "cpu",
    schedule: Annotated[str, typer.Option(help="published, or epochs=N.")] = "published",
    preset: Annotated[str, typer.Option(help="published or matched.")] = "published",
    batch: Annotated[int | None, typer.Option(help="Examples per training step. Default: as published.")] = None,
    precision: Annotated[str, typer.Option(help="default, high or highest matmul precision.")] = "default",
    dtype: Annotated[str, typer.Option(help="float32 or bfloat16.")] = "float32",
    set_: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE of the model's configuration.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the estimate (JSON) to this file.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="The estimate to stdout, nothing else.")] = False,
) -> None:
    """Estimate a whole training run: optimizer steps, FLOPs, bytes, and where a prediction exists time and price."""
    import os

    os.environ["JAX_PLATFORMS"] = "cpu"  # this process only traces; attached cards are a worker's business
    from cr_jax.estimate import estimate as run
    from cr_jax.report.document import to_json, write

    document = run(model, dataset, schedule, device=device, preset=preset, batch=batch, precision=precision, dtype=dtype,
                   settings=settings(set_ or []))  # fmt: skip
    if out is not None:
        write(document, out)
    if json_:
        sys.stdout.write(to_json(document))
        return
    from cr_jax.render.cost import show
    from cr_jax.render.estimate import render_estimate

    show(render_estimate(document))
