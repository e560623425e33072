"""The description of a format of conversation files.

Every module of this package with a ``FORMAT`` is a format; ``recognise`` finds them. A new format is one new file here.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from pathlib import Path

from cr_jax.data.conversation import Conversation, Problems, text_lines
from cr_jax.data.dialogue import Dialogue
from cr_jax.files import is_folder, names_in


class Match(IntEnum):
    """How well a file or folder fits a format; the best fit is taken."""

    NO = 0
    #: Any file that no other format claims.
    ANY = 1
    #: By its name or its general form.
    LIKELY = 2
    #: By a property of this format alone.
    CERTAIN = 3


class Place:
    """A file or folder whose format is to be recognised. Its properties raise ``BadInput`` where it cannot be read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return is_folder(self.path)

    @cached_property
    def names(self) -> list[str]:
        """Names of the entries of the folder, sorted; none for a file."""
        return names_in(self.path) if self.is_folder else []

    @cached_property
    def first_line(self) -> str:
        """The first line of the file that is not blank, plain or gzip; ``""`` for a folder."""
        return "" if self.is_folder else next(text_lines(self.path, Problems(str(self.path))), (0, "", True))[1]

    @cached_property
    def is_json(self) -> bool:
        """Whether the file begins as JSON objects do, or has a JSON name and no readable line."""
        first = self.first_line.lstrip("[").strip()
        return first.startswith("{") or (not self.is_folder and not first and ".json" in self.path.suffixes)

    @cached_property
    def has_json_lines_name(self) -> bool:
        """Whether the file is named ``.jsonl`` or ``.jsonl.gz``, or the folder has such a file."""
        ends = (".jsonl", ".jsonl.gz")
        return any(name.endswith(ends) for name in self.names) if self.is_folder else self.path.name.endswith(ends)


@dataclass(frozen=True)
class Source:
    """An opened file or folder of conversations; each part is read on call."""

    conversations: Callable[[], Iterator[Conversation]]
    #: The published test part, where the format has one.
    test: Callable[[], Iterator[Conversation]] | None = None
    #: Each item with the words of its description, at most so many.
    item_texts: Callable[[int], Sequence[tuple[str, list[str]]]] | None = None
    #: Texts of the requests.
    requests: Sequence[str] = ()
    #: Lines of the tables of users, items and words, where the format has such.
    users: int | None = None
    items: int | None = None
    words: int | None = None

    def everything(self) -> Iterator[Conversation]:
        """All conversations, the published test part behind the others."""
        yield from self.conversations()
        if self.test is not None:
            yield from self.test()


@dataclass(frozen=True)
class Format:
    """A format of files: conversations of aspects and values (``open``), free dialogues (``dialogues``), or neither."""

    name: str
    recognises: Callable[[Place], Match]
    open: Callable[[Path, Problems], Source] | None = None
    #: The dialogues of one file, without those whose keys are in the set; the keys of those it gives are added.
    dialogues: Callable[[Path, Problems, set[str] | None], Iterator[Dialogue]] | None = None
    #: Name of a file beside the dialogues with the items' titles, and how it is read.
    titles_file: str = ""
    titles: Callable[[Path], dict[str, str]] | None = None
    #: Why files of this format are refused, and what is legal.
    refusal: str | None = None
