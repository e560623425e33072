"""Scaling as a table, as notes and as bars."""

import io

import msgspec
import pytest
from documents.samples import scaling_estimate
from rich.console import Console

from cr_jax.documents.scaling_estimate import ScalingEstimate
from cr_jax.render.scaling import notes, render_scaling, scaling_bars


@pytest.fixture
def document():
    return msgspec.convert(scaling_estimate(), ScalingEstimate)


def text(document):
    file = io.StringIO()
    Console(file=file, width=160).print(render_scaling(document))
    return file.getvalue()


def test_a_row_per_number_of_devices(document):
    lines = text(document).splitlines()
    assert lines[0].startswith("dmn on cell-phones, strong scaling")
    first = next(line for line in lines if line.startswith("1 x h100"))
    assert "100%" in first and "75%" in first and "250 ms" in first and "2.5 s" in first and "yes" in first
    assert "unknown" in next(line for line in lines if line.startswith("2 x h100"))


def test_the_answers_are_in_words(document):
    assert notes(document) == [
        "cheapest that take at most 2 h: 1 x h100, 0.5 USD in 2.5 s",
        "communication takes over at 1 x h100: nothing but collectives runs in 75% of a step",
        "no figures for 2 x h100: no compiler",
    ]


def test_no_answer_is_said(document):
    none = msgspec.structs.replace(document, cheapest=None, communication=None)
    assert notes(none)[0] == "none is known to take at most 2 h and to fit"


def test_bars_for_the_known_rows(document):
    drawn = scaling_bars(document)
    assert drawn.startswith("<svg") and "strong scaling" in drawn and ">1</text>" in drawn and ">2</text>" not in drawn
    unknown = msgspec.structs.replace(document, rows=document.rows[1:])
    assert scaling_bars(unknown) is None
