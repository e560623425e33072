"""Rows, ratios and differences of a comparison, from reports whose figures are set by hand."""

import csv
import io
import xml.etree.ElementTree as ElementTree

import pytest
from reports import changed, only, sample, second_objective, step, traced

from cr_jax.catalog import load
from cr_jax.documents.comparison import PhaseMemory
from cr_jax.errors import BadConfig, UnknownName
from cr_jax.render import compare as rendering
from cr_jax.render.bars import bars
from cr_jax.render.comparison_csv import as_csv
from cr_jax.render.roofline import roofline
from cr_jax.report.compare import Cell, compare, saved
from cr_jax.report.document import validate

SVG = "{http://www.w3.org/2000/svg}"


def _document(*reports, **options):
    document = compare([saved(report, f"{n}.json") for n, report in enumerate(reports)], "0", **options)
    validate(document, "comparison")
    return document


def _program(row, name):
    return next(p for p in row.programs if p.program == name)


def test_a_rows_figures_are_the_reports():
    report = sample()
    row = _document(report).rows[0]
    train, source = _program(row, "train/answer"), step(report)
    assert train.flops == source.compiled.flops and train.model_flops == source.model.flops
    assert train.intensity_flops_per_byte == source.compiled.flops / source.compiled.hbm_bytes
    assert train.flops_per_turn == source.per.flops_per_supervised_turn
    assert row.parameters.trainable == report.parameters.trainable
    for mode in ("replay", "incremental"):
        for place, t in (("first", 0), ("last", 1)):
            turn = next(r for r in report.turns if r.mode == mode and r.t == t)
            found = _program(row, f"infer/{mode}/{place}")
            assert (found.t, found.flops_per_turn) == (t, turn.flops_per_turn)
            assert found.hbm_bytes_per_turn == turn.hbm_bytes_per_turn


def test_objectives_stand_apart_and_are_never_added():
    row = _document(second_objective(sample())).rows[0]
    train = [p for p in row.programs if p.phase == "train"]
    assert [(p.objective, p.batch) for p in train] == [("answer", 16), ("other", 64)]
    assert train[1].flops_per_turn is None and train[1].ratio.flops_per_turn is None
    assert train[1].ratio.flops == 1.0


def test_ratios_are_formed_of_the_same_work_only():
    factors = {"labels.batch": 2, "compiled.flops": 6, "compiled.hbm_bytes": 4}
    times = {f"steps.train/answer.{key}": lambda n, factor=factor: n * factor for key, factor in factors.items()}
    other = changed(sample("other"), times)
    ratio = _program(_document(sample(), other).rows[1], "train/answer").ratio
    assert (ratio.flops_per_turn, ratio.hbm_bytes_per_turn) == (3.0, 2.0)
    assert ratio.flops is None and ratio.peak_bytes is None


def test_a_traced_program_has_no_ratio_of_bytes_to_a_compiled_one():
    document = _document(sample(), traced(sample(device="h100")))
    ratio = _program(document.rows[1], "train/answer").ratio
    assert ratio.flops == 1.0 and ratio.flops_per_turn == 1.0
    assert ratio.hbm_bytes is None and ratio.peak_bytes is None and ratio.hbm_bytes_per_turn is None
    assert any("not compiled for the device: dmn@h100" in line for line in document.warnings)


def test_another_turn_has_no_ratio():
    later = changed(sample("later"), {"turns.*.t": lambda t: t + 1})
    ratio = _program(_document(sample(), later).rows[1], "infer/replay/last").ratio
    assert ratio.to is None and ratio.flops_per_turn is None


@pytest.mark.parametrize("wanted", ["other@h100", "h100", "other", "1.json"])
def test_the_baseline_is_a_row_a_model_a_device_or_a_file(wanted):
    document = _document(sample(), sample("other", "h100"), baseline=wanted)
    assert document.baseline == "other@h100"
    assert _program(document.rows[0], "train/answer").ratio.to == "train/answer"


def test_an_unknown_or_ambiguous_baseline_is_refused():
    for wanted in ("nothing", "dmn"):
        with pytest.raises(UnknownName, match="legal: dmn@cpu, dmn@h100"):
            _document(sample(), sample(device="h100"), baseline=wanted)
    with pytest.raises(BadConfig):
        compare([], "0")


def test_fit_on_the_device():
    memory = load.accelerator("h100").memory_bytes
    assert memory is not None
    fits = sample(device="h100")
    exact, over = (changed(fits, {"steps.train/answer.memory.peak_bytes": peak}) for peak in (memory, memory + 1))
    document = _document(fits, exact, over, traced(fits), sample(device="cpu"))
    found = [{one.phase: one.fits for one in row.memory.phases} for row in document.rows]
    assert [one["train"] for one in found] == ["yes", "yes", "no", "unknown", "unknown"]
    assert found[2]["infer"] == "yes"
    assert document.rows[3].memory.phases[0].peak_bytes is None


def test_one_program_too_large_decides_whatever_is_unknown():
    peaks = {"steps.train/answer.memory.peak_bytes": 10**15, "steps.train/other.memory.peak_bytes": None}
    report = changed(second_objective(sample(device="h100")), peaks)
    assert _document(report).rows[0].memory.phases[0] == PhaseMemory(phase="train", peak_bytes=None, fits="no")


def test_what_differs_is_named_and_mixed_precision_warned_of():
    conditions = {"target.effective_precision": "tf32", "workload.top_k": 99, "versions.jax": "0.0"}
    other = changed(sample("other", "h100"), conditions)
    document = _document(sample(), other)
    named = {entry.field: [v.value for v in entry.values] for entry in document.differs}
    assert named["workload.top_k"] == [10, 99] and named["jax"][1] == "0.0"
    assert "workload.users" not in named and named["effective precision"] == ["float32", "tf32"]
    assert any("mixed effective precision (float32, tf32)" in line for line in document.warnings)
    assert "workload.top_k differs: 10 (dmn); 99 (other)" in rendering.difference_lines(document)


