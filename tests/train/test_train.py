"""Every model trains on a small corpus, to a valid report, the same whether interrupted or not."""

import contextlib
from collections.abc import Iterator

import numpy as np
import pytest
from train.corpora import SMALL, conversations, losses, redial_file, train_on

from cr_jax.errors import BadConfig, BadInput, NotWritten
from cr_jax.profiling.request import Request
from cr_jax.profiling.run_estimate import RunRequest, estimate
from cr_jax.records import plain
from cr_jax.report.document import validate_file
from cr_jax.train.loop import NotFinite
from cr_jax.train.request import TrainingRequest
from cr_jax.train.run import ready

pytest.importorskip("grain", reason="needs the extra cr-jax[train]")
pytest.importorskip("orbax.checkpoint", reason="needs the extra cr-jax[train]")
pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", SMALL)
def test_trains_and_reports(name, tmp_path):
    found = train_on(name, conversations(tmp_path), tmp_path / "out", settings=SMALL[name], epochs=1, batch=16)
    assert validate_file(tmp_path / "out" / "report.json") == "training-report"
    report = found.report
    assert [row.epoch for row in report.epochs] == [1] * len(report.stages)
    planned = sum(stage.steps_planned for stage in report.stages)
    assert len(losses(tmp_path / "out")) == report.cost.measured.steps == planned
    assert 0 < report.test["ranking"]["mrr"] <= 1
    assert set(report.baselines) == {"popularity", "random"}
    assert report.baselines["popularity"].difference["mrr"].mean == pytest.approx(
        report.test["ranking"]["mrr"] - report.baselines["popularity"].figures["mrr"]
    )
    by_turn = report.test["ranking"]["success@10_by_turn"]
    assert by_turn == sorted(by_turn)


@pytest.mark.parametrize("name", SMALL)
def test_the_estimate_is_of_the_run_that_train_would_make(name, tmp_path):
    path = conversations(tmp_path)
    made = ready(TrainingRequest(name, path, settings=SMALL[name], epochs=2, batch=16))
    request = Request(name, path, settings=SMALL[name], batch=16, question_items=made.work.question_items)
    found = estimate(RunRequest(request, "epochs=2"))
    assert found.model.config == plain(made.config) and found.dataset.name == made.corpus.dataset.name
    planned = {objective: plan.steps for plan in made.plans for objective in plan.stage.objectives}
    assert {row.objective: row.optimizer_steps for row in found.objectives} == planned
    assert {row.epochs for row in found.objectives} == {2}


def test_learns_and_repeats(tmp_path):
    path, settings = conversations(tmp_path), SMALL["dmn"] | {"learning_rate": "0.02"}
    first = train_on("dmn", path, tmp_path / "a", settings=settings, steps=90, batch=8)
    train_on("dmn", path, tmp_path / "b", settings=settings, steps=90, batch=8)
    train_on("dmn", path, tmp_path / "c", settings=settings, steps=30, batch=8, seed=1)
    a, b, c = (losses(tmp_path / name) for name in "abc")
    assert a == b
    assert a[0]["loss"] != c[0]["loss"]
    epochs = first.report.epochs
    assert epochs[-1].loss["answer"] < epochs[0].loss["answer"] - 0.3
    per_epoch = first.report.stages[0].steps_per_epoch
    assert epochs[0].loss["answer"] == pytest.approx(np.mean([row["loss"]["answer"] for row in a[:per_epoch]]))


def test_aim_alternates_and_both_learn(tmp_path):
    train_on("aim", conversations(tmp_path), tmp_path / "out", settings=SMALL["aim"], steps=4, batch=8)
    assert [set(row["loss"]) for row in losses(tmp_path / "out")] == [{"discriminator", "generator"}] * 4


def test_dialogues_sentiment_and_ratings(tmp_path):
    settings = SMALL["srnn-ae"] | {"dropout": "0"}
    found = train_on("srnn-ae", redial_file(tmp_path), tmp_path / "out", settings=settings, epochs=2, batch=8)
    assert [stage.name for stage in found.report.stages] == ["sentiment", "autorec"]
    test = found.report.test
    assert set(test) == {"sentiment", "ratings"}
    assert 0 <= test["sentiment"]["initiator_liked.accuracy"] <= 1
    assert test["ratings"]["rmse"] > 0 and test["ratings"]["ratings"] > 0


