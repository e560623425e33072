"""What is not certain is a bound: branches, early ends, unknown loops, what calls declare."""

import json

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from cr_jax import count_hlo
from cr_jax.cost.operations.operation_list import operations

X = jax.ShapeDtypeStruct((8, 8), jnp.float32)
FLAG, NUMBER = jax.ShapeDtypeStruct((), jnp.bool_), jax.ShapeDtypeStruct((), jnp.int32)
ONE = 2 * 8**3


def texts(function, *shapes):
    lowered = jax.jit(function).lower(*shapes)
    return lowered.as_text("hlo"), lowered.compile().as_text()


def test_branches_of_unequal_cost_are_a_range_with_each_listed():
    for text in texts(lambda p, x: lax.cond(p, lambda x: x @ x @ x, lambda x: jnp.tanh(x @ x), x), FLAG, X):
        found = count_hlo(text)
        assert (found.bound, found.complete) == ("range", True)
        assert (found.matmul_flops, found.least.matmul_flops) == (2 * ONE, ONE)
        assert (found.transcendentals, found.least.transcendentals) == (64, 0)  # figure by figure the dearest
        (conditional,) = found.conditionals
        assert sorted((b.flops, b.transcendentals) for b in conditional.branches) == [(ONE, 64), (2 * ONE, 0)]


def test_equal_branches_are_exact():
    for text in texts(lambda p, x: lax.cond(p, lambda x: x @ x, lambda x: x.T @ x, x), FLAG, X):
        found = count_hlo(text)
        assert found.matmul_flops == ONE
        assert found.bound == ("exact" if found.least == found.total else "range")
    both = texts(lambda p, x: lax.cond(p, lambda x: x @ x + 1, lambda x: x @ x + 2, x), FLAG, X)
    assert [count_hlo(text).bound for text in both] == ["exact", "exact"]


def test_what_a_branch_cannot_count_makes_the_whole_a_lower_bound():
    def run(p, n, x):
        return lax.cond(p, lambda x: x @ x @ x, lambda x: lax.fori_loop(0, n, lambda _, c: c @ c, x), x)

    for text in texts(run, FLAG, NUMBER, X):
        found = count_hlo(text)
        assert (found.bound, found.complete, found.matmul_flops) == ("lower", False, 0)  # the loop may never run
        assert [loop.trip_count for loop in found.loops] == [None]


def test_an_uncounted_call_in_a_branch_is_listed():
    text = """HloModule m

cheap {
  x = f32[4] parameter(0)
  ROOT y = f32[4] custom-call(x), custom_call_target="mystery"
}

dear {
  x = f32[4] parameter(0)
  ROOT y = f32[4] tanh(x)
}

ENTRY e {
  p = pred[] parameter(0)
  x = f32[4] parameter(1)
  ROOT r = f32[4] conditional(p, x, x), true_computation=cheap, false_computation=dear
}
"""
    found = count_hlo(text)
    assert [one.operation for one in found.uncounted] == ["custom-call mystery"]
    assert (found.bound, found.transcendentals) == ("lower", 0)
    assert operations(text).uncounted == ("custom-call mystery",)


def test_a_branch_in_a_loop_widens_the_range_as_often_as_it_runs():
    def run(x):
        return lax.fori_loop(0, 5, lambda i, c: lax.cond(c[0, 0] > 0, lambda c: c @ c, lambda c: c, c), x)

    for text in texts(run, X):
        found = count_hlo(text)
        assert (found.matmul_flops, found.least.matmul_flops, found.bound) == (5 * ONE, 0, "range")
        assert [one.executions for one in found.conditionals] == [5]


APPLIED = """HloModule m

inner {
  a = f32[] parameter(0)
  ROOT b = f32[] custom-call(a), custom_call_target="mystery"
}

body {
  a = f32[] parameter(0)
  b = f32[] parameter(1)
  c = f32[] add(a, b)
  ROOT d = f32[] call(c), to_apply=inner
}

ENTRY e {
  x = f32[100] parameter(0)
  z = f32[] constant(0)
  ROOT r = f32[] reduce(x, z), dimensions={0}, to_apply=body
}
"""


