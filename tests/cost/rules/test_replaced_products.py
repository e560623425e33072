"""Products that a compiler writes as a multiplication and a sum: found by name, on GPU and TPU."""

import jax
import jax.numpy as jnp

from cr_jax import count_hlo

SUM = "add {\n  a = f32[] parameter(0)\n  b = f32[] parameter(1)\n  ROOT c = f32[] add(a, b)\n}\n"


def _program(spread: str, product: str, total: str) -> str:
    named = lambda name: f', metadata={{op_name="jit(f)/m/{name}"}}' if name else ""  # noqa: E731
    return (
        f"HloModule m\n\n{SUM}\nENTRY e {{\n  x = f32[8]{{0}} parameter(0)\n  w = f32[8,16]{{1,0}} parameter(1)\n"
        f"  s = f32[8,16]{{1,0}} broadcast(x), dimensions={{0}}{named(spread)}\n"
        f"  p = f32[8,16]{{1,0}} multiply(s, w){named(product)}\n  zero = f32[] constant(0)\n"
        f"  ROOT r = f32[16]{{0}} reduce(p, zero), dimensions={{0}}, to_apply=add{named(total)}\n}}\n"
    )


def test_a_row_times_a_matrix_as_compilers_write_it():
    rows, columns = 8, 16
    for names in (("", "dot_general", "dot_general"), ("dot_general", "", "dot_general"), ("", "", "dot_general")):
        found = count_hlo(_program(*names)).total
        assert found.replaced_matmul_flops == 2 * rows * columns
        assert found.other_flops == rows * columns + (rows - 1) * columns
        assert found.matmul_flops == 0
    for names in (("", "mul", "reduce_sum"), ("dot_general", "mul", "reduce_sum"), ("", "mul", "dot_general"), ("", "", "")):
        assert count_hlo(_program(*names)).total.replaced_matmul_flops == 0


def test_a_traced_program_replaces_nothing():
    shapes = jax.ShapeDtypeStruct((1, 8), jnp.float32), jax.ShapeDtypeStruct((8, 16), jnp.float32)
    found = count_hlo(jax.jit(lambda x, w: 3 * (x @ w)).lower(*shapes).as_text("hlo", debug_info=True)).total
    assert (found.matmul_flops, found.replaced_matmul_flops) == (2 * 8 * 16, 0)
