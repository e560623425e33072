"""Training steps with optimizers, of which some multiply matrices themselves."""

import jax
import jax.numpy as jnp
import optax
from jax import lax

from battery.program import Program, array, product

BATCH, INPUT, HIDDEN, OUTPUT = 6, 5, 8, 3
_X, _Y = array(BATCH, INPUT), array(BATCH, OUTPUT)
_WEIGHTS = {"first": array(INPUT, HIDDEN), "second": array(HIDDEN, OUTPUT)}
_FIRST, _SECOND = product(BATCH, INPUT, HIDDEN), product(BATCH, HIDDEN, OUTPUT)
_FORWARD = _FIRST + _SECOND
#: The data have no gradient.
_GRADIENT = _FORWARD + _FIRST + 2 * _SECOND


def _loss(w, x, y):
    return jnp.mean((jnp.tanh(x @ w["first"]) @ w["second"] - y) ** 2)


def _step(optimizer):
    def step(w, state, x, y):
        gradient = jax.grad(_loss)(w, x, y)
        updates, state = optimizer.update(gradient, state, w)
        return optax.apply_updates(w, updates), state

    return step, (_WEIGHTS, jax.eval_shape(optimizer.init, _WEIGHTS), _X, _Y)


def adam() -> Program:
    return Program(*_step(optax.adamw(1e-3)), _GRADIENT)


def adafactor() -> Program:
    return Program(*_step(optax.adafactor(1e-3)), _GRADIENT)


def accumulated_over_microbatches() -> Program:
    parts = 3

    def step(w, x, y):
        def add(total, part):
            return jax.tree.map(jnp.add, total, jax.grad(_loss)(w, *part)), None

        zero = jax.tree.map(jnp.zeros_like, w)
        total, _ = lax.scan(add, zero, (x.reshape(parts, -1, INPUT), y.reshape(parts, -1, OUTPUT)))
        return jax.tree.map(lambda w, g: w - 0.1 * g / parts, w, total)

    return Program(step, (_WEIGHTS, _X, _Y), _GRADIENT)


def _inverse_root(matrix, steps):
    """A coupled Newton iteration, as Shampoo has it: two products of matrices a step."""

    def once(_, state):
        m, h = state
        t = 1.5 * jnp.eye(len(m)) - 0.5 * m
        return t @ t @ m, h @ t

    return lax.fori_loop(0, steps, once, (matrix, jnp.eye(len(matrix))))[1]


def shampoo() -> Program:
    """Statistics of both sides of the gradient, their roots, and the gradient between them."""
    steps = 4

    def step(w, x, y):
        g = jax.grad(_loss)(w, x, y)["first"]
        left, right = _inverse_root(g @ g.T, steps), _inverse_root(g.T @ g, steps)
        return w["first"] - 0.1 * (left @ g @ right)

    statistics = product(INPUT, HIDDEN, INPUT) + product(HIDDEN, INPUT, HIDDEN)
    roots = steps * 3 * (product(INPUT, INPUT, INPUT) + product(HIDDEN, HIDDEN, HIDDEN))
    between = product(INPUT, INPUT, HIDDEN) + product(INPUT, HIDDEN, HIDDEN)
    gradient = _FORWARD + _FIRST + _SECOND  # that of the second weights is not asked for
    return Program(step, (_WEIGHTS, _X, _Y), gradient + statistics + roots + between)


def muon() -> Program:
    """Newton and Schulz's iteration of fifth degree: three products of matrices a step."""
    steps = 5

    def step(w, x, y):
        g = jax.grad(_loss)(w, x, y)["first"]

        def once(_, x):
            a = x @ x.T
            return 3.4445 * x + (-4.775 * a + 2.0315 * (a @ a)) @ x

        return w["first"] - 0.02 * lax.fori_loop(0, steps, once, g / (jnp.linalg.norm(g) + 1e-7))

    once = product(INPUT, HIDDEN, INPUT) + product(INPUT, INPUT, INPUT) + product(INPUT, INPUT, HIDDEN)
    return Program(step, (_WEIGHTS, _X, _Y), _FORWARD + _FIRST + _SECOND + steps * once)


def sophia() -> Program:
    """A Hessian by Hutchinson: the tangent of the gradient. A product with data has one product in its tangent, any other
    two. The first weights have two products in the gradient, both with data; the second have three.
    """

    def step(w, probe, x, y):
        gradient, curvature = jax.jvp(lambda w: jax.grad(_loss)(w, x, y), (w,), (probe,))
        return jax.tree.map(lambda w, g, h, p: w - 0.1 * g / jnp.maximum(h * p, 1e-3), w, gradient, curvature, probe)

    return Program(step, (_WEIGHTS, _WEIGHTS, _X, _Y), (1 + 1) * 2 * _FIRST + (1 + 2) * 3 * _SECOND)


def sharpness_aware() -> Program:
    def step(w, x, y):
        gradient = jax.grad(_loss)(w, x, y)
        length = jnp.sqrt(sum(jnp.sum(g**2) for g in jax.tree.leaves(gradient)))
        near = jax.tree.map(lambda w, g: w + 0.05 * g / (length + 1e-9), w, gradient)
        return jax.tree.map(lambda w, g: w - 0.1 * g, w, jax.grad(_loss)(near, x, y))

    return Program(step, (_WEIGHTS, _X, _Y), 2 * _GRADIENT)
