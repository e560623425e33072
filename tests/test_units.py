"""Formatting of numbers: any number has a text, and the text is the number to three digits."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cr_jax.units import count, plain_number, scaled, small, time_text

PREFIXES = {"P": 1e15, "T": 1e12, "G": 1e9, "M": 1e6, "k": 1e3, "": 1.0, "m": 1e-3, "µ": 1e-6, "n": 1e-9}
quick = settings(derandomize=True, max_examples=200, deadline=None)


def value_of(text: str, unit: str) -> float:
    """The number that a text with a prefix and a unit says."""
    number, _, rest = text.partition(" ")
    return float(number) * PREFIXES[rest.removesuffix(unit)]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "unknown"),
        (0, "0 B"),
        (999, "999 B"),
        (999_499, "999 kB"),
        (999_500, "1 MB"),
        (999_999, "1 MB"),
        (-1_234_567, "-1.23 MB"),
        (10**18, "1e+18 B"),
        (10**400, "1e+400 B"),
        (-(10**5000), "-1e+5000 B"),
        (9_996 * 10**396, "1e+400 B"),
        (float("nan"), "nan B"),
        (float("inf"), "inf B"),
        (0.5, "0.5 B"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_scaled(value, text):
    assert scaled(value, "B") == text


@quick
@given(st.integers(-(10**24), 10**24) | st.floats(-1e24, 1e24).filter(lambda x: x == 0 or abs(x) > 1e-3))
def test_a_scaled_number_is_the_number_to_three_digits(value):
    text = scaled(value, "B")
    assert value_of(text, "B") == pytest.approx(value, rel=5.1e-3)
    assert len(text.lstrip("-").split(" ")[0]) <= 8


@quick
@given(st.floats(1e-9, 1e15))
def test_a_small_quantity_is_the_quantity_to_three_digits(value):
    assert value_of(small(value, "J"), "J") == pytest.approx(value, rel=5.1e-3)


@quick
@given(st.integers(-(10**299), 10**299))
def test_a_count_is_read_back(value):
    assert int(count(value).replace(",", "")) == value


@quick
@given(st.one_of(st.none(), st.floats(), st.integers(), st.integers(300, 6000).map(lambda digits: 7 * 10**digits)))
def test_every_number_has_a_short_text(value):
    texts = [scaled(value, "FLOP"), small(value, "J"), time_text(value), plain_number(value)]
    if value is None or isinstance(value, int):
        texts.append(count(value))
    assert all(0 < len(text) < 450 for text in texts)
    if isinstance(value, float) and not math.isfinite(value):
        assert scaled(value, "B") == f"{value} B"
