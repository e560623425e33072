"""A ``recommender.json`` read row by row: its users may be many, each with a list of items."""

import io
import re
from array import array
from collections.abc import Iterator, Mapping, Sequence
from json import JSONDecodeError
from pathlib import Path
from typing import Any, cast

import numpy as np
from msgspec import structs

from cr_jax.data.hash_set import HashSet
from cr_jax.data.recommender_assets import RecommenderAssets, from_document
from cr_jax.data.store.string_table import Names
from cr_jax.documents.base import decode
from cr_jax.documents.recommender import RecommenderDocument
from cr_jax.errors import BadInput
from cr_jax.files import open_file
from cr_jax.json_text import parse_json, read_json, rows_decoder

#: Letters read at once, and rows of users that are held against the schema as others are.
CHUNK, ROWS = 1 << 20, 1000
#: Nowhere else: inside a text the quotes would be escaped, and no other object has this key.
_USERS = re.compile(r'"users"\s*:\s*\[')
_ROW = {"user", "items"}
#: Letters in which the beginning of the list can be cut in two; with more space between, the file is read whole.
_BEFORE = 1000


class UserItems(Mapping[str, tuple[str, ...]]):
    """The items of each user, as numbers behind each other."""

    def __init__(self, users: Names, ends: "array[int]", numbers: "array[int]", items: Sequence[str]):
        """ends: where each user's ``numbers`` end; numbers: places in ``items``. Raises ``IndexError`` for one that is none."""
        if numbers and max(numbers) >= len(items):
            raise IndexError(max(numbers))
        self.users, self._ends, self._numbers, self._items = users, ends, numbers, items

    def __getitem__(self, user: str) -> tuple[str, ...]:
        place = self.users.number(user)
        begin = self._ends[place - 1] if place else 0
        return tuple(self._items[number] for number in self._numbers[begin : self._ends[place]])

    def __iter__(self) -> Iterator[str]:
        return iter(self.users)

    def __len__(self) -> int:
        return len(self.users)

    def counts(self) -> np.ndarray:
        """Items of each user, in order."""
        return np.diff(np.array(self._ends, np.int64), prepend=0)


class _Otherwise(Exception):
    """The file is not as it is written: it is read whole, for its fault to be named."""


def read(path: Path) -> tuple[RecommenderDocument, RecommenderAssets]:
    """The document without its users, and the catalogue of all. Raises ``BadInput``."""
    try:
        document, users, ends, numbers = _in_passing(path)
    except (_Otherwise, UnicodeDecodeError, RecursionError, OSError):
        whole = decode(read_json(path), RecommenderDocument, str(path))
        return structs.replace(whole, users=()), _made(whole, path)
    kept = _made(document, path)
    try:
        talks = UserItems(users, ends, numbers, kept.items)
    except IndexError:
        raise _none(path) from None
    return document, kept.with_talks(talks)


def _made(document: RecommenderDocument, path: Path) -> RecommenderAssets:
    try:
        return from_document(document)
    except IndexError:
        raise _none(path) from None


def _none(path: Path) -> BadInput:
    return BadInput(str(path), "users: an item number that is none")


def _in_passing(path: Path) -> tuple[RecommenderDocument, Names, array, array]:
    """The document without users, checked with its first ones; users, where their items end, the items' numbers."""
    seen, ends, numbers, first = HashSet(), array("q"), array("i"), []
    with io.TextIOWrapper(cast(Any, open_file(path)), encoding="utf-8-sig") as file:
        text = file.read(CHUNK)
        at = 0
        while (found := _USERS.search(text, at)) is None:
            at = max(0, len(text) - _BEFORE)
            more = file.read(CHUNK)
            if not more:
                raise _Otherwise
            text += more
        rest = [text[found.end() :]]

        def names() -> Iterator[str]:
            for row in _rows(file, rest):
                if not _whole(row) or not seen.add(hash(row["user"])):
                    raise _Otherwise
                if len(first) < ROWS:
                    first.append(row)
                numbers.extend(row["items"])
                ends.append(len(numbers))
                yield row["user"]

        try:
            users = Names.of(names())
        except OverflowError:
            raise _none(path) from None
        document = parse_json(text[: found.end()] + "]" + rest[0] + file.read(), str(path))
    checked = decode(document | {"users": first}, RecommenderDocument, str(path))
    return structs.replace(checked, users=()), users, ends, numbers


def _rows(file: Any, rest: list[str]) -> Iterator[Any]:
    """The rows of a list; ``rest``: what is read of it, at the end what comes after it."""
    text, at, one, between = rest.pop(), 0, rows_decoder(), False
    while True:
        while at < len(text) and text[at].isspace():
            at += 1
        sign = text[at : at + 1]
        if sign == "]":
            rest.append(text[at + 1 :])
            return
        try:
            if between and sign not in (",", ""):
                raise _Otherwise
            row, end = one.raw_decode(text, _after(text, at + 1) if between else at)
        except JSONDecodeError:  # cut, or no JSON
            more = file.read(CHUNK)
            if not more:
                raise _Otherwise from None
            text, at = text[at:] + more, 0
            continue
        except ValueError:  # NaN, a key given twice, or more digits than Python reads
            raise _Otherwise from None
        yield row
        at, between = end, True


def _after(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _whole(row: Any) -> bool:
    return (
        isinstance(row, dict)
        and row.keys() == _ROW
        and isinstance(row["user"], str)
        and isinstance(row["items"], list)
        and (row["user"].isascii() or not any("\ud800" <= letter <= "\udfff" for letter in row["user"]))
        and all(type(number) is int and number >= 0 for number in row["items"])
    )
