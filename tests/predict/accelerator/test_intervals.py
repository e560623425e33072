"""Intervals: classes add up as squares, a class as a whole; what was never compared is wide and takes the coverage away."""

import dataclasses

import pytest
from msgspec import convert

from cr_jax.catalog.load import accelerator
from cr_jax.catalog.times import Times, shipped
from cr_jax.documents.accelerator_times import Residuals
from cr_jax.predict.accelerator.card import card
from cr_jax.predict.accelerator.intervals import UNKNOWN_FACTOR, errors, interval

ABOUT = {"rows": 10, "median": 0.1, "p90": 0.2, "worst": 0.3}
RESIDUALS = {
    "a": {
        "meaning": "a",
        "same_card": {**ABOUT, "cards": ["h100"], "ratio_low": 0.9, "ratio_high": 1.1},
        "other_generation": {**ABOUT, "cards": ["h100"], "ratio_low": 0.5, "ratio_high": 1.6},
    },
    "b": {
        "meaning": "b",
        "same_generation": {**ABOUT, "cards": ["h100"], "generations": ["hopper"], "ratio_low": 0.8, "ratio_high": 1.3},
    },
}


def found(name, **seconds):
    times = Times(shipped().constants, convert(RESIDUALS, dict[str, Residuals]))
    return errors(card(accelerator(name), times), seconds)


@pytest.mark.parametrize(
    ("name", "kinship", "high"), [("h100", "same_card", 1.1), ("l4", "other_generation", 1.6), ("tpu-v5e", None, UNKNOWN_FACTOR)]
)
def test_the_nearest_card_that_was_compared_says_how_wide(name, kinship, high):
    (one,) = found(name, a=1.0)
    assert (one.kinship, one.high) == (kinship, high)


def test_the_same_generation_is_known_by_the_profiles():
    assert found("h200", b=1.0)[0].kinship == "same_generation"
    assert found("l4", b=1.0)[0].kinship is None


def test_classes_add_up_as_squares_by_hand():
    classes = found("h100", a=3.0, b=4.0)
    low, high, coverage = interval(7.0, classes)
    assert high == pytest.approx(7 + (0.3**2 + 1.2**2) ** 0.5) and low == pytest.approx(7 - (0.3**2 + 0.8**2) ** 0.5)
    assert coverage == 0.9


def test_a_class_without_measurements_widens_and_is_said():
    classes = found("h100", a=9.0, sorts=1.0)
    low, high, coverage = interval(10.0, classes)
    assert coverage is None and high > 10 + 1.5 and low < 10 - 0.6
    (unknown,) = [one for one in classes if one.kinship is None]
    assert unknown.document().n is None and unknown.document().cards == ()
    assert interval(100.0, found("h100", a=99.0, sorts=1.0))[2] == 0.9  # too little to matter


def test_an_interval_is_never_below_what_an_assumption_allows():
    (one,) = found("h100", a=1.0)
    assert interval(1.0, (dataclasses.replace(one, low=0.01),))[0] == 1 / UNKNOWN_FACTOR
