"""What a predicted time stands on, in words."""

import pytest
from msgspec import convert

from cr_jax.documents.prediction import Comparisons
from cr_jax.render.phrases import class_name, validated


def model(**changes):
    one = {
        "class": "products_tf32",
        "seconds": 3.0,
        "kinship": "same_card",
        "n": 1375,
        "cards": ["h100"],
        "median_error": 0.07,
        "p90_error": 0.3,
        "worst_error": 0.9,
        "ratio_low": 0.8,
        "ratio_high": 1.3,
    }
    launches = {**one, "class": "launches", "seconds": 1.0, "kinship": None, "n": None, "cards": [], "median_error": None}
    little = {**one, "class": "sorts", "seconds": 0.01}
    return convert({"method": "model", "classes": [one | changes, launches, little]}, Comparisons)


@pytest.mark.parametrize(
    ("changes", "cards"),
    [
        ({}, "on this card"),
        ({"cards": ["h100", "t4"]}, "on 2 cards, this one among them"),
        ({"kinship": "other_generation", "cards": ["t4", "v100"]}, "on 2 cards of other generations"),
        ({"kinship": "same_generation", "cards": ["h100"]}, "on 1 card of its generation"),
    ],
)
def test_every_class_says_its_errors_and_on_what(changes, cards):
    assert validated(model(**changes)) == (
        f"tf32 products 75% of the time: median error 7%, 90% within 30% (1,375 operations {cards}); "
        "starting kernels 25% of the time: not validated"
    )


def test_a_class_has_a_name_that_can_be_read():
    assert class_name("products_float32_limited") == "float32 limited products"
    assert class_name("gathers") == "gathers" and class_name("streams_hbm") == "elementwise"