def test_what_a_reducer_does_is_counted_and_what_it_cannot_count_is_said():
    found = count_hlo(APPLIED)
    assert found.other_flops == 99 and found.bound == "lower"
    assert [one.operation for one in found.uncounted] == ["custom-call mystery"]
    known = count_hlo(APPLIED.replace('custom-call(a), custom_call_target="mystery"', "tanh(a)"))
    assert (known.transcendentals, known.other_flops, known.bound) == (99, 99, "exact")


WRAPS = """HloModule m

go {
  s = (s8[], f32[4,4]) parameter(0)
  i = s8[] get-tuple-element(s), index=0
  zero = s8[] constant(0)
  ROOT c = pred[] compare(i, zero), direction=GE
}

body {
  s = (s8[], f32[4,4]) parameter(0)
  i = s8[] get-tuple-element(s), index=0
  five = s8[] constant(5)
  n = s8[] add(i, five)
  x = f32[4,4] get-tuple-element(s), index=1
  y = f32[4,4] dot(x, x), lhs_contracting_dims={1}, rhs_contracting_dims={0}
  ROOT t = (s8[], f32[4,4]) tuple(n, y)
}

ENTRY e {
  x = f32[4,4] parameter(0)
  two = s8[] constant(2)
  s = (s8[], f32[4,4]) tuple(two, x)
  w = (s8[], f32[4,4]) while(s), condition=go, body=body
  ROOT r = f32[4,4] get-tuple-element(w), index=1
}
"""


def test_a_counter_that_wraps_is_followed_and_a_wrong_annotation_disputed():
    # 2, 7, ... 127 are 26 values; the next is 132, which an int8 holds as -124.
    inferred = count_hlo(WRAPS)
    assert [(loop.trip_count, loop.source) for loop in inferred.loops] == [(26, "inferred")]
    text = WRAPS.replace("body=body", 'body=body, backend_config={"known_trip_count":{"n":"1"}}')
    found = count_hlo(text)
    assert [(loop.trip_count, loop.disputed) for loop in found.loops] == [(26, 1)]
    assert (found.bound, found.matmul_flops, found.least.matmul_flops) == ("range", 26 * 128, 128)


def test_a_loop_from_an_unknown_start_over_a_known_distance_is_inferred():
    for text in texts(lambda n, x: lax.fori_loop(n, n + 7, lambda _, c: c @ c, x), NUMBER, X):
        found = count_hlo(text)
        assert ([loop.trip_count for loop in found.loops], found.matmul_flops) == ([7], 7 * ONE)


def test_a_counter_reset_by_an_outer_loop_is_inferred():
    def run(x):
        return lax.fori_loop(0, 3, lambda _, c: lax.fori_loop(2, 6, lambda _, d: d @ d, c), x)

    for text in texts(run, X):
        assert count_hlo(text).matmul_flops == 12 * ONE


MOSAIC = """HloModule m

ENTRY e {
  q = f32[8,64] parameter(0)
  ROOT r = f32[8,64] custom-call(q), custom_call_target="tpu_custom_call", backend_config={CONFIG}
}
"""


COMPILED = (
    '{"custom_call_config":{"body":"TUzv","cost_estimate":{"flops":"1000","transcendentals":"64","bytes_accessed":"9000"}}}'
)
TRACED = json.dumps('{"custom_call_config": {"cost_estimate": {"flops": 1000, "transcendentals": 64, "bytes_accessed": 9000}}}')


