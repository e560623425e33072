"""Rows of ids of different lengths in one buffer, from which a batch is gathered without a loop."""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Ragged:
    """Row i is ``ids[begin[i] : begin[i] + length[i]]``; ids: int32, one or more, begin and length: a number per row."""

    ids: np.ndarray
    begin: np.ndarray
    length: np.ndarray

    def __len__(self) -> int:
        return len(self.length)

    def take(self, rows: np.ndarray) -> "Ragged":
        """Some of the rows, over the same buffer; rows: of any shape."""
        return Ragged(self.ids, self.begin.take(rows), self.length.take(rows))

    def places(self) -> tuple[np.ndarray, np.ndarray]:
        """Row and position in ``ids`` of every id, row after row."""
        ends = np.cumsum(self.length)
        row = np.repeat(np.arange(len(ends)), self.length)
        return row, (self.begin - ends + self.length).take(row) + np.arange(len(row))

    def padded(self, width: int, lead: int = 0) -> np.ndarray:
        """int32 [..., width]: ``lead`` zeros before each row, cut or zeros behind."""
        place = np.arange(width - lead)
        ids = self.ids.take(self.begin[..., None] + place, mode="clip")
        ids *= place < self.length[..., None]
        if not lead:
            return ids
        return np.concatenate([np.zeros((*ids.shape[:-1], lead), np.int32), ids], axis=-1)


def ragged(ids: "array[int] | np.ndarray", lengths: "array[int] | np.ndarray") -> Ragged:
    """The rows that are stored one after another in ``ids``."""
    length = np.array(lengths, np.int32)
    begin = np.cumsum(length, dtype=np.int64) - length
    # Nothing can be taken out of an empty buffer, not even a row of length 0.
    return Ragged(np.array(ids, np.int32) if len(ids) else np.zeros(1, np.int32), begin, length)


def columns(rows: Iterable[Sequence[Any]], fields: Sequence[type]) -> tuple[Any, ...]:
    """The fields of ``rows``, each with ``take``: a :class:`Ragged` where the field is a ``list`` of ids, int64
    where it is an ``int``, else an array of objects.
    """
    buffers: list[Any] = [array("i") if field is list else array("q") if field is int else [] for field in fields]
    lengths = [array("i") for _ in fields]
    for row in rows:
        for value, held, length, field in zip(row, buffers, lengths, fields, strict=True):
            if field is list:
                held.extend(value)
                length.append(len(value))
            else:
                held.append(value)
    return tuple(map(_column, buffers, lengths, fields))


def _column(held: Any, lengths: "array[int]", field: type) -> Any:
    if field is list:
        return ragged(held, lengths)
    if field is int:
        return np.array(held, np.int64)
    column = np.empty(len(held), object)  # np.array would make an array of two axes out of equally long tuples
    column[:] = held
    return column
