"""What changed between two reports."""

import io

from reports import changed, only, sample, step, traced
from rich.console import Console

from cr_jax.documents.difference import ChangedCondition
from cr_jax.render.diff import render_diff
from cr_jax.report.diff import difference
from cr_jax.report.document import validate


def _difference(a, b):
    document = difference(a, b, "a.json", "b.json", "0")
    validate(document, "difference")
    return document


def _text(document):
    out = io.StringIO()
    Console(file=out, width=200).print(render_diff(document))
    return out.getvalue()


def test_equal_reports_are_identical_whatever_their_times():
    a = sample()
    b = changed(a, {"created": "2000-01-01T00:00:00+00:00", "command": None, "steps.train/answer.durations_s.compile": 99.0})
    document = _difference(a, b)
    assert document.identical and not document.causes and not document.turns
    assert all(f.change in (0, None) for s in document.steps for f in s.figures)
    assert "identical" in _text(document)


def test_a_change_is_found_where_it_is():
    a = sample()
    row, old = step(a).modules[0], step(a).compiled.flops
    b = changed(
        a,
        {
            "model.config.hops": lambda hops: hops + 1,
            "parameters.trainable": lambda size: size + 50,
            "parameters.modules.0.trainable": lambda size: size + 50,
            "steps.train/answer.compiled.flops": 2 * old,
            "steps.train/answer.program_sha256": "0" * 64,
            "steps.train/answer.modules.0.matmul_flops": lambda flops: flops + old,
            "turns.0.flops_per_turn": lambda flops: flops + 10,
        },
    )
    document = _difference(a, b)
    assert not document.identical
    assert document.causes == (ChangedCondition(field="config.hops", a=3, b=4),)
    assert document.parameters[0].change == 50
    assert [m.change for m in document.parameter_modules] == [50]
    found = next(s for s in document.steps if s.name == "train/answer")
    flops = next(f for f in found.figures if f.figure == "compiled.flops")
    assert (found.program, flops.change, flops.relative) == ("changed", old, 1.0)
    assert [(m.module, m.pass_, m.change) for m in found.modules] == [(row.module, row.pass_, old)]
    assert [(t.t, t.mode, t.change) for t in document.turns] == [(0, "replay", 10.0)]
    text = _text(document)
    assert "config.hops" in text and "+100.00%" in text and row.module in text


def test_missing_steps_and_unknown_figures_do_not_become_zero():
    a, b = sample(), only(traced(sample()), lambda one: one.phase == "train")
    document = _difference(a, b)
    peak = next(f for f in document.steps[0].figures if f.figure == "memory.peak_bytes")
    assert peak.a > 0 and peak.b is None and peak.change is None and peak.relative is None
    assert {s.in_ for s in document.steps} == {"both", "a"}
    assert document.steps[0].modules == ()  # a compiled program's against a traced one's
    assert "Steps in A only: infer/" in _text(document) and "not compiled" in _text(document)


def test_reports_of_different_models():
    b = changed(sample("mmn", "h100"), {"steps": ()})
    document = _difference(sample(), b)
    assert ChangedCondition(field="model", a="dmn", b="mmn") in document.causes
    assert {s.in_ for s in document.steps} == {"a"} and _text(document)
