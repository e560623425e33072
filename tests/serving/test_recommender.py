"""A trained model in conversation: the ranking of the training run's own test, refusals, the terminal."""

import io
import json
import shutil
from typing import Any

import jax
import numpy as np
import pytest
from train.corpora import SMALL, conversations, redial_file, train_on

from cr_jax.cli.main import app
from cr_jax.data import recommender_assets
from cr_jax.data.conversation import Conversation, Turn
from cr_jax.data.corpus import read_corpus
from cr_jax.data.dialogue import SYSTEM, USER, Dialogue, Utterance, turns_of
from cr_jax.data.examples.turn_encoder import turn_count
from cr_jax.data.recommender_assets import from_document
from cr_jax.documents.base import decode
from cr_jax.documents.recommender import RecommenderDocument
from cr_jax.errors import BadConfig, BadInput
from cr_jax.report.document import to_json, validate, validate_file
from cr_jax.serving.latencies import Latencies
from cr_jax.serving.recommender import Recommender
from cr_jax.train import metrics
from cr_jax.train.run import RECOMMENDER

pytest.importorskip("grain", reason="needs the extra cr-jax[train]")
pytest.importorskip("orbax.checkpoint", reason="needs the extra cr-jax[train]")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """``runs(model)`` -> the folder of its run and what train() gave; trained once."""
    folder, made = tmp_path_factory.mktemp("runs"), {}

    def run(name: str) -> Any:
        if name not in made:
            settings = SMALL[name]
            # So few steps change little at the published rates, and near-equal scores have no order.
            settings = settings | {"learning_rate": "0.02"} if name in ("dmn", "mmn", "pmmn") else settings
            made[name] = (
                folder / name,
                train_on(name, conversations(folder), folder / name, settings=settings, steps=20, batch=16),
            )
        return made[name]

    return run


def as_jax(arrays):
    return jax.tree.map(jax.numpy.asarray, dict(arrays))


def answers(found: Recommender, talk: Any, turns: int) -> list[Any]:
    state, given = found.start(), []
    for t in range(turns):
        state, answer = found.turn(state, talk, t)
        given.append(answer)
    return given


@pytest.mark.parametrize("name", SMALL)
def test_ranks_as_the_training_runs_test_does(name, runs):
    folder, trained = runs(name)
    found = Recommender(folder, top=10_000)
    talks, ranking = trained.corpus.conversations["test"], trained.ranked.ranking
    found.prepare(talks)
    given = [answer for one in talks for answer in answers(found, one, len(one.turns) + 1)]
    ranks = [[item for item, _ in a.items].index(talks[c].item) + 1 for a, c in zip(given, ranking.conversation, strict=True)]
    assert ranks == trained.ranked.ranks.tolist()
    assert len(set(ranks)) > 3
    modes = {answer.mode for answer in given}
    assert "incremental" in modes
    if trained.ranked.aspects is not None:
        asked = [a for a, aspect in zip(given, ranking.aspect, strict=True) if aspect >= 0]
        wanted = ranking.aspect[ranking.aspect >= 0]
        order = [[q for q, _ in a.questions].index(trained.corpus.aspects[i]) + 1 for a, i in zip(asked, wanted, strict=True)]
        assert order == trained.ranked.aspects.tolist()


def test_ties_are_broken_as_in_the_tests(runs):
    found = Recommender(runs("dmn")[0], top=10_000)
    number = len(found.assets.items)
    best = {"top_items": np.arange(number)[None], "top_scores": np.zeros((1, number), np.float32)}
    listed = [item for item, _ in found._answer(best, "incremental", 0.0).items]
    ranks = metrics.ranks(np.zeros((number, number)), np.arange(number))
    assert [listed.index(item) + 1 for item in found.assets.items] == ranks.tolist()


