"""What a model trains on and is tested with: pools of examples that are padded on demand.

A model's hook (``Spec.training``) makes an :class:`Examples` from a corpus; the batches it gives are
NumPy arrays of the objective's ``inputs`` at bucketed lengths.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cr_jax.records import bucket

Arrays = dict[str, np.ndarray]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Pool:
    """Examples of one kind.

    lengths[i]: lengths of example i that are padded, such as words of facts and question; () where
    nothing is. make(rows, shape, rng): a batch of these examples padded to ``shape``; whatever is
    drawn (negatives, noise) comes from ``rng``. useful[i]: positions that carry text;
    executed(shape): positions computed for one example. turns[i]: turns it supervises.
    """

    lengths: Sequence[Shape]
    make: Callable[[np.ndarray, Shape, np.random.Generator], Arrays]
    useful: np.ndarray
    executed: Callable[[Shape], int]
    turns: np.ndarray

    def __len__(self) -> int:
        return len(self.lengths)

    def shape(self, row: int) -> Shape:
        """The bucketed lengths of one example."""
        return tuple(bucket(length) for length in self.lengths[row])


@dataclass(frozen=True)
class Ranking:
    """Histories to rank items after: ``history`` of the model's conversation, one row per turn t.

    target: index of the item sought. conversation: rows of one conversation share a number; t: the
    turn; last: whether it is the conversation's last. user: per conversation number. aspect: index
    of the aspect asked next, −1 where the conversation ends.
    """

    pool: Pool
    target: np.ndarray
    conversation: np.ndarray
    t: np.ndarray
    last: np.ndarray
    user: tuple[str, ...]
    aspect: np.ndarray


@dataclass(frozen=True)
class Check:
    """A test beside ranking. forward(model, batch): arrays with a row per example; metrics(outputs):
    figures from those of all examples, ``criterion`` one of them, ``higher`` whether more is better.
    objective: which objective's training it judges."""

    name: str
    objective: str
    pool: Pool
    forward: Callable[[Any, Arrays], Mapping[str, Any]]
    metrics: Callable[[Mapping[str, np.ndarray]], dict[str, float]]
    criterion: str
    higher: bool


@dataclass(frozen=True)
class Examples:
    """pools: by objective. items: inputs of ``precompute``. rankings and checks: by part. notes:
    what the reader of a report should know about how the examples were made."""

    pools: Mapping[str, Pool]
    items: Arrays | None
    rankings: Mapping[str, Ranking]
    checks: Mapping[str, tuple[Check, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Index:
    """Words to ids; ``unknown`` for a word that has none, ``None``: it is left out."""

    ids: Mapping[str, int]
    unknown: int | None = None

    def encode(self, words: Sequence[str]) -> list[int]:
        """The ids of ``words``."""
        found = (self.ids.get(word, self.unknown) for word in words)
        return [one for one in found if one is not None]


def padded(rows: Sequence[Sequence[int]], length: int, lead: int = 0) -> np.ndarray:
    """Rows of ids [B, length], ``lead`` zeros before them, cut or zeros behind."""
    found = np.zeros((len(rows), length), np.int32)
    for row, ids in zip(found, rows, strict=True):
        kept = ids[: length - lead]
        row[lead : lead + len(kept)] = kept
    return found


def turn_rows(conversations: Sequence[Any]) -> list[tuple[int, int]]:
    """(conversation, t) of every state of every conversation: t = 0, the request, to its last turn."""
    return [(c, t) for c, one in enumerate(conversations) for t in range(len(one.turns) + 1)]


def ranking(pool: Pool, conversations: Sequence[Any], items: Mapping[str, int], aspects: Mapping[str, int]) -> Ranking:
    """The :class:`Ranking` of a pool whose rows are ``turn_rows(conversations)``."""
    rows = turn_rows(conversations)
    number = np.array([c for c, _ in rows], np.int64)
    turns = np.array([t for _, t in rows], np.int64)
    last = np.array([t == len(conversations[c].turns) for c, t in rows], bool)
    target = np.array([items[conversations[c].item] for c, _ in rows], np.int64)
    ahead = [None if end else conversations[c].turns[t].aspect for (c, t), end in zip(rows, last, strict=True)]
    aspect = np.array([-1 if name is None else aspects[name] for name in ahead], np.int64)
    return Ranking(pool, target, number, turns, last, tuple(one.user for one in conversations), aspect)
