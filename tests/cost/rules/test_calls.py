"""Calls that run a kernel or a library's routine: cuDNN attention from its shapes, kernels as they declare, linear algebra by
formula. The texts are compiled ones; the truths are products of named sizes.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from cr_jax.cost.assumptions import Assumptions
from cr_jax.cost.counting.count import count_hlo
from cr_jax.cost.kernels import KernelCost

GOLDEN = Path(__file__).parents[2] / "golden" / "hlo"
BATCH, HEADS, LENGTH, WIDTH, WINDOW = 2, 4, 128, 64, 33
EVERY = BATCH * HEADS * LENGTH * LENGTH  # pairs of positions
PRODUCT = 2 * WIDTH  # FLOPs of one product for one pair


def _golden(name):
    return (GOLDEN / f"{name}.txt").read_text()


def _below(window):
    """Pairs of a query and the keys up to it, at most ``window`` of them."""
    return BATCH * HEADS * sum(min(query + 1, window) for query in range(LENGTH))


@pytest.mark.parametrize(
    ("name", "products", "allowed", "softmax"),
    [
        ("attention_window", 2, _below(WINDOW), 4 * EVERY + BATCH * HEADS * LENGTH * WIDTH),
        ("attention_lengths", 2, 0, 4 * EVERY + BATCH * HEADS * LENGTH * WIDTH),
        ("attention_causal_gradient", 2 + 5, _below(LENGTH), (4 + 5) * EVERY + 3 * BATCH * HEADS * LENGTH * WIDTH),
        ("attention_bias_gradient", 2 + 5, EVERY, (5 + 7) * EVERY + 3 * BATCH * HEADS * LENGTH * WIDTH),
    ],
)
def test_attention_is_counted_from_its_shapes_and_mask(name, products, allowed, softmax):
    found = count_hlo(_golden(f"{name}.cuda_h100"))
    assert (found.matmul_flops, found.least.matmul_flops) == (products * PRODUCT * EVERY, products * PRODUCT * allowed)
    calls = [one for one in found.declared if one.operation.startswith("__cudnn$fmha")]
    assert sum(one.flops for one in calls) == found.matmul_flops + softmax
    assert sum(one.transcendentals for one in calls) == (1 if products == 2 else 2) * EVERY
    assert {one.source for one in calls} == {"formula"} and found.bound == "range"


def test_the_products_of_attention_equal_those_of_its_parts():
    """A second way: the same attention written as two products and a softmax, recomputed for its gradient."""

    def attend(q, k, v, bias):
        return jnp.einsum("bnts,bsnh->btnh", jax.nn.softmax(jnp.einsum("btnh,bsnh->bnts", q, k) + bias), v)

    shapes = [jax.ShapeDtypeStruct((BATCH, LENGTH, HEADS, WIDTH), jnp.float32)] * 3
    shapes.append(jax.ShapeDtypeStruct((1, HEADS, LENGTH, LENGTH), jnp.float32))
    gradient = jax.grad(lambda *args: jnp.sum(jnp.square(jax.checkpoint(attend)(*args))), argnums=(0, 1, 2, 3))
    parts = count_hlo(jax.jit(gradient).lower(*shapes).as_text("hlo")).matmul_flops
    assert parts == count_hlo(_golden("attention_bias_gradient.cuda_h100")).matmul_flops


def test_attention_without_the_shape_of_its_scores_is_not_counted():
    found = count_hlo(_golden("attention_window.cuda_h100").replace("intermediate_tensor_shape", "another_shape"))
    assert found.bound == "lower" and [one.operation for one in found.uncounted] == ["custom-call __cudnn$fmhaSoftmax"]


def test_kernels_are_listed_by_name_and_count_what_they_declare():
    found = count_hlo(_golden("kernel_declared.tpu_v5e"))
    (call,) = found.declared
    assert (call.operation, call.source, call.flops, call.transcendentals) == ("tpu_custom_call mykern", "declared", 123, 4)
    assert (found.bound, found.openings.kernels) == ("range", {"mykern"})


def test_a_triton_kernel_declares_nothing_and_takes_what_the_user_says():
    text = _golden("kernel_triton.cuda_h100")
    found = count_hlo(text)
    assert found.bound == "lower"
    assert [one.operation for one in found.uncounted] == ["custom-call __gpu$xla.gpu.triton mytrit"]
    given = count_hlo(text, assumptions=Assumptions(kernels={"mytrit": KernelCost(64 * 64, 3 * 64 * 64 * 4)}))
    assert (given.bound, given.total.flops, given.hbm_bytes) == ("assumed", 64 * 64, 3 * 64 * 64 * 4)


TALL, WIDE = 32, 16
ROUTINES = {
    "pivoted QR": (lambda a: jax.scipy.linalg.qr(a, mode="r", pivoting=True), 6 * TALL * WIDE**2 - 2 * WIDE**3, 3),
    "product with Q": (lambda a: lax.linalg.ormqr(a, a[0], a), 2 * WIDE * WIDE * (2 * TALL - WIDE), 1),
    "general eigenvalues": (lambda a: jnp.linalg.eig(a[:WIDE]), 25 * WIDE**3, 1),
    "Schur": (lambda a: lax.linalg.schur(a[:WIDE]), 25 * WIDE**3, 1),
    "Hessenberg": (lambda a: lax.linalg.hessenberg(a[:WIDE]), 10 * WIDE**3, 3),
    "tridiagonal": (lambda a: lax.linalg.tridiagonal(a[:WIDE]), 4 * WIDE**3, 3),
    "triangular solve": (lambda a: lax.linalg.triangular_solve(a[:WIDE], a.T, left_side=True), TALL * WIDE**2, 1),
}


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.complex64])
@pytest.mark.parametrize("name", ROUTINES)
def test_linear_algebra_follows_its_formula_in_both_kinds_of_numbers(name, dtype):
    function, flops, divisor = ROUTINES[name]
    text = jax.jit(function).lower(jax.ShapeDtypeStruct((TALL, WIDE), dtype)).compile().as_text()
    calls = [one for one in count_hlo(text).declared if one.operation.startswith("lapack")]
    each = 4 if dtype == jnp.complex64 else 1  # a complex multiply-add is four
    assert [(one.source, one.flops) for one in calls] == [("formula", each * (flops // divisor))]


def test_inverted_blocks_of_a_triangular_solve_on_a_tpu():
    text = """HloModule m

