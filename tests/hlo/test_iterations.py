"""Iterations in the arithmetic of the counter's type, against stepping through them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cr_jax.hlo.iterations import Counter, wrap

SENSES = {"LT": int.__lt__, "LE": int.__le__, "GT": int.__gt__, "GE": int.__ge__, "NE": int.__ne__, "EQ": int.__eq__}


def stepped(first, step, limit, sense, bits, signed):
    value, count = first, 0
    while SENSES[sense](value, limit):
        value, count = wrap(value + step, bits, signed), count + 1
        if count > 2**bits:
            return None
    return count


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.integers(-300, 300), st.integers(-300, 300), st.integers(-300, 300), st.sampled_from(sorted(SENSES)), st.booleans())
def test_eight_bits_are_as_stepping_through_them(first, step, limit, sense, signed):
    first, limit = wrap(first, 8, signed), wrap(limit, 8, signed)
    assert Counter(first, step, 8, signed).iterations(limit, sense) == stepped(first, step, limit, sense, 8, signed)


@pytest.mark.parametrize(
    ("first", "step", "limit", "sense", "count"),
    [
        (0, 1, 2**31 - 1, "LT", 2**31 - 1),
        (0, 2, 2**31 - 1, "LT", None),
        (0, 3, 1, "NE", 2863311531),
        (5, 1, 5, "EQ", 1),
        (0, 0, 5, "LT", None),
        (7, 1, 5, "LT", 0),
    ],
)
def test_thirty_two_bits(first, step, limit, sense, count):
    assert Counter(first, step, 32, True).iterations(limit, sense) == count