@pytest.mark.parametrize("name", SMALL)
def test_answered_together_is_answered_alone(name, runs):
    """Conversations of different lengths, one past the limit; a batch that is not full."""
    folder, trained = runs(name)
    alone, both = Recommender(folder, top=7), Recommender(folder, top=7)
    talks: list[Any] = list(trained.corpus.conversations["test"] or trained.corpus.dialogues["test"])[:5]
    if not alone.assets.dialogues:
        turns = tuple(Turn(aspect, alone.assets.values[aspect][0], 1) for aspect in alone.assets.aspects[:14])
        talks += [Conversation(trained.corpus.users[n], trained.corpus.items[0], turns[n:]) for n in range(2)]
    talks.sort(key=lambda talk: -turn_count(talk))
    alone.prepare(talks)
    both.prepare(iter(talks), users=8)
    state, modes = both.start(), set()
    wanted = [answers(alone, talk, turn_count(talk)) for talk in talks]
    for t in range(turn_count(talks[0])):
        here = [talk for talk in talks if t < turn_count(talk)]
        state, given = both.turns(state, here, t)
        assert len(given) == len(here)
        for answer, row in zip(given, wanted, strict=False):
            modes.add(answer.mode)
            assert answer.mode == row[t].mode
            assert dict(answer.items) == pytest.approx(dict(row[t].items), rel=1e-4, abs=1e-6)
            if row[t].questions is not None:
                assert answer.questions is not None
                assert dict(answer.questions) == pytest.approx(dict(row[t].questions), rel=1e-4, abs=1e-6)
    assert modes == ({"incremental", "replay"} if name in ("dmn", "mmn", "pmmn") else {"incremental"})


@pytest.mark.parametrize("name", ["dmn", "mmn"])
def test_past_the_limit_the_window_is_read_again(name, runs):
    folder, trained = runs(name)
    found = Recommender(folder, top=10_000)
    found.prepare()
    turns = tuple(Turn(aspect, found.assets.values[aspect][0], 1) for aspect in found.assets.aspects[:14])
    talk = Conversation(trained.corpus.users[0], trained.corpus.items[0], turns)
    given = answers(found, talk, len(turns) + 1)
    pool = found.encoder.histories([talk])
    limit = next(t for t in range(len(turns) + 1) if found.encoder.past(talk, t))
    assert [a.mode for a in given] == ["incremental"] * limit + ["replay"] * (len(turns) + 1 - limit)
    module = found._model.merger()(trained.weights)
    side = None if found.encoder.items is None else found.spec.conversation.precompute(module, as_jax(found.encoder.items))
    for t, answer in enumerate(given):
        row = as_jax(pool.make(np.array([t]), pool.shape(t), np.random.default_rng(0)))
        scores = np.asarray(found.spec.conversation.replay(module, side, row)["item_scores"])[0]
        assert [score for _, score in answer.items] == pytest.approx(sorted(scores, reverse=True), rel=1e-4, abs=1e-5)


def test_what_is_kept_survives_its_document(tmp_path):
    kept = recommender_assets.assets_of(read_corpus(conversations(tmp_path)), 3)
    document = recommender_assets.document(kept, "dmn")
    assert validate(document, "test") == "recommender"
    assert from_document(decode(json.loads(to_json(document)), RecommenderDocument, "test")) == kept
    asked = [turn.aspect for one in read_corpus(conversations(tmp_path)).conversations["train"] for turn in one.turns]
    counts = [asked.count(aspect) for aspect in kept.values]
    assert counts == sorted(counts, reverse=True) and set(kept.values) == set(kept.aspects)


