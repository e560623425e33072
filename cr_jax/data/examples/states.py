"""The states of many conversations: their positions, encoded texts and lengths.

Values per state take a few bytes, or are made on demand.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, overload

import numpy as np

from cr_jax.data.conversation import Conversation
from cr_jax.data.conversations import Block, Conversations, turn_counts
from cr_jax.data.examples.ragged import columns

T = TypeVar("T")
Shape = tuple[int, ...]


class States(Sequence[tuple[int, int]]):
    """(conversation, t) of every state, in order: t from ``first`` to the number of turns − ``short``."""

    def __init__(self, conversations: Conversations, first: int = 0, short: int = 0) -> None:
        self._first = first
        #: States up to the end of each conversation.
        self._ends = np.cumsum(turn_counts(conversations) + (1 - first - short), dtype=np.int32)

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    @overload
    def __getitem__(self, row: int) -> tuple[int, int]: ...
    @overload
    def __getitem__(self, row: slice) -> Sequence[tuple[int, int]]: ...
    def __getitem__(self, row: int | slice) -> tuple[int, int] | Sequence[tuple[int, int]]:
        if isinstance(row, slice):
            return self.at(np.arange(*row.indices(len(self))))
        if not 0 <= row < len(self):
            raise IndexError(row)
        return self.at(np.array([row]))[0]

    def at(self, rows: np.ndarray) -> list[tuple[int, int]]:
        """The states at some rows."""
        number = np.searchsorted(self._ends, rows, side="right")
        before = np.where(number, self._ends[number - 1], 0)
        return list(zip(number.tolist(), (rows - before + self._first).tolist(), strict=True))

    def __iter__(self) -> Iterator[tuple[int, int]]:
        begin = 0
        for c, end in enumerate(self._ends.tolist()):
            yield from ((c, t) for t in range(self._first, self._first + end - begin))
            begin = end


class Encoded:
    """``encode(conversation, t)`` of each state, as columns: kept for conversations in memory, made on demand for others."""

    def __init__(
        self, conversations: Conversations, states: States, encode: Callable[[Conversation, int], Sequence[Any]], *fields: type
    ) -> None:
        """fields: the result of ``encode``, as :func:`columns` takes it."""
        self._found, self._states, self._encode, self._fields = conversations, states, encode, fields
        self._kept = columns(self._passing(), fields) if conversations.in_memory else None

    def __len__(self) -> int:
        return len(self._states)

    def columns(self, rows: np.ndarray) -> tuple[Any, ...]:
        """The fields of some states."""
        if self._kept is not None:
            return tuple(column.take(rows) for column in self._kept)
        return columns((self._encode(self._found[c], t) for c, t in self._states.at(rows)), self._fields)

    def lengths(self) -> np.ndarray:
        """Number of ids in the fields of ids: int32 [states, such fields]."""
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
    code: np.ndarray

    def __len__(self) -> int:
        return len(self.code)

    def __getitem__(self, row: int) -> Shape:
        return self.table[int(self.code[row])]


def alike(number: int) -> Kinds:
    """Rows without padding."""
    return Kinds(((),), np.broadcast_to(np.uint16(0), number))


def kinds(lengths: Iterable[Shape]) -> Kinds:
    """Lengths given one by one. Raises ``OverflowError`` for more than 65,536 different ones."""
    known: dict[Shape, int] = {}
    code = array("H", (known.setdefault(shape, len(known)) for shape in lengths))
    return Kinds(tuple(known), np.frombuffer(code, np.uint16) if code else np.zeros(0, np.uint16))


def kinds_of(parts: Iterable[np.ndarray], number: int) -> Kinds:
    """Lengths given as arrays [n, lengths], ``number`` rows in all. Raises as :func:`kinds` does."""
    known: dict[Shape, int] = {}
    code = np.empty(number, np.uint16)
    at = 0
    for part in parts:
        different, which = np.unique(part, axis=0, return_inverse=True)
        numbers = np.array([known.setdefault(tuple(row), len(known)) for row in different.tolist()], np.uint16)
        code[at : at + len(part)] = numbers[which.reshape(-1)]
        at += len(part)
    assert at == number, f"{at} rows, not {number}"
    return Kinds(tuple(known), code)


def counts(texts: Sequence[str], count: Callable[[str], int]) -> np.ndarray:
    """A number for each text of a table: int64."""
    return np.fromiter((count(text) for text in texts), np.int64, len(texts))


def sums(block: Block, weights: np.ndarray, newest: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Of each turn of a block: the sum of ``weights`` [turns] over the turns of its conversation up to it,
    or over the ``newest`` of these; and its number, from 1.
    """
    total = np.concatenate([[0], np.cumsum(weights)])
    begin = np.repeat(block.ends[:-1], block.turns)
    place = np.arange(len(weights))
    since = begin if newest is None else np.maximum(begin, place + 1 - newest)
    return total[place + 1] - total[since], place - begin + 1


class Later(Mapping[str, T]):
    """Values by name, made at their first use."""

    def __init__(self, made: Mapping[str, Callable[[], T]]) -> None:
        self._made = dict(made)
        self._held: dict[str, T] = {}

    def __getitem__(self, name: str) -> T:
        if name not in self._held:
            self._held[name] = self._made[name]()
        return self._held[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._made)

    def __len__(self) -> int:
        return len(self._made)
