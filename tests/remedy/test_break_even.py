"""Break-even by hand."""

import math

import pytest

from cr_jax.remedy.break_even import break_even, turns_to_pay


@pytest.mark.parametrize(
    ("cost", "saving", "turns"),
    [
        (100, 30, 4),  # 3 * 30 = 90, 4 * 30 = 120
        (90, 30, 4),  # 3 * 30 = 90 is no more than 90
        (89.5, 30, 3),
        (0, 1, 1),
        (0.3, 0.1, 3),  # in binary 0.3 is a little less than 3 * 0.1
        (10**15, 3, 333_333_333_333_334),
    ],
)
def test_it_is_the_first_number_of_turns_that_saves_more_than_it_cost(cost, saving, turns):
    assert turns_to_pay(cost, saving) == turns


@pytest.mark.parametrize("saving", [0, -1])
def test_without_a_saving_it_is_never(saving):
    assert turns_to_pay(5, saving) == math.inf
    row = break_even("flop", None, False, 5, 10, 10 - saving)
    assert (row.turns, row.saving_per_turn, row.reason) == (None, saving, "never: a turn saves nothing")


@pytest.mark.parametrize(("cost", "saving"), [(-1, 1), (math.nan, 1), (1, math.inf)])
def test_what_is_no_cost_is_refused(cost, saving):
    with pytest.raises(ValueError, match="legal"):
        turns_to_pay(cost, saving)


def test_a_row_says_what_is_not_known():
    assert break_even("flop", None, True, None, 3, 1).reason == "the cost of making it is not known in flop"
    row = break_even("seconds", "cpu", False, 12, None, 1)
    assert (row.saving_per_turn, row.turns) == (None, None)
    assert break_even("seconds", "cpu", False, 12, 3, 1).turns == 7
