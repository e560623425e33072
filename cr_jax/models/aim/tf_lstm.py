"""TensorFlow's ``LSTMCell`` (gates i, j, f, o; forget bias +1 at run time; 4H biases), as AIM uses it.

The public kernel is one matrix on ``[input, h]``. Here its rows are used in parts: inputs that are known
before the loop are multiplied once, outside it; only ``h`` times its H rows stays in ``lax.scan``.

Axes: B batch, T steps, I input size, N part of the input, H units, G = 4H gates.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from cr_jax.nn.module import Module, scoped

#: ``(c, h)``, the order of TensorFlow's state tuple.
State = tuple[Float[Array, "B H"], Float[Array, "B H"]]

FORGET_BIAS = 1.0


class LSTMCell(Module):
    """The cell and its loop over projected inputs. ``kernel`` [I+H, 4H], ``bias`` [4H]."""

    def __init__(self, inputs: int, hidden: int, rngs: nnx.Rngs) -> None:
        glorot = jax.nn.initializers.glorot_uniform()
        self.inputs, self.hidden = inputs, hidden
        self.kernel = nnx.Param(glorot(rngs.params(), (inputs + hidden, 4 * hidden)))
        self.bias = nnx.Param(jnp.zeros(4 * hidden))

    @scoped
    def project(self, x: Float[Array, "*rest N"], first_row: int = 0) -> Float[Array, "*rest G"]:
        """The terms of input features ``first_row`` to ``first_row + N - 1`` in the gates."""
        return x @ self.kernel[...][first_row : first_row + x.shape[-1]]

    @scoped
    def first(self, c: Float[Array, "B H"], gates: Float[Array, "B G"]) -> State:
        """The step from ``h = 0``: no recurrent product. ``gates`` includes the bias."""
        return _activate(c, gates)

    @scoped
    def step(self, state: State, gates: Float[Array, "B G"]) -> State:
        """One step; ``gates`` has every term, bias included, except the recurrent product."""
        c, h = state
        return _activate(c, gates + h @ self.kernel[...][self.inputs :])

    @scoped
    def run(self, state: State, gates: Float[Array, "T B G"]) -> Float[Array, "T B H"]:
        """The outputs ``h`` of T steps whose inputs are all known."""
        recurrent = self.kernel[...][self.inputs :]

        def body(carry: State, known: Float[Array, "B G"]) -> tuple[State, Float[Array, "B H"]]:
            carry = _activate(carry[0], known + carry[1] @ recurrent)
            return carry, carry[1]

        return jax.lax.scan(body, state, gates)[1]


def _activate(c: Float[Array, "B H"], gates: Float[Array, "B G"]) -> State:
    i, j, f, o = jnp.split(gates, 4, axis=-1)
    c = jax.nn.sigmoid(f + FORGET_BIAS) * c + jax.nn.sigmoid(i) * jnp.tanh(j)
    return c, jax.nn.sigmoid(o) * jnp.tanh(c)
