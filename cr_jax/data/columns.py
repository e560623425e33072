"""Rows of whole numbers in a file, read by place; what is read is not kept.

A memory map would count every page it has touched as the program's memory.
"""

import os
import weakref
from array import array
from collections.abc import Iterator
from pathlib import Path

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
        size = 4 * self.width
        data = os.pread(self._file, (end - begin) * size, begin * size)
        if len(data) != (end - begin) * size:
            raise BadInput(str(self.path), f"rows {begin} to {end} are not all there")
        return np.frombuffer(data, np.int32).reshape(-1, self.width)

    def chunks(self, size: int = CHUNK) -> Iterator[tuple[int, np.ndarray]]:
        """All rows in passing: the first one's number, and at most ``size`` of them."""
        for begin in range(0, len(self), size):
            yield begin, self.read(begin, min(begin + size, len(self)))
