"""Many texts in few bytes: UTF-8 end to end, where each ends, and their order; found again by number or text.

A text of its own costs Python some sixty bytes beside its letters, and a place in a dict a hundred.
"""

import zlib
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import overload

import numpy as np

from cr_jax.errors import BadInput


class Picked(Sequence[str]):
    """Some of the texts of a table, by their numbers."""

    def __init__(self, names: "Names", numbers: np.ndarray):
        self.names, self.numbers = names, numbers

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[str]: ...
    def __getitem__(self, place: int | slice) -> str | Sequence[str]:
        if isinstance(place, slice):
            return Picked(self.names, self.numbers[place])
        return self.names[int(self.numbers[place])]

    def __iter__(self) -> Iterator[str]:
        return (self.names[int(number)] for number in self.numbers)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # pyright: ignore[reportAssignmentType]


class Names(Sequence[str]):
    """Different texts; the number of one is its place."""

    def __init__(self, text: bytes, ends: array, order: np.ndarray | None = None):
        """text: all of them, UTF-8. ends: where each ends. order: numbers in the order of the texts,
        ``None``: worked out when it is asked for."""
        self._text, self._ends, self._order = text, ends, order

    @classmethod
    def of(cls, texts: Iterable[str], order: np.ndarray | None = None) -> "Names":
        """Of different texts, which are read once; order as above."""
        text, ends = bytearray(), array("q")
        for one in texts:
            text += one.encode("utf-8", "surrogatepass")
            ends.append(len(text))
        return cls(bytes(text), ends, order)

    @classmethod
    def read(cls, path: Path) -> "Names":
        """path: what :meth:`write` was given. Raises ``BadInput`` for files that do not fit together."""
        try:
            text, ends = path.with_suffix(".text").read_bytes(), array("q", path.with_suffix(".ends").read_bytes())
            order = np.fromfile(path.with_suffix(".order"), np.int32)
        except (OSError, ValueError) as error:
            raise BadInput(str(path), f"unreadable: {error}; legal: remove its folder, it is made again") from None
        if len(order) != len(ends) or (ends[-1] if ends else 0) != len(text):
            raise BadInput(str(path), "damaged; legal: remove its folder, it is made again")
        return cls(text, ends, order)

    def write(self, path: Path) -> None:
        """Three files: ``path`` with other suffixes."""
        path.with_suffix(".text").write_bytes(self._text)
        path.with_suffix(".ends").write_bytes(self._ends.tobytes())
        self.order.tofile(path.with_suffix(".order"))

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[str]: ...
    def __getitem__(self, place: int | slice) -> str | Sequence[str]:
        if isinstance(place, slice):
            return Picked(self, np.arange(*place.indices(len(self))))
        if not 0 <= place < len(self):
            raise IndexError(place)
        return self._bytes(place).decode("utf-8", "surrogatepass")

    def ordered(self) -> Picked:
        """The texts as ``sorted`` gives them."""
        return Picked(self, self.order)

    @property
    def order(self) -> np.ndarray:
        """Numbers in the order of the texts: by letter, which is the same as by their bytes."""
        if self._order is None:
            self._order = np.array(sorted(range(len(self)), key=self._bytes), np.int32)
        return self._order

    def number(self, text: str) -> int:
        """The number of a text. Raises ``KeyError`` for one that is not here."""
        data = text.encode("utf-8", "surrogatepass")
        shift, starts, numbers = self._places
        bucket = zlib.crc32(data) >> shift
        for number in numbers[starts[bucket] : starts[bucket + 1]]:
            if self._bytes(number) == data:
                return number
        raise KeyError(text)

    @cached_property
    def _places(self) -> tuple[int, array, array]:
        """Buckets of about one text, by the first bits of its check sum: where each starts, and the numbers in it."""
        bits = len(self).bit_length()
        sums = np.fromiter((zlib.crc32(self._bytes(number)) for number in range(len(self))), np.uint32, len(self))
        bucket = sums.astype(np.int64) >> 32 - bits
        starts = np.cumsum(np.bincount(bucket + 1, minlength=(1 << bits) + 1))
        numbers = np.argsort(bucket, kind="stable")
        starts, numbers = (array("i", found.astype(np.int32).tobytes()) for found in (starts, numbers))
        return 32 - bits, starts, numbers

    def _bytes(self, number: int) -> bytes:
        return self._text[self._ends[number - 1] if number else 0 : self._ends[number]]


class Numbered(Mapping[str, int]):
    """A number for each text of a table: ``values``, or its place."""

    def __init__(self, names: Names, values: np.ndarray | None = None, other: int | None = None):
        """values: by place, int32 [names]. other: the number of every text that is not in the table."""
        self.names, self._values, self._other = names, values, other

    def __getitem__(self, text: str) -> int:
        try:
            place = self.names.number(text)
        except KeyError:
            if self._other is None:
                raise
            return self._other
        return place if self._values is None else int(self._values[place])

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def different(self) -> int:
        """How many numbers there are."""
        return len(self) if self._values is None else len(np.unique(self._values))
