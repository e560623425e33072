"""How one user's conversation becomes a model's inputs, turn by turn."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cr_jax.data.conversation import Conversation
from cr_jax.data.dialogue import Dialogue, turns_of
from cr_jax.data.examples.pool import Arrays, Pool

#: What is said: of aspects and values, or freely.
Talk = Conversation | Dialogue


@dataclass(frozen=True)
class TurnEncoder:
    """A model's mouth and ears. t: 0 is the request, of a dialogue the user's first words.

    items: inputs of ``precompute``. turn(talk, t): the utterance of turn t for one user, unpadded;
    texts longer than the model reads are cut as in its tests. past(talk, t): whether the
    conversation up to t is longer than the model's tests keep, so that the carried state holds more.
    histories(talks): the pool that tests rank after; its row t of one talk alone is its turn t.
    knows(word): whether the model tells the word from others. uses_user: whether who speaks matters.
    aspect_is_word: whether an aspect is one word to the model, also where it is written as several.
    fill: by input, what pads it, 0 where nothing is said.
    """

    items: Arrays | None
    turn: Callable[[Any, int], Arrays]
    past: Callable[[Any, int], bool]
    histories: Callable[[Sequence[Any]], Pool]
    knows: Callable[[str], bool]
    uses_user: bool = False
    aspect_is_word: bool = False
    fill: Mapping[str, int] = field(default_factory=dict)


def fits(row: Arrays, inputs: Mapping[str, Any]) -> bool:
    """Whether a row's arrays have room in the shapes ``inputs``."""
    return all(
        np.ndim(row[name]) == len(struct.shape) and all(map(_at_most, np.shape(row[name]), struct.shape))
        for name, struct in inputs.items()
    )


def together(rows: Sequence[Arrays], inputs: Mapping[str, Any], fill: Mapping[str, int], number: int) -> Arrays:
    """Rows of one user each, padded behind to that user's shapes ``inputs`` and put into arrays of
    ``number`` users; the last row is repeated for those that are missing."""
    found: Arrays = {}
    for name, struct in inputs.items():
        array = np.full((number, *struct.shape[1:]), fill.get(name, 0), struct.dtype)
        for place, row in enumerate(rows):
            one = row[name]
            array[(place, *map(slice, one.shape[1:]))] = one[0]
        array[len(rows) :] = array[len(rows) - 1]
        found[name] = array
    return found


def _at_most(size: int, limit: int) -> bool:
    return size <= limit


def turn_count(talk: Talk) -> int:
    """Turns of a conversation or dialogue, the request included."""
    return len(talk.turns) + 1 if isinstance(talk, Conversation) else len(turns_of(talk))


def words_of(talks: Iterable[Talk]) -> dict[str, int]:
    """Words of the longest request, question and answer; a dialogue's texts are all three."""
    found = {"request": 1, "question": 1, "answer": 1}
    for talk in talks:
        if isinstance(talk, Conversation):
            texts = [("request", talk.request)]
            texts += [pair for turn in talk.turns for pair in (("question", turn.aspect), ("answer", turn.value))]
            sizes = [(key, len(text.split())) for key, text in texts]
        else:
            sizes = [(key, len(one.words)) for one in talk.utterances for key in found]
        for key, size in sizes:
            found[key] = max(found[key], size)
    return found
