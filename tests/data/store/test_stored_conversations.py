"""A file that is kept on disk gives the corpus, the examples and the batches of one held in memory."""

import dataclasses

import numpy as np
import pytest
from msgspec import structs

from cr_jax.data import corpus as corpora
from cr_jax.data.corpus import fingerprint_of, read_corpus
from cr_jax.data.demo import demo_text
from cr_jax.data.examples import batches
from cr_jax.data.examples.batches import Batches
from cr_jax.data.examples.states import States, kinds, kinds_of
from cr_jax.data.recommender_assets import assets_of, document, users, without_users
from cr_jax.documents.recommender import KnownUser
from cr_jax.errors import BadConfig, BadInput
from cr_jax.models.aim import examples as examples_aim
from cr_jax.models.aim.config import Config as AimConfig
from cr_jax.models.dmn import examples as examples_dmn
from cr_jax.models.dmn.config import Config as DmnConfig
from cr_jax.models.mmn import examples as examples_mmn
from cr_jax.models.mmn.config import PmmnConfig
from cr_jax.report.document import ROWS, validate_file, write, write_rows

pytest.importorskip("pyarrow")

from cr_jax.data.store.open import StoredConversations

FAULTS = "cut@it\nuser01@item01,a|b|7\n"


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The same file twice: in memory, on disk."""
    folder = tmp_path_factory.mktemp("talks")
    path = folder / "talks.txt"
    text = demo_text(seed=5, conversations=300)
    path.write_text(FAULTS + text + text.splitlines()[7] + "\nuser01@item02,size|very large\n", encoding="utf-8")
    held = read_corpus(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CRJAX_CACHE", str(folder / "cache"))
        patch.setattr(corpora, "IN_MEMORY_BYTES", 100)
        stored = read_corpus(path)
        again = read_corpus(path)  # from what the first reading left
        assert again.words == stored.words
        other = read_corpus(path, seed=1)
        assert tuple(other.conversations["test"]) != held.conversations["test"]
        with pytest.raises(BadInput, match="line 1: no turns"):
            read_corpus(path, strict=True)
        with pytest.raises(BadInput, match="reviews are not joined"):
            read_corpus(path, reviews_file=path)
        broken = folder / "broken.txt"
        broken.write_text("nothing\n" * 40)
        with pytest.raises(BadInput, match="no USER@ITEM"):
            read_corpus(broken)
    return held, stored


def test_the_corpus_is_the_same(both):
    held, stored = both
    for field in dataclasses.fields(held):
        if field.name not in ("conversations", "problems"):
            assert getattr(held, field.name) == getattr(stored, field.name), field.name
    assert held.problems.lines() == stored.problems.lines() and len(held.problems.lines()) == 3
    for part, found in held.conversations.items():
        talks = stored.conversations[part]
        assert isinstance(talks, StoredConversations) and not talks.in_memory and found.in_memory
        assert tuple(talks) == found == tuple(talks[i] for i in range(len(talks)))
        one, other = States(talks, first=1), States(found, first=1)
        assert list(one) == list(other) == [one[i] for i in range(len(other))] == [other[i] for i in range(len(one))]
        by_hand = [(c, t) for c, talk in enumerate(found) for t in range(1, len(talk.turns) + 1)]
        assert list(one) == by_hand and len(found) > 16 * (part == "train")  # more than one block
    assert any(turn.sentiment is None for one in stored.conversations["train"] for turn in one.turns)


MODELS = pytest.mark.parametrize("model", [examples_dmn, examples_mmn, examples_aim], ids=["dmn", "pmmn", "aim"])


def configured(model, data):
    """Small windows, so that texts are cut."""
    words, items, aspects, users = data.dataset.words, len(data.items), len(data.aspects), len(data.users)
    if model is examples_dmn:
        return DmnConfig(classes=items, items=items, facts=3, embedding=3)
    if model is examples_aim:
        return AimConfig(items=items, words=words, filter=3, max_words=9, noise=2)
    sizes = dict(words=words, items=items, aspects=aspects, users=users)
    return PmmnConfig(**sizes, item_words=24, facts=3, query_words=8, question_items=4)


@MODELS
def test_batches_and_rankings_are_the_same(both, model):
    one, other = (model.examples(data, configured(model, data), 3) for data in both)
    assert one.notes == other.notes and list(one.pools) == list(other.pools)
    for name in one.pools:
        a, b = (Batches(found.pools[name], 8, seed=11) for found in (one, other))
        assert a.per_epoch == b.per_epoch and [g.shape for g in a.groups] == [g.shape for g in b.groups]
        assert a.padding_share() == b.padding_share()
        for step in range(2 * a.per_epoch):
            left, right = a[step], b[step]
            assert list(left) == list(right) and a.turns(step) == b.turns(step) == 8
            assert all((left[key] == right[key]).all() and left[key].dtype == right[key].dtype for key in left)
        # The last batch of a group is filled up, and long epochs are drawn: both from disk as from memory.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(batches, "SHUFFLED", 3)
            for step in range(a.per_epoch):
                assert (a.rows(step)[0] == b.rows(step)[0]).all()
    for part in ("validation", "test"):
        left, right = one.rankings[part], other.rankings[part]
        for field in ("target", "conversation", "t", "last", "aspect"):
            assert (getattr(left, field) == getattr(right, field)).all()
        assert left.user == right.user and (left.pool.useful == right.pool.useful).all()
        rows, shape = np.arange(len(left.pool)), max(left.pool.shapes().table)
        drawn = [ranking.pool.make(rows, shape, np.random.default_rng(0)) for ranking in (left, right)]
        assert all((drawn[0][key] == drawn[1][key]).all() for key in drawn[0])


def test_what_recommending_keeps_is_the_same(both, tmp_path):
    held, stored = (document(assets_of(data, 3), "dmn") for data in both)
    assert held == stored
    write(held, tmp_path / "whole.json")
    kept = assets_of(both[1], 3)
    write_rows(without_users(kept, "dmn"), "users", users(kept), tmp_path / "rows.json")
    assert (tmp_path / "whole.json").read_bytes() == (tmp_path / "rows.json").read_bytes()
    assert sum(len(row.items) for row in stored.users) == len(both[1].conversations["train"])


@pytest.mark.parametrize("number", [0, 1, ROWS + 3])
def test_rows_are_written_as_the_whole_is(both, number, tmp_path):
    head = without_users(assets_of(both[0], 3), "dmn")
    rows = tuple(KnownUser(user=f'a "quoted"\n[] {n}', items=tuple(range(n % 4))) for n in range(number))
    write(structs.replace(head, users=rows), tmp_path / "whole.json")
    write_rows(head, "users", iter(rows), tmp_path / "rows.json")
    assert (tmp_path / "whole.json").read_bytes() == (tmp_path / "rows.json").read_bytes()
    assert validate_file(tmp_path / "rows.json") == "recommender"
    with pytest.raises(BadInput, match=r"users\.0"):
        write_rows(head, "users", [KnownUser(user="one", items=(-1,))], tmp_path / "none.json")
    assert not (tmp_path / "none.json").exists()


def test_the_fingerprint_without_reading_is_that_of_the_corpus(tmp_path, monkeypatch):
    path = tmp_path / "talks.txt"
    path.write_text(demo_text(seed=5, conversations=60), encoding="utf-8")
    monkeypatch.setenv("CRJAX_CACHE", str(tmp_path / "cache"))
    held = read_corpus(path)
    monkeypatch.setattr(corpora, "IN_MEMORY_BYTES", 100)
    stored = read_corpus(path)
    assert isinstance(stored.conversations["train"], StoredConversations)
    assert fingerprint_of(path) == stored.fingerprint == held.fingerprint


@MODELS
def test_one_conversation_is_recommended_after_as_it_is_tested(both, model):
    data = both[1]
    config = configured(model, data)
    encoder, examples = model.turn_encoder(assets_of(data, 3), config), model.examples(data, config, 3)
    ranked, mine, theirs = examples.rankings["test"].pool, encoder.items or {}, examples.items or {}
    assert list(mine) == list(theirs) and all((mine[key] == theirs[key]).all() for key in mine)
    talk = data.conversations["test"][0]
    alone, rows = encoder.histories([talk]), np.arange(len(talk.turns) + 1)
    assert len(alone) == len(rows) and [alone.shape(t) for t in rows] == [ranked.shape(t) for t in rows]
    shape = max(alone.shapes().table)
    one, other = (pool.make(rows, shape, np.random.default_rng(0)) for pool in (alone, ranked))
    assert list(one) == list(other) and all((one[key] == other[key]).all() for key in one)


def test_noise_by_row_is_that_of_one_draw():
    chosen, whole = np.array([7, 0, 99, 7]), np.random.default_rng([3, 1]).uniform(-1, 1, (100, 5)).astype(np.float32)
    assert (examples_aim.Noise([3, 1], 5).rows(chosen) == whole[chosen]).all()


def test_what_needs_dialogues_in_memory_is_refused(both):
    from cr_jax.models.srnn_ae.config import Config
    from cr_jax.models.srnn_ae.examples import examples

    with pytest.raises(BadConfig, match="srnn-ae needs its dialogues in memory"):
        examples(both[1], Config(items=len(both[1].items)), 0)


def test_lengths_given_both_ways():
    lengths = np.random.default_rng(2).integers(1, 5, (300, 2))
    one, other = kinds(map(tuple, lengths.tolist())), kinds_of([lengths[:90], lengths[90:]], 300)
    assert [one[i] for i in range(300)] == [other[i] for i in range(300)] == [tuple(row) for row in lengths.tolist()]
