import dataclasses

import numpy as np
import pytest

from cr_jax.data.examples.batches import GROUPS, ROUNDS, Batches, groups, in_order, prefetched, scattered
from cr_jax.data.examples.pool import Pool
from cr_jax.errors import BadConfig


def pool(number: int = 103, longest: int = 60) -> Pool:
    lengths = [(int(n),) for n in np.random.default_rng(1).integers(1, longest, number)]

    def make(rows, shape, rng):
        return {"rows": rows, "shape": np.array(shape), "drawn": rng.random(len(rows))}

    useful = np.array([n for (n,) in lengths])
    return Pool(lengths, make, useful, lambda shape: shape[0], np.ones(number), whole=("shape",))


def test_an_epoch_takes_every_example_and_repeats_few():
    batches = Batches(pool(), 8, seed=5)
    taken = np.concatenate([batches[step]["rows"] for step in range(batches.per_epoch)])
    assert set(taken) == set(range(103))
    assert len(taken) - 103 < 8 * len(batches.groups)


def test_examples_fit_their_shape_and_shapes_are_few():
    found = groups(pool(2000, 500), 8)
    assert 1 < len(found) <= GROUPS
    assert all(pool(2000, 500).lengths[row][0] <= group.shape[0] for group in found for row in group.rows)
    assert sorted(np.concatenate([group.rows for group in found])) == list(range(2000))


def test_order_depends_on_seed_and_step_alone():
    one, two, other = Batches(pool(), 8, 5), Batches(pool(), 8, 5), Batches(pool(), 8, 6)
    last = one.per_epoch * 2 + 3
    assert all((one[step]["rows"] == two[step]["rows"]).all() for step in (last, 0, 7))
    assert (one[last]["drawn"] == two[last]["drawn"]).all()
    assert any((one[step]["rows"] != other[step]["rows"]).any() for step in range(5))
    assert any((one[step]["rows"] != one[step + one.per_epoch]["rows"]).any() for step in range(5))


@pytest.mark.parametrize(("size", "first", "last"), [(8, 3, 70), (8, 0, 32), (8, 31, 33), (8, 64, 65), (200, 3, 9), (600, 3, 9)])
def test_the_pipeline_gives_the_batches_in_order_from_any_step(size, first, last):
    pytest.importorskip("grain", reason="needs the extra cr-jax[train]")
    batches = Batches(pool(1000), size, 5)
    assert batches.together == {8: 32, 200: 2, 600: 1}[size]
    found = list(prefetched(batches, first, last))
    assert len(found) == last - first
    for step, a in enumerate(found, first):
        b, (rows, shape) = batches[step], batches.rows(step)
        assert (a["rows"] == rows).all() and tuple(a["shape"]) == tuple(b["shape"]) == shape
        assert (a["drawn"] == b["drawn"]).all() and a["drawn"].shape == (size,)


def test_batches_made_together_draw_each_for_itself():
    batches = Batches(pool(), 8, 5)
    drawn = np.concatenate([batches[step]["drawn"] for step in range(5 * batches.together + 3)])
    assert len(set(drawn)) == len(drawn) == 8 * (5 * batches.together + 3)


def test_an_array_that_is_not_one_row_per_example_is_refused():
    found = dataclasses.replace(pool(), whole=())
    with pytest.raises(BadConfig, match=r"'shape' of shape \(1,\) for .* Pool.whole"):
        Batches(found, 8, 0)[0]


def test_padding_share_by_hand():
    four = Pool([(3,), (4,), (8,), (7,)], pool().make, np.array([3, 4, 8, 7]), lambda shape: shape[0], np.ones(4))
    batches = Batches(four, 1, 0)  # one group: fewer than four batches of each length
    assert batches.padding_share() == pytest.approx(1 - 22 / 32)


def test_in_order_covers_everything_once():
    found = np.concatenate([rows for rows, _ in in_order(pool(), 10)])
    assert sorted(found) == list(range(103))


def test_an_empty_pool_is_refused():
    with pytest.raises(BadConfig, match="nothing to train on"):
        Batches(Pool([], pool().make, np.zeros(0), sum, np.zeros(0)), 4, 0)


@pytest.mark.parametrize("size", [1, 2, 3, 17, 64, 1000])
def test_scattered_is_a_permutation_and_another_for_other_keys(size):
    keys = np.random.default_rng(3).integers(1, 2**32, (2, ROUNDS), np.uint64)
    one, other = (scattered(np.arange(size), size, key) for key in keys)
    assert sorted(one) == sorted(other) == list(range(size))
    assert (one == [scattered(np.array([i]), size, keys[0])[0] for i in range(size)]).all()
    if size == 1000:
        assert (one != other).mean() > 0.98
        assert abs(np.corrcoef(one, np.arange(size))[0, 1]) < 0.1 > abs(np.corrcoef(one[1:], one[:-1])[0, 1])


def test_an_epoch_too_long_to_be_shuffled_takes_every_example_too(monkeypatch):
    monkeypatch.setattr("cr_jax.data.examples.batches.SHUFFLED", 50)
    batches = Batches(pool(), 8, seed=5)
    first, second = ([batches[epoch * batches.per_epoch + i]["rows"] for i in range(batches.per_epoch)] for epoch in (0, 1))
    assert set(np.concatenate(first)) == set(np.concatenate(second)) == set(range(103))
    assert all(len(rows) == 8 for rows in first)
    assert any((a != b).any() for a, b in zip(first, second, strict=True))
    again = Batches(pool(), 8, seed=5)
    assert all((again[i]["rows"] == rows).all() for i, rows in reversed(list(enumerate(first))))
    assert all(pool().lengths[row][0] <= batches[i]["shape"][0] for i in range(batches.per_epoch) for row in first[i])
