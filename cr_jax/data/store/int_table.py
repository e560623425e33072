"""Rows of whole numbers in a file, read by place, and columns of them; what is read is not kept.

A memory map would count every page it has touched as the program's memory.
"""

import os
import tempfile
import weakref
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cr_jax.errors import BadInput, NotWritten

#: Rows written, or read in passing, at once.
CHUNK = 1 << 16


class Writer:
    """Appends rows of ``width`` int32 to a new file."""

    def __init__(self, path: Path, width: int):
        self.path, self.width, self.rows = path, width, 0
        self._file = open(path, "xb")  # noqa: SIM115
        self._held = array("i")

    def add(self, *row: int) -> None:
        """Append one row."""
        self._held.extend(row)
        self.rows += 1
        if len(self._held) >= CHUNK * self.width:
            self._flush()

    def close(self) -> None:
        """Write what is held. Raises ``NotWritten``."""
        self._flush()
        self._file.close()

    def _flush(self) -> None:
        try:
            self._held.tofile(self._file)
            self._file.flush()
        except OSError as error:
            raise NotWritten(f"{self.path}: not written: {error.strerror}") from None
        del self._held[:]


class Rows:
    """The rows of such a file; threads may read at once."""

    def __init__(self, path: Path, width: int):
        """Raises ``BadInput`` for a file that is absent or holds no whole number of rows."""
        self.path, self.width = path, width
        try:
            self._file = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise BadInput(str(path), error.strerror or str(error)) from None
        weakref.finalize(self, os.close, self._file)
        self._length, rest = divmod(os.fstat(self._file).st_size, 4 * width)
        if rest:
            raise BadInput(str(path), f"damaged: no whole number of rows of {width}; legal: remove it, it is made again")

    def __len__(self) -> int:
        return self._length

    def read(self, begin: int, end: int) -> np.ndarray:
        """Rows ``begin`` to ``end`` − 1: int32 [end − begin, width]."""
        return np.frombuffer(self._bytes(begin, end), np.int32).reshape(-1, self.width)

    def few(self, begin: int, end: int) -> array:
        """The same rows one behind the other; of a handful, much faster than an array of NumPy's."""
        return array("i", self._bytes(begin, end))

    def _bytes(self, begin: int, end: int) -> bytes:
        size = 4 * self.width
        data = os.pread(self._file, (end - begin) * size, begin * size)
        if len(data) != (end - begin) * size:
            raise BadInput(str(self.path), f"rows {begin} to {end} are not all there")
        return data

    def chunks(self, size: int = CHUNK) -> Iterator[tuple[int, np.ndarray]]:
        """All rows in passing: the first one's number, and at most ``size`` of them."""
        for begin in range(0, len(self), size):
            yield begin, self.read(begin, min(begin + size, len(self)))


class Column:
    """One number per example, in a file that has no name and goes with the program; threads may read at once."""

    def __init__(self, folder: Path, dtype: Any):
        """Empty, on the disk of ``folder``. Raises ``NotWritten``."""
        self.folder, self.dtype, self._length = folder, np.dtype(dtype), 0
        try:
            file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115
        except OSError as error:
            raise NotWritten(f"{folder}: no file for what is worked out once: {error.strerror}") from None
        self._file = os.dup(file.fileno())
        file.close()
        weakref.finalize(self, os.close, self._file)

    def __len__(self) -> int:
        return self._length

    def append(self, values: np.ndarray) -> None:
        """Put ``values`` behind. Raises ``NotWritten``."""
        rest = memoryview(np.ascontiguousarray(values, self.dtype).tobytes())
        try:
            while len(rest):
                rest = rest[os.write(self._file, rest) :]
        except OSError as error:
            raise NotWritten(f"{self.folder}: not written: {error.strerror}") from None
        self._length += len(values)

    def __getitem__(self, place: Any) -> Any:
        """A number, those of a slice without a step, or those at an array of places."""
        size = self.dtype.itemsize
        if isinstance(place, slice):
            begin, end, step = place.indices(len(self))
            assert step == 1, "a column is read forwards"
            return np.frombuffer(os.pread(self._file, max(0, end - begin) * size, begin * size), self.dtype)
        if isinstance(place, np.ndarray):
            data = (os.pread(self._file, size, one * size) for one in place.tolist())
            return np.frombuffer(b"".join(data), self.dtype)
        if not 0 <= place < len(self):
            raise IndexError(place)
        return np.frombuffer(os.pread(self._file, size, int(place) * size), self.dtype)[0]

    def chunks(self) -> Iterator[np.ndarray]:
        """All numbers in passing."""
        return (self[begin : begin + CHUNK] for begin in range(0, len(self), CHUNK))

    def sum(self) -> int:
        """Of all numbers."""
        return sum(int(part.sum()) for part in self.chunks())


def looked_up(table: np.ndarray, code: "np.ndarray | Column") -> "np.ndarray | Column":
    """``table[code]``, in memory or on disk as ``code`` is."""
    if isinstance(code, np.ndarray):
        return table[code]
    found = Column(code.folder, table.dtype)
    for part in code.chunks():
        found.append(table[part])
    return found
