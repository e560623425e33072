"""The comparison itself: it must be able to fail."""

import numpy as np
import pytest
from common import compare, given, skipped, unaccounted


def test_absolute_and_relative_errors():
    got, want = np.array([1.0, 2.0]), np.array([1.0, 4.0])
    assert compare("a", got, want, atol=1.9).error == 2.0 and not compare("a", got, want, atol=1.9).ok
    assert compare("a", got, want, rtol=0.5).error == 0.5 and compare("a", got, want, rtol=0.5).ok


def test_left_out_entries_are_counted():
    row = compare("a", np.array([1.0, 9.0]), np.array([1.0, 4.0]), atol=1e-9, keep=np.array([True, False]))
    assert row.ok and row.note == "1 of 2 entries left out"


@pytest.mark.parametrize("got", [np.array([1.0, np.nan]), np.ones(3)])
def test_nan_and_other_shapes_fail(got):
    assert not compare("a", got, np.array([1.0, 2.0]), atol=1e9).ok


def test_integers_are_compared_exactly():
    assert not compare("a", np.array([1, 2]), np.array([1, 3]), atol=10.0).ok


def test_every_array_must_be_spoken_of():
    rows = [given("in/x"), skipped("out/y", "why"), compare("grad/z [derived]", 0.0, 0.0, atol=1.0)]
    assert unaccounted(rows, {"in/x": 0, "out/y": 0, "grad/z": 0, "out/lost": 0}) == ["out/lost"]
