"""Names from outside are shown as they are: on a terminal, in SVG, Markdown, LaTeX and CSV."""

import csv
import io
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reports import changed, sample
from rich.console import Console

from cr_jax.render import compare as tables
from cr_jax.render.bars import bars
from cr_jax.render.comparison_csv import as_csv
from cr_jax.render.cost import grid, render_cost, show
from cr_jax.render.diff import render_diff
from cr_jax.render.escape import csv_cell, latex_text, markdown_text, shown, svg_text
from cr_jax.render.roofline import roofline
from cr_jax.render.svg import Panel, bar_panels
from cr_jax.report.compare import compare, saved
from cr_jax.report.diff import difference
from cr_jax.version import __version__

#: Rich markup, markup that is none, control characters, a bidi override, a forged line, formats' own marks, a formula.
HOSTILE = (
    "layers[a]",
    "[/b]",
    "[bold]x[/bold]",
    ":smile:",
    "a\x1b[31mb",
    "a\x00b",
    "a\nb",
    "a\u202eb",
    "a|b*c_d<e>&amp;",
    "\\x{y}$z^~#%",
    '=HYPERLINK("x")',
    "-5",
    "@a",
    "]]>",
    "'\"",
)
ANY = st.text(max_size=20) | st.sampled_from(HOSTILE)


def on_terminal(renderable, width=400):
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, color_system=None, width=width, markup=False, emoji=False, highlight=False)
    console.print(renderable)
    return text.getvalue()


def named(name):
    """A report in which every name from outside is ``name``."""
    places = ("model.name", "model.title", "model.carried", "dataset.name", "dataset.title", "steps.*.reason")
    content = {"model.config": {name: name}, "dataset.problems": (name,), "steps.*.modules.*.module": name}
    return changed(sample(), dict.fromkeys(places, name) | content)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_report_shows_names_as_they_are(name):
    text = on_terminal(render_cost(named(name), memory=True))
    wanted = shown(name)
    assert text.count(wanted) >= 6
    assert all(letter.isprintable() or letter == "\n" for letter in text)
    assert f"\n{wanted} " in text.replace("\n\n", "\n")  # a row of the table of modules, in one line


def test_the_command_line_prints_them_so(capsys):
    table = grid("[/b] title", "[red]column")
    table.add_row("layers[a]")
    show(table)
    printed = capsys.readouterr().out
    assert "[/b] title" in printed and "[red]column" in printed and "layers[a]" in printed


@given(name=ANY)
@settings(deadline=None, max_examples=30)
def test_comparisons_in_every_form(name):
    document = compare([saved(named(name), name), saved(sample(), "b.json")], __version__)
    rows = list(csv.reader(io.StringIO(as_csv(document))))
    assert len({len(row) for row in rows}) == 1 and rows[1][4] == csv_cell(name)
    for form in (tables.as_text, tables.as_markdown, tables.as_latex):
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", form(document))
    lines = [line for line in tables.as_markdown(document).splitlines() if line.startswith("| ")]
    assert len(lines) > 10
    for plot in (bars, roofline):
        ElementTree.fromstring(plot(document))
    on_terminal(render_diff(difference(named(name), sample(), name, name, __version__)))


@given(st.text())
def test_svg_is_well_formed_and_says_the_same(name):
    panel = Panel(name, (name,), ((1.0, 2.0),))
    root = ElementTree.fromstring(bar_panels(name, name, (name, name), (panel,), name))
    assert root.attrib["aria-label"] == shown(name)
    assert [found.text or "" for found in root.iter("{http://www.w3.org/2000/svg}title")] == [shown(name)]
    assert ElementTree.fromstring(f"<a b='{svg_text(name)}'>{svg_text(name)}</a>").text in (shown(name), None)


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (None, ""),
        (True, "true"),
        (-5, "-5"),
        (-0.5, "-0.5"),
        ("-5", "'-5"),
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("@x", "'@x"),
        ("a\nb", "a\\nb"),
        ("plain - text", "plain - text"),
    ],
)
def test_cells_are_no_formulas(value, cell):
    assert csv_cell(value) == cell


@pytest.mark.parametrize(
    ("text", "markdown", "latex"),
    [
        ("a_b|c", "a\\_b\\|c", "a\\_b\\textbar{}c"),
        ("layers[a]", "layers\\[a\\]", "layers{[}a{]}"),
        ("- x", "\\- x", "- x"),
        ("1. x", "1\\. x", "1. x"),
        ("# x", "\\# x", "\\# x"),
        ("&amp; & <b>", "\\&amp; & \\<b\\>", "\\&amp; \\& \\textless{}b\\textgreater{}"),
        ("a--b", "a--b", "a-{}-b"),
        ("a\nb\x1b", "a\\\\nb\\\\x1b", "a\\textbackslash{}nb\\textbackslash{}x1b"),
    ],
)
def test_marks_of_markdown_and_latex(text, markdown, latex):
    assert markdown_text(text) == markdown and latex_text(text) == latex
