"""Batches by padded shape, and the two that stand for all."""

from collections import Counter

import numpy as np
import pytest

from cr_jax.data.examples.batch_shapes import Taken, ends, taken
from cr_jax.data.examples.batches import Batches
from cr_jax.data.examples.pool import Pool
from cr_jax.records import ArrayShape


def test_batches_are_counted_by_shape():
    lengths = [(1,)] * 20 + [(9,)] * 11
    pool = Pool(lengths, lambda rows, shape, rng: {"x": np.zeros((len(rows), *shape), np.float32)}, np.ones(31), sum, np.ones(31))
    batches = Batches(pool, 2, 0)
    assert len(batches.groups) == 2
    for steps in (0, 1, batches.per_epoch - 1, 2 * batches.per_epoch + 3):
        found = {one.batch[0].shape: one.steps for one in taken(batches, steps)}
        assert found == dict(Counter(batches[n]["x"].shape for n in range(steps)))


def test_the_two_ends_hold_the_positions_of_all():
    made = [Taken(steps, (ArrayShape("x", (2, words), "int32"),), words) for steps, words in ((5, 16), (2, 4), (3, 6))]
    (small, few), (large, many) = ends(made)
    assert (small, large) == (made[1].batch, made[0].batch) and few + many == 1
    assert 10 * (few * 4 + many * 16) == pytest.approx(5 * 16 + 2 * 4 + 3 * 6)
    assert ends(made[2:]) == ((made[2].batch, 1.0),)
