"""TensorFlow's Adam, which is not ``optax.adam``, and the learning-rate decay that goes with it.

``lr_t = lr·√(1−β2^t)/(1−β1^t)``, ``θ −= lr_t·m/(√v + ε)``: ε is added to the *uncorrected* √v, so
it weighs more in the first steps than Optax's ε on the corrected one.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PyTree

from cr_jax.errors import BadConfig

#: A learning rate as a function of an explicitly passed count of optimizer steps.
Schedule = Callable[[Int[Array, ""]], Float[Array, ""]]


class TfAdamState(NamedTuple):
    """Steps taken by this optimizer, and the running means of the gradient and of its square."""

    count: Int[Array, ""]
    mu: PyTree
    nu: PyTree


def tf_adam(
    learning_rate: float | Schedule, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8
) -> optax.GradientTransformationExtraArgs:
    """Adam as ``tf.train.AdamOptimizer`` computes it.

    learning_rate: a number, or a function of the keyword ``counter`` given to ``update`` (int32
    scalar, counted by the caller: it may be shared by several optimizers and is not this
    optimizer's own step count). Raises ``BadConfig`` when a schedule gets no ``counter``.
    """
    # TensorFlow holds β in float32; 1 − 0.999 then differs by 1.3e-5 of its value.
    b1, b2 = float(np.float32(b1)), float(np.float32(b2))

    def init(params: PyTree) -> TfAdamState:
        zeros = jax.tree.map(jnp.zeros_like, params)
        return TfAdamState(jnp.zeros([], jnp.int32), zeros, jax.tree.map(jnp.zeros_like, params))

    def update(
        updates: PyTree, state: PyTree, params: PyTree = None, *, counter: Int[Array, ""] | None = None, **_: object
    ) -> tuple[PyTree, TfAdamState]:
        del params
        if not callable(learning_rate):
            rate = learning_rate
        elif counter is None:
            raise BadConfig("tf_adam with a schedule was given counter=None; legal: the count of steps so far")
        else:
            rate = learning_rate(counter)
        count = jnp.asarray(optax.safe_increment(state.count))
        t = count.astype(jnp.float32)
        scale = rate * jnp.sqrt(1 - b2**t) / (1 - b1**t)
        mu = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, state.mu, updates)
        nu = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * jnp.square(g), state.nu, updates)
        deltas = jax.tree.map(lambda m, v: -(scale.astype(m.dtype) * m / (jnp.sqrt(v) + eps)), mu, nu)
        return deltas, TfAdamState(count, mu, nu)

    return optax.GradientTransformationExtraArgs(init, update)


def exponential_decay(learning_rate: float, rate: float, steps: int) -> Schedule:
    """``learning_rate · rate^(counter/steps)``, continuous as TensorFlow's is unless told otherwise."""
    return lambda counter: learning_rate * rate ** (counter.astype(jnp.float32) / steps)
