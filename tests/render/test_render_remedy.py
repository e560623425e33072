"""A remedy report as a table and as a chart."""

import io
import re
import xml.etree.ElementTree as ET

from documents.remedy_sample import remedy_report
from rich.console import Console

from cr_jax.documents.base import decode
from cr_jax.documents.remedy_report import RemedyReport
from cr_jax.render.pareto import pareto
from cr_jax.render.remedy import render_remedy


def _report(change=lambda sample: None):
    sample = remedy_report()
    change(sample)
    return decode(sample, RemedyReport, "sample")


def _text(report):
    console = Console(width=240, record=True, file=io.StringIO())
    console.print(render_remedy(report))
    return console.export_text()


def test_the_table_shows_quality_cost_and_break_even():
    text = _text(_report())
    row = next(line for line in text.splitlines() if "distilled" in line)
    for cell in ("0.2500", "-0.0100", "90.0%", "not decided", "0.5000", "100", "10.0%", "12.5"):
        assert cell in row, (cell, row)
    assert "250,001" in text
    assert "ratings: rmse 0.5000" in text
    assert "not more than 5% of the teacher's MRR below it" in text


def test_a_turn_that_saves_nothing_never_pays():
    def change(sample):
        sample["variants"][1]["break_even"][0] |= {"turns": None, "reason": "never: a turn saves nothing"}

    assert re.search(r"distilled.*never", _text(_report(change)))


def test_the_chart_has_a_point_per_variant():
    def change(sample):
        sample["variants"][1]["counted"] = {**sample["variants"][1]["counted"], "flops": 100.0}
        wide = {"mean": -0.01, "low": -0.03, "high": 0.01}
        sample["variants"][1]["quality"] = [{**sample["variants"][1]["quality"][0], "mrr_difference": wide}]

    drawn = pareto(_report(change))
    assert drawn is not None
    root = ET.fromstring(drawn)
    discs = root.findall("{*}circle")  # each in the picture and in the legend
    assert len(discs) == 4
    teacher, student = discs[0], discs[2]
    assert float(student.get("cx", "")) < float(teacher.get("cx", "")), "fewer FLOPs are further left"
    bars = [one for one in root.findall("{*}line") if one.get("x1") == one.get("x2") == student.get("cx")]
    assert any(float(one.get("y1", "")) > float(student.get("cy", "")) > float(one.get("y2", "")) for one in bars)


def test_without_figures_there_is_no_chart():
    def change(sample):
        for one in sample["variants"]:
            one["counted"] = None

    assert pareto(_report(change)) is None
