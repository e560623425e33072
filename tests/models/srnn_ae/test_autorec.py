"""AutoRec: shapes of its layers, and the masked loss."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cr_jax.errors import BadConfig
from cr_jax.models.layer_counts import low_rank
from cr_jax.models.srnn_ae.autorec import AutoRec, reconstruction_loss
from cr_jax.models.srnn_ae.config import Config, layer_sizes
from cr_jax.targets.jaxpr import count_jaxpr


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


def test_a_low_rank_model_by_hand():
    """Both of the matrices with a row or column per item, and no other, are products of two; biases stay."""
    items, sizes, rank = 9, (6, 5), 2
    model = AutoRec(items, sizes, "relu", "identity", item_rank=rank, rngs=nnx.Rngs(0))
    full = AutoRec(items, sizes, "relu", "identity", rngs=nnx.Rngs(0))
    weights, before = (sum(leaf.size for leaf in jax.tree.leaves(nnx.state(m, nnx.Param))) for m in (model, full))
    assert before - weights == items * 6 - low_rank(items, 6, rank) + 5 * items - low_rank(5, items, rank)
    for low, whole in ((model.encoder[0], full.encoder[0]), (model.decoder, full.decoder)):
        whole.kernel[...], whole.bias[...] = jnp.asarray(low.kernel.dense()), low.bias[...]
    full.encoder[1].kernel[...], full.encoder[1].bias[...] = model.encoder[1].kernel[...], model.encoder[1].bias[...]
    x = jnp.asarray(np.random.default_rng(1).uniform(size=(4, items)), jnp.float32)
    with jax.default_matmul_precision("highest"):
        np.testing.assert_allclose(model(x), full(x), atol=1e-5)
    counted, matrices = (
        count_jaxpr(jax.make_jaxpr(lambda x: model(x))(x)),
        low_rank(items, 6, rank) + 6 * 5 + low_rank(5, items, rank),
    )
    assert counted.matmul_flops == 2 * 4 * matrices


@pytest.mark.parametrize(("layers", "legal"), [("4", "1 to 3"), ("4,2", "1 to 1"), ("1", "none")])
def test_a_rank_that_saves_nothing_is_refused(layers, legal):
    with pytest.raises(BadConfig, match=rf"item_rank=4: is not below .* legal: {legal}"):
        Config(items=9, autorec_layers=layers, item_rank=4)
    assert Config(items=9, autorec_layers="5,5", item_rank=4).item_rank == 4


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


@pytest.mark.parametrize("text", ["", "0", "12,", "a"])
def test_bad_layer_sizes_are_refused(text):
    with pytest.raises(BadConfig, match="autorec_layers"):
        layer_sizes(text)


def test_sizes_and_activations_are_read():
    assert layer_sizes("1000, 500") == (1000, 500)
    with pytest.raises(BadConfig, match=r"autorec_g='tanh'.*sigmoid"):
        AutoRec(2, (2,), "relu", "tanh", rngs=nnx.Rngs(0))
