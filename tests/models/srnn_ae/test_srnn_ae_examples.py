"""sRNN-AE's dialogues as arrays of word ids."""

import numpy as np

from cr_jax.data.conversation import Conversation, Turn
from cr_jax.data.dialogue import SYSTEM, USER, Dialogue, Utterance, from_conversation
from cr_jax.models.srnn_ae.examples import Texts, sentiment_pool

ONE = Dialogue(
    "k",
    "u",
    (
        Utterance(USER, ("i", "like", "big", "fish"), (None, None, "5", "5")),
        Utterance(SYSTEM, (), ()),
        Utterance(USER, ("so", "odd"), (None, None)),
    ),
    {"5": (0, 1, 1, 1, 2, 0)},
    {"5": 1.0, "6": 0.0, "7": 1.0},
)


def texts() -> Texts:
    return Texts(("i", "like", "big", "fish", "so"), 10)  # marks are 5 <s>, 6 </s>, 7 padding, 8 unknown, 9 line break


def test_utterances_marks_and_mention_bits():
    batch = sentiment_pool(texts(), [ONE]).make(np.array([0]), (4, 6), np.random.default_rng(0))
    assert batch["words"][0].tolist() == [[5, 0, 1, 2, 3, 6], [5, 6, 7, 7, 7, 7], [5, 4, 8, 6, 7, 7], [7] * 6]
    assert batch["mentions"][0].tolist() == [[0, 0, 0, 1, 1, 0], [0] * 6, [0] * 6, [0] * 6]
    assert batch["lengths"].tolist() == [[6, 2, 4, 0]] and batch["senders"].tolist() == [[1, -1, 1, 0]]
    assert batch["utterances"].tolist() == [3] and batch["forms"].tolist() == [[0, 1, 1, 1, 2, 0]]


def test_the_newest_forty_utterances_are_kept():
    long = Dialogue("k", "u", tuple(Utterance(USER, (word,), ("5",)) for word in ["i"] * 5 + ["so"] * 40), ONE.forms, {})
    batch = sentiment_pool(texts(), [long]).make(np.array([0]), (48, 4), np.random.default_rng(0))
    assert batch["words"].shape == (1, 40, 4) and (batch["words"][0, :, 1] == 4).all()


def test_a_conversation_as_a_dialogue():
    talk = Conversation("u", "5", (Turn("big fish", "so", -1), Turn("i", "like", None)), "odd one")
    found = from_conversation(talk)
    assert [(one.sender, one.words) for one in found.utterances] == [
        (USER, ("odd", "one")),
        (SYSTEM, ("big", "fish")),
        (USER, ("so",)),
        (SYSTEM, ("i",)),
        (USER, ("like",)),
    ]
    assert found.forms == {"5": (0, 1, 0, 1, 1, 0)}
    assert all(item is None for one in from_conversation(talk, mentions=False).utterances for item in one.mentions)


def by_word(texts, found, named, shape):
    """``Texts.arrays`` word by word."""
    (c, length), n, m = shape, len(found), len(named[0])
    words, mentions = np.full((n, c, length), texts.padding), np.zeros((n, m, c, length))
    for i, one in enumerate(found):
        for j, spoken in enumerate(one.utterances[-c:]):
            ids = [texts.begin, *texts.index.encode(spoken.words), texts.end]
            for k in range(min(length, len(ids))):
                words[i, j, k] = ids[k]
                for slot, item in enumerate(named[i]):
                    inner = 0 < k < len(ids) - 1
                    mentions[i, slot, j, k] = inner and item is not None and spoken.mentions[k - 1] == item
    return words, mentions


def test_dialogues_gathered_and_word_by_word():
    rng = np.random.default_rng(3)
    items = [None, "5", "6", "7"]

    def utterance():
        words = tuple(rng.choice(["i", "like", "fish", "odd"], rng.integers(0, 95)))
        return Utterance(int(rng.choice([USER, SYSTEM])), words, tuple(items[i] for i in rng.integers(4, size=len(words))))

    found = [Dialogue(str(n), "u", tuple(utterance() for _ in range(rng.integers(1, 50))), {}, {}) for n in range(12)]
    named = [[items[i] for i in rng.integers(4, size=3)] for _ in found]
    for shape in ((40, 80), (40, 9), (6, 80)):
        batch = texts().arrays(found, named, shape)
        words, mentions = by_word(texts(), found, named, shape)
        assert (batch["words"] == words).all() and (batch["mentions"] == mentions).all()
        assert batch["lengths"].tolist() == [
            [min(shape[1], len(one.words) + 2) for one in talk.utterances[-shape[0] :]] + [0] * (shape[0] - len(talk.utterances))
            for talk in found
        ]
        assert batch["utterances"].tolist() == [min(shape[0], len(talk.utterances)) for talk in found]
