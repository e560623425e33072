"""``crjax paper``: the paper's tables, with an account of their figures."""

import sys
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("paper")(paper)


def paper(
    json_: Annotated[bool, typer.Option("--json", help="The tables as JSON to stdout, nothing else.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write the tables as JSON to this file.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Write the chart (SVG) to this file.")] = None,
) -> None:
    """Print the paper's Tables I and II beside our account of every figure and the honest count."""
    from cr_jax.paper.table_ii import paper_document
    from cr_jax.report.document import to_json, validate, write
    from cr_jax.resources import write_atomically

    document = paper_document()
    validate(document, "the paper's tables (a bug in cr_jax: please report it)")
    if out is not None:
        write(document, out)
    if plot is not None:
        from cr_jax.render.paper import chart

        write_atomically(plot, chart(document))
    if json_:
        sys.stdout.write(to_json(document))
        return
    from cr_jax.render.cost import show
    from cr_jax.render.paper import render_paper

    show(render_paper(document))
