"""A recommender.json read row by row is the one read whole, whatever its form; faults are named alike."""

import json

import pytest

from cr_jax.data import recommender_file as kept
from cr_jax.data.corpus import read_corpus
from cr_jax.data.demo import demo_text
from cr_jax.data.recommender_assets import assets_of, document, from_document
from cr_jax.documents.base import decode, plain
from cr_jax.documents.check import check
from cr_jax.documents.recommender import RecommenderDocument
from cr_jax.errors import BadInput
from cr_jax.json_text import read_json


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("talks") / "talks.txt"
    path.write_text(demo_text(seed=5, conversations=60), encoding="utf-8")
    found = plain(document(assets_of(read_corpus(path), 3), "dmn"))
    users = [{"user": 'say "users": [', "items": [1, 0]}, {"user": "zoë", "items": []}, *found["users"]]
    return found | {"users": users, "words": ["users", 'a "users": [ b', *found["words"]]}


@pytest.mark.parametrize("form", [{"indent": 2}, {}, {"separators": (",", ":")}, {"ensure_ascii": True, "indent": "\t"}, "first"])
def test_row_by_row_is_the_whole(whole, form, tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "read_json", None)  # not read whole
    path = tmp_path / "recommender.json"
    text = json.dumps({"users": whole["users"], **whole} if form == "first" else whole, **({} if form == "first" else form))
    path.write_text(text, encoding="utf-8")
    head, found = kept.read(path)
    assert plain(head) == whole | {"users": []}
    wanted = from_document(decode(read_json(path), RecommenderDocument, "whole"))
    assert dict(found.talks) == wanted.talks and list(found.talks) == list(wanted.talks)
    assert found.with_talks(wanted.talks) == wanted
    assert found.talks.counts.tolist() == [len(row["items"]) for row in whole["users"]]
    assert "nobody" not in found.talks


@pytest.mark.parametrize(
    "users",
    [
        '[{"user": "a", "items": [1]} {"user": "b", "items": []}]',
        '[{"user": "a", "items": [1]},]',
        "[,]",
        "[1]",
        '[{"user": "a"}]',
        '[{"user": "a", "items": [-1]}]',
        '[{"user": "a", "items": [1.5]}]',
        '[{"user": "a", "items": [true]}]',
        "[",
        '[{"user": "a"',
        '[{"user": "a", "user": "b", "items": []}]',
        '[{"user": "a", "items": []}]]',
        "7",
        '[{"user": "a", "items": [NaN]}]',
        '[{"user": 3, "items": []}]',
    ],
)
def test_faults_are_those_of_the_whole(whole, users, tmp_path):
    path = tmp_path / "recommender.json"
    path.write_text(json.dumps(whole | {"users": "HERE"}).replace('"HERE"', users), encoding="utf-8")
    with pytest.raises(BadInput) as one:
        kept.read(path)
    with pytest.raises(BadInput) as other:
        check(read_json(path), "recommender", str(path))
    assert str(one.value).split(":")[0] == str(other.value).split(":")[0]
    assert "line" in str(other.value) or str(one.value) == str(other.value)


def test_numbers_that_are_none_and_other_faults(whole, tmp_path):
    path = tmp_path / "recommender.json"
    for number in (len(whole["items"]), 2**40):
        path.write_text(json.dumps(whole | {"users": [{"user": "a", "items": [number]}]}))
        with pytest.raises(BadInput, match="users: an item number that is none"):
            kept.read(path)
    path.write_text(json.dumps({key: value for key, value in whole.items() if key != "users"}))
    with pytest.raises(BadInput, match="users: missing"):
        kept.read(path)
    path.write_bytes(b'{"users": [\xff')
    with pytest.raises(BadInput, match="not UTF-8"):
        kept.read(path)
    # The same user twice: the last counts, as it always did.
    path.write_text(json.dumps(whole | {"users": [{"user": "a", "items": [1]}, {"user": "a", "items": [0]}]}))
    assert kept.read(path)[1].talks == {"a": (whole["items"][0]["item"],)}


def test_users_speak_from_the_same_rows_and_unknown_ones_as_the_rare(whole, tmp_path):
    from cr_jax.data.conversation import Conversation
    from cr_jax.models.mmn.config import PmmnConfig
    from cr_jax.models.mmn.examples import KNOWN_FROM, turn_encoder

    path = tmp_path / "recommender.json"
    path.write_text(json.dumps(whole))
    found = kept.read(path)[1]
    sizes = dict(items=len(found.items), aspects=len(found.aspects), question_items=1)
    config = PmmnConfig(words=90, item_words=9, facts=3, query_words=8, users=len(found.talks), **sizes)
    one, other = (turn_encoder(source, config) for source in (found, from_document(decode(whole, RecommenderDocument, "whole"))))
    few = [place for place, row in enumerate(whole["users"]) if len(row["items"]) < KNOWN_FROM]
    assert 1 < len(few) < len(whole["users"])
    for place, user in enumerate([*found.talks, "nobody"]):
        rows = [int(v.turn(Conversation(user, "", ()), 0)["user"][0]) for v in (one, other)]
        assert rows == [few[0] if place in few or user == "nobody" else place] * 2
