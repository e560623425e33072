"""Conversion of one user's conversation into a model's inputs, turn by turn."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cr_jax.data.conversation import Conversation
from cr_jax.data.dialogue import Dialogue, turns_of
from cr_jax.data.examples.pool import Arrays, Pool

#: A conversation about aspects and values, or a free dialogue.
Talk = Conversation | Dialogue


@dataclass(frozen=True)
class TurnEncoder:
    """Makes the inputs of one turn. Turn 0 is the request, of a dialogue the user's first words."""

    #: Inputs of ``precompute``.
    items: Arrays | None
    #: (talk, t): the unpadded inputs of turn t for one user; longer texts than the model reads are cut as in its tests.
    turn: Callable[[Any, int], Arrays]
    #: (talk, t): whether the conversation up to t is longer than the window of the model's tests, so that the carried state
    #: holds more than the window.
    past: Callable[[Any, int], bool]
    #: (talks): the pool whose rows tests rank after; row t of the pool of one talk is its turn t.
    histories: Callable[[Sequence[Any]], Pool]
    #: (word): whether the model knows the word.
    knows: Callable[[str], bool]
    #: Whether the answer depends on the user.
    uses_user: bool = False
    #: Whether the model reads an aspect as one word, even one of several words.
    aspect_is_word: bool = False
    #: Padding of each input, 0 where nothing is stated.
    fill: Mapping[str, int] = field(default_factory=dict[str, int])


def fits(row: Arrays, inputs: Mapping[str, Any]) -> bool:
    """Whether a row's arrays fit into the shapes ``inputs``."""
    return all(
        np.ndim(row[name]) == len(struct.shape) and all(map(_at_most, np.shape(row[name]), struct.shape))
        for name, struct in inputs.items()
    )


def together(rows: Sequence[Arrays], inputs: Mapping[str, Any], fill: Mapping[str, int], number: int) -> Arrays:
    """Rows of one user each, padded at the end to that user's shapes ``inputs`` and joined into arrays of ``number`` users; the
    last row is repeated for missing users.
    """
    arrays: Arrays = {}
    for name, struct in inputs.items():
        array = np.full((number, *struct.shape[1:]), fill.get(name, 0), struct.dtype)
        for place, row in enumerate(rows):
            one = row[name]
            array[(place, *map(slice, one.shape[1:]))] = one[0]
        array[len(rows) :] = array[len(rows) - 1]
        arrays[name] = array
    return arrays


def _at_most(size: int, limit: int) -> bool:
    return size <= limit


def turn_count(talk: Talk) -> int:
    """Turns of a conversation or dialogue, the request included."""
    return len(talk.turns) + 1 if isinstance(talk, Conversation) else len(turns_of(talk))


def words_of(talks: Iterable[Talk]) -> dict[str, int]:
    """Words of the longest request, question and answer; a dialogue's texts are all three."""
    longest = {"request": 1, "question": 1, "answer": 1}
    for talk in talks:
        if isinstance(talk, Conversation):
            texts = [("request", talk.request)]
            texts += [pair for turn in talk.turns for pair in (("question", turn.aspect), ("answer", turn.value))]
            sizes = [(key, len(text.split())) for key, text in texts]
        else:
            sizes = [(key, len(one.words)) for one in talk.utterances for key in longest]
        for key, size in sizes:
            longest[key] = max(longest[key], size)
    return longest
