"""Fusions that start and end apart are counted as the fusions they are."""

from cr_jax import count_hlo
from cr_jax.cost.operations.operation_list import operations

BODY = """HloModule m

fused {{
  x = f32[64,64]{{1,0}} parameter(0)
  y = f32[64,64]{{1,0}} parameter(1)
  d = f32[64,64]{{1,0}} dot(x, y), lhs_contracting_dims={{1}}, rhs_contracting_dims={{0}}
  ROOT s = f32[64,64]{{1,0}} add(d, d)
}}

ENTRY e {{
  a = f32[64,64]{{1,0}} parameter(0)
  b = f32[64,64]{{1,0}} parameter(1)
{fusion}
  ROOT n = f32[64,64]{{1,0}} negate({name})
}}
"""
NAMED = 'kind=kLoop, calls=fused, metadata={op_name="jit(f)/layer/dot"}'
SQUARE = "f32[64,64]{1,0}"
PLAIN = BODY.format(fusion=f"  f = {SQUARE} fusion(a, b), {NAMED}", name="f")
APART = BODY.format(
    fusion=f"  start = (({SQUARE}, {SQUARE}), {SQUARE}, u32[]) fusion-start(a, b), {NAMED}\n  done = {SQUARE} fusion-done(start)",
    name="done",
)


def test_counts_are_those_of_the_fusion():
    plain, apart = count_hlo(PLAIN), count_hlo(APART)
    assert (apart.total, apart.rows, apart.bound, apart.uncounted) == (plain.total, plain.rows, "exact", ())
    assert plain.matmul_flops == 2 * 64**3


def test_operations_are_those_of_the_fusion():
    plain, apart = operations(PLAIN), operations(APART)
    assert [(o.opcode, o.cost, o.products, o.times) for o in apart.operations] == [
        (o.opcode, o.cost, o.products, o.times) for o in plain.operations
    ]
