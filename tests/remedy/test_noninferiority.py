"""The test of non-inferiority: hand formulas, and its error rates on simulated data of known truth."""

import math

import numpy as np
import pytest

from cr_jax.remedy.noninferiority import Pairs, mean_difference, noninferiority

#: 95% of Student's t with four degrees of freedom, one-sided and two-sided.
T95, T975 = 2.1318, 2.7764


def _disjoint(student, teacher):
    """A seed per pair of rows, no user in two of them."""
    return [
        Pairs(np.array(a), np.array(b), [f"{seed}-{i}" for i in range(len(a))])
        for seed, (a, b) in enumerate(zip(student, teacher, strict=True))
    ]


def test_of_disjoint_users_it_is_students_t_over_seeds():
    """With one row a user, V(users) = V(users within seeds)."""
    rng = np.random.default_rng(0)
    student, teacher = rng.random((5, 30)), rng.random((5, 30))
    each = (student - teacher).mean(axis=1)
    reach = T975 * each.std(ddof=1) / math.sqrt(5)
    found = mean_difference(_disjoint(student, teacher))
    assert found.mean == pytest.approx(each.mean())
    assert (found.low, found.high) == pytest.approx((each.mean() - reach, each.mean() + reach), rel=1e-4)


def test_of_one_split_the_variance_of_users_is_added():
    """Two seeds, two users with a row each, by hand: x = [[1, 3], [2, 8]], means 2 and 5, mean 3.5.

    V(seeds) = 1/2 * ((2 - 3.5)^2 + (5 - 3.5)^2) = 2.25. Parts of users within seeds: deviations / (2 rows * 2 seeds), +-1/4 and
    +-3/4; V(users) = 1 + 1 = 2; V(users within seeds) = 2/16 + 18/16 = 1.25. V = 3, t(1) = 12.7062.
    """
    zero = np.zeros(2)
    found = mean_difference([Pairs(np.array([1.0, 3.0]), zero, ["a", "b"]), Pairs(np.array([2.0, 8.0]), zero, ["a", "b"])])
    reach = 12.7062 * math.sqrt(2.25 + 2 - 1.25)
    assert (found.low, found.high) == pytest.approx((3.5 - reach, 3.5 + reach))


def test_the_bounds_are_the_ratios_at_which_a_t_test_turns():
    rng = np.random.default_rng(1)
    teacher = rng.random((5, 40))
    student = 0.97 * teacher + rng.normal(0, 0.05, (5, 40))
    found = noninferiority(_disjoint(student, teacher))
    assert found.low is not None and found.high is not None and found.low < found.ratio < found.high
    for bound, side in ((found.low, 1), (found.high, -1)):
        each = (student - bound * teacher).mean(axis=1)
        assert side * each.mean() / (each.std(ddof=1) / math.sqrt(5)) == pytest.approx(T95, rel=1e-3)


def test_fewer_than_five_seeds_decide_nothing():
    same = _disjoint(np.ones((5, 8)), np.ones((5, 8)))
    assert noninferiority(same).verdict == "not inferior"
    assert [noninferiority(same[:number]).verdict for number in (1, 2, 4)] == ["not decided"] * 3
    assert noninferiority(same[:1]).low is None


def test_a_clear_loss_is_inferior_and_seeds_that_disagree_show_nothing():
    rng = np.random.default_rng(2)
    teacher = 0.3 + rng.normal(0, 0.01, (5, 200))
    assert noninferiority(_disjoint(0.8 * teacher, teacher)).verdict == "inferior"
    shares = np.array([[0.8], [1.2], [0.8], [1.2], [1.0]])
    assert noninferiority(_disjoint(shares * teacher, teacher)).verdict == "not shown"


@pytest.mark.parametrize("margin", [0.0, 1.0, -0.1, math.nan])
def test_a_margin_outside_its_range_is_refused(margin):
    with pytest.raises(ValueError, match="margin"):
        noninferiority(_disjoint(np.ones((5, 2)), np.ones((5, 2))), margin)


def _drawn(rng, shared, of_seeds, of_users, loss):
    """Five seeds, 80 of 400 users each with one to three rows; the student loses ``loss`` on average."""
    effect, level = rng.normal(0, of_users, 400), rng.beta(0.5, 1.5, 400)
    fixed = rng.choice(400, 80, replace=False)
    seeds = []
    for _ in range(5):
        users = np.repeat(fixed if shared else rng.choice(400, 80, replace=False), rng.integers(1, 4, 80))
        teacher = level[users] + rng.normal(0, 0.05, len(users))
        change = rng.normal(0, of_seeds) + effect[users] + rng.normal(0, 0.1, len(users))
        seeds.append(Pairs(teacher + change - loss, teacher, [str(user) for user in users]))
    return seeds


@pytest.mark.parametrize("shared", [False, True], ids=["splits of their own", "one split"])
@pytest.mark.parametrize(("of_seeds", "of_users"), [(0.02, 0.0), (0.0, 0.2), (0.01, 0.1)])
def test_at_the_margin_it_errs_in_at_most_one_of_twenty(shared, of_seeds, of_users):
    """Of 200 data sets whose loss is the margin, 5% wrong verdicts on average: 10, with a deviation of 3.1."""
    rng = np.random.default_rng(3)
    wrong = sum(
        noninferiority(_drawn(rng, shared, of_seeds, of_users, 0.05 * 0.25)).verdict == "not inferior" for _ in range(200)
    )
    assert wrong <= 10 + 3 * 3.1


def test_it_finds_an_equal_student():
    rng = np.random.default_rng(4)
    found = sum(noninferiority(_drawn(rng, False, 0.0, 0.0, 0.0)).verdict == "not inferior" for _ in range(50))
    assert found >= 25
