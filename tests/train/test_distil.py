"""Students of runs on a small corpus: the same losses however the teachers score, refusals, the cache, the run folder."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest
from train.corpora import SMALL, conversations, losses, redial_file, train_on

from cr_jax.data.conversation import Conversation
from cr_jax.data.corpus import PARTS
from cr_jax.data.examples.distilled import SCORES, SUPERVISED
from cr_jax.errors import BadConfig, BadInput
from cr_jax.report.document import validate_file
from cr_jax.serving.recommender import Recommender
from cr_jax.steps.distil import ensemble, training_objectives
from cr_jax.train import distil as distilling
from cr_jax.train.compress import concrete
from cr_jax.train.distil import distil, student
from cr_jax.train.distil_request import DistillationRequest
from cr_jax.train.finished import read_run
from cr_jax.train.run import Trained
from cr_jax.train.teacher_scores import TeacherScores, ensemble_rows

pytest.importorskip("grain", reason="needs the extra cr-jax[train]")
pytest.importorskip("orbax.checkpoint", reason="needs the extra cr-jax[train]")
pytestmark = pytest.mark.slow

STUDENT = {"dmn": {"hidden": "2", "hops": "1"}, "mmn": {"hidden": "2"}, "pmmn": {"hidden": "2"}}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("CRJAX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "teacher-scores"


@pytest.fixture(scope="module")
def teachers(tmp_path_factory):
    """``teachers(model, seed)`` -> the data and the folder of its run, on the split of seed 0; trained once."""
    folder = tmp_path_factory.mktemp("teachers")
    path = conversations(folder)

    def teacher(name: str, seed: int = 0) -> tuple[Path, Path]:
        out = folder / f"{name}-{seed}"
        if not out.exists():
            settings = SMALL[name] | {"learning_rate": "0.02"}
            train_on(name, path, out, settings=settings, steps=20, batch=8, seed=seed, split_seed=0)
        return path, out

    return teacher


def run(path: Path, out: Path, *folders: Path, resume: bool = False, tick=None, say=None, **choices) -> Trained:
    request = DistillationRequest(folders, path, **choices)
    return distil(request, out, resume=resume, checkpoint_steps=5, tick=tick, say=say)


@pytest.mark.parametrize("name", STUDENT)
def test_cached_and_on_the_fly_teachers_give_the_same_losses(name, teachers, tmp_path):
    path, *folders = teachers(name)[0], teachers(name)[1], teachers(name, 1)[1]
    settings = STUDENT[name]
    kept = run(path, tmp_path / "kept", *folders, settings=settings)
    within = run(path, tmp_path / "within", *folders, settings=settings, on_the_fly=True)
    first, second = ([row["loss"] for row in losses(tmp_path / one)] for one in ("kept", "within"))
    assert len(first) == 20  # the teacher's schedule
    for a, b in zip(first, second, strict=True):
        assert a == pytest.approx(b, rel=2e-5)
    assert first[-1] != first[0]
    one, other = kept.report, within.report
    assert one.cost.flop == other.cost.flop and one.cost.flop > 0
    assert one.cost.teachers.turns == one.stages[0].examples and other.cost.teachers.turns == 20 * 8
    assert other.cost.teachers.seconds is None and other.cost.teachers.flop > 0
    assert [t.seed for t in one.distillation.teachers] == [0, 1] and one.distillation.parameters < one.distillation.teachers[
        0
    ].parameters
    assert validate_file(tmp_path / "kept" / "report.json") == "training-report"


@pytest.mark.parametrize("name", STUDENT)
def test_scores_are_those_of_the_teachers_tests_at_every_turn(name, teachers, tmp_path):
    """Every state of every training conversation, t = 0 to T; the teacher scores it as a ranking of tests does."""
    path, folder = teachers(name)
    _, made = student(DistillationRequest((folder,), path, settings=STUDENT[name]))
    (pool,) = made.examples.pools.values()
    talks = made.corpus.conversations["train"]
    assert len(pool) == sum(len(talk.turns) + 1 for talk in talks)
    last = len(talks[0].turns)
    rows = np.arange(last + 1)
    shape = tuple(np.max([pool.shape(row) for row in rows], axis=0)) if pool.shape(0) else ()
    batch = pool.make(rows, shape, np.random.default_rng(0))
    found = read_run(folder)
    recommender = Recommender(folder, top=made.config.items)
    recommender.prepare([talks[0]])
    state = recommender.start()
    for t in range(last + 1):
        state, answer = recommender.turn(state, talks[0], t)
        scores = dict(answer.items)
        ours = batch[SCORES + "items"][t]
        ours = np.asarray(jax.nn.log_sigmoid(ours)) if name != "dmn" else ours
        np.testing.assert_allclose(ours, [scores[item] for item in found.assets.items], rtol=2e-4, atol=2e-5)
        if answer.questions is not None:
            asked = dict(answer.questions)
            theirs = np.asarray(jax.nn.log_sigmoid(batch[SCORES + "questions"][t]))
            np.testing.assert_allclose(theirs, [asked[aspect] for aspect in found.assets.aspects], rtol=2e-4, atol=2e-5)
    unsupervised = [t for t in rows if not batch[SUPERVISED][t]]
    assert unsupervised == ([0] if name == "dmn" else [last])


@pytest.mark.parametrize("name", STUDENT)
def test_with_the_published_loss_alone_it_is_that_of_the_objective(name, teachers, tmp_path):
    """The student's published part, on supervised rows only, is the model's own loss."""
    path, folder = teachers(name)
    _, made = student(DistillationRequest((folder,), path, settings=STUDENT[name]))
    ((_objective, hook),) = made.spec.training.distillation.items()
    (pool,) = made.examples.pools.values()
    rows = np.arange(12)
    shape = tuple(np.max([pool.shape(row) for row in rows], axis=0)) if pool.shape(0) else ()
    batch = pool.make(rows, shape, np.random.default_rng(0))
    counted = batch[SUPERVISED] > 0
    part = {k: a[counted] if len(a) == len(rows) and k not in pool.whole else a for k, a in batch.items()}
    model = made.state.merge(made.state.weights)
    value, _, outputs = hook.student(model, jax.tree.map(jax.numpy.asarray, batch), jax.random.key(0))
    (published,) = made.spec.objectives(made.config)
    expected, _ = published.loss(model, jax.tree.map(jax.numpy.asarray, part), jax.random.key(0))
    assert 0 < counted.sum() < len(rows) and float(value) == pytest.approx(float(expected), rel=1e-5)
    side = (
        None
        if made.examples.items is None
        else made.spec.conversation.precompute(model, jax.tree.map(jax.numpy.asarray, made.examples.items))
    )
    history = hook.histories(made.corpus, made.config, made.corpus.conversations["train"])
    read = history.make(rows, shape, np.random.default_rng(0))
    for output, array in hook.teacher(model, side, jax.tree.map(jax.numpy.asarray, read)).items():
        np.testing.assert_allclose(outputs[output], array, rtol=1e-4, atol=1e-5)


def test_resumed_to_the_same_losses(teachers, tmp_path):
    path, folder = teachers("dmn")

    def stop(tick):
        if tick.step == 15:
            raise KeyboardInterrupt

    choices = {"settings": STUDENT["dmn"], "augment": 1}
    whole = run(path, tmp_path / "whole", folder, **choices)
    with pytest.raises(KeyboardInterrupt):
        run(path, tmp_path / "cut", folder, tick=stop, **choices)
    again = run(path, tmp_path / "cut", folder, resume=True, **choices)
    assert again.report.resumed_at_step == 10 and again.report.cost.teachers.reused
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole") and again.report.test == whole.report.test
    with pytest.raises(BadInput, match=r"distillation\.temperature is 2.0, here 3.0"):
        run(path, tmp_path / "cut", folder, resume=True, temperature=3.0, **choices)
    same = SMALL["dmn"] | STUDENT["dmn"] | {"learning_rate": "0.02"}
    with pytest.raises(BadInput, match="distillation is"):
        train_on("dmn", path, tmp_path / "cut", settings=same, steps=20, batch=8, resume=True)
    found = Recommender(tmp_path / "whole", 5)
    assert found.finished and found.config.hidden == 2 and found.config.embedding == 6  # as the teacher where nothing is set


def test_nobody_of_validation_or_test_is_learned_from(teachers, tmp_path, monkeypatch):
    """Neither the student nor a teacher is given a conversation of the other parts, augmented or not."""
    path, folder = teachers("dmn")
    read: list[Conversation] = []
    kept = distilling._Taught.pool

    def pool(self, name):
        read.extend(self._talks)
        return kept(self, name)

    monkeypatch.setattr(distilling._Taught, "pool", pool)
    _, made = student(DistillationRequest((folder,), path, augment=3))
    talks = made.corpus.conversations
    assert len(read) == 4 * len(talks["train"])
    for part in PARTS[1:]:
        held = {(talk.user, talk.item) for talk in talks[part]}
        assert held and not held & {(talk.user, talk.item) for talk in read}
    pairs = {(talk.item, turn) for talk in talks["train"] for turn in talk.turns}
    assert {(talk.item, turn) for talk in read for turn in talk.turns} == pairs
    (pool,) = made.examples.pools.values()
    real = sum(len(talk.turns) + 1 for talk in talks["train"])
    batch = pool.make(np.arange(real, real + 8), pool.shape(real), np.random.default_rng(0))
    assert len(pool) > 2 * real and not batch[SUPERVISED].any()  # teachers alone label what was recombined


def test_the_cache_is_made_once_and_again_where_it_is_damaged(teachers, tmp_path, cache):
    path, folder = teachers("dmn")
    request = DistillationRequest((folder,), path)
    said: list[str] = []
    student(request, said.append)
    (kept,) = cache.iterdir()
    before = {file.name: file.read_bytes() for file in kept.iterdir()}
    student(DistillationRequest((folder,), path, temperature=5.0, settings={"hidden": "3"}), said.append)  # no part of the scores
    assert list(cache.iterdir()) == [kept] and not said
    scores = kept / "items.npy"
    scores.write_bytes(before["items.npy"][:-4] + b"\x00\x00\x80?")
    student(request, said.append)
    assert len(said) == 1 and "items.npy is damaged" in said[0]
    assert scores.read_bytes() == before["items.npy"]
    student(DistillationRequest((teachers("dmn", 1)[1],), path))  # other weights
    student(DistillationRequest((folder,), path, augment=1))  # other rows
    assert len(list(cache.iterdir())) == 3


def test_an_ensemble_is_the_same_on_the_host_and_on_the_device():
    rng = np.random.default_rng(0)
    logits = [rng.normal(size=(6, 9)).astype(np.float32) for _ in range(3)]
    scores = [TeacherScores({"items": one}, 6, 1, 0.0, 1, False) for one in logits]
    for values in (False, True):
        host = ensemble_rows(scores, ("items",) if values else (), 3.0)(np.arange(6))["items"]
        device = ensemble([jax.numpy.asarray(one) for one in logits], values, 3.0)
        np.testing.assert_allclose(host, device, rtol=1e-5, atol=1e-5)


def test_refusals(teachers, tmp_path):
    path, folder = teachers("dmn")

    def refused(reason: str, *folders: Path, data: Path = path, error=BadInput, **choices) -> None:
        with pytest.raises(error, match=reason):
            run(data, tmp_path / "none", *folders, **choices)

    refused('model is "mmn", here "dmn"', folder, teachers("mmn")[1])
    (tmp_path / "other").mkdir()
    refused(r"dataset\.sha256", folder, data=conversations(tmp_path / "other", 121))
    train_on("dmn", path, tmp_path / "split", settings=SMALL["dmn"], steps=1, seed=5)
    refused(r'dataset\.split is "by user and item, seed 5', folder, tmp_path / "split")
    refused("no checkpoint here; legal: a folder that crjax train wrote to", tmp_path)
    refused("no teacher; legal", error=BadConfig)
    for name, values in {"temperature": (0.0, -1.0, 101.0, float("nan")), "weight": (0.0, 1.1, float("nan"))}.items():
        for value in values:
            refused(rf"{name}=.*legal: above 0", folder, error=BadConfig, **{name: value})
    refused("augment=-1", folder, error=BadConfig, augment=-1)
    refused("reads no configuration key", folder, error=BadConfig, settings={"depth": "2"})
    refused("stage 'joint': not trained by every teacher; legal: answer", folder, error=BadConfig, stages=("joint",))
    assert not (tmp_path / "none").exists()


def test_an_unfinished_run_or_another_vocabulary_is_no_teacher(teachers, tmp_path):
    path, folder = teachers("dmn")

    def stop(tick):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_on("dmn", path, tmp_path / "cut", settings=SMALL["dmn"], steps=30, tick=stop)
    with pytest.raises(BadInput, match="not finished: stage 1 of 1, 0 steps taken"):
        run(path, tmp_path / "out", tmp_path / "cut")
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "checkpoints").symlink_to(folder / "checkpoints")
    document = json.loads((folder / "recommender.json").read_text())
    document["words"][3] = "elsewhere"
    (copy / "recommender.json").write_text(json.dumps(document))
    with pytest.raises(BadInput, match=r"words: .*number 3 is 'elsewhere', here "):
        run(path, tmp_path / "out", copy)


def test_a_larger_student_is_told(teachers, tmp_path):
    said: list[str] = []
    path, folder = teachers("dmn")
    found = run(path, tmp_path / "out", folder, settings={"hidden": "6"}, steps=2, say=said.append)
    assert len(said) == 1 and said[0].startswith("the student is larger than its teacher: ") and said[0] in found.report.notes


def test_heads_and_ratings_of_dialogues(tmp_path):
    """The sentiment network learns every head, AutoRec the rating of every item from a teacher that reads all of a user's."""
    path = redial_file(tmp_path)
    settings = SMALL["srnn-ae"] | {"dropout": "0.2"}
    train_on("srnn-ae", path, tmp_path / "teacher", settings=settings, epochs=2, batch=8)
    smaller = {"sentence_hidden": "2", "autorec_layers": "3"}
    folders = [tmp_path / name for name in ("kept", "within")]
    reports = [
        run(path, folder, tmp_path / "teacher", settings=smaller, on_the_fly=folder.name == "within").report for folder in folders
    ]
    first, second = ([row["loss"] for row in losses(folder)] for folder in folders)
    assert {name for row in first for name in row} == {"sentiment", "autorec"}
    for a, b in zip(first, second, strict=True):
        assert a == pytest.approx(b, rel=2e-5)
    assert reports[0].cost.teachers.turns == sum(stage.examples for stage in reports[0].stages)
    _, made = student(DistillationRequest((tmp_path / "teacher",), path, settings=smaller))
    batch = made.examples.pools["sentiment"].make(np.arange(3), (4, 12), np.random.default_rng(0))
    shapes = {name.removeprefix(SCORES): array.shape for name, array in batch.items() if name.startswith(SCORES)}
    assert set(shapes.values()) == {(3, 2), (3, 3)} and len(shapes) == 6
    with pytest.raises(BadConfig, match="augment=1: sentiment does not learn from conversations of aspects and values; legal: 0"):
        student(DistillationRequest((tmp_path / "teacher",), path, augment=1))
    train_on("srnn-ae", path, tmp_path / "one", settings=settings, epochs=1, batch=8, stages=("autorec",))
    only = run(path, tmp_path / "only", tmp_path / "one", settings=smaller).report
    assert [stage.name for stage in only.stages] == ["autorec"]


