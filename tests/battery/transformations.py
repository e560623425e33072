"""What JAX's transformations make of a product: batches, tangents, Hessians, rules of one's own, recomputation, branches."""

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jax.ad_checkpoint import checkpoint_name

from battery.program import Program, array, everywhere, integers, product

BATCH, SIZE, LAYERS = 4, 6, 3
_W, _X, _V = array(SIZE, SIZE), array(BATCH, SIZE), array(SIZE)
_ONE, _VECTOR = product(BATCH, SIZE, SIZE), product(SIZE, SIZE)
_STACK = array(LAYERS, SIZE, SIZE)


def _layer(x, w):
    return jnp.tanh(x @ w)


def batch_of_matrices_and_vectors() -> Program:
    return Program(jax.vmap(jnp.dot), (array(BATCH, SIZE, SIZE), _X), _ONE)


def batch_over_both_sides() -> Program:
    function = jax.vmap(jax.vmap(lambda w, x: x @ w, (None, 0)), (0, None))
    return Program(function, (_STACK, _X), LAYERS * _ONE)


def tangent() -> Program:
    def push(w, x, dw, dx):
        return jax.jvp(_layer, (x, w), (dx, dw))

    return Program(push, (_W, _X, _W, _X), 3 * _ONE)


def hessian_of_a_quadratic_form() -> Program:
    """Forward over reverse: the value's product, and two tangents in every direction; the gradient itself is not asked for."""

    def value(x, w):
        return jnp.sum(jnp.tanh(w @ x) ** 2)

    return Program(jax.hessian(value), (_V, _W), _VECTOR + 2 * SIZE * _VECTOR)


def jacobians_both_ways() -> Program:
    def both(w, x):
        return jax.jacfwd(_layer)(x, w), jax.jacrev(_layer)(x, w)

    once = 2 * _VECTOR + 2 * product(SIZE, SIZE, SIZE)
    return Program(both, (_W, _V), once, compiled=everywhere(once - _VECTOR, "both ways share the value's product"))


def product_of_a_hessian_and_a_vector() -> Program:
    """The value's product, and the tangents of both sides of two products, zero as the data's are."""

    def value(w, x):
        return jnp.sum(_layer(x, w) ** 2)

    def push(w, x, v):
        return jax.jvp(jax.grad(value), (w, x), (v, jnp.zeros_like(x)))[1]

    return Program(push, (_W, _X, _W), (1 + 2 * 2) * _ONE)


def rule_of_ones_own_backward() -> Program:
    """A gradient that passes straight through, with one product instead of two."""

    @jax.custom_vjp
    def f(x, w):
        return jnp.sign(x @ w)

    f.defvjp(lambda x, w: (f(x, w), (x, w)), lambda kept, g: (jnp.zeros_like(kept[0]), kept[0].T @ g))
    gradient = jax.grad(lambda w, x: jnp.sum(f(x, w) ** 2))
    return Program(gradient, (_W, _X), 2 * _ONE)


def rule_of_ones_own_forward() -> Program:
    @jax.custom_jvp
    def f(x, w):
        return x @ w

    @f.defjvp
    def _(primals, tangents):
        x, w = primals
        return f(x, w), tangents[0] @ w

    return Program(lambda x, w, dx: jax.jvp(f, (x, w), (dx, jnp.zeros_like(w))), (_X, _W, _X), 2 * _ONE)


def _deep(policy):
    def loss(w, x):
        layer = jax.checkpoint(lambda x, w: _layer(checkpoint_name(_layer(x, w), "kept"), w.T), policy=policy)
        return jnp.sum(lax.scan(lambda x, w: (layer(x, w), None), x, w)[0] ** 2)

    return jax.grad(loss), (_STACK, _X)


def recomputed_without_kept_products() -> Program:
    return Program(*_deep(None), LAYERS * (2 + 2 + 4) * _ONE)


def recomputed_with_kept_products() -> Program:
    return Program(*_deep(jax.checkpoint_policies.dots_saveable), LAYERS * (2 + 4) * _ONE)


