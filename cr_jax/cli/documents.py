"""``crjax validate`` and ``crjax list``."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from cr_jax.errors import BadInput, UnknownName
from cr_jax.printable import visible


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("validate")(validate)
    app.command("list")(list_)


def validate(files: Annotated[list[Path], typer.Argument(help="Reports or profiles, as JSON.")]) -> None:
    """Check documents against their schemas; the exit code is 2 if one fails."""
    from cr_jax.report.document import validate_file

    failed = 0
    for file in files:
        try:
            kind = validate_file(file)
        except BadInput as error:
            print(f"crjax: {error}", file=sys.stderr)
            failed += 1
        else:
            print(f"{visible(str(file))}: valid {kind}")
    if failed:
        raise typer.Exit(2)


def list_(what: Annotated[str, typer.Argument(help="models, datasets or accelerators.")]) -> None:
    """List the known models, data sets or accelerators."""
    from cr_jax.catalog import load
    from cr_jax.render.cost import show

    if what == "models":
        from cr_jax.models import spec
        from cr_jax.render.catalog import models

        show(models([spec.find(name) for name in spec.names()]))
    elif what == "datasets":
        from cr_jax.render.catalog import datasets

        show(datasets([load.dataset(name) for name in load.dataset_names()]))
    elif what == "accelerators":
        from cr_jax.render.catalog import accelerators

        show(accelerators([load.accelerator(name) for name in load.accelerator_names()]))
    else:
        raise UnknownName("list", what, ["models", "datasets", "accelerators"])
