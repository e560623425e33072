"""Losses against a teacher: Hinton et al., Distilling the Knowledge in a Neural Network, arXiv 1503.02531."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def divergence(student: Float[Array, "B K"], teacher: Float[Array, "B K"], temperature: float) -> Float[Array, ""]:
    """``T² · KL(teacher ‖ student)`` between the softmax of logits over T, a mean over rows.

    T² keeps the size of the gradient, which falls with 1/T².
    """
    ours, theirs = (jax.nn.log_softmax(x.astype(jnp.float32) / temperature, axis=-1) for x in (student, teacher))
    return temperature**2 * jnp.mean(jnp.sum(jnp.exp(theirs) * (theirs - ours), axis=-1))


def mean_logits(teachers: Sequence[Float[Array, "B K"]], temperature: float) -> Float[Array, "B K"]:
    """Logits whose softened softmax is the mean of the teachers' softened probabilities; one teacher's own as they are."""
    if len(teachers) == 1:
        return teachers[0]
    softened = jnp.stack([jax.nn.log_softmax(x.astype(jnp.float32) / temperature, axis=-1) for x in teachers])
    return temperature * (jax.nn.logsumexp(softened, axis=0) - jnp.log(float(len(teachers))))


def mean_over(losses: Float[Array, "B"], supervised: Float[Array, "B"] | None) -> Float[Array, ""]:
    """The mean of the losses where ``supervised`` is 1, not 0; 0 where it is nowhere. ``None``: of all."""
    if supervised is None:
        return jnp.mean(losses)
    counted = supervised.astype(losses.dtype)
    return jnp.sum(losses * counted) / jnp.maximum(jnp.sum(counted), 1)
