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

    def __init__(self, path: Path):
        """path: what :func:`write` was given. Raises ``BadInput`` for files that do not fit together."""
        try:
            self._text = path.with_suffix(".text").read_bytes()
            self._ends = array("q", path.with_suffix(".ends").read_bytes())
            order = np.fromfile(path.with_suffix(".order"), np.int32)
        except (OSError, ValueError) as error:
            raise BadInput(str(path), f"unreadable: {error}; legal: remove its folder, it is made again") from None
        if len(order) != len(self._ends) or (self._ends[-1] if self._ends else 0) != len(self._text):
            raise BadInput(str(path), "damaged; legal: remove its folder, it is made again")
        #: Numbers in the order of the texts.
        self.order = order

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
        return self._bytes(place).decode("utf-8")

    def ordered(self) -> Picked:
        """The texts as ``sorted`` gives them."""
        return Picked(self, self.order)

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

    def __init__(self, names: Names, values: np.ndarray | None = None):
        """values: by place, int32 [names]."""
        self.names, self._values = names, values

    def __getitem__(self, text: str) -> int:
        place = self.names.number(text)
        return place if self._values is None else int(self._values[place])

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def different(self) -> int:
        """How many numbers there are."""
        return len(self) if self._values is None else len(np.unique(self._values))


def write(path: Path, texts: Iterable[str]) -> None:
    """Write different texts as the three files of :class:`Names` at ``path`` with other suffixes."""
    held = list(texts)
    ends, end = array("q"), 0
    with open(path.with_suffix(".text"), "xb") as file:
        for text in held:
            end += file.write(text.encode("utf-8"))
            ends.append(end)
    path.with_suffix(".ends").write_bytes(ends.tobytes())
    # By letter: the same as by their bytes in UTF-8.
    np.array(sorted(range(len(held)), key=held.__getitem__), np.int32).tofile(path.with_suffix(".order"))