def test_squared_errors_have_the_scale_of_the_published_loss(tmp_path):
    """By hand: the mean squared difference over all items, times the ratings that the published loss sums over."""
    path = redial_file(tmp_path)
    train_on("srnn-ae", path, tmp_path / "teacher", settings=SMALL["srnn-ae"], epochs=1, batch=8, stages=("autorec",))
    _, made = student(DistillationRequest((tmp_path / "teacher",), path, weight=0.25))
    pool = made.examples.pools["autorec"]
    batch = pool.make(np.arange(8), (), np.random.default_rng(0))
    model = made.state.merge(made.state.weights)
    (objective,) = (o for o in training_objectives(made.state.model, made.work) if o.name == "autorec")
    loss, _ = objective.loss(model, jax.tree.map(jax.numpy.asarray, batch), jax.random.key(0))
    ours, theirs = (
        np.asarray(a, np.float64) for a in (model.autorec(jax.numpy.asarray(batch["ratings"])), batch[SCORES + "ratings"])
    )
    known = batch["targets"] != -1
    published = np.square(ours - batch["targets"])[known].sum()
    soft = np.square(ours - theirs).mean() * known.sum()
    assert float(loss) == pytest.approx(0.75 * published + 0.25 * soft, rel=1e-5)
    full = np.where(known, batch["targets"], 0).astype(np.float32)
    teacher = read_run(tmp_path / "teacher")
    np.testing.assert_allclose(theirs, concrete(teacher).autorec(jax.numpy.asarray(full)), rtol=1e-5, atol=1e-6)


def test_models_without_distillation_are_refused(tmp_path):
    path = conversations(tmp_path)
    train_on("aim", path, tmp_path / "aim", settings=SMALL["aim"], steps=1, batch=8)
    with pytest.raises(BadConfig, match="aim has no distillation: "):
        run(path, tmp_path / "out", tmp_path / "aim")