def test_a_checkpoint_of_something_else_is_refused(runs, tmp_path):
    folder, _ = runs("dmn")
    other, _ = runs("mmn")
    assert validate_file(folder / RECOMMENDER) == "recommender"
    with pytest.raises(BadInput, match='model is "dmn", here "mmn"'):
        Recommender(folder, model="mmn")
    with pytest.raises(BadInput, match=r"config\.hidden is 4, here 5"):
        Recommender(folder, settings={"hidden": "5"})
    with pytest.raises(BadInput, match=r"dataset\.sha256 is"):
        Recommender(folder, dataset=redial_file(tmp_path))
    Recommender(folder, model="dmn", settings={"hidden": "4"}, dataset=folder.parent / "talks.txt")
    with pytest.raises(BadInput, match="no checkpoint here"):
        Recommender(tmp_path)
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / RECOMMENDER).write_bytes((other / RECOMMENDER).read_bytes())
    with pytest.raises(BadInput, match=r'recommender\.json is of another run .*model is "dmn", here "mmn"'):
        Recommender(copy)
    document = json.loads((folder / RECOMMENDER).read_text())
    (copy / RECOMMENDER).write_text(json.dumps(document | {"dataset": {"name": "talks", "sha256": "0"}}))
    with pytest.raises(BadInput, match=r'dataset\.sha256 is "[0-9a-f]{64}", here "0"'):
        Recommender(copy)
    (copy / RECOMMENDER).unlink()
    with pytest.raises(BadInput, match=r"recommender\.json: missing"):
        Recommender(copy)
    (copy / RECOMMENDER).write_bytes((folder / RECOMMENDER).read_bytes())
    identity = next((copy / "checkpoints").glob("*/identity/metadata"))
    stored = json.loads(identity.read_text())
    identity.write_text(json.dumps(stored | {"config": stored["config"] | {"hidden": 6}}))
    with pytest.raises(BadInput, match="weights of another configuration"):
        Recommender(copy)
    identity.write_text(json.dumps(stored | {"model": "os:SPEC"}))
    with pytest.raises(BadInput, match=r"'os:SPEC' is not in the package"):
        Recommender(copy)


def talk_to(monkeypatch, capsys, folder, text, *more):
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    app(["recommend", str(folder), *more], standalone_mode=False)
    return capsys.readouterr().out


def test_a_conversation_in_the_terminal(runs, monkeypatch, capsys):
    folder, trained = runs("pmmn")
    kept = recommender_assets.assets_of(trained.corpus, 0)
    aspect = next(iter(kept.values))
    value = kept.values[aspect][0]
    said = talk_to(monkeypatch, capsys, folder, f"\nskip\nzork\ncolour: x\n{aspect}: {value} zork\nstop\nnever read\n")
    assert said.count("after turn") == 2 and "Unknown words, left unread: zork" in said
    assert "Nothing of that is known to the model" in said and "Unknown aspect 'colour'; near: " in said
    asked = [line for line in said.splitlines() if line.startswith("What should")]
    assert len(set(asked)) >= 2 and "2 turns, " in said and "never read" not in said
    # The input ends: so does the conversation, after the request's list.
    assert talk_to(monkeypatch, capsys, folder, "\n").count("after turn") == 1
    assert "after turn" not in talk_to(monkeypatch, capsys, folder, "")


