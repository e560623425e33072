"""The text CNN against explicit sums in float64, and the arithmetic of its widths."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cr_jax.models.aim.cnn_widths import misfit, widths
from cr_jax.models.aim.text_cnn import TextCNN

B, E, F, OUT = 2, 4, 3, 5


def convolved(x, layer, stride):
    """Every output position as an explicit sum over the window, without padding."""
    kernel, bias = np.asarray(layer.kernel[...], np.float64), np.asarray(layer.bias[...], np.float64)
    width = kernel.shape[0]
    starts = range(0, x.shape[1] - width + 1, stride)
    return np.stack([np.einsum("bkd,kdo->bo", x[:, s : s + width], kernel) + bias for s in starts], axis=1)


@pytest.mark.parametrize(("words", "filter"), [(9, 3), (49, 5), (13, 4)])
def test_values_and_widths(words, filter):
    length = words + 2 * (filter - 1)
    rng = np.random.default_rng(1)
    graph, state = nnx.split(nnx.eval_shape(lambda: TextCNN(length, filter, E, F, OUT, nnx.Rngs(0))))
    cnn = nnx.merge(graph, jax.tree.map(lambda w: jnp.asarray(rng.normal(size=w.shape) / 3, w.dtype), state))
    for size in (length, length + 1):  # a synthetic text is one step longer
        x = rng.normal(size=(B, size, E)).astype(np.float32)
        one = np.maximum(convolved(x.astype(np.float64), cnn.conv1, 2), 0)
        two = np.maximum(convolved(one, cnn.conv2, 2), 0)
        three = np.tanh(convolved(two, cnn.conv3, 1))
        assert (one.shape[1], two.shape[1]) == widths(size, filter)
        assert two.shape[2] == 2 * F and three.shape == (B, 1, OUT)
        np.testing.assert_allclose(jax.jit(cnn)(jnp.asarray(x)), three[:, 0], atol=1e-5)


def test_public_widths():
    assert widths(57, 5) == (27, 12)
    assert misfit(49, 5) is None


@pytest.mark.parametrize(
    ("words", "filter", "reason"),
    [
        (10, 3, "comes to 2 positions after two convolutions, a synthetic text to 3"),
        (1, 3, "the second convolution needs 3 positions, the first leaves 2"),
    ],
)
def test_what_does_not_fit_is_told_with_what_does(words, filter, reason):
    problem = misfit(words, filter)
    assert problem is not None and reason in problem
    for near in problem.split("such as ")[1].split(", "):
        assert misfit(int(near), filter) is None


def test_misfit_agrees_with_counting_positions():
    def positions(length, filter):
        first = len(range(0, length - filter + 1, 2))
        return len(range(0, first - filter + 1, 2))

    for filter in range(1, 7):
        for words in range(1, 40):
            length = words + 2 * (filter - 1)
            fits = 0 < positions(length, filter) == positions(length + 1, filter)
            assert (misfit(words, filter) is None) == fits
