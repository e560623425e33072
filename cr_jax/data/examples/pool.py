"""Pools of examples for training and tests, padded on demand.

A model's hook (``Spec.training``) makes :class:`Examples` from a corpus. A batch consists of NumPy arrays, the objective's
``inputs`` at bucketed lengths.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np

from cr_jax.data.conversations import Conversations, turn_counts
from cr_jax.data.examples.ragged import columns
from cr_jax.data.examples.states import Kinds, Shape, States, kinds
from cr_jax.records import bucket

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Pool:
    """Examples of one kind."""

    #: The lengths of each example that are padded, such as words of facts and question; () where nothing is padded.
    lengths: Sequence[Shape] | Kinds
    #: (rows, shape, rng): a batch of these examples padded to ``shape``; negatives and noise are drawn from ``rng``.
    make: Callable[[np.ndarray, Shape, np.random.Generator], Arrays]
    #: Positions of each example that carry text.
    useful: np.ndarray
    #: Positions computed for one example that is padded to a shape.
    executed: Callable[[Shape], int]
    #: Turns that each example supervises.
    turns: np.ndarray
    #: Names of the arrays of a batch that have no row per example.
    whole: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.lengths)

    def shape(self, row: int) -> Shape:
        """The bucketed lengths of one example."""
        return padded_to(self.lengths[row])

    def shapes(self) -> Kinds:
        """The bucketed lengths of all."""
        lengths = self.lengths if isinstance(self.lengths, Kinds) else kinds(self.lengths)
        known: dict[Shape, int] = {}
        again = np.array([known.setdefault(padded_to(one), len(known)) for one in lengths.table], np.uint16)
        # No look-up where all are alike, however many they are.
        return Kinds(tuple(known), lengths.code if len(again) == 1 else again[lengths.code])


def padded_to(lengths: Shape) -> Shape:
    """Bucketed lengths."""
    return tuple(bucket(length) for length in lengths)


@dataclass(frozen=True)
class Ranking:
    """Histories after which items are ranked: ``history`` of the model's conversation, a row per turn."""

    pool: Pool
    #: Index of the sought item.
    target: np.ndarray
    #: Number of the row's conversation.
    conversation: np.ndarray
    #: The turn; 0 is the request.
    t: np.ndarray
    #: Whether the turn is the conversation's last.
    last: np.ndarray
    #: The user of each conversation number.
    user: Sequence[str]
    #: Index of the next aspect, −1 where the conversation ends.
    aspect: np.ndarray


@dataclass(frozen=True)
class Check:
    """A test beside ranking. The model's ``Training.checks`` holds its forward pass."""

    name: str
    #: The objective that it judges.
    objective: str
    pool: Pool
    #: Figures from the outputs for all examples.
    metrics: Callable[[Mapping[str, np.ndarray]], dict[str, float]]
    #: The figure for early stopping.
    criterion: str
    #: Whether more of it is better.
    higher: bool


@dataclass(frozen=True)
class Examples:
    """Everything for the training and tests of a model."""

    #: By objective.
    pools: Mapping[str, Pool]
    #: Inputs of ``precompute``.
    items: Arrays | None
    #: By part.
    rankings: Mapping[str, Ranking]
    #: By part.
    checks: Mapping[str, tuple[Check, ...]] = field(default_factory=dict[str, tuple[Check, ...]])
    #: Facts about the making of the examples, for the reader of a report.
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Index:
    """Ids of words."""

    ids: Mapping[str, int]
    #: The id of a word without one; ``None``: such words are left out.
    unknown: int | None = None

    def encode(self, words: Sequence[str]) -> list[int]:
        """The ids of ``words``."""
        ids = (self.ids.get(word, self.unknown) for word in words)
        return [one for one in ids if one is not None]


def padded(rows: Sequence[Sequence[int]], length: int, lead: int = 0) -> np.ndarray:
    """Rows of ids [B, length], ``lead`` zeros before them, cut or zeros behind."""
    return columns(((ids,) for ids in rows), (list,))[0].padded(length, lead)


def turn_rows(conversations: Conversations) -> States:
    """(conversation, t) of every state of every conversation: t = 0, the request, to its last turn."""
    return States(conversations)


def ranking(pool: Pool, conversations: Conversations, items: Mapping[str, int], aspects: Mapping[str, int]) -> Ranking:
    """The :class:`Ranking` of a pool whose rows are ``turn_rows(conversations)``."""
    tables, blocks = conversations.tables, list(conversations.blocks())
    item = np.array([items[text] for text in tables.items], np.int32)
    aspect = np.array([aspects[text] for text in tables.aspects], np.int32)
    sought = np.concatenate([item[block.item] for block in blocks])
    asked = np.concatenate([aspect[block.aspect] for block in blocks])
    users: tuple[str, ...] = tuple(tables.users[user] for block in blocks for user in cast(list[int], block.user.tolist()))
    states = turn_counts(conversations) + 1
    ends = np.cumsum(states)
    number = np.repeat(np.arange(len(states), dtype=np.int32), states)
    turns = np.arange(len(number), dtype=np.int32) - np.repeat((ends - states).astype(np.int32), states)
    last = np.zeros(len(number), bool)
    last[ends - 1] = True
    ahead = np.full(len(number), -1, np.int32)
    ahead[~last] = asked
    return Ranking(pool, np.repeat(sought, states), number, turns, last, users, ahead)
