"""Measurement files as columns: comma-separated text, checked against the legal columns and values; nothing is guessed.

Every refusal is a ``BadInput`` of one line: the file, the line, the reason, the legal values.
"""

import csv
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from cr_jax.errors import BadInput
from cr_jax.files import read_text
from cr_jax.printable import short

#: The largest size, and the shortest and longest time of a clock in seconds.
MOST_SIZE, LEAST_SECONDS, MOST_SECONDS = 10**15, 1e-9, 1e6
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True)
class Table:
    """A file's cells by column, as text, and each row's line in the file."""

    path: str
    cells: Mapping[str, Sequence[str]]
    lines: Sequence[int]

    def __len__(self) -> int:
        return len(self.lines)

    def fail(self, row: int, reason: str) -> BadInput:
        """The error of one row."""
        return BadInput(f"{self.path}:{self.lines[row]}", reason)

    def words(self, column: str, legal: Collection[str], default: str | None = None) -> np.ndarray:
        """A column of words, each one of ``legal``; all ``default`` where the file has no such column."""
        if default is not None and column not in self.cells:
            return np.full(len(self), default, dtype=object)
        cells = self.cells[column]
        for word in dict.fromkeys(cells):
            if word not in legal:
                near = get_close_matches(word[:100], list(legal), n=3, cutoff=0.5)
                hint = f"did you mean {' or '.join(near)}? " if near else ""
                reason = f"{column} {short(word)} is not known: {hint}legal: {', '.join(sorted(legal))}"
                raise self.fail(cells.index(word), reason)
        return np.array(cells, dtype=object)

    def sizes(self, column: str, default: int | None = None, least: int = 1) -> np.ndarray:
        """A column of whole numbers from ``least`` on, as floats."""
        if default is not None and column not in self.cells:
            return np.full(len(self), float(default))
        return self._numbers(column, f"whole numbers from {least} to {MOST_SIZE:.0e}", least, MOST_SIZE, whole=True)

    def seconds(self, column: str = "seconds") -> np.ndarray:
        """A column of times."""
        return self._numbers(column, f"seconds from {LEAST_SECONDS:g} to {MOST_SECONDS:g}", LEAST_SECONDS, MOST_SECONDS)

    def rates(self, column: str) -> np.ndarray:
        """A column of rates, per second."""
        return self._numbers(column, "numbers from 1 to 1e18", 1, 1e18)

    def _numbers(self, column: str, legal: str, least: float, most: float, whole: bool = False) -> np.ndarray:
        numbers = np.empty(len(self))
        for row, cell in enumerate(self.cells[column]):
            value = float(cell) if _NUMBER.fullmatch(cell) else None
            if value is None or not least <= value <= most or (whole and value != int(value)):
                raise self.fail(row, f"{column} {short(cell)} {_why(cell, value, most)}; legal: {legal}")
            numbers[row] = value
        return numbers


def _why(cell: str, value: float | None, most: float) -> str:
    if value is None:
        return "is not a number" if cell else "is empty"
    if value <= 0:
        return "is negative" if value < 0 else "is zero"
    return "is not whole" if 1 < value <= most and value % 1 else "is out of bounds"


def read_table(path: str | Path) -> Table:
    """The cells of a file, every row as long as the first line. Raises ``BadInput``."""
    text = read_text(path)
    where = str(path)
    if not text.strip():
        raise BadInput(f"{where}:1", "the file is empty; legal: a line of column names, and rows")
    reader = csv.reader(text.splitlines(keepends=True), strict=True)
    rows: list[list[str]] = []
    lines: list[int] = []
    try:
        for row in reader:
            if row:
                rows.append(row)
                lines.append(reader.line_num)
    except csv.Error as error:
        raise BadInput(f"{where}:{reader.line_num}", f"{error}; legal: comma-separated values") from None
    head = rows[0]
    twice = next((name for name in head if head.count(name) > 1), None)
    if twice is not None:
        raise BadInput(f"{where}:{lines[0]}", f"column {short(twice)} occurs twice; legal: once")
    if len(rows) == 1:
        raise BadInput(f"{where}:{lines[0]}", "column names and no row; legal: a row for each measurement")
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(head):
            raise BadInput(f"{where}:{line}", f"{len(row)} values; legal: {len(head)}, one for each column")
    columns = list(zip(*rows[1:], strict=True))
    return Table(where, dict(zip(head, columns, strict=True)), lines[1:])