ENTRY e {
  a = f32[3,128,128] parameter(0)
  ROOT r = f32[3,128,128] custom-call(a), custom_call_target="InvertDiagBlocksLowerTriangular"
}
"""
    (call,) = count_hlo(text).declared
    assert (call.source, call.flops) == ("formula", 3 * 128**3 // 3)


def test_panels_of_a_factorization_on_a_tpu():
    """A panel of a tall matrix: LU has 2 FLOPs for each element below and right of a pivot, Householder's QR twice as many."""
    rows, columns = 600, 128
    text = f"""HloModule m

ENTRY e {{
  a = f32[{rows},{columns}] parameter(0)
  lu = (f32[{rows},{columns}], s32[{columns}], s32[{rows}]) custom-call(a), custom_call_target="LuDecompositionBlock"
  ROOT qr = (f32[{rows},{columns}], f32[{columns}]) custom-call(a), custom_call_target="QrDecompositionBlock"
}}
"""
    found = count_hlo(text)
    lu, qr = (one.flops for one in found.declared)
    pivots = sum(2 * (rows - pivot) * (columns - pivot) for pivot in range(columns))
    assert (lu, qr) == pytest.approx((pivots, 2 * pivots), rel=0.02)
    assert {one.source for one in found.declared} == {"formula"} and found.bound == "range"


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
def test_linear_algebra_before_the_compiler_is_a_formula_too(platform):
    def factor(a):
        return lax.linalg.triangular_solve(jnp.linalg.cholesky(a), a, left_side=True)

    traced = jax.jit(factor).trace(jax.ShapeDtypeStruct((WIDE, WIDE), jnp.float32))
    found = count_hlo(traced.lower(lowering_platforms=(platform,)).as_text("hlo"))
    assert sorted((one.source, one.flops) for one in found.declared) == [("formula", WIDE**3 // 3), ("formula", WIDE**3)]
    assert found.bound == "range"
