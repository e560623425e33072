"""The three-layer text CNN of AIM: [f, E] stride 2, ReLU, [f] stride 2, ReLU, full width, tanh.

No padding anywhere (VALID), so the widths follow from the number of words alone (:func:`widths`).

Axes: B batch, L words, E embedding, K kernel width, D input and O output channels.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from cr_jax.models.aim.cnn_widths import STRIDE, widths
from cr_jax.nn.module import Module, PublicNames


class Convolution(Module):
    """A convolution over words with bias. ``kernel`` [K, D, O], ``bias`` [O]."""

    def __init__(self, width: int, inputs: int, outputs: int, stride: int, init: Callable[..., Array], rngs: nnx.Rngs) -> None:
        self.stride = stride
        self.kernel = nnx.Param(init(rngs.params(), (width, inputs, outputs)))
        self.bias = nnx.Param(jnp.zeros(outputs))

    def __call__(self, x: Float[Array, "B L D"]) -> Float[Array, "B P O"]:
        """The convolution at its P positions."""
        y = jax.lax.conv_general_dilated(x, self.kernel[...], (self.stride,), "VALID", dimension_numbers=("NWC", "WIO", "NWC"))
        return y + self.bias[...][None, None]


class TextCNN(Module):
    """Word vectors to one vector per text.

    ``length`` is the number of words that the last kernel spans. A text with more words is legal
    if it has the same width after the second convolution.
    """

    def __init__(self, length: int, kernel: int, embedding: int, features: int, outputs: int, rngs: nnx.Rngs) -> None:
        small = _uniform(1e-3)
        glorot = jax.nn.initializers.glorot_uniform()
        self.conv1 = Convolution(kernel, embedding, features, STRIDE, small, rngs)
        self.conv2 = Convolution(kernel, features, 2 * features, STRIDE, glorot, rngs)
        self.conv3 = Convolution(widths(length, kernel)[1], 2 * features, outputs, 1, glorot, rngs)

    def __call__(self, x: Float[Array, "B L E"]) -> Float[Array, "B O"]:
        """One vector per text of L words."""
        x = jax.nn.relu(self.conv1(x))
        x = jax.nn.relu(self.conv2(x))
        x = jnp.tanh(self.conv3(x))
        assert x.shape[1] == 1, f"{x.shape[1]} positions left, the configuration promised 1"
        return x[:, 0]


def _uniform(bound: float) -> Callable[..., Array]:
    """The public ``random_uniform_initializer(-bound, bound)``."""

    def init(key: Array, shape: tuple[int, ...]) -> Array:
        return jax.random.uniform(key, shape, minval=-bound, maxval=bound)

    return init


def cnn_names(theirs: str, ours: str) -> PublicNames:
    """Public TensorFlow names of a :class:`TextCNN` at ``ours``: path and conversion.

    Theirs are two-dimensional convolutions with an axis of 1.
    """
    names: PublicNames = {
        f"{theirs}H1_3/weights": (f"{ours}.conv1.kernel", lambda w: w[:, :, 0]),
        f"{theirs}H2_3/weights": (f"{ours}.conv2.kernel", lambda w: w[:, 0]),
        f"{theirs}H3_3/weights": (f"{ours}.conv3.kernel", lambda w: w[:, 0]),
    }
    return names | {f"{theirs}H{i}_3/biases": (f"{ours}.conv{i}.bias", lambda w: w) for i in (1, 2, 3)}