def test_early_stopping(tmp_path):
    # Learning at a rate of 1e-12 improves nothing: the first epoch stays the best.
    settings = SMALL["dmn"] | {"learning_rate": "1e-12", "l2": "0"}
    found = train_on("dmn", conversations(tmp_path), tmp_path / "out", settings=settings, epochs=9, patience=2, batch=16)
    stage = found.report.stages[0]
    assert stage.stopped_early and stage.best.epoch == 1 and len(found.report.epochs) == 3


def test_not_finite_stops_and_keeps_the_checkpoint(tmp_path):
    path, out, settings = conversations(tmp_path), tmp_path / "out", SMALL["dmn"] | {"learning_rate": "1e30"}
    with pytest.raises(NotFinite, match=r"step \d+: .* stopped, the checkpoint of step 0 is kept") as first:
        train_on("dmn", path, out, settings=settings, steps=50, batch=8)
    step = losses(out)[-1]["step"]
    assert str(first.value).startswith(f"step {step}: ") and losses(out)[-1]["loss"]["answer"] in ("nan", "inf", "-inf")
    assert all(isinstance(row["loss"]["answer"], float) for row in losses(out)[:-1])
    assert not (out / "report.json").exists()
    # The checkpoint is whole: from it the same run comes to the same end.
    with pytest.raises(NotFinite) as again:
        train_on("dmn", path, out, settings=settings, steps=50, batch=8, resume=True)
    assert str(again.value) == str(first.value)


def test_refusals(tmp_path):
    path, out = conversations(tmp_path), tmp_path / "out"
    train_on("dmn", path, out, settings=SMALL["dmn"], steps=2)
    with pytest.raises(BadInput, match="earlier run"):
        train_on("dmn", path, out, settings=SMALL["dmn"], steps=2)
    wider = SMALL["dmn"] | {"hidden": "5"}
    with pytest.raises(BadInput, match=r"config\.hidden is 4, here 5"):
        train_on("dmn", path, out, settings=wider, steps=2, resume=True)
    with pytest.raises(BadInput, match='model is "dmn", here "mmn"'):
        train_on("mmn", path, out, settings=SMALL["mmn"], steps=2, resume=True)
    path.write_text(path.read_text() + "someone@item01,size|large|1\n")
    with pytest.raises(BadInput, match=r"dataset\.sha256"):
        train_on("dmn", path, out, settings=SMALL["dmn"], steps=2, resume=True)
    with pytest.raises(BadInput, match="no checkpoint"):
        train_on("dmn", path, tmp_path / "none", resume=True)
    with pytest.raises(BadConfig, match="one of the two"):
        train_on("dmn", path, tmp_path / "none", steps=1, epochs=1)
    with pytest.raises(BadConfig, match="reads turns of aspect and value"):
        train_on("dmn", redial_file(tmp_path), tmp_path / "none", steps=1)


@contextlib.contextmanager
def no_file_over(size: int) -> Iterator[None]:
    """Every write beyond ``size`` bytes of a file fails, as on a full disk."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_checkpoint_that_cannot_be_written_loses_nothing(tmp_path):
    path, out, options = conversations(tmp_path), tmp_path / "out", {"settings": SMALL["dmn"], "batch": 8, "checkpoint_steps": 10}
    whole = train_on("dmn", path, tmp_path / "whole", steps=30, **options)
    full = contextlib.ExitStack()

    def tick(tick):
        if tick.step == 20:
            full.enter_context(no_file_over(64))

    with full, pytest.raises(NotWritten, match=r"not written, earlier ones are intact: .*(large|space|limit)"):
        train_on("dmn", path, out, steps=30, tick=tick, **options)
    found = train_on("dmn", path, out, steps=30, resume=True, **options)
    assert found.report.resumed_at_step == 10
    assert losses(out) == losses(tmp_path / "whole") and found.report.test == whole.report.test
