"""The table of collectives."""

from io import StringIO
from pathlib import Path

from cr_jax.cost.counting.count import count_hlo
from cr_jax.documents.base import decode, plain
from cr_jax.documents.hlo_count import HloCountDocument
from cr_jax.render.cost import show
from cr_jax.render.hlo import render_hlo
from cr_jax.report.document import validate
from cr_jax.report.hlo_count import hlo_count_document

SHARDED = Path(__file__).resolve().parent.parent / "golden" / "sharded"


def rendered(name, mesh):
    document = hlo_count_document(count_hlo((SHARDED / f"{name}.txt").read_text(), mesh=mesh))
    validate(document, name)
    assert decode(plain(document), HloCountDocument, name) == document
    out = StringIO()
    show(render_hlo(document), out)
    return [" ".join(line.split()) for line in out.getvalue().splitlines()]


def test_collectives_by_axis():
    lines = rendered("sharded_table.h100", (("data", 4), ("model", 2)))
    start = lines.index("Collectives")
    assert lines[start + 2 : start + 5] == [
        "all-reduce data 2 of 4 1 328 kB 492 kB nothing: waits (several)",
        "all-reduce model 4 of 2 1 65.5 kB 65.5 kB nothing: waits (none)",
        "in a ring each device sends 557 kB in all",
    ]


def test_bytes_that_depend_on_the_data():
    lines = rendered("ragged.h100", (("x", 8),))
    assert "ragged-all-to-all x 1 of 8 1 at most 8.19 kB at most 8.19 kB nothing: waits (none)" in lines


def test_what_runs_beside():
    lines = rendered("sharded_weights.h100", (("data", 8),))
    assert any(line.startswith("reduce-scatter data 1 of 8 5 1.05 MB 4.59 MB 67.1 MFLOP, ") for line in lines)


def test_no_table_without_collectives():
    document = hlo_count_document(count_hlo("HloModule m\n\nENTRY e {\n  ROOT a = f32[] parameter(0)\n}\n"))
    assert "collectives" not in plain(document)