@pytest.mark.parametrize("config", [COMPILED, TRACED])
def test_a_kernel_counts_what_it_declares(config):
    text = MOSAIC.replace("{CONFIG}", config)
    found = count_hlo(text)
    (call,) = found.declared
    assert (call.operation, call.source, call.flops, call.transcendentals) == ("tpu_custom_call", "declared", 1000, 64)
    assert (found.bound, found.other_flops, found.least.other_flops) == ("range", 1000, 0)
    assert (found.hbm_bytes, found.least.hbm_bytes) == (9000, 2 * 8 * 64 * 4)
    listed = operations(text)  # a time follows from a declaration, and is named so
    assert not listed.uncounted and listed.total() == found.total and listed.operations[-1].kernel.source == "declared"


def test_a_kernel_that_declares_nothing_is_not_counted():
    found = count_hlo(MOSAIC.replace("{CONFIG}", '{"custom_call_config":{"body":"TUzv"}}'))
    assert found.bound == "lower" and [one.operation for one in found.uncounted] == ["custom-call tpu_custom_call"]


@pytest.mark.parametrize(
    ("function", "shape", "flops"),
    [
        (jnp.linalg.cholesky, (16, 16), 16**3 // 3),
        (lambda a: jnp.linalg.qr(a, mode="r"), (32, 16), 2 * 32 * 16**2 - 2 * 16**3 // 3 - 1),
        (lambda a: lax.linalg.lu(a)[0], (16, 16), 2 * 16**3 // 3),
        (jnp.linalg.eigh, (16, 16), 9 * 16**3),
    ],
)
def test_linear_algebra_on_a_cpu_is_counted_by_formula(function, shape, flops):
    text = jax.jit(function).lower(jax.ShapeDtypeStruct(shape, jnp.float32)).compile().as_text()
    found = count_hlo(text)
    (call,) = (one for one in found.declared if one.operation.startswith("lapack"))
    assert (call.source, call.flops) == ("formula", flops)
    assert found.bound == "range"


@pytest.mark.parametrize("rows", [1, 8])
def test_a_real_transform_and_its_inverse_cost_the_same(rows):
    for text in texts(lambda a: jnp.fft.irfft(jnp.fft.rfft(a)), jax.ShapeDtypeStruct((rows, 64), jnp.float32)):
        found = count_hlo(text)
        assert found.by("family")["fft"]["other_flops"] == 2 * rows * 5 * 64 * 6


def test_a_window_over_the_whole_row_at_every_place_is_one_reduction():
    """TPU compilers write softmax's maximum, spread out over the row, in this way."""
    text = """HloModule m

most {
  a = f32[] parameter(0)
  b = f32[] parameter(1)
  ROOT c = f32[] maximum(a, b)
}

ENTRY e {
  x = f32[4,64] parameter(0)
  z = f32[] constant(-inf)
  ROOT r = f32[4,64] reduce-window(x, z), window={size=1x127 pad=0_0x63_63}, to_apply=most
}
"""
    assert count_hlo(text).other_flops == 4 * 63


@pytest.mark.parametrize(
    "line",
    [
        "ROOT r = f32[4] opt-barrier(x)",
        'ROOT r = f32[4] custom-call(x), custom_call_target="X64Combine"',
        'ROOT r = f32[4] custom-call(x), custom_call_target="AsyncCollectiveStart"',
        "ROOT r = f32[4] reduce-scatter-done(x)",
        "ROOT r = f32[4] all-to-all-done(x)",
    ],
)
def test_no_false_alarms_and_nothing_counted_twice(line):
    found = count_hlo(f"HloModule m\n\nENTRY e {{\n  x = f32[4] parameter(0)\n  {line}\n}}\n")
    assert (found.bound, found.hbm_bytes, found.total.collective_bytes) == ("exact", 0, 0)


def test_printing_in_a_loop_is_said_and_does_not_end_the_counter():
    def run(x):
        def step(c, _):
            jax.debug.print("{}", c[0, 0])
            return c @ c, None

        return lax.scan(step, x, None, length=3)[0]

    for text in texts(run, X):
        found = count_hlo(text)
        assert found.matmul_flops == 3 * ONE and found.bound == "lower"
        assert all("callback" in one.operation for one in found.uncounted)