def recomputed_with_kept_names() -> Program:
    """The name belongs to a copy: the derivative of tanh reads the result before it, and both products are computed again."""
    return Program(*_deep(jax.checkpoint_policies.save_only_these_names("kept")), LAYERS * (2 + 2 + 4) * _ONE)


def map_in_batches() -> Program:
    """Ten rows, four at a time: two batches in a loop and a rest."""
    function = lambda w, x: lax.map(lambda row: jnp.tanh(row @ w), x, batch_size=4)  # noqa: E731
    return Program(function, (_W, array(10, SIZE)), 10 * _VECTOR)


def loop_from_a_shape() -> Program:
    def power(w, x):
        return lax.fori_loop(0, w.shape[0] - 1, lambda _, x: x @ w, x)

    return Program(power, (_W, _X), (SIZE - 1) * _ONE)


def loop_that_the_caller_limits() -> Program:
    def power(w, x, count):
        with jax.named_scope("power"):
            return lax.fori_loop(0, count, lambda _, x: x @ w, x)

    return Program(power, (_W, _X, integers()), (0, None), bound="lower", trips={"power": 9}, trips_flops=9 * _ONE)


def branches_of_equal_cost() -> Program:
    """Before the compiler, one of them moves a transposed matrix."""

    def choose(w, x, flag):
        return lax.cond(flag, lambda x: x @ w, lambda x: x @ w.T, x)

    return Program(choose, (_W, _X, array(dtype=jnp.bool_)), _ONE, bound="range", compiled_bound="exact")


def branches_of_several_depths() -> Program:
    def choose(w, x, which):
        return lax.switch(which, [lambda x: x, lambda x: x @ w, lambda x: x @ w @ w], x)

    return Program(choose, (_W, _X, integers()), (0, 2 * _ONE), bound="range")


def branches_under_a_batch() -> Program:
    """A batch of conditions computes both branches and selects."""

    def choose(flag, x, w):
        return lax.cond(flag, lambda x: x @ w, lambda x: jnp.tanh(x) @ w, x)

    return Program(jax.vmap(choose, (0, 0, None)), (array(BATCH, dtype=jnp.bool_), _X, _W), 2 * _ONE)


def early_end_under_a_batch() -> Program:
    """Every member of a batch has a counter of its own: the loop's limit is no longer a scalar's."""

    def settle(x, w):
        def going(state):
            return (state[0] < 8) & (jnp.max(state[1]) > 0.1)

        return lax.while_loop(going, lambda s: (s[0] + 1, jnp.tanh(s[1] @ w)), (0, x))[1]

    return Program(jax.vmap(settle, (0, None)), (_X, _W), (0, 8 * _ONE), bound="lower")


def functions_in_functions() -> Program:
    @jax.jit
    def inner(x, w):
        return _layer(x, w)

    @functools.partial(jax.jit, static_argnums=2)
    def outer(x, w, times):
        for _ in range(times):
            x = inner(x, w)
        return x

    compiled = everywhere(3 * _ONE, "the first call of three is the same as the one outside")
    return Program(lambda x, w: outer(x, w, 3) + inner(x, w), (_X, _W), 4 * _ONE, compiled=compiled)


def linearized_once_used_often() -> Program:
    def push(w, x, directions):
        _, tangent = jax.linearize(lambda x: _layer(x, w), x)
        return jax.vmap(tangent)(directions)

    return Program(push, (_W, _X, array(5, BATCH, SIZE)), 6 * _ONE)


def gradient_of_a_reversed_loop() -> Program:
    def loss(w, x):
        return jnp.sum(lax.scan(lambda c, x: (jnp.tanh(c @ w) + x, None), jnp.ones((BATCH, SIZE)), x, reverse=True)[0] ** 2)

    return Program(jax.grad(loss), (_W, array(LAYERS, BATCH, SIZE)), 3 * LAYERS * _ONE)
