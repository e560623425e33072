"""Pallas kernels of a traced function with what they declare, and the same in compiled programs that dropped it."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax
from jax.experimental import pallas as pl

import cr_jax
from cr_jax.errors import BadConfig
from cr_jax.targets import overlay
from cr_jax.targets.jaxpr import count_jaxpr
from cr_jax.targets.traced_kernels import traced_kernels
from cr_jax.traced_program import TracedKernel

ROWS, COLUMNS, BYTES = 64, 128, 999
X = jax.ShapeDtypeStruct((ROWS, COLUMNS), jnp.float32)
TYPE = f"f32[{ROWS},{COLUMNS}]"
M, K, N, TILE, STEPS = 256, 128, 512, 128, 3
PRODUCT = 2 * M * K * N


def _sum(x, y, out):
    out[...] = x[...] + y[...]


def add(x, y, flops=None, name="add", **options):
    estimate = None if flops is None else pl.CostEstimate(flops=flops, transcendentals=1, bytes_accessed=BYTES)
    shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
    return pl.pallas_call(_sum, out_shape=shape, name=name, cost_estimate=estimate, **options)(x, y)


def kernel(flops, name="add", type_=TYPE):
    return TracedKernel((name,), (type_, type_), (type_,), None if flops is None else (flops, BYTES, 1))


def found(function, *arguments):
    return set(traced_kernels(jax.jit(function).trace(*(arguments or (X, X))).jaxpr))


@jax.custom_vjp
def _with_gradient(x, y):
    return add(x, y, 10, "forward")


_with_gradient.defvjp(
    lambda x, y: (add(x, y, 10, "forward"), (x, y)),
    lambda kept, g: (add(g, kept[0], 20, "backward"), add(g, kept[1], 20, "backward")),
)


@pytest.mark.parametrize(
    ("function", "kernels"),
    [
        (lambda x, y: add(x, y, 5), {kernel(5)}),
        (lambda x, y: add(add(x, y, 5), y), {kernel(5), kernel(None)}),
        (lambda x, y: jax.jit(add, static_argnums=2)(x, y, 5), {kernel(5)}),
        (lambda x, y: lax.scan(lambda c, _: (add(c, y, 6), None), x, None, length=4)[0], {kernel(6)}),
        (lambda x, y: lax.while_loop(lambda c: c[0, 0] < 9, lambda c: add(c, y, 7), x), {kernel(7)}),
        (lambda x, y: lax.cond(x[0, 0] > 0, lambda x: add(x, y, 8), lambda x: add(x, y, 9), x), {kernel(8), kernel(9)}),
        (jax.grad(lambda x, y: _with_gradient(x, y).sum()), {kernel(10, "forward"), kernel(20, "backward")}),
        (
            jax.grad(lambda x, y: jax.checkpoint(lambda x: jnp.sin(_with_gradient(x, y)))(x).sum()),
            {kernel(10, "forward"), kernel(20, "backward")},
        ),
    ],
    ids=["alone", "undeclared", "jit", "scan", "while", "cond", "custom_vjp", "remat"],
)
def test_kernels_are_found_wherever_they_are_called(function, kernels):
    assert found(function) == kernels


def test_vmap_multiplies_the_declaration_and_its_shapes():
    batch = jax.ShapeDtypeStruct((3, ROWS, COLUMNS), jnp.bfloat16)
    (one,) = found(lambda x: jax.vmap(lambda a: add(a, a, 7))(x), batch)
    assert one.operands == (f"bf16[3,{ROWS},{COLUMNS}]",) * 2 and one.declared == (3 * 7, 3 * BYTES, 3)


def test_a_kernel_without_a_name_has_that_of_its_function_or_its_scope():
    def call(x, y):
        with jax.named_scope("block"):
            return add(x, y, 5, None)

    assert found(call) == {TracedKernel(("_sum", "block"), (TYPE, TYPE), (TYPE,), (5, BYTES, 1))}


def test_a_declaration_that_is_no_count_is_none():
    assert found(lambda x, y: add(x, y, -1)) == {kernel(None)}


def product(x, y, **options):
    def multiply(x, y, out):
        out[...] = jnp.dot(x[...], y[...], preferred_element_type=jnp.float32)

    estimate = pl.CostEstimate(flops=PRODUCT, transcendentals=0, bytes_accessed=4 * (M * K + K * N + M * N))
    return pl.pallas_call(
        multiply,
        out_shape=jax.ShapeDtypeStruct((M, N), jnp.float32),
        grid=(M // TILE, N // TILE),
        in_specs=[pl.BlockSpec((TILE, K), lambda i, j: (i, 0)), pl.BlockSpec((K, TILE), lambda i, j: (0, j))],
        out_specs=pl.BlockSpec((TILE, TILE), lambda i, j: (i, j)),
        name="product",
        cost_estimate=estimate,
        **options,
    )(x, y)


OPERANDS = jax.ShapeDtypeStruct((M, K), jnp.float32), jax.ShapeDtypeStruct((K, N), jnp.float32)


def test_an_interpreted_kernel_is_counted_as_the_operations_it_becomes():
    found = cr_jax.analyze(lambda x, y: product(x, y, interpret=True), *OPERANDS)
    assert (found.matmul_flops, found.bound) == (PRODUCT, "exact") and found.report.steps[0].jaxpr.agrees
    assert found.report.steps[0].coverage.declared == ()


def test_products_in_a_compiled_kernel_are_the_kernels():
    trace = jax.jit(product).trace(*OPERANDS)
    assert count_jaxpr(trace.jaxpr).matmul_flops == 0 and len(traced_kernels(trace.jaxpr)) == 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of pl.pallas_call for Mosaic GPU
def test_a_kernel_that_no_asked_platform_has_is_refused_with_every_reason():
    """Mosaic GPU has no product of this kind, and needs a card from JAX 0.12 on."""
    with pytest.raises(BadConfig, match=r"cannot be lowered for the CPU: .*; nor for cuda: .") as caught:
        cr_jax.analyze(product, *OPERANDS, device="h100")
    assert "\n" not in str(caught.value)


def looped(x, y, **options):
    def step(carry, _):
        return carry + product(x + carry, y, **options)[0, 0], None

    return lax.scan(step, 0.0, None, length=STEPS)[0]


@pytest.mark.slow
@pytest.mark.parametrize(("device", "kind"), [("h100", "gpu"), ("tpu-v5e", "tpu")])
def test_a_product_in_a_loop_is_counted_for_every_turn_on_both_kinds_of_devices(device, kind):
    """Triton's compiled text does not carry the declaration, Mosaic's does; both are counted once."""
    if overlay.find(kind) is None:
        pytest.skip(f"needs the {kind} compiler: {overlay.command(kind)}")
    options = {}
    if kind == "gpu":
        from jax.experimental.pallas import triton

        options = {"compiler_params": triton.CompilerParams(num_warps=4, num_stages=2)}
    found = cr_jax.analyze(lambda x, y: looped(x, y, **options), *OPERANDS, device=device)
    step = found.report.steps[0]
    assert step.outcome == "compiled" and step.jaxpr.agrees and found.bound == "range"
    (call,) = step.coverage.declared
    assert (call.source, call.count, call.flops) == ("declared", STEPS, STEPS * PRODUCT)
    (row,) = step.prediction.kernels.rows
    assert (row.source, row.times) == ("declared", STEPS) and 0 < row.seconds < found.seconds
