"""AutoRec: shapes of its layers, the masked loss, the random-noise inputs."""

import itertools
import math
from collections import Counter

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cr_jax.errors import BadConfig
from cr_jax.models.srnn_ae.autorec import AutoRec, layer_sizes, noise_inputs, reconstruction_loss


def test_two_layers_by_hand_in_float64():
    model = AutoRec(4, (3, 2), "relu", "sigmoid", rngs=nnx.Rngs(0))
    rng = np.random.default_rng(0)
    x, context = rng.uniform(size=(5, 4)), rng.normal(size=(5, 2))

    def linear(layer, x):
        return x @ np.asarray(layer.kernel[...], np.float64) + np.asarray(layer.bias[...], np.float64)

    hidden = np.maximum(linear(model.encoder[0], x), 0)
    user = np.maximum(linear(model.encoder[1], hidden) + context, 0)
    raw = model.raw(jnp.asarray(x, jnp.float32), jnp.asarray(context, jnp.float32))
    np.testing.assert_allclose(raw, linear(model.decoder, user), atol=1e-6)
    plain = linear(model.decoder, np.maximum(linear(model.encoder[1], hidden), 0))
    np.testing.assert_allclose(model(jnp.asarray(x, jnp.float32)), 1 / (1 + np.exp(-plain)), atol=1e-6)


def test_a_first_bias_starts_every_rating_at_its_logistic():
    plain, moved = (AutoRec(7, (3,), "sigmoid", "sigmoid", bias, rngs=nnx.Rngs(0)) for bias in (0.0, float(np.log(0.9 / 0.1))))
    np.testing.assert_allclose(moved.decoder.bias[...] - plain.decoder.bias[...], np.log(9), rtol=1e-6)
    np.testing.assert_array_equal(moved.decoder.kernel[...], plain.decoder.kernel[...])
    moved.decoder.kernel[...] *= 0
    moved.decoder.bias[...] = moved.decoder.bias[...] - plain.decoder.bias[...]
    np.testing.assert_allclose(moved(jnp.ones((2, 7))), 0.9, rtol=1e-6)


def test_loss_sums_over_observed_targets_only():
    output = jnp.array([[0.5, 9.0], [0.0, 1.0]])
    target = jnp.array([[1.0, -1.0], [0.0, 0.5]])
    loss, observed = reconstruction_loss(output, target)
    assert float(loss) == 0.5**2 + 0.0 + 0.5**2
    assert int(observed) == 3


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


@pytest.mark.parametrize("text", ["", "0", "12,", "a"])
def test_bad_layer_sizes_are_refused(text):
    with pytest.raises(BadConfig, match="autorec_layers"):
        layer_sizes(text)


def test_sizes_and_activations_are_read():
    assert layer_sizes("1000, 500") == (1000, 500)
    with pytest.raises(BadConfig, match=r"autorec_g='tanh'.*sigmoid"):
        AutoRec(2, (2,), "relu", "tanh", rngs=nnx.Rngs(0))
