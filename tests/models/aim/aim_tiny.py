"""A tiny AIM, and inputs for it."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from cr_jax.models.aim import model as aim

TINY = aim.Config(
    items=7, words=31, embedding=6, features=5, filter=3, hidden=4, score_features=8, noise=2, max_words=9, softargmax_scale=50.0
)


B, ITEMS = 3, 7


def filled(config: aim.Config) -> aim.AIM:
    """A model with weights large enough that words and scores differ."""
    graph, state = nnx.split(nnx.eval_shape(lambda: aim.build(config, nnx.Rngs(0))))
    rng = np.random.default_rng(6)
    return nnx.merge(graph, jax.tree.map(lambda w: jnp.asarray(rng.normal(size=w.shape) / 2, w.dtype), state))


def ids(seed: int, *shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).integers(2, TINY.words, shape), jnp.int32)


def noise(seed: int, users: int = B) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).uniform(-1, 1, (users, TINY.noise)), jnp.float32)


def pair() -> dict[str, jax.Array]:
    return {"source": ids(0, B, TINY.source_words), "target": ids(1, B, TINY.target_words)}


def gradient(model, objective):
    """The gradient of the objective's cost of :func:`pair` as a function of the trained weights, and them."""
    graph, trained, rest = nnx.split(model, objective.trains, ...)

    def cost(w):
        return objective.loss(nnx.merge(graph, w, rest), pair(), jax.random.key(0))[0]

    return jax.jit(jax.grad(cost)), trained
