"""Strict JSON: what is refused, where, and that everything else is read as Python's own reader does."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cr_jax.errors import BadInput, CrJaxError
from cr_jax.json_text import DEPTH, DIGITS, NotJson, parse, parse_json, parse_line, read_json

NUMBERS = st.none() | st.booleans() | st.integers(-(10**DIGITS) + 1, 10**DIGITS - 1) | st.floats(-1e99, 1e99)
VALUES = st.recursive(NUMBERS | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=30)
NINES = "9" * (DIGITS + 1)


@given(VALUES, st.sampled_from([None, 2]), st.booleans())
def test_what_is_json_is_read_as_it_is(value, indent, ascii_only):
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert parse(text) == parse_line(text) == value


@pytest.mark.parametrize(
    ("text", "line", "column", "reason"),
    [
        ('{"a": NaN}', 1, 7, "NaN"),
        ("[1,\n  Infinity]", 2, 3, "Infinity"),
        ('["NaN",\n -Infinity]', 2, 2, "-Infinity"),
        ('{"a": 1e400}', 1, 7, "1e400"),
        ("[-1e101]", 1, 2, "-1e101"),
        (f"[1, {NINES}]", 1, 5, f"more than {DIGITS} digits"),
        (f"[{'9' * 400}]", 1, 2, f"more than {DIGITS} digits"),
        (f"[0, -{'1' * 5000}]", 1, 5, f"more than {DIGITS} digits"),
        ('["\\ud800"]', 1, 2, "half a surrogate pair"),
        ("[1 2]", 1, 4, ""),
        ("", 1, None, "the file is empty"),
    ],
)
@pytest.mark.parametrize("read", [parse, parse_line])
def test_what_is_refused_and_where(read, text, line, column, reason):
    if not text:
        with pytest.raises(BadInput, match="line 1: the file is empty"):
            parse_json(text, "x.json")
        return
    with pytest.raises(NotJson) as caught:
        read(text)
    assert (caught.value.line, caught.value.column) == (line, column) and reason in caught.value.reason
    with pytest.raises(BadInput) as caught:
        parse_json(text, "x.json")
    assert str(caught.value).startswith(f"x.json: line {line}, column {column}: ")


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
@pytest.mark.parametrize("levels", [DEPTH + 1, 500, 100_000])
def test_nesting_that_is_too_deep(opening, closing, levels):
    text = opening * levels + "1" + closing * levels
    with pytest.raises(NotJson, match="nested too deeply") as caught:
        parse(text)
    assert caught.value.column == 1 + DEPTH * len(opening)
    fine = opening * DEPTH + "1" + closing * DEPTH
    assert parse(fine) == json.loads(fine)


def test_a_key_given_twice_is_refused_in_documents():
    text = '{"a": {"b": 1},\n "c": 2, "a": 3}'
    with pytest.raises(NotJson, match=r"line 2, column 10: key 'a' is given twice"):
        parse(text)
    assert parse_line(text) == {"a": 3, "c": 2}


def test_numbers_at_the_limit_and_digits_in_texts():
    long = "1" * 3000
    assert parse(f'["{long}", {NINES[1:]}, -{NINES[1:]}, 1e-400, 9e99]') == [long, int(NINES[1:]), -int(NINES[1:]), 0.0, 9e99]


@given(st.binary(max_size=200) | st.text(alphabet='{}[]",:0123456789eE+-.NaInfity\\ud8 \n', max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused(data):
    try:
        parse_json(data.decode("utf-8", "surrogateescape"), "x.json")
    except CrJaxError as error:
        assert str(error).startswith("x.json: ") and str(error).isprintable()


def test_a_file_is_named(tmp_path):
    place = tmp_path / "x.json"
    place.write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_json(place) == {"a": 1}
    place.write_bytes(b'{"a": "\xff"}')
    with pytest.raises(BadInput, match=r"x\.json: not UTF-8 at byte 7"):
        read_json(place)
