"""The conversations of one part of a corpus, behind one interface for memory and disk."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, overload, runtime_checkable

import numpy as np

from cr_jax.data.conversation import Conversation


@dataclass(frozen=True)
class Tables:
    """The texts behind the numbers in a :class:`Block`; a number is an index into its table."""

    users: tuple[str, ...]
    items: tuple[str, ...]
    aspects: tuple[str, ...]
    values: tuple[str, ...]
    requests: tuple[str, ...]


@dataclass(frozen=True)
class Block:
    """Consecutive conversations as columns of integers.

    user, item, request [n]: numbers of the tables. ends [n + 1]: the turns of conversation i are
    ``ends[i]`` to ``ends[i + 1]`` − 1 of aspect and value [m].
    """

    user: np.ndarray
    item: np.ndarray
    request: np.ndarray
    ends: np.ndarray
    aspect: np.ndarray
    value: np.ndarray

    @property
    def turns(self) -> np.ndarray:
        """Turns of each conversation [n]."""
        return np.diff(self.ends)


@runtime_checkable
class Conversations(Protocol):
    """A sequence of conversations that can also be read as columns."""

    @property
    def in_memory(self) -> bool:
        """Whether everything is in memory, so that values derived from each conversation may be kept too."""
        ...

    @property
    def tables(self) -> Tables:
        """The texts that the blocks refer to."""
        ...

    def blocks(self) -> Iterator[Block]:
        """All conversations as columns, in order."""
        ...

    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, place: int, /) -> Conversation: ...
    @overload
    def __getitem__(self, place: slice, /) -> Sequence[Conversation]: ...
    def __iter__(self) -> Iterator[Conversation]: ...


class ConversationsInMemory(tuple[Conversation, ...]):
    """Conversations as a tuple; the columns are made at the first use."""

    in_memory = True

    @property
    def tables(self) -> Tables:
        """The texts in order of their first appearance."""
        return self._columns[0]

    def blocks(self) -> Iterator[Block]:
        """One block, none where there are no conversations."""
        return iter((self._columns[1],) if self else ())

    @cached_property
    def _columns(self) -> tuple[Tables, Block]:
        users, items, aspects, values, requests = numbers = tuple(dict[str, int]() for _ in range(5))

        def number(table: dict[str, int], text: str) -> int:
            return table.setdefault(text, len(table))

        turns = [turn for one in self for turn in one.turns]
        columns = (
            [number(users, one.user) for one in self],
            [number(items, one.item) for one in self],
            [number(requests, one.request) for one in self],
            np.cumsum([0, *(len(one.turns) for one in self)]),
            [number(aspects, turn.aspect) for turn in turns],
            [number(values, turn.value) for turn in turns],
        )
        return Tables(*map(tuple, numbers)), Block(*(np.asarray(column, np.int32) for column in columns))


def turn_counts(conversations: Conversations) -> np.ndarray:
    """Turns of each conversation: int32 [conversations]."""
    return np.concatenate([np.zeros(0, np.int32), *(block.turns for block in conversations.blocks())], dtype=np.int32)
