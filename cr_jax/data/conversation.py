"""A conversation as returned by the readers, and the faults of a file."""

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

from cr_jax.errors import BadInput
from cr_jax.files import open_file, why
from cr_jax.printable import visible

#: The most line numbers kept per kind of problem.
KEPT_LINES = 5
#: The longest line: a longer one is of a binary file, or of one that lost its line ends.
LONGEST_LINE_BYTES = 1 << 20


@dataclass(frozen=True)
class Turn:
    """One question-answer pair. sentiment: 1 liked, -1 disliked, ``None`` not said."""

    aspect: str
    value: str
    sentiment: int | None


@dataclass(frozen=True)
class Conversation:
    """A user's conversation about the sought item, one or more turns.

    request: the words of q0, ``""`` where the file has none.
    """

    user: str
    item: str
    turns: tuple[Turn, ...]
    request: str = ""


@dataclass
class Problems:
    """The faults of a file, by kind: their number, and the first line numbers.

    strict: refuse the first problem (``BadInput``) instead of counting it. complaints: the first problem of each file in words.
    """

    path: str
    strict: bool = False
    counts: dict[str, int] = field(default_factory=dict[str, int])
    first: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    complaints: dict[str, str] = field(default_factory=dict[str, str])
    kept: set[str] = field(default_factory=set[str])

    def add(self, kind: str, line: int, detail: str, file: str | None = None, kept: bool = False) -> None:
        """Count one problem at a line (1-based). kept: the line is used nevertheless. Raises ``BadInput`` when strict."""
        if self.strict:
            raise BadInput(f"{file or self.path}, line {line}", f"{kind}: {detail}")
        self.complaints.setdefault(file or self.path, f"line {line}: {kind}: {detail}")
        if file is not None and file != self.path:
            kind = f"{kind} in {Path(file).name}"
        if kept:
            self.kept.add(kind)
        self.counts[kind] = self.counts.get(kind, 0) + 1
        lines = self.first.setdefault(kind, [])
        if len(lines) < KEPT_LINES:
            lines.append(line)

    @property
    def total(self) -> int:
        """Problems of all kinds."""
        return sum(self.counts.values())

    def lines(self) -> list[str]:
        """One line per kind: ``3 x cut line: skipped (lines 7, 9, 11)``."""
        texts: list[str] = []
        for kind, number in self.counts.items():
            shown = ", ".join(map(str, self.first[kind]))
            more = ", ..." if number > len(self.first[kind]) else ""
            done = "kept" if kind in self.kept else "skipped"
            texts.append(f"{number} x {visible(kind)}: {done} (line{'s' if number > 1 else ''} {shown}{more})")
        return texts


def text_lines(path: str | Path, problems: Problems) -> Iterator[tuple[int, str, bool]]:
    """Lines of a plain or gzip file: number (1-based), text without its end, whether it had an end.

    Gzip is recognised by the first bytes, not by the name. Blank lines are skipped. Lines that are not UTF-8 or too long are
    problems, and so is a truncated archive. Raises ``BadInput`` for a file that cannot be read or is empty.
    """
    name, number = str(path), 0
    try:
        with open_file(path) as plain:
            packed = plain.read(2) == b"\x1f\x8b"
            plain.seek(0)
            stream = cast(BinaryIO, gzip.GzipFile(fileobj=plain)) if packed else plain
            while raw := stream.readline(LONGEST_LINE_BYTES):
                number += 1
                ended = raw.endswith(b"\n")
                if not ended and len(raw) == LONGEST_LINE_BYTES:
                    while raw and not raw.endswith(b"\n"):
                        raw = stream.readline(LONGEST_LINE_BYTES)
                    problems.add("line too long", number, f"over {LONGEST_LINE_BYTES} bytes", name)
                    continue
                try:
                    text = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
                except UnicodeDecodeError as error:
                    problems.add("not UTF-8", number, f"byte {error.start}", name)
                    continue
                if text.strip():
                    yield number, text, ended
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        problems.add("cut or damaged archive", number + 1, str(error), name)
    except OSError as error:
        raise BadInput(name, why(error)) from None
    if number == 0 and not problems.counts:
        raise BadInput(name, "line 1: the file is empty")
