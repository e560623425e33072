"""Text from outside is visible and short."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cr_jax.errors import BadInput, CrJaxError, UnknownName
from cr_jax.printable import MESSAGE, message, short, visible


@given(st.text())
def test_nothing_invisible_is_left(text):
    found = visible(text)
    assert all(letter.isprintable() or letter.isspace() for letter in found) and "\n" not in found and "\x1b" not in found
    assert visible(found) == found and (found == text or not text.isprintable())


def test_how_it_is_written():
    assert visible("a\x1b[31m\n\t\u202eb\ud800") == "a\\x1b[31m\\n\\t\\u202eb\\ud800"
    assert visible("größe\u3000日本") == "größe\u3000日本"
    assert short("x" * 99, 20) == "'xxxxxxxxxx...xxxxx'" and len(short("\x1b" * 99, 20)) == 20
    assert short(10**5000) == "<int>"


@given(st.text(max_size=3000), st.integers(0, 5000))
def test_messages_are_one_short_line(text, number):
    for error in (CrJaxError(text), BadInput(text, "x" * number), UnknownName("device", text + "y" * number, ["cpu", "gpu"])):
        line = str(error)
        assert len(line) <= MESSAGE and visible(line) == line


@pytest.mark.parametrize("value", ["Z" * 5000, "word " * 500, "Z" * 100 + " " + "Y" * 100 + " " + "X" * 200])
def test_what_is_legal_stays(value):
    line = message(f"a.json: users: {value}: must be a number; legal: 1 or more, or absent")
    assert line.startswith("a.json: users: ") and line.endswith("legal: 1 or more, or absent") and "..." in line
