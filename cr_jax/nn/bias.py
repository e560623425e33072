"""The bias of a layer, broadcast explicitly: JAX's implicit rank promotion is an error in the tests."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def add_bias(x: Float[Array, "*B N"], bias: Float[Array, "N"]) -> Float[Array, "*B N"]:
    """``x + bias`` at every position of ``x``."""
    return x + jnp.expand_dims(bias, range(x.ndim - 1))
