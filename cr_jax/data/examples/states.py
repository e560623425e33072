"""The states of many conversations, in memory or on disk: which they are, their texts, their lengths.

What holds a row per state is small (a few bytes) or made on demand.
"""

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, overload

import numpy as np

from cr_jax.data.conversation import Conversation
from cr_jax.data.examples.ragged import columns
from cr_jax.data.store.conversations import Talks
from cr_jax.data.store.int_table import Column

T = TypeVar("T")
#: Conversations of which one place is kept, and such blocks read at once.
BLOCK, BLOCKS = 16, 4096
Shape = tuple[int, ...]


class States(Sequence[tuple[int, int]]):
    """(conversation, t) of every state, in order: t from ``first`` to the number of turns − ``short``."""

    def __init__(self, conversations: Sequence[Conversation], first: int = 0, short: int = 0):
        if isinstance(conversations, Talks):
            self._turns, self._few, number = conversations.turn_counts, conversations.few_turn_counts, len(conversations)
        else:
            turns = np.array([len(one.turns) for one in conversations], np.int32)
            self._turns = self._few = lambda begin, end: turns[begin:end]
            number = len(turns)
        self._first, self._more, self._conversations = first, 1 - first - short, number
        #: States up to the end of each block of conversations.
        self._blocks = array("q")
        for begin in range(0, number, BLOCK * BLOCKS):
            own = self._turns(begin, min(begin + BLOCK * BLOCKS, number)) + self._more
            ends = np.cumsum(np.add.reduceat(own, np.arange(0, len(own), BLOCK), dtype=np.int64))
            self._blocks.frombytes((ends + len(self)).tobytes())

    def __len__(self) -> int:
        return self._blocks[-1] if self._blocks else 0

    @overload
    def __getitem__(self, row: int) -> tuple[int, int]: ...
    @overload
    def __getitem__(self, row: slice) -> Sequence[tuple[int, int]]: ...
    def __getitem__(self, row: int | slice) -> tuple[int, int] | Sequence[tuple[int, int]]:
        if isinstance(row, slice):
            return [self[i] for i in range(*row.indices(len(self)))]
        row = int(row)
        if not 0 <= row < len(self):
            raise IndexError(row)
        block = bisect_right(self._blocks, row)
        c, rest = block * BLOCK, row - (self._blocks[block - 1] if block else 0)
        for turns in self._few(c, min(c + BLOCK, self._conversations)):
            if rest < turns + self._more:
                break
            c, rest = c + 1, rest - turns - self._more
        return c, int(rest) + self._first

    def __iter__(self) -> Iterator[tuple[int, int]]:
        for begin in range(0, self._conversations, BLOCK * BLOCKS):
            turns = self._turns(begin, min(begin + BLOCK * BLOCKS, self._conversations))
            for c, own in enumerate(turns.tolist(), begin):
                yield from ((c, self._first + t) for t in range(own + self._more))


class Encoded:
    """``encode(conversation, t)`` of each state, as columns: kept for conversations in memory, made on
    demand for those on disk."""

    def __init__(
        self, found: Sequence[Conversation], states: States, encode: Callable[[Conversation, int], Sequence[Any]], *fields: type
    ):
        """fields: what encode gives, as :func:`columns` takes it."""
        self._found, self._states, self._encode, self._fields = found, states, encode, fields
        self._kept = None if isinstance(found, Talks) else columns(self._passing(), fields)

    def __len__(self) -> int:
        return len(self._states)

    def columns(self, rows: np.ndarray) -> tuple[Any, ...]:
        """The fields of some states."""
        if self._kept is not None:
            return tuple(column.take(rows) for column in self._kept)
        places = (self._states[row] for row in rows)
        return columns((self._encode(self._found[c], t) for c, t in places), self._fields)

    def lengths(self) -> np.ndarray:
        """How many ids the fields of ids have: int32 [states, such fields]."""
        which = [number for number, field in enumerate(self._fields) if field is list]
        if self._kept is not None:
            return np.stack([self._kept[number].length for number in which], axis=1)
        flat = array("i", (len(row[number]) for row in self._passing() for number in which))
        return np.array(flat, np.int32).reshape(-1, len(which))

    def _passing(self) -> Iterator[Sequence[Any]]:
        states = iter(self._states)
        ahead = next(states, None)
        for c, one in enumerate(self._found):  # in passing, not by place
            while ahead is not None and ahead[0] == c:
                yield self._encode(one, ahead[1])
                ahead = next(states, None)


@dataclass(frozen=True)
class Kinds:
    """Lengths of many rows, of which few are different: row i has ``table[code[i]]``."""

    table: tuple[Shape, ...]
    code: np.ndarray | Column

    def __len__(self) -> int:
        return len(self.code)

    def __getitem__(self, row: int) -> Shape:
        return self.table[self.code[row]]


def alike(number: int) -> Kinds:
    """Rows of which nothing is padded."""
    return Kinds(((),), np.broadcast_to(np.uint16(0), number))


def kinds(lengths: Iterable[Shape]) -> Kinds:
    """Lengths given one by one. Raises ``OverflowError`` for more than 65,536 different ones."""
    known: dict[Shape, int] = {}
    code = array("H", (known.setdefault(shape, len(known)) for shape in lengths))
    return Kinds(tuple(known), np.frombuffer(code, np.uint16) if code else np.zeros(0, np.uint16))


def kinds_of(parts: Iterable[np.ndarray], number: int, folder: Path | None = None) -> Kinds:
    """Lengths given as arrays [n, lengths], ``number`` rows in all; the codes lie on the disk of ``folder``."""
    known: dict[Shape, int] = {}

    def codes(part: np.ndarray) -> np.ndarray:
        different, which = np.unique(part, axis=0, return_inverse=True)
        numbers = np.array([known.setdefault(tuple(row), len(known)) for row in different.tolist()], np.uint16)
        return numbers[which.reshape(-1)]

    code: np.ndarray | Column
    if folder is None:
        code = np.concatenate([codes(part) for part in parts])
    else:
        code = Column(folder, np.uint16)
        for part in parts:
            code.append(codes(part))
    assert len(code) == number, f"{len(code)} rows, not {number}"
    return Kinds(tuple(known), code)


def counts(texts: Sequence[str], count: Callable[[str], int]) -> np.ndarray:
    """A number for each text of a table: int64."""
    return np.fromiter((count(text) for text in texts), np.int64, len(texts))


def sums(talks: np.ndarray, weights: np.ndarray, newest: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Of each turn of the rows of ``Talks.chunks``: the sum of ``weights`` [turns] over the turns of its
    conversation up to it, or over the ``newest`` of these; and its number, from 1."""
    total = np.concatenate([[0], np.cumsum(weights)])
    begin = np.repeat(talks[:, 2] - talks[0, 2], talks[:, 3])
    place = np.arange(len(weights))
    since = begin if newest is None else np.maximum(begin, place + 1 - newest)
    return total[place + 1] - total[since], place - begin + 1


class Later(Mapping[str, T]):
    """Values by name that are made when they are first asked for."""

    def __init__(self, made: Mapping[str, Callable[[], T]]):
        self._made, self._held = dict(made), {}

    def __getitem__(self, name: str) -> T:
        if name not in self._held:
            self._held[name] = self._made[name]()
        return self._held[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._made)

    def __len__(self) -> int:
        return len(self._made)
