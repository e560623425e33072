"""AutoRec's examples: the random-noise inputs, ratings held out, errors by hand."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest

from cr_jax.data.dialogue import Dialogue
from cr_jax.models.srnn_ae.ratings import errors, held_out_pool, noise_inputs, ratings_by_user, ratings_pool


def subset_law(k):
    """P(kept = s) of every subset of k ratings, by hand: a size of 1 to k − 1 with equal chance, then a set of that size."""
    sizes = range(1, max(1, k - 1) + 1)
    return {s: 1 / len(sizes) / math.comb(k, n) for n in sizes for s in itertools.combinations(range(k), n)}


def public_choice(k, rng):
    """One user's kept ratings as the public code chooses them, one user after another."""
    return tuple(sorted(rng.choice(k, rng.integers(1, max(1, k - 1), endpoint=True), replace=False)))


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
def test_noise_keeps_every_subset_as_often_as_the_law_says(k):
    draws, law = 20_000, subset_law(k)
    assert sum(law.values()) == pytest.approx(1)
    # Among users of other numbers of ratings, so that one user's ratings are told from the next one's.
    numbers = np.tile([k, 3, 0, 1], draws)
    kept = noise_inputs(numbers, np.random.default_rng(7))
    assert kept.shape == (numbers.sum(),) and kept.dtype == bool
    here = kept[np.repeat(np.arange(len(numbers)) % 4 == 0, numbers)].reshape(draws, k)
    rng = np.random.default_rng(8)
    ours = Counter(tuple(np.flatnonzero(row)) for row in here)
    theirs = Counter(public_choice(k, rng) for _ in range(draws))
    assert set(ours) == set(theirs) == set(law)
    for counts in (ours, theirs):
        # Five standard deviations of a binomial count.
        assert all(abs(counts[s] - draws * p) <= 5 * math.sqrt(draws * p * (1 - p)) for s, p in law.items())


def test_noise_of_many_ratings_keeps_one_to_all_but_one():
    sizes = [noise_inputs(np.array([0, 40, 0]), np.random.default_rng(seed)).sum() for seed in range(4000)]
    counts = np.bincount(sizes, minlength=41)
    assert counts[0] == counts[40] == 0 and counts[1:40].min() > 0
    assert abs(np.mean(sizes) - 20) < 5 * np.sqrt((39**2 - 1) / 12 / 4000)


def test_held_out_ratings_are_not_given():
    items = {"5": 0, "6": 1, "7": 2}
    one = Dialogue("k", "u", (), {}, {"5": 1.0, "6": 0.0, "7": 1.0})
    rated = ratings_by_user([one], items, True)
    assert rated == {"u": {0: 1.0, 1: 0.0, 2: 1.0}}
    batch = held_out_pool(list(rated.values()), 4, 0).make(np.array([0]), (), np.random.default_rng(0))
    asked = batch["targets"][0] != -1
    assert asked.sum() == 2 and not asked[3] and (batch["ratings"][0][asked] == 0).all()


def test_ratings_are_rows_with_a_part_of_them_as_input():
    rated = [{3: 1.0, 0: 0.0}, {}, {2: 0.5, 1: 1.0, 3: 0.0}]
    asked = []

    def every_second(numbers, rng):
        asked.append(numbers.tolist())
        return np.arange(numbers.sum()) % 2 == 0

    pool = ratings_pool(rated, 4, every_second)
    batch = pool.make(np.array([2, 1, 0, 2]), (), np.random.default_rng(0))
    assert asked == [[3, 0, 2, 3]] and pool.useful.tolist() == [2, 0, 3]
    assert batch["targets"].tolist() == [[-1, 1, 0.5, 0], [-1] * 4, [0, -1, -1, 1], [-1, 1, 0.5, 0]]
    # Of the eight ratings in order the 1st, 3rd, 5th and 7th: items 2 and 3, item 0, item 1.
    assert batch["ratings"].tolist() == [[0, 0, 0.5, 0], [0] * 4, [0, 0, 0, 0], [0, 1, 0, 0]]
    assert all(a.dtype == np.float32 for a in batch.values())


def test_errors_by_hand():
    outputs = {"targets": np.array([[1.0, -1, 0.0], [0.0, 1.0, -1]]), "predictions": np.array([[0.5, 9, 0.5], [1.0, 1.0, 9]])}
    found = errors(outputs, np.array([1.0, 0, 1.0]), np.array([2.0, 0, 2.0]))
    assert found["rmse"] == pytest.approx(np.sqrt((0.25 + 0.25 + 1 + 0) / 4))
    assert found["item_mean_rmse"] == found["mean_rmse"] == pytest.approx(0.5)
    assert found["known.rmse"] == pytest.approx(np.sqrt((0.25 + 0.25 + 1) / 3)) and found["known.ratings"] == 3