def test_turns_left_out_between_the_ends_are_no_gap():
    gap = {"compiled": None, "outcome": "left out", "reason": "not asked for", "memory.peak_bytes": None}
    report = changed(sample(device="h100"), {f"steps.infer/replay/t0.{key}": value for key, value in gap.items()})
    row = _document(report).rows[0]
    assert row.coverage.not_compiled == ()
    assert row.coverage.compiled_programs == row.coverage.programs - 1
    assert [one.fits for one in row.memory.phases] == ["yes", "yes"]


def test_a_step_that_failed_to_compile_is_named_with_its_reason():
    failure = {"compiled": None, "outcome": "failed", "reason": "the worker was killed"}
    report = changed(sample(device="h100"), {f"steps.train/answer.{key}": value for key, value in failure.items()})
    document = _document(report)
    assert document.rows[0].coverage.not_compiled == ("train/answer: the worker was killed",)
    assert any("dmn@h100: train/answer: the worker was killed" in line for line in document.warnings)
    report = traced(sample(device="h100"))
    assert _document(report).rows[0].coverage.not_compiled == ("no compiler for it here",)


def test_a_failed_row_leaves_the_others_alone():
    cells = [Cell("aim", "h100", None, "the compiler\naborted | & died"), saved(sample(), "a.json")]
    document = compare(cells, "0")
    validate(document, "comparison")
    assert document.baseline == "dmn@cpu" and document.rows[0].error == "the compiler aborted | & died"
    assert rendering.as_text(document).count("aborted") == 1
    assert "aborted \\| & died" in rendering.as_markdown(document)
    assert "aborted \\textbar{} \\& died" in rendering.as_latex(document)
    lines = list(csv.DictReader(io.StringIO(as_csv(document))))
    assert lines[0]["status"] == "failed" and lines[0]["flops"] == ""
    everything = compare(cells[:1], "0")
    validate(everything, "comparison")
    assert everything.baseline is None and "failed" in rendering.as_text(everything)


def test_reports_without_training_or_turns():
    bare = changed(only(sample(), lambda one: one.phase == "train"), {"turns": (), "conversation": None})
    empty = changed(sample("empty"), {"steps": (), "turns": ()})
    document = _document(sample(), bare, empty)
    assert [p.phase for p in document.rows[1].programs] == ["train"]
    assert document.rows[2].programs == () and document.rows[2].memory.phases == ()
    for form in (rendering.as_text, rendering.as_markdown, rendering.as_latex, as_csv, roofline, bars):
        assert form(document)


def test_equal_names_are_told_apart():
    assert [row.name for row in _document(sample(), sample()).rows] == ["dmn@cpu", "dmn@cpu#2"]


def test_csv_holds_plain_numbers_and_nothing_for_unknown():
    report = traced(sample())
    lines = list(csv.DictReader(io.StringIO(as_csv(_document(report)))))
    assert len(lines) == 5 and lines[0]["program"] == "train/answer"
    assert int(lines[0]["model_flops"]) == step(report).model.flops and lines[0]["peak_bytes"] == ""


def test_markdown_tables_are_rectangular():
    text = rendering.as_markdown(_document(sample(), sample("a|b")))
    for table in text.split("###")[1:]:
        rows = [line.replace("\\|", "") for line in table.splitlines() if line.startswith("|")]
        assert len({row.count("|") for row in rows}) == 1


def _compiled(model, device, factor):
    changes = {
        "target.platform": load.accelerator(device).platform,
        "target.effective_precision": None,
        "steps.*.compiled.hbm_bytes": lambda moved: max(1, int(moved * factor)),
    }
    return changed(sample(model, device), changes)


def test_plots_are_well_formed_and_hold_every_device_and_model():
    reports = [_compiled(m, d, f) for m, f in (("dmn", 1), ("aim", 0.01)) for d in ("cpu", "h100", "tpu-v5e")]
    document = compare([saved(report, "x") for report in reports], "0")
    for draw in (roofline, bars):
        words = [text.text for text in ElementTree.fromstring(draw(document)).iter(f"{SVG}text")]
        assert {"cpu", "h100", "tpu-v5e", "dmn", "aim"} <= set(words)
    root = ElementTree.fromstring(roofline(document))
    assert len(list(root.iter(f"{SVG}polyline"))) == 2  # the CPU's peak is unknown: no roof
    assert "495 TFLOP/s tf32, 3.35 TB/s" in [text.text for text in root.iter(f"{SVG}text")]


def test_roofline_leads_every_mark_to_the_roof():
    document = compare([saved(_compiled("dmn", "h100", 1), "x")], "0")
    root = ElementTree.fromstring(roofline(document))
    (x0, y0), (x1, y1), _ = (map(float, p.split(",")) for p in next(root.iter(f"{SVG}polyline")).get("points").split())
    dots = [c for c in root.iter(f"{SVG}circle") if c.get("r") == "2.6"]
    assert len(dots) == 2
    for dot in dots:  # all programs here are far below the ridge: on the straight slope between the two corners
        x, y = float(dot.get("cx")), float(dot.get("cy"))
        assert x0 < x < x1 and y == pytest.approx(y0 + (x - x0) / (x1 - x0) * (y1 - y0), abs=0.3)


def test_too_many_bars_are_refused():
    reports = [sample(f"m{n}", d) for n in range(7) for d in load.accelerator_names()[:13]]
    with pytest.raises(BadConfig, match="legal: at most 12"):
        bars(compare([saved(report, "x") for report in reports], "0"))
