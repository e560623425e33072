"""Rolled loops against the fully unrolled program, rematerialisation against its formula."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from cr_jax.cost.assumptions import Assumptions
from cr_jax.cost.counting.count import count_hlo
from cr_jax.targets.jaxpr import count_jaxpr

STEPS, BATCH, HIDDEN = 6, 4, 16


def _gru(wi, wh, xs, h, unroll, reverse=False):
    def step(h, x):
        a, b = x @ wi, h @ wh
        r, z = jax.nn.sigmoid(a[:, :HIDDEN] + b[:, :HIDDEN]), jax.nn.sigmoid(a[:, HIDDEN:-HIDDEN] + b[:, HIDDEN:-HIDDEN])
        h = (1 - z) * jnp.tanh(a[:, -HIDDEN:] + r * b[:, -HIDDEN:]) + z * h
        return h, h

    h, ys = lax.scan(step, h, xs, reverse=reverse, unroll=STEPS if unroll else 1)
    return h, ys


def _flat(wi, wh, xs, h, unroll):
    h, ys = _gru(wi, wh, xs, h, unroll)
    return jnp.sum(h) + jnp.sum(ys)


def _reversed(wi, wh, xs, h, unroll):
    h, ys = _gru(wi, wh, xs, h, unroll, reverse=True)
    return jnp.sum(h) + jnp.sum(ys * ys)


def _nested(wi, wh, xs, h, unroll):
    def outer(h, x):
        h, ys = _gru(wi, wh, x, h, unroll)
        return h @ wh[:, :HIDDEN], jnp.sum(ys)

    h, sums = lax.scan(outer, h, xs.reshape(3, STEPS, BATCH, HIDDEN), unroll=3 if unroll else 1)
    return jnp.sum(h * h) + jnp.sum(sums)  # squared: the gradient needs the last product


def _shapes(steps):
    shape = lambda *dims: jax.ShapeDtypeStruct(dims, jnp.float32)  # noqa: E731
    return shape(HIDDEN, 3 * HIDDEN), shape(HIDDEN, 3 * HIDDEN), shape(steps, BATCH, HIDDEN), shape(BATCH, HIDDEN)


CASES = {"flat": (_flat, STEPS), "reversed": (_reversed, STEPS), "nested": (_nested, 3 * STEPS)}


@pytest.mark.parametrize("gradient", [False, True], ids=["forward", "gradient"])
@pytest.mark.parametrize("name", CASES)
def test_rolled_equals_unrolled(name, gradient):
    function, steps = CASES[name]
    flops = {}
    for unroll in (False, True):
        run = lambda *args, unroll=unroll: function(*args, unroll)  # noqa: E731
        run = jax.grad(run, argnums=(0, 1, 2, 3)) if gradient else run
        traced = jax.jit(run).trace(*_shapes(steps))
        lowered = traced.lower()
        compiled = count_hlo(lowered.compile().as_text())
        assert compiled.complete
        assert bool(compiled.loops) != unroll
        flops[unroll] = compiled.matmul_flops
        assert count_hlo(lowered.as_text("hlo")).matmul_flops == flops[unroll]
        assert count_jaxpr(traced.jaxpr).matmul_flops == flops[unroll]
    gates = 2 * 2 * BATCH * HIDDEN * 3 * HIDDEN  # input and recurrent product of one step
    outer = 3 * 2 * BATCH * HIDDEN * HIDDEN if name == "nested" else 0
    assert flops[False] == flops[True] == (3 if gradient else 1) * (steps * gates + outer)


def test_rematerialised_gradient_equals_its_formula():
    """Unrolled, the compiler removes the recomputation; the formula is the truth."""
    layers, batch, width = 6, 8, 16

    def loss(w, x):
        def layer(x, wi):
            with jax.named_scope("layer"):
                return jnp.tanh(x @ wi)

        x, _ = lax.scan(lambda x, wi: (jax.checkpoint(layer)(x, wi), None), x, w)
        return jnp.sum(x * x)

    shapes = (jax.ShapeDtypeStruct((layers, width, width), jnp.float32), jax.ShapeDtypeStruct((batch, width), jnp.float32))
    lowered = jax.jit(jax.grad(loss, argnums=(0, 1))).lower(*shapes)
    once = layers * 2 * batch * width * width
    for text in (lowered.as_text("hlo", debug_info=True), lowered.compile().as_text()):
        found = count_hlo(text, ("layer",)).by("module", "pass")
        passes = {key: row["matmul_flops"] for key, row in found.items() if row["matmul_flops"]}
        assert passes == {"layer|forward": once, "layer|recompute": once, "layer|backward": 2 * once}


def test_a_dynamic_loop_is_a_lower_bound_until_its_count_is_given():
    def run(x, n):
        return lax.fori_loop(0, n, lambda _, x: jnp.tanh(x @ x), x)

    text = jax.jit(run).lower(jax.ShapeDtypeStruct((8, 8), jnp.float32), jax.ShapeDtypeStruct((), jnp.int32)).compile().as_text()
    found = count_hlo(text)
    assert not found.complete
    (loop,) = found.loops
    assert (loop.trip_count, loop.source, found.matmul_flops) == (None, "unknown", 0)  # it may never run
    assert (loop.matmul_flops_per_iteration, found.bound) == (2 * 8**3, "lower")
    given = count_hlo(text, assumptions=Assumptions({loop.name: 7}))
    assert (given.complete, given.matmul_flops, given.loops[0].source) == (True, 7 * 2 * 8**3, "assumed")


def test_a_loop_that_runs_never_costs_nothing():
    def run(x):
        return lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] @ c[1]), (jnp.int32(5), x))[1]

    text = jax.jit(run).lower(jax.ShapeDtypeStruct((8, 8), jnp.float32)).as_text("hlo")
    found = count_hlo(text)
    assert found.complete
    assert [loop.trip_count for loop in found.loops] == [0]
    assert found.matmul_flops == 0


@pytest.mark.parametrize(
    ("start", "stop", "step", "times"), [(0, 10, 3, 4), (2, 11, 3, 3), (10, 0, -3, 4), (5, 6, 10, 1), (-4, 4, 2, 4)]
)
def test_inferred_counts_of_steps_other_than_one(start, stop, step, times):
    def run(x):
        condition = (lambda c: c[0] < stop) if step > 0 else (lambda c: c[0] > stop)
        return lax.while_loop(condition, lambda c: (c[0] + step, c[1] @ c[1]), (jnp.int32(start), x))[1]

    text = jax.jit(run).lower(jax.ShapeDtypeStruct((4, 4), jnp.float32)).as_text("hlo")
    (loop,) = count_hlo(text).loops
    assert (loop.trip_count, loop.source) == (times, "inferred")


def test_of_two_conditions_the_known_one_is_a_limit():
    def run(x):
        return lax.while_loop(lambda c: (c[0] < 9) & (jnp.sum(c[1]) < 1e6), lambda c: (c[0] + 1, c[1] @ c[1]), (jnp.int32(0), x))[
            1
        ]

    text = jax.jit(run).lower(jax.ShapeDtypeStruct((4, 4), jnp.float32)).as_text("hlo")
    found = count_hlo(text)
    assert [(loop.trip_count, loop.at_most) for loop in found.loops] == [(9, True)]
    assert (found.bound, found.matmul_flops, found.least.matmul_flops) == ("upper", 9 * 2 * 4**3, 0)
