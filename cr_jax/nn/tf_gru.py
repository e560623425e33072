"""TensorFlow's ``GRUCell`` and ``dynamic_rnn``, as DMN, MMN and PMMN use them.

``[r, u] = σ([x, h]·K + b)``, ``c = tanh([x, r⊙h]·Kc + bc)`` (reset *before* the matmul),
``h' = u⊙h + (1−u)⊙c``: one bias per gate, 3H in all. The input halves of both kernels are applied
to all steps in one matmul outside the loop; inside it remain ``h·U`` for both gates and
``(r⊙h)·Uc`` for the candidate. Letters: B batch, T steps, E inputs, H hidden.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from cr_jax.nn.bias import add_bias
from cr_jax.nn.module import Module, PublicNames, scoped
from cr_jax.nn.quantised import beside

glorot = nnx.initializers.glorot_uniform()


def until(lengths: Int[Array, "B"], steps: int) -> Bool[Array, "B T"]:
    """True at the first ``lengths[b]`` of ``steps`` positions."""
    ends = lengths[:, None]
    return jnp.arange(steps)[None] < ends


class GRU(Module):
    """One GRU layer; the kernels keep TensorFlow's layout, rows input then state, columns r then u.

    Matmul FLOPs: ``6EH`` per input row and ``6H²`` per step and example.
    """

    def __init__(self, inputs: int, hidden: int, rngs: nnx.Rngs) -> None:
        self.inputs, self.hidden = inputs, hidden
        self.gates_kernel = nnx.Param(glorot(rngs.params(), (inputs + hidden, 2 * hidden)))
        self.gates_bias = nnx.Param(jnp.ones(2 * hidden))
        self.candidate_kernel = nnx.Param(glorot(rngs.params(), (inputs + hidden, hidden)))
        self.candidate_bias = nnx.Param(jnp.zeros(hidden))

    def __call__(
        self, x: Float[Array, "B T E"], valid: Bool[Array, "B T"], state: Float[Array, "B H"]
    ) -> tuple[Float[Array, "B T H"], Float[Array, "B H"]]:
        """Outputs at every step and the last state. Where ``valid`` is false the output is zero
        and the state is kept, as in ``dynamic_rnn`` past the length.
        """
        return self._unroll(self._project(_by_time(x)), _by_time(valid), state)

    @scoped
    def unroll(
        self, projected: Float[Array, "B T 3*{self.hidden}"], valid: Bool[Array, "B T"], state: Float[Array, "B H"]
    ) -> tuple[Float[Array, "B T H"], Float[Array, "B H"]]:
        """Like a call, on inputs that :meth:`project` has projected."""
        return self._unroll(_by_time(projected), _by_time(valid), state)

    def _unroll(self, projected, valid, state):
        advance = self._advance()

        def body(h, step):
            inputs, on = step
            new = advance(inputs, h)
            return jnp.where(on, new, h), jnp.where(on, new, 0)

        state, outputs = jax.lax.scan(body, state, (projected, valid[..., None]))
        return _by_time(outputs), state

    @scoped
    def last(self, x: Float[Array, "B T E"], valid: Bool[Array, "B T"], state: Float[Array, "B H"]) -> Float[Array, "B H"]:
        """The state after the valid steps, when no output is needed."""
        advance = self._advance()

        def body(h, step):
            projected, on = step
            return jnp.where(on, advance(projected, h), h), None

        steps = (self._project(_by_time(x)), _by_time(valid)[..., None])
        return jax.lax.scan(body, state, steps)[0]

    @scoped
    def step(self, x: Float[Array, "*B E"], state: Float[Array, "*S H"]) -> Float[Array, "*B H"]:
        """One step for every row; a state shared by several rows may have axes of size 1."""
        return self._advance()(self._project(x), state)

    @scoped
    def project(self, x: Float[Array, "*B E"]) -> Float[Array, "*B 3*{self.hidden}"]:
        """The terms of r, u and c that do not depend on the state: the input half, with biases."""
        return self._project(x)

    @scoped
    def gated(
        self, projected: Float[Array, "B T 3*{self.hidden}"], gate: Float[Array, "B T"], state: Float[Array, "B H"]
    ) -> Float[Array, "B H"]:
        """The state after ``h = g·GRU(x, h) + (1−g)·h`` over all steps (DMN's episode)."""
        advance = self._advance()

        def body(h, step):
            inputs, g = step
            return g * advance(inputs, h) + (1 - g) * h, None

        return jax.lax.scan(body, state, (_by_time(projected), _by_time(gate)[..., None]))[0]

    def zeros(self, batch: int) -> Float[Array, "B H"]:
        """The state before the first step, in the weights' type."""
        return jnp.zeros((batch, self.hidden), self.dtype)

    @property
    def dtype(self) -> jnp.dtype:
        """The type of the states."""
        return self.gates_kernel.dtype

    def _project(self, x):
        e = self.inputs
        kernel = beside([self.gates_kernel[:e], self.candidate_kernel[:e]])
        return add_bias(x @ kernel, jnp.concatenate([self.gates_bias[...], self.candidate_bias[...]]))

    def _advance(self):
        gates, candidate = self.gates_kernel[self.inputs :], self.candidate_kernel[self.inputs :]
        both = 2 * self.hidden

        def advance(projected, h):
            r, u = jnp.split(jax.nn.sigmoid(projected[..., :both] + h @ gates), 2, axis=-1)
            c = jnp.tanh(projected[..., both:] + (r * h) @ candidate)
            return u * h + (1 - u) * c

        return advance


def _by_time(x: Array) -> Array:
    """Batch-major to time-major and back."""
    return x.swapaxes(0, 1)


def gru_names(theirs: str, ours: str) -> PublicNames:
    """Public variable names under the scope ``theirs`` -> path under ``ours``, and no conversion."""
    return {
        f"{theirs}/{part}/{leaf}": (f"{ours}.{part}_{leaf}", lambda w: w)
        for part in ("gates", "candidate")
        for leaf in ("kernel", "bias")
    }


def fact_states(outputs: Float[Array, "B T H"], ends: Int[Array, "B F"]) -> Float[Array, "B F H"]:
    """The outputs at the sentence ends, zero vectors in padded slots.

    ends: word index of each sentence end, right-padded with 0. As in the public code the number of
    facts is the count of ends that are not 0, and the *first* that many slots are read: a sentence
    that ends at index 0 is read and the last one is not, whose state is zero anyway.
    """
    used = until(jnp.sum(ends != 0, axis=1), ends.shape[1])
    picked = jnp.take_along_axis(outputs, ends[..., None], axis=1)
    return jnp.where(used[..., None], picked, 0)
