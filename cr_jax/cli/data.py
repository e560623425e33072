"""``crjax data``: what a file of conversations holds."""

import sys
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Real conversations: sizes, text lengths, profiles.", no_args_is_help=True,
                        rich_markup_mode=None)  # fmt: skip
    group.command("stats")(stats)
    app.add_typer(group, name="data")


def stats(
    dataset: Annotated[str, typer.Option(help="A data set profile, or a file or folder of conversations.")],
    reviews: Annotated[Path | None, typer.Option(help="5-core reviews (JSON lines) of the same items.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse the first faulty line instead of skipping it.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write the data set profile (JSON) to this file.")] = None,
) -> None:
    """Print a row of the paper's Table I and the text lengths of a data set."""
    from cr_jax.data.detect import find_dataset, read_dataset
    from cr_jax.data.profile import document_text
    from cr_jax.render.catalog import datasets, lengths
    from cr_jax.render.cost import show
    from cr_jax.resources import write_atomically

    if reviews is not None:
        found, problems = read_dataset(dataset, strict, reviews)
    else:
        found, problems = find_dataset(dataset, strict)
    show(datasets([found]))
    show(lengths(found))
    for line in problems.lines():
        print(f"skipped: {line}", file=sys.stderr)
    if out is not None:
        write_atomically(out, document_text(found))
