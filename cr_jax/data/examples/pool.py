"""What a model trains on and is tested with: pools of examples that are padded on demand.

A model's hook (``Spec.training``) makes an :class:`Examples` from a corpus; the batches it gives are
NumPy arrays of the objective's ``inputs`` at bucketed lengths.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from cr_jax.data.conversations import Conversations, turn_counts
from cr_jax.data.examples.ragged import columns
from cr_jax.data.examples.states import Kinds, Shape, States, kinds
from cr_jax.records import bucket

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Pool:
    """Examples of one kind.

    lengths[i]: lengths of example i that are padded, such as words of facts and question; () where
    nothing is. make(rows, shape, rng): a batch of these examples padded to ``shape``; whatever is
    drawn (negatives, noise) comes from ``rng``. useful[i]: positions that carry text;
    executed(shape): positions computed for one example. turns[i]: turns it supervises.
    whole: the arrays of a batch that have no row per example.
    """

    lengths: Sequence[Shape] | Kinds
    make: Callable[[np.ndarray, Shape, np.random.Generator], Arrays]
    useful: np.ndarray
    executed: Callable[[Shape], int]
    turns: np.ndarray
    whole: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.lengths)

    def shape(self, row: int) -> Shape:
        """The bucketed lengths of one example."""
        return padded_to(self.lengths[row])

    def shapes(self) -> Kinds:
        """The bucketed lengths of all."""
        found = self.lengths if isinstance(self.lengths, Kinds) else kinds(self.lengths)
        known: dict[Shape, int] = {}
        again = np.array([known.setdefault(padded_to(one), len(known)) for one in found.table], np.uint16)
        # Nothing to look up where all are alike, however many they are.
        return Kinds(tuple(known), found.code if len(again) == 1 else again[found.code])


def padded_to(lengths: Shape) -> Shape:
    """Bucketed lengths."""
    return tuple(bucket(length) for length in lengths)


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
    user: Sequence[str]
    aspect: np.ndarray


@dataclass(frozen=True)
class Check:
    """A test beside ranking. metrics(outputs): figures from the outputs for all examples, ``criterion``
    one of them, ``higher`` whether more is better. objective: which objective's training it judges; the
    model's ``Training.checks`` has its forward."""

    name: str
    objective: str
    pool: Pool
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
    users = tuple(tables.users[user] for block in blocks for user in block.user.tolist())
    states = turn_counts(conversations) + 1
    ends = np.cumsum(states)
    number = np.repeat(np.arange(len(states), dtype=np.int32), states)
    turns = np.arange(len(number), dtype=np.int32) - np.repeat((ends - states).astype(np.int32), states)
    last = np.zeros(len(number), bool)
    last[ends - 1] = True
    ahead = np.full(len(number), -1, np.int32)
    ahead[~last] = asked
    return Ranking(pool, np.repeat(sought, states), number, turns, last, users, ahead)
