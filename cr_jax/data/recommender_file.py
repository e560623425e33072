"""Reader of ``recommender.json``, which may have many users, each with a list of items."""

import codecs
from array import array
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
from msgspec import structs

from cr_jax.data.items_by_user import ItemsByUser
from cr_jax.data.recommender_assets import RecommenderAssets, from_document
from cr_jax.documents.base import decode
from cr_jax.documents.recommender import RecommenderDocument
from cr_jax.errors import BadInput
from cr_jax.files import read_bytes
from cr_jax.json_text import parse, read_json, rows_decoder

#: Rows of users that are checked against the schema like other lists.
ROWS = 1000
_ROW = {"user", "items"}


class _Users(msgspec.Struct):
    users: msgspec.Raw


class _Otherwise(Exception):
    """The file is not in its written form: it is read whole, so that its fault can be named."""


def read(path: Path) -> tuple[RecommenderDocument, RecommenderAssets]:
    """The document without its users, and the assets of all. Raises ``BadInput``."""
    try:
        document, users, counts, numbers = _by_rows(path)
    except (_Otherwise, ValueError, RecursionError):
        whole = decode(read_json(path), RecommenderDocument, str(path))
        return structs.replace(whole, users=()), _assets(whole, path)
    assets = _assets(document, path)
    try:
        talks = ItemsByUser(users, np.array(counts, np.int64), np.array(numbers, np.int32), assets.items)
    except IndexError:
        raise _none(path) from None
    return document, assets.with_talks(talks)


def _assets(document: RecommenderDocument, path: Path) -> RecommenderAssets:
    try:
        return from_document(document)
    except IndexError:
        raise _none(path) from None


def _none(path: Path) -> BadInput:
    return BadInput(str(path), "users: an item number that is none")


def _by_rows(path: Path) -> "tuple[RecommenderDocument, list[str], array[int], array[int]]":
    """The document without users, checked with its first ones; users, how many items each has, the items' numbers."""
    data = read_bytes(path).removeprefix(codecs.BOM_UTF8)
    listed = memoryview(msgspec.json.decode(data, type=_Users).users)
    at = data.find(listed)
    if len(listed) > 2 and at != data.rfind(listed):
        raise _Otherwise
    document = parse((data[:at] + b"[]" + data[at + len(listed) :]).decode("utf-8"))
    decoder, users, counts, numbers, first = rows_decoder(), list[str](), array("q"), array("i"), list[dict[str, Any]]()
    for raw in msgspec.json.decode(listed, type=list[msgspec.Raw]):
        row = decoder.decode(str(memoryview(raw), "utf-8"))
        if not _is_row(row):
            raise _Otherwise
        if len(first) < ROWS:
            first.append(row)
        users.append(row["user"])
        counts.append(len(row["items"]))
        try:
            numbers.extend(row["items"])
        except OverflowError:
            raise _none(path) from None
    if len(set(users)) < len(users):
        raise _Otherwise
    checked = decode(document | {"users": first}, RecommenderDocument, str(path))
    return structs.replace(checked, users=()), users, counts, numbers


def _is_row(row: Any) -> bool:
    return (
        isinstance(row, dict)
        and row.keys() == _ROW
        and isinstance(row["user"], str)
        and isinstance(row["items"], list)
        and (row["user"].isascii() or not any("\ud800" <= letter <= "\udfff" for letter in row["user"]))
        and all(type(number) is int and number >= 0 for number in cast(list[Any], row["items"]))
    )
