"""Mixtures of experts: dispatch by one-hot products, by capacity, by ragged groups, and every expert on everything."""

import jax
import jax.numpy as jnp
from jax import lax

from battery.program import Program, array, product

TOKENS, WIDTH, HIDDEN, EXPERTS, CAPACITY = 24, 8, 16, 4, 6


def _experts():
    return {"router": array(WIDTH, EXPERTS), "up": array(EXPERTS, WIDTH, HIDDEN), "down": array(EXPERTS, HIDDEN, WIDTH)}


_ROUTER = product(TOKENS, WIDTH, EXPERTS)
_X = array(TOKENS, WIDTH)


def _switch(w, x):
    gates = jax.nn.softmax(x @ w["router"])
    chosen = jax.nn.one_hot(jnp.argmax(gates, -1), EXPERTS)
    place = ((jnp.cumsum(chosen, 0) - 1) * chosen).sum(-1).astype(jnp.int32)
    dispatch = chosen[:, :, None] * jax.nn.one_hot(place, CAPACITY)[:, None]
    inside = jnp.einsum("tec,td->ecd", dispatch, x)
    inside = jax.nn.relu(jnp.einsum("ecd,edh->ech", inside, w["up"]))
    inside = jnp.einsum("ech,ehd->ecd", inside, w["down"])
    return jnp.einsum("tec,ecd->td", dispatch * gates.max(-1)[:, None, None], inside)


_DISPATCH = product(TOKENS, EXPERTS * CAPACITY, WIDTH)
_INSIDE = 2 * product(EXPERTS * CAPACITY, WIDTH, HIDDEN)


def switch_with_capacity() -> Program:
    return Program(_switch, (_experts(), _X), _ROUTER + 2 * _DISPATCH + _INSIDE)


def gradient_of_switch() -> Program:
    """Two gradients of each product, but the tokens are data and the dispatch mask has no gradient: the router and the experts'
    first product have one, the dispatch none.
    """
    forward = _ROUTER + 2 * _DISPATCH + _INSIDE
    backward = _ROUTER + 3 * _INSIDE // 2 + 2 * _DISPATCH
    return Program(jax.grad(lambda w, x: jnp.sum(_switch(w, x) ** 2)), (_experts(), _X), forward + backward)


def every_expert_on_every_token() -> Program:
    def mix(w, x):
        gates = jax.nn.softmax(x @ w["router"])
        results = jax.vmap(lambda up, down: jax.nn.relu(x @ up) @ down)(w["up"], w["down"])
        return jnp.einsum("te,etd->td", gates, results)

    return Program(
        mix, (_experts(), _X), _ROUTER + EXPERTS * (2 * product(TOKENS, WIDTH, HIDDEN)) + product(TOKENS, EXPERTS, WIDTH)
    )


def ragged_groups_of_tokens() -> Program:
    """Without a kernel for ragged groups, XLA multiplies every token with every expert's weights, and masks."""

    def mix(w, x):
        expert = jnp.argmax(x @ w["router"], -1)
        order = jnp.argsort(expert)
        sizes = jnp.bincount(expert, length=EXPERTS).astype(jnp.int32)
        inside = jax.nn.relu(lax.ragged_dot(x[order], w["up"], sizes))
        return lax.ragged_dot(inside, w["down"], sizes)[jnp.argsort(order)]

    return Program(mix, (_experts(), _X), _ROUTER + EXPERTS * 2 * product(TOKENS, WIDTH, HIDDEN))


def two_experts_by_gathered_weights() -> Program:
    """The gates weigh the experts' results in a product of its own."""

    def mix(w, x):
        gates, chosen = lax.top_k(jax.nn.softmax(x @ w["router"]), 2)
        inside = jax.nn.relu(jnp.einsum("td,tkdh->tkh", x, w["up"][chosen]))
        return jnp.einsum("tkh,tkhd,tk->td", inside, w["down"][chosen], gates)

    return Program(mix, (_experts(), _X), _ROUTER + 2 * 2 * product(TOKENS, WIDTH, HIDDEN) + product(TOKENS, 2, WIDTH))
