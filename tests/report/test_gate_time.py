"""Verdicts on time from given ratios, and how they enter the gate's result."""

import pytest
from reports import sample

from cr_jax.documents.gate_result import TimeVerdicts
from cr_jax.render.gate import render_gate
from cr_jax.report.document import validate
from cr_jax.report.gate import LIMITS, gate
from cr_jax.report.gate_time import TimeRatio, verdict, with_times


def ratio(low, middle, high, p=0.001):
    return TimeRatio(middle, (low, high), p, 40)


@pytest.mark.parametrize(
    ("found", "status"),
    [
        (ratio(1.06, 1.08, 1.10), "breach"),
        (ratio(1.06, 1.08, 1.10, p=0.2), "undecided"),
        (ratio(1.03, 1.06, 1.09), "undecided"),
        (ratio(1.01, 1.03, 1.05), "within"),
        (ratio(0.98, 1.0, 1.02, p=0.9), "within"),
        (ratio(0.8, 0.85, 0.9), "faster"),
        (ratio(0.8, 0.85, 0.9, p=0.3), "within"),
        (None, "same program"),
    ],
)
def test_a_breach_needs_the_whole_interval_above_the_limit(found, status):
    assert verdict("train/answer", found, 5.0, None).status == status


def test_the_block_joins_the_result():
    def result(*rows):
        before = gate(sample(), sample(), LIMITS, "a.json", "0")
        times = TimeVerdicts(
            limit_percent=5.0, programs="a.programs", kept_with_jax="0.10.2", steps=rows, warnings=("busy",), tag="measured"
        )
        document = with_times(before, times)
        validate(document, "result")
        return document, document.compared - before.compared, render_gate(document).plain

    slow = verdict("train/answer", ratio(1.06, 1.08, 1.10), 5.0, None)
    same, unsure = verdict("a", None, 5.0, None), verdict("b", ratio(1.03, 1.06, 1.09), 5.0, None)
    gone, fine = verdict("c", None, 5.0, "the step is gone"), verdict("d", ratio(0.99, 1.0, 1.01), 5.0, None)
    document, compared, text = result(slow, same, unsure, gone, fine)
    assert document.status == "regression" and compared == 3
    assert "time +8% (+6 to +10%) of 40 pairs run in turn, limit +5%" in text
    assert "undecided" in text and "the step is gone" in text and "not run: a" in text and "busy" in text
    document, compared, text = result(same, fine, verdict("e", ratio(0.8, 0.85, 0.9), 5.0, None))
    assert document.status == "within" and compared == 3 and "improvement e: time -15%" in text
