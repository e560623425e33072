"""Texts in few bytes, found by number and by text; numbers in a file."""

import zlib

import numpy as np
import pytest

from cr_jax.data.store.int_table import Column, looked_up
from cr_jax.data.store.string_table import Names, Numbered, Picked
from cr_jax.errors import BadInput, NotWritten

#: The last two have one check sum.
TEXTS = ["zoë", "", "a", "ab", "\U0001f600", "\uffff", "plumless", "buckeroo"]


def test_texts_are_found_by_number_and_by_text(tmp_path):
    assert zlib.crc32(b"plumless") == zlib.crc32(b"buckeroo")
    texts = [*TEXTS, *(f"user{n}" for n in range(3000))]
    Names.of(texts).write(tmp_path / "users")
    names = Names.read(tmp_path / "users")
    assert list(names) == texts and len(names) == len(texts) and [names[i] for i in range(3)] == texts[:3]
    assert [names.number(text) for text in texts] == list(range(len(texts)))
    for absent in ("user3000", "b", "\udce9"):
        with pytest.raises(KeyError):
            names.number(absent)
    with pytest.raises(IndexError):
        names[len(texts)]
    # By letter, as Python sorts.
    assert names.ordered() == tuple(sorted(texts)) and tuple(sorted(texts)) == names.ordered()
    assert names.ordered()[2:5] == sorted(texts)[2:5] and names.ordered() != texts
    assert Picked(names, np.array([2, 2, 0])) == ["a", "a", "zoë"]


def test_a_number_for_each_text(tmp_path):
    Names.of(TEXTS).write(tmp_path / "users")
    names = Names.read(tmp_path / "users")
    place, other = Numbered(names), Numbered(names, np.array([5, 5, 1, 1, 1, 0, 5, 5], np.int32))
    assert dict(place) == {text: number for number, text in enumerate(TEXTS)} and place.different() == 8
    assert dict(other) == dict(zip(TEXTS, [5, 5, 1, 1, 1, 0, 5, 5], strict=True)) and other.different() == 3
    assert "nobody" not in other and Numbered(names, None, 4)["nobody"] == 4


def test_no_texts_and_damaged_texts(tmp_path):
    Names.of([]).write(tmp_path / "none")
    names = Names.read(tmp_path / "none")
    assert list(names) == [] == list(names.ordered())
    with pytest.raises(KeyError):
        names.number("a")
    Names.of(TEXTS).write(tmp_path / "users")
    (tmp_path / "users.text").write_bytes(b"short")
    with pytest.raises(BadInput, match="damaged; legal: remove its folder"):
        Names.read(tmp_path / "users")
    (tmp_path / "users.order").unlink()
    with pytest.raises(BadInput, match="unreadable"):
        Names.read(tmp_path / "users")


def test_numbers_in_a_file(tmp_path):
    column, numbers = Column(tmp_path, np.uint16), np.random.default_rng(0).integers(0, 9, 70_000)
    column.append(numbers[:5])
    column.append(numbers[5:])
    assert len(column) == 70_000 and column.sum() == numbers.sum() and column[69_999] == numbers[-1]
    assert (column[:] == numbers).all() and column[3:5].dtype == np.uint16 and len(column[70_000:70_001]) == 0
    places = np.array([69_999, 0, 0, 7])
    assert (column[places] == numbers[places]).all()
    table = np.arange(9, dtype=np.int32) ** 2
    squares = looked_up(table, column)
    assert isinstance(squares, Column) and (squares[:] == looked_up(table, numbers)).all()
    with pytest.raises(IndexError):
        column[70_000]
    assert not list(tmp_path.iterdir()), "the file has no name"
    with pytest.raises(NotWritten, match="no file for"):
        Column(tmp_path / "none", np.uint16)
