"""Examples of a student: rows for every turn, what teachers read beside them, recombined conversations."""

from collections import Counter

import numpy as np
import pytest

from cr_jax.data.conversation import Conversation, Turn
from cr_jax.data.conversations import ConversationsInMemory
from cr_jax.data.examples.distilled import SUPERVISED, ends, recombined, supervised_to, with_readings, with_rows, with_whole
from cr_jax.data.examples.pool import Pool, turn_rows

TALKS = ConversationsInMemory(
    (
        Conversation("ann", "phone", (Turn("size", "big", 1), Turn("price", "low", 1))),
        Conversation("bob", "phone", (Turn("size", "small", -1),)),
        Conversation("ann", "case", (Turn("price", "low", 1), Turn("colour", "red", None), Turn("size", "big", 1))),
    )
)


def pool(lengths: list[tuple[int, ...]], name: str) -> Pool:
    """Rows that say their own numbers, padded as asked."""

    def make(chosen, shape, rng):
        del rng
        return {name: np.broadcast_to(chosen[:, None], (len(chosen), shape[0])).copy()}

    number = len(lengths)
    return Pool(lengths, make, np.ones(number, int), lambda shape: shape[0], np.ones(number))


def test_ends_are_those_of_every_turn():
    rows = list(turn_rows(TALKS))
    found = ends(TALKS)
    assert [t == 0 for _, t in rows] == found.first.tolist()
    assert [t == len(TALKS[c].turns) for c, t in rows] == found.last.tolist()
    assert len(ends(ConversationsInMemory()).first) == 0


def test_teachers_read_the_same_rows_at_their_own_lengths():
    own, first, second = pool([(3,), (9,), (3,)], "text"), pool([(3,), (3,), (20,)], "text"), pool([(1,)] * 3, "query")
    both = with_readings(with_whole(own, table=np.zeros(2)), [first, with_whole(second, side=np.ones(4))])
    assert [both.shape(row) for row in range(3)] == [(4, 4, 4), (12, 4, 4), (4, 24, 4)]
    assert both.executed((12, 4, 4)) == 12 and both.whole == ("table", "teacher1.side")
    made = both.make(np.array([2, 0]), (4, 24, 4), np.random.default_rng(0))
    assert {name: array.shape for name, array in made.items()} == {
        "text": (2, 4),
        "table": (2,),
        "teacher0.text": (2, 24),
        "teacher1.query": (2, 4),
        "teacher1.side": (4,),
    }
    for name in ("text", "teacher0.text", "teacher1.query"):
        assert made[name][:, 0].tolist() == [2, 0]


def test_rows_beyond_the_real_ones_are_the_teachers_alone():
    marked = with_rows(pool([(1,)] * 4, "text"), lambda chosen: {SUPERVISED: np.array([0.0, 1, 1, 1]).take(chosen)})
    batch = supervised_to(marked, 2).make(np.array([0, 1, 2, 3]), (4,), np.random.default_rng(0))
    assert batch[SUPERVISED].tolist() == [0, 1, 0, 0]


def test_recombined_conversations_are_of_the_same_user_and_item():
    found = recombined(TALKS, 3, 0)
    assert found[: len(TALKS)] == tuple(TALKS) and len(found) == 4 * len(TALKS)
    for number, one in enumerate(found[len(TALKS) :]):
        origin = TALKS[number // 3]
        assert (one.user, one.item, len(one.turns)) == (origin.user, origin.item, len(origin.turns))
        said = {turn for talk in TALKS if talk.item == one.item for turn in talk.turns}
        assert set(one.turns) <= said and max(Counter(one.turns).values()) == 1
    assert found == recombined(TALKS, 3, 0) and found != recombined(TALKS, 3, 1)
    assert len({one.turns for one in found[len(TALKS) : len(TALKS) + 3]}) > 1


@pytest.mark.parametrize("number", [1, 5])
def test_a_pair_of_another_item_is_never_taken(number):
    lone = [one for one in recombined(TALKS, number, 7)[len(TALKS) :] if one.item == "case"]
    assert all(sorted(turn.aspect for turn in one.turns) == ["colour", "price", "size"] for one in lone)