def test_a_file_of_conversations(runs, tmp_path, capsys):
    folder, trained = runs("mmn")
    file = tmp_path / "more.txt"
    one = trained.corpus.conversations["test"][0]
    turns = ":".join(f"{turn.aspect}|{turn.value}|1" for turn in one.turns)
    file.write_text(f"{one.user}@{one.item},{turns}\njunk\nnobody@nothing,unheard|of this|1\n")
    app(["recommend", str(folder), "--conversations", str(file), "--top", "3"], standalone_mode=False)
    shown = capsys.readouterr()
    lines = [json.loads(line) for line in shown.out.splitlines()]
    assert [(line["conversation"], line["t"]) for line in lines] == [
        *((f"{one.user}@{one.item}", t) for t in range(len(one.turns) + 1)),
        ("nobody@nothing", 0),
        ("nobody@nothing", 1),
    ]
    assert all(len(line["items"]) == 3 and line["latency_s"] > 0 for line in lines)
    assert lines[-1]["unknown"] == ["unheard", "of", "this"] and lines[-1]["rank"] is None
    asked = [turn.aspect for turn in one.turns]
    assert all(line["next_question"]["aspect"] not in asked[: line["t"]] for line in lines[: len(asked) + 1])
    assert "1 x no USER@ITEM: skipped (line 2)" in shown.err and "3 words that training did not know" in shown.err
    app(["recommend", str(folder), "--conversations", str(file), "--out", str(tmp_path / "o.jsonl")], standalone_mode=False)
    assert len((tmp_path / "o.jsonl").read_text().splitlines()) == len(lines)
    capsys.readouterr()
    app(["recommend", str(folder), "--conversations", str(file), "--top", "3", "--batch", "4"], standalone_mode=False)
    shown = capsys.readouterr()
    assert "4 at once" in shown.err and "1 x no USER@ITEM: skipped (line 2)" in shown.err
    for line, other in zip(lines, map(json.loads, shown.out.splitlines()), strict=True):
        for key in ("conversation", "t", "question", "answer", "unknown", "rank", "mode"):
            assert line[key] == other[key]
        assert [one["item"] for one in line["items"]] == [one["item"] for one in other["items"]]
        assert [one["score"] for one in line["items"]] == pytest.approx([one["score"] for one in other["items"]], rel=1e-4)
    with pytest.raises(BadConfig, match="batch=0"):
        app(["recommend", str(folder), "--conversations", str(file), "--batch", "0"], standalone_mode=False)


def test_latencies_are_counted_not_kept():
    found = Latencies()
    assert found.line() == "no turns"
    for n in (7, *range(1, 101)):
        found.add(n * 1e-3)
    assert found.line() == "101 turns, 50.00 ms a turn (median; 95% within 95.00 ms, the first 7.00 ms)"


def test_free_dialogues(tmp_path, monkeypatch, capsys):
    path = redial_file(tmp_path)
    trained = train_on("srnn-ae", path, tmp_path / "out", settings=SMALL["srnn-ae"] | {"mentions": "8"}, steps=3, batch=8)
    found = Recommender(tmp_path / "out", top=100)
    talk = trained.corpus.dialogues["test"][0]
    assert [(s.start, s.stop) for s in turns_of(talk)] == [(0, 1), (1, 3)]
    found.prepare([talk])
    last = answers(found, talk, 2)[-1]
    # All of it at once gives the same as turn by turn.
    joined = found.encoder.turn(talk, 1)
    first = found.encoder.turn(talk, 0)
    size = max(first["words"].shape[2], joined["words"].shape[2])
    row = {}
    for name in ("words", "lengths", "senders", "mentions"):
        axis = 2 if name == "mentions" else 1
        parts = [first[name], joined[name]]
        if name in ("words", "mentions"):
            parts = [np.pad(a, [(0, 0)] * (a.ndim - 1) + [(0, size - a.shape[-1])]) for a in parts]
        row[name] = np.concatenate(parts, axis=axis)
    row |= {"utterances": np.array([3], np.int32), "items": joined["items"]}
    scores = found.spec.conversation.replay(found._model.merger()(trained.weights), None, as_jax(row))["item_scores"]
    assert [s for _, s in last.items] == pytest.approx(sorted(np.asarray(scores)[0], reverse=True), rel=1e-4)
    assert len({item for item in joined["items"][0] if item >= 0}) == 2
    said = talk_to(monkeypatch, capsys, tmp_path / "out", 'hello @103 liked\n"nowhere"\n@999 thanks\n')
    assert said.count("after turn") == 2 and "Unknown title 'nowhere'" in said and "Unknown item @999" in said


def test_turns_of_a_dialogue_start_with_what_the_system_said():
    spoken = [Utterance(who, ("word",), (None,)) for who in (SYSTEM, USER, SYSTEM, USER, SYSTEM)]
    assert turns_of(Dialogue("k", "u", tuple(spoken), {}, {})) == [slice(0, 2), slice(2, 4)]
    assert turns_of(Dialogue("k", "u", tuple(spoken[:1]), {}, {})) == []
