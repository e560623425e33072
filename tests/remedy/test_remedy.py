"""A whole remedy on made-up conversations: its cells, its figures against those of the runs, and what happens after a kill."""

import json

import numpy as np
import pytest
from train.corpora import conversations

from cr_jax.errors import BadInput
from cr_jax.json_text import read_json
from cr_jax.remedy import cells as cells_module
from cr_jax.remedy import run as run_module
from cr_jax.remedy.request import RemedyRequest
from cr_jax.report.document import validate_file
from cr_jax.train.metrics import paired_bootstrap

pytestmark = pytest.mark.slow

STUDENT = {"hidden": "8", "hops": "1"}


def _request(path, **changes):
    given = {
        "students": (STUDENT,),
        "settings": {"hidden": "16", "hops": "2"},
        "steps": 4,
        "batch": 8,
        "seeds": (0, 1),
        "weights": (0.5, 0.9),
        "rivals": ("scratch", "smoothed", "compressed", "fewer", "early", "replayed", "popularity"),
        "compressions": ({"item_rank": "4"},),
    }
    return RemedyRequest("dmn", path, **{**given, **changes})


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("remedy")
    path = conversations(folder)
    return path, folder / "out", run_module.remedy(_request(path), folder / "out")


def _variant(report, kind):
    return next(one for one in report.variants if one.kind == kind)


def test_the_document_is_valid_and_has_every_variant(done):
    _, out, report = done
    assert validate_file(out / "report.json") == "remedy-report"
    kinds = [one.kind for one in report.variants]
    assert kinds == ["teacher", "distilled", "scratch", "smoothed", "compressed", "fewer", "early", "replayed", "popularity"]


def test_quality_is_that_of_the_runs_own_reports(done):
    _, out, report = done
    for kind in ("teacher", "scratch"):
        row = _variant(report, kind)
        for run in row.runs:
            name = f"{kind}_hidden-8_hops-1_seed-{run.seed}" if kind == "scratch" else f"teacher_seed-{run.seed}"
            ranking = read_json(out / "runs" / name / "report.json")["test"]["ranking"]
            assert run.by_turn[-1].mrr == pytest.approx(ranking["mrr"])
            assert run.by_turn[-1].recall_10 == pytest.approx(ranking["recall@10"])
        assert row.quality[-1].mrr == pytest.approx(np.mean([run.by_turn[-1].mrr for run in row.runs]))


def test_popularity_is_the_baseline_of_the_training_report(done):
    _, out, report = done
    for run in _variant(report, "popularity").runs:
        baseline = read_json(out / "runs" / f"teacher_seed-{run.seed}" / "report.json")["baselines"]["popularity"]
        assert run.by_turn[-1].mrr == pytest.approx(baseline["figures"]["mrr"])


def test_differences_are_paired_with_the_teacher_of_the_seed(done):
    path, out, report = done
    cells = cells_module.Cells(_request(path), out)
    name = _variant(report, "distilled").options
    mine = cells.cell(cells_module.Variant("distilled", STUDENT), name, 1).by_turn
    teacher = cells.cell(cells_module.Variant("teacher"), {}, 1).by_turn
    assert mine is not None and teacher is not None
    last = mine.ranks.shape[1] - 1
    other = paired_bootstrap(mine.mrr(last), teacher.mrr(last), mine.users)
    found = _variant(report, "distilled").runs[1].by_turn[-1].mrr_difference
    assert found is not None and found.mean == pytest.approx(other.mean)


def test_tuning_chose_the_better_on_the_validation_part(done):
    _, out, report = done
    row = _variant(report, "distilled")
    figures = {}
    for weight in ("0.5", "0.9"):
        cell = read_json(out / "cells" / f"distilled_hidden-8_hops-1_temperature-2_weight-{weight}_seed-0.json")
        figures[weight] = cell["validation"]
    assert row.options["weight"] == max(figures, key=lambda weight: figures[weight])
    assert row.making is not None and row.making.tuning_runs == 2 and row.making.tuning_s > 0


def test_costs_add_up(done):
    _, _, report = done
    teacher, student, early = (_variant(report, kind).counted for kind in ("teacher", "distilled", "early"))
    assert student.flops < teacher.flops and student.share_of_teacher == pytest.approx(student.flops / teacher.flops)
    assert 0 < early.share_of_teacher < 1
    assert _variant(report, "replayed").counted.flops > teacher.flops
    row = _variant(report, "distilled")
    made = row.making
    assert made.training_flop > 0 and made.teacher_inference_flop > 0 and made.teacher_training_flop > 0
    flop = {one.with_teacher: one for one in row.break_even if one.unit == "flop"}
    cost = made.training_flop + made.teacher_inference_flop + made.tuning_flop
    saving = teacher.flops - student.flops
    for with_teacher, more in ((False, 0), (True, made.teacher_training_flop)):
        turns = flop[with_teacher].turns
        assert turns * saving > cost + more >= (turns - 1) * saving


def test_two_seeds_decide_nothing(done):
    _, _, report = done
    assert {one.noninferiority.verdict for one in report.variants if one.noninferiority} == {"not decided"}


def test_what_is_finished_is_not_trained_again(done, monkeypatch):
    path, out, report = done

    def refuse(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr(cells_module, "carry_out", refuse)
    monkeypatch.setattr(cells_module, "distil", refuse)
    (out / "cells" / "scratch_hidden-8_hops-1_seed-1.json").unlink()  # killed between the run's end and its cell
    again = run_module.remedy(_request(path), out)
    assert again.variants == report.variants


def test_another_schedule_or_data_in_one_folder_is_refused(done, tmp_path):
    path, out, _ = done
    with pytest.raises(BadInput, match="steps=4, not 5"):
        run_module.remedy(_request(path, steps=5), out)
    other = tmp_path / "talks.txt"
    other.write_text(path.read_text() + path.read_text().splitlines()[0] + "\n")
    with pytest.raises(BadInput, match="of other data"):
        run_module.remedy(_request(other), out)


def test_a_damaged_cell_is_refused(done):
    path, out, _ = done
    file = out / "cells" / "teacher_seed-0.json"
    kept = file.read_text()
    file.write_text(json.dumps({"ranks": None}))
    with pytest.raises(BadInput, match="no cell of a remedy"):
        run_module.remedy(_request(path), out)
    file.write_text(kept)
