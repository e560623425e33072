"""Statistics of samples, compared with cases of known truth."""

import numpy as np
import pytest

from cr_jax.documents.base import plain
from cr_jax.measure.statistics import compare, describe, outliers, repeat_interval


def test_the_figures_of_a_known_set():
    found = describe([float(n) for n in range(1, 101)])
    assert found.median_s == 50.5 and found.mean_s == 50.5 and (found.min_s, found.max_s) == (1, 100)
    assert found.p90_s == pytest.approx(90.1) and found.p99_s == pytest.approx(99.01)
    assert found.outliers == 0 and found.samples == 100


def test_percentiles_without_a_sample_beyond_them_are_unknown():
    found = describe([1.0, 1.1] * 9)
    assert found.p90_s is not None and found.p95_s is None and found.p99_s is None


@pytest.mark.parametrize("times", [[], [1.0]])
def test_fewer_than_two_samples_give_null(times):
    found = plain(describe(times))
    assert found.pop("samples") == len(times) and found.pop("stopped") == "run limit" and found.pop("tag") == "measured"
    assert set(found.values()) == {None}


def test_equal_samples_have_an_interval_of_no_width():
    found = describe([2.0] * 30)
    assert found.repeat_interval_s == (2.0, 2.0) == found.mean_interval_s and found.outliers == 0


def test_outliers_by_the_median_absolute_deviation():
    times = [1.0, 1.01, 0.99, 1.02, 0.98] * 4 + [1.5]
    assert outliers(times).sum() == 1 and describe(times).outliers == 1


def test_the_same_samples_give_the_same_figures():
    times = np.random.default_rng(1).gamma(4, size=200).tolist()
    assert describe(times) == describe(times)


def correlated(rng, n=300, phi=0.8):
    """Times whose neighbours resemble each other: log-normal over a first-order autoregression."""
    noise, x = rng.normal(size=n), np.zeros(n)
    x[0] = noise[0] / np.sqrt(1 - phi**2)
    for i in range(1, n):
        x[i] = phi * x[i - 1] + noise[i]
    return np.exp(0.05 * x)


@pytest.mark.parametrize("phi", [0.0, 0.8])
def test_the_median_of_a_repeat_lies_in_the_stated_interval_nine_times_of_ten(phi):
    rng, hits, n = np.random.default_rng(0), 0, 120
    for _ in range(n):
        low, _, high = repeat_interval(correlated(rng, phi=phi))
        hits += low <= np.median(correlated(rng, phi=phi)) <= high
    assert hits >= 0.9 * n


@pytest.mark.parametrize("paired", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_test_of_equals_rarely_finds_a_difference_and_of_a_tenth_always(paired):
    rng, wrong, covered = np.random.default_rng(3), 0, 0
    for _ in range(40):
        wrong += compare(correlated(rng), correlated(rng), paired).p_value < 0.05
        found = compare(correlated(rng, phi=0), 1.1 * correlated(rng, phi=0), paired)
        assert found.p_value < 0.01 and found.ratio_interval[1] < 1
        covered += found.ratio_interval[0] < 1 / 1.1 < found.ratio_interval[1]
    assert wrong <= 6 and covered >= 34


def test_what_moves_both_cancels_in_pairs():
    rng = np.random.default_rng(5)
    drift = np.exp(np.cumsum(rng.normal(scale=0.05, size=200)))
    ours, theirs = 1.03 * drift * rng.normal(1, 0.01, 200), drift * rng.normal(1, 0.01, 200)
    assert compare(ours, theirs, True).p_value < 0.001 < compare(ours, theirs, False).p_value


def test_mann_whitney_against_a_hand_count():
    # P(a > b) of {1, 2, 3} and {4, 5, 6} is 0: U = 0, z = 4.5 / sqrt(3*3*7/12) = 1.9640, p = 0.0495.
    assert compare([1.0, 3.0, 2.0], [5.0, 4.0, 6.0], False).p_value == pytest.approx(0.0495, abs=2e-4)
