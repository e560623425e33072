"""Conversations as columns: by hand, and counted as they are encoded, requests included."""

import random

import numpy as np
import pytest

from cr_jax.data.conversation import Conversation, Turn
from cr_jax.data.conversations import ConversationsInMemory, turn_counts
from cr_jax.data.examples.pool import Index
from cr_jax.data.examples.states import States
from cr_jax.data.items_by_user import ItemsByUser
from cr_jax.models.aim import examples as aim
from cr_jax.models.dmn import examples as dmn
from cr_jax.models.mmn import examples as mmn

HAND = ConversationsInMemory(
    (
        Conversation("ann", "x", (Turn("size", "big", 1), Turn("case", "red", None)), "a phone"),
        Conversation("bob", "y", (Turn("case", "big", -1),)),
        Conversation("ann", "y", (Turn("size", "red", 1),), "a phone"),
    )
)


def test_columns_by_hand():
    tables, (block,) = HAND.tables, HAND.blocks()
    assert (tables.users, tables.items, tables.requests) == (("ann", "bob"), ("x", "y"), ("a phone", ""))
    assert (tables.aspects, tables.values) == (("size", "case"), ("big", "red"))
    assert block.user.tolist() == [0, 1, 0] and block.item.tolist() == [0, 1, 1] and block.request.tolist() == [0, 1, 0]
    assert block.ends.tolist() == [0, 2, 3, 4] and block.turns.tolist() == turn_counts(HAND).tolist() == [2, 1, 1]
    assert block.aspect.tolist() == [0, 1, 1, 0] and block.value.tolist() == [0, 1, 0, 1]
    none = ConversationsInMemory()
    assert not list(none.blocks()) and turn_counts(none).tolist() == [] and len(States(none)) == 0


def test_items_by_user():
    found = ItemsByUser.of(HAND, ("ann", "bob", "cid"))
    assert dict(found) == {"ann": ("x", "y"), "bob": ("y",), "cid": ()} and found.counts.tolist() == [2, 1, 0]
    with pytest.raises(KeyError):
        found["dan"]
    with pytest.raises(IndexError, match="2"):
        ItemsByUser(("ann",), np.array([1]), np.array([2]), ("x", "y"))


def test_words_are_counted_as_they_are_encoded():
    draw = random.Random(3)

    def text(fewest, most):
        return " ".join(draw.choice(("one", "Two", "three", "odd")) for _ in range(draw.randint(fewest, most)))

    def turns():
        return tuple(Turn(text(1, 3), text(1, 3), None) for _ in range(draw.randint(1, 6)))

    found = ConversationsInMemory(Conversation("u", "i", turns(), text(0, 5)) for _ in range(60))
    rows = list(States(found, first=1))
    index = Index({"one": 1, "two": 2, "three": 3, ".": 4}, unknown=9)
    for slots in (1, 3, 20):
        states = [dmn.state_of(found[c], t, slots, index) for c, t in rows]
        assert np.concatenate(list(dmn.turn_lengths(found, slots))).tolist() == [[len(s[0]), len(s[2])] for s in states]
    for limit in (4, 99):
        pairs = [(aim.question(found[c], t), found[c].turns[t - 1].value.split()) for c, t in rows]
        assert aim.words_read(found, limit).tolist() == [min(limit, len(a)) + min(limit, len(b)) for a, b in pairs]
        known = Index({"one": 1, "two": 2, "three": 3, ".": 4})
        windows = [mmn._window(found[c], t - 1, known, limit) for c, t in rows]
        assert mmn.words_read(found, known, limit).tolist() == [len(one) for one in windows]
