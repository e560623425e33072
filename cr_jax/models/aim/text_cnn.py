"""The three-layer text CNN of AIM: [f, E] stride 2, ReLU, [f] stride 2, ReLU, full width, tanh.

No padding anywhere (VALID), so the widths follow from the number of words alone (:func:`widths`).

Axes: B batch, L words, E embedding, K kernel width, D input and O output channels.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from cr_jax.nn.module import Module

STRIDE = 2


def widths(length: int, kernel: int) -> tuple[int, int]:
    """Positions after the first and after the second convolution; below 1 means impossible."""
    first = (length - kernel) // STRIDE + 1
    return first, (first - kernel) // STRIDE + 1


def misfit(words: int, kernel: int) -> str | None:
    """Why texts of at most ``words`` words do not fit the CNN, with legal numbers; ``None`` if they do.

    A source is padded with kernel - 1 zeros on both sides. A synthetic text is one step longer and
    must come to the same width, or the full-width convolution would leave two positions.
    """
    if _fits(words, kernel):
        return None
    length = words + 2 * (kernel - 1)
    first, second = widths(length, kernel)
    problem = (
        f"the second convolution needs {kernel} positions, the first leaves {first}"
        if second < 1
        else f"a source comes to {second} positions after two convolutions, a synthetic text to {second + 1}"
    )
    fits = [n for n in range(1, words + 4 * kernel + 8) if _fits(n, kernel)]
    near = sorted(sorted(fits, key=lambda n: abs(n - words))[:3])
    return f"{problem}; legal: such as {', '.join(map(str, near))}"


def _fits(words: int, kernel: int) -> bool:
    length = words + 2 * (kernel - 1)
    second = widths(length, kernel)[1]
    return second >= 1 and widths(length + 1, kernel)[1] == second


class Convolution(Module):
    """A convolution over words with bias. ``kernel`` [K, D, O], ``bias`` [O]."""

    def __init__(self, width: int, inputs: int, outputs: int, stride: int, init: Callable[..., Array], rngs: nnx.Rngs):
        self.stride = stride
        self.kernel = nnx.Param(init(rngs.params(), (width, inputs, outputs)))
        self.bias = nnx.Param(jnp.zeros(outputs))

    def __call__(self, x: Float[Array, "B L D"]) -> Float[Array, "B P O"]:
        y = jax.lax.conv_general_dilated(x, self.kernel[...], (self.stride,), "VALID", dimension_numbers=("NWC", "WIO", "NWC"))
        return y + self.bias[...][None, None]


class TextCNN(Module):
    """Word vectors to one vector per text.

    ``length`` is the number of words the last kernel is cut for; a text with more words is taken
    if it comes to the same width after the second convolution.
    """

    def __init__(self, length: int, kernel: int, embedding: int, features: int, outputs: int, rngs: nnx.Rngs):
        small = _uniform(1e-3)
        glorot = jax.nn.initializers.glorot_uniform()
        self.conv1 = Convolution(kernel, embedding, features, STRIDE, small, rngs)
        self.conv2 = Convolution(kernel, features, 2 * features, STRIDE, glorot, rngs)
        self.conv3 = Convolution(widths(length, kernel)[1], 2 * features, outputs, 1, glorot, rngs)

    def __call__(self, x: Float[Array, "B L E"]) -> Float[Array, "B O"]:
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


def cnn_names(theirs: str, ours: str) -> dict[str, tuple[str, Any]]:
    """Public TensorFlow names of a :class:`TextCNN` at ``ours``: path and conversion.

    Theirs are two-dimensional convolutions with an axis of 1.
    """
    names: dict[str, tuple[str, Any]] = {
        f"{theirs}H1_3/weights": (f"{ours}.conv1.kernel", lambda w: w[:, :, 0]),
        f"{theirs}H2_3/weights": (f"{ours}.conv2.kernel", lambda w: w[:, 0]),
        f"{theirs}H3_3/weights": (f"{ours}.conv3.kernel", lambda w: w[:, 0]),
    }
    return names | {f"{theirs}H{i}_3/biases": (f"{ours}.conv{i}.bias", lambda w: w) for i in (1, 2, 3)}
