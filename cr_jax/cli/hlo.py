"""``crjax hlo``: count any HLO text."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from cr_jax.cli.streams import write_json
from cr_jax.errors import BadInput


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("hlo")(hlo)


def hlo(
    file: Annotated[str, typer.Argument(help="A file of HLO text, or - for stdin.")],
    json_: Annotated[bool, typer.Option("--json", help="The counts to stdout, nothing else.")] = False,
    module: Annotated[list[str] | None, typer.Option(help="A module's scope name; repeat it. Default: every scope.")] = None,
    trips: Annotated[list[str] | None, typer.Option(help="NAME=N for a loop of unknown trip count; repeat it.")] = None,
    kernel: Annotated[
        list[str] | None, typer.Option(help="NAME=FLOPS,BYTES for a kernel of unknown cost, per execution; repeat it.")
    ] = None,
    mesh: Annotated[
        str | None, typer.Option(help="Axes of the devices in their order, data=4,model=2: names those of the collectives.")
    ] = None,
) -> None:
    """Count FLOPs and bytes of HLO text of any backend, loops multiplied by their trip counts."""
    from cr_jax.catalog.topologies import read_mesh
    from cr_jax.cost.assumptions import Assumptions, parse_kernels, parse_trips
    from cr_jax.cost.counting.count import count_hlo
    from cr_jax.errors import BadHlo
    from cr_jax.report.document import to_json
    from cr_jax.report.hlo_count import hlo_count_document

    given = Assumptions(parse_trips(trips or []), parse_kernels(kernel or []))
    try:
        count = count_hlo(_read(file), tuple(module or ()), given, mesh=read_mesh(mesh) if mesh is not None else ())
    except BadHlo as error:
        raise BadInput("standard input" if file == "-" else file, str(error)) from None
    count.openings.refuse_unused(given)
    document = hlo_count_document(count)
    if json_:
        write_json(to_json(document))
        return
    from cr_jax.render.cost import show
    from cr_jax.render.hlo import render_hlo

    show(render_hlo(document))


def _read(file: str) -> str:
    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise BadInput(file, error.strerror or str(error)) from None
    if data[:4] in (b"\x7fELF", b"PK\x03\x04") or b"\0" in data[:4096]:
        raise BadInput(file, "binary, not HLO text; legal: the text of Compiled.as_text() or of an XLA dump")
    return data.decode("utf-8", errors="replace")
