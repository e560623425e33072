"""The paper's tables on the terminal and as a chart."""

import io
import math
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from rich.console import Console

from cr_jax.paper.table_ii import paper_document
from cr_jax.render.paper import chart, render_paper
from cr_jax.render.svg import Panel, bar_panels, short

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def document():
    return paper_document()


def test_every_figure_of_every_cell_is_printed(document):
    out = io.StringIO()
    Console(file=out, width=200).print(render_paper(document))
    text = out.getvalue()
    for cell in document.cells:
        ours = (cell.accounted, cell.solved.value, cell.honest.parameters)
        for figure in (cell.printed, *ours):
            assert f"{figure:,}" in text
    for data in document.datasets:
        assert f"{data.turns:,}" in text
    for words in ("1 in 96", "1 in 100", "133 in 301", "+66", "2,725,697", "calibrated", "Misses its users"):
        assert words in text
    assert text.count("fits ") >= 12
    assert text.count("1.00x, circular") == 4 and text.count("(solved)") == 8


def test_bars_stand_at_the_logarithm_of_their_value():
    panels = [Panel("one", ("a", "b"), ((1e3, 1e4), (1e5, None)))]
    root = ElementTree.fromstring(bar_panels("t", "y", ("s", "t"), panels))
    bars = [r for r in root.iter(f"{SVG}rect") if r.get("height") and float(r.get("width")) > 20]
    heights = [float(bar.get("height")) for bar in bars[1:]]
    lines = [float(line.get("y1")) for line in root.iter(f"{SVG}line")]
    decade = lines[0] - lines[1]
    assert len(heights) == 3
    assert [round(h / decade, 2) for h in heights] == [0.0, 1.0, 2.0]


def test_the_chart_is_well_formed_and_names_everything(document):
    root = ElementTree.fromstring(chart(document))
    words = [text.text for text in root.iter(f"{SVG}text")]
    for name in ("Electronics", "CDs & Vinyl", "Kindle Store", "Cell Phones", "DMN", "sRNN-AE"):
        assert name in words
    assert short(document.cells[0].printed) in words
    assert min(int(text.get("font-size")) for text in root.iter(f"{SVG}text")) >= 12


@pytest.mark.parametrize(
    ("value", "text"), [(8_177_095, "8.18M"), (31e6, "31.0M"), (123e6, "123M"), (999_999, "1.00M"), (5, "5.00")]
)
def test_labels_have_three_digits(value, text):
    assert short(value) == text
    assert math.isfinite(value)


def test_the_chart_in_the_documentation_is_this_one(document):
    shown = Path(__file__).resolve().parents[2] / "docs" / "paper.svg"
    assert shown.read_text() == chart(document)
