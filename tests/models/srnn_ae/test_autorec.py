"""AutoRec: shapes of its layers, and the masked loss."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cr_jax.errors import BadConfig
from cr_jax.models.srnn_ae.autorec import AutoRec, reconstruction_loss
from cr_jax.models.srnn_ae.config import layer_sizes


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


@pytest.mark.parametrize("text", ["", "0", "12,", "a"])
def test_bad_layer_sizes_are_refused(text):
    with pytest.raises(BadConfig, match="autorec_layers"):
        layer_sizes(text)


def test_sizes_and_activations_are_read():
    assert layer_sizes("1000, 500") == (1000, 500)
    with pytest.raises(BadConfig, match=r"autorec_g='tanh'.*sigmoid"):
        AutoRec(2, (2,), "relu", "tanh", rngs=nnx.Rngs(0))
