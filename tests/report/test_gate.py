"""The gate's verdicts on figures set by hand, and what it reruns."""

import pytest
from reports import changed, sample, traced

from cr_jax.documents.gate_result import SkippedComparison
from cr_jax.errors import BadConfig, UnknownName
from cr_jax.report.document import validate
from cr_jax.report.gate import LIMITS, NotComparable, gate, read_limits


def _gate(baseline, now, **limits):
    document = gate(baseline, now, LIMITS | limits, "base.json", "0")
    validate(document, "gate")
    return document


def test_the_same_figures_are_within():
    document = _gate(sample(), sample())
    assert document.status == "within" and not document.improvements and not document.skipped
    assert document.compared == 3 + len(sample().steps) * 6


@pytest.mark.parametrize("change", [1, -1])
def test_exact_figures_may_not_move_either_way(change):
    moved = {"parameters.trainable": lambda n: n + change, "steps.train/answer.model.flops": lambda n: n + change}
    now = changed(sample(), moved)
    document = _gate(sample(), now)
    assert [(b.where, b.metric) for b in document.breaches] == [("parameters", "trainable"), ("train/answer", "model_flops")]
    assert document.status == "regression" and "must be equal" in document.breaches[0].text


@pytest.mark.parametrize(("rise", "within"), [(2.0, True), (2.001, False), (-50.0, True)])
def test_compiled_figures_keep_their_limit(rise, within):
    peaks = (100_000_000, round(1_000_000 * (100 + rise)))
    base, now = (changed(sample(), {"steps.train/answer.memory.peak_bytes": peak}) for peak in peaks)
    document = _gate(base, now)
    assert (document.status == "within") == within
    assert len(document.improvements) == (rise < 0)
    assert _gate(base, now, peak_bytes=3.0).status == "within"


def test_every_breach_is_named():
    now = changed(sample(), {f"steps.*.compiled.{key}": lambda n: 2 * n for key in ("flops", "hbm_bytes")})
    breaches = _gate(sample(), now).breaches
    assert len(breaches) == 2 * len(now.steps)
    assert breaches[0].percent == pytest.approx(100.0)


def test_a_step_that_went_or_came_is_a_breach():
    fewer, gone = changed(sample(), {"steps": lambda steps: steps[:-1]}), sample().steps[-1].name
    assert [b.where for b in _gate(sample(), fewer).breaches] == [gone]
    assert "new: the baseline has none" in _gate(fewer, sample()).breaches[0].text


def test_a_count_that_became_a_lower_bound_is_a_breach():
    now = changed(sample(), {"steps.train/answer.model.complete": False})
    assert [b.metric for b in _gate(sample(), now).breaches] == ["model_complete"]


def test_another_toolchain_skips_compiled_figures_only():
    now = changed(sample(), {"versions.jaxlib": "99", "steps.train/answer.compiled.flops": lambda n: 9 * n})
    document = _gate(sample(), now)
    assert document.status == "within" and "jaxlib" in document.skipped[0].reason
    now = changed(now, {"steps.train/answer.model.flops": lambda n: n + 1})
    assert _gate(sample(), now).status == "regression"
    python = changed(sample(), {"versions.python": "4.0"})
    assert not _gate(sample(), python).skipped


def test_what_one_side_did_not_compile_is_skipped_and_said():
    document = _gate(sample(), traced(sample()))
    assert document.status == "within" and len(document.skipped) == len(sample().steps)
    assert "not compiled in this run" in document.skipped[0].reason
    unknown = changed(sample(), {"steps.train/answer.memory.peak_bytes": None})
    skipped = _gate(unknown, sample()).skipped
    assert skipped == (SkippedComparison(what="train/answer: peak_bytes", reason="unknown in the baseline"),)


def test_other_data_or_another_model_is_not_comparable():
    other = changed(sample(), {"dataset.sha256": "0" * 64})
    with pytest.raises(NotComparable, match="cell-phones"):
        _gate(sample(), other)
    with pytest.raises(NotComparable, match="mmn"):
        _gate(sample("mmn"), sample())


def test_a_changed_configuration_is_a_note():
    now = changed(sample(), {"model.config.learning_rate": 0.5})
    assert "learning_rate" in _gate(sample(), now).notes[0] and _gate(sample(), now).status == "within"


def test_limits():
    assert read_limits(["hbm_bytes=5", "peak_bytes=0%"]) == LIMITS | {"hbm_bytes": 5.0, "peak_bytes": 0.0}
    with pytest.raises(UnknownName, match="hbm_bytes"):
        read_limits(["hbm_byte=5"])
    for text in ("hbm_bytes", "hbm_bytes=", "hbm_bytes=-1", "hbm_bytes=nan", "hbm_bytes=inf", "hbm_bytes=x"):
        with pytest.raises(BadConfig, match="METRIC=PERCENT"):
            read_limits([text])
