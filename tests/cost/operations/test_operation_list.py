"""The list of executed operations: adds up to the counter, and holds the facts that decide a time."""

from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from cr_jax import count_hlo
from cr_jax.cost.assumptions import Assumptions
from cr_jax.cost.operations.operation_list import operations
from cr_jax.cost.operations.products import Product

GOLDEN = sorted((Path(__file__).resolve().parents[2] / "golden" / "hlo").glob("*.txt"))


@pytest.mark.parametrize("file", GOLDEN, ids=lambda f: f.stem)
def test_sum_is_the_counters_total(file):
    """Costs that calls declare, or that follow a formula, included."""
    text = file.read_text()
    count, listed = count_hlo(text), operations(text)
    assert listed.total() == count.total
    stated = sum(o.times for o in listed.operations if o.kernel)
    assert stated == sum(one.count for one in count.declared)


def compiled(function, *arguments, **options) -> str:
    return jax.jit(function, **options).lower(*arguments).compile().as_text()


def test_loops_multiply_and_products_keep_their_shape():
    steps, batch, hidden = 7, 16, 24
    x, w = jnp.ones((batch, hidden)), jnp.ones((hidden, hidden))
    program = operations(compiled(lambda x, w: lax.scan(lambda h, _: (jnp.tanh(h @ w), None), x, length=steps)[0], x, w))
    (dot,) = [o for o in program.operations if o.products]
    assert dot.times == steps and dot.loop
    assert (dot.products[0].m, dot.products[0].n, dot.products[0].k) == (batch, hidden, hidden)
    assert dot.products[0].flops * steps == program.total().matmul_flops == steps * 2 * batch * hidden * hidden
    (loop,) = program.loops
    assert (loop.entries, loop.iterations, loop.known) == (1, steps, True)


def test_a_given_trip_count_is_used_and_an_unknown_one_is_marked():
    def until(x, n):
        return lax.while_loop(lambda s: s[0] < n, lambda s: (s[0] + 1, s[1] @ s[1]), (0, x))[1]

    text = compiled(until, jnp.ones((16, 16)), jnp.int32(3))
    (loop,) = operations(text).loops
    assert not loop.known and loop.iterations == 0
    (loop,) = operations(text, Assumptions({loop.name: 9})).loops
    assert loop.known and loop.iterations == 9


GEMM = """HloModule m

ENTRY main {{
  a = f32[{left}]{{{order}}} parameter(0)
  b = f32[{right}]{{{order}}} parameter(1)
  ROOT c = (f32[{result}]{{{order}}}, s8[33554432]{{0}}) custom-call(a, b), custom_call_target="__cublas$lt$matmul", \
backend_config={{"gemm_backend_config":{{"beta":0,"dot_dimension_numbers":{{"lhs_contracting_dimensions":["{i}"],\
"rhs_contracting_dimensions":["{j}"],"lhs_batch_dimensions":[{batch}],"rhs_batch_dimensions":[{batch}]}}}}}}
}}
"""


@pytest.mark.parametrize(
    ("left", "right", "result", "i", "j", "batch", "expected"),
    [
        ("320,5000", "5000,64", "320,64", 1, 0, "", Product(320, 64, 5000, 1, "nn", "f32")),
        ("320,5000", "64,5000", "320,64", 1, 1, "", Product(320, 64, 5000, 1, "nt", "f32")),
        ("5000,320", "5000,64", "320,64", 0, 0, "", Product(320, 64, 5000, 1, "tn", "f32")),
        ("12,32,8", "12,32,8", "12,32,32", 2, 2, '"0"', Product(32, 32, 8, 12, "nt", "f32")),
    ],
)
def test_a_gemm_call_has_the_sizes_of_its_dimensions_whatever_its_workspace(left, right, result, i, j, batch, expected):
    order = ",".join(str(n) for n in reversed(range(result.count(",") + 1)))
    text = GEMM.format(left=left, right=right, result=result, i=i, j=j, batch=batch, order=order)
    (call,) = operations(text).operations
    assert call.products == (expected,)
    assert expected.flops == call.cost.matmul_flops
    assert call.elements == expected.batch * expected.m * expected.n and call.output_bytes == 4 * call.elements


KINDS = """HloModule m

ENTRY main {{
  a = f32[{left}]{{1,0}} parameter(0)
  b = f32[{right}]{{1,0}} parameter(1)
  ROOT d = f32[4,6]{{1,0}} dot(a, b), lhs_contracting_dims={{{i}}}, rhs_contracting_dims={{{j}}}
}}
"""


@pytest.mark.parametrize(
    ("left", "right", "i", "j", "kind"),
    [("4,5", "5,6", 1, 0, "nn"), ("4,5", "6,5", 1, 1, "nt"), ("5,4", "5,6", 0, 0, "tn"), ("5,4", "6,5", 0, 1, "tt")],
)
def test_the_kind_of_a_product_says_how_its_operands_lie(left, right, i, j, kind):
    (operation,) = operations(KINDS.format(left=left, right=right, i=i, j=j)).operations
    assert operation.products == (Product(4, 6, 5, 1, kind, "f32"),)


FUSED = """HloModule m, input_output_alias={{ {{0}}: (1, {{}}, may-alias) }}

gate {{
  p = f32[8,4,12]{{2,1,0}} parameter(0)
  i = s32[] parameter(1)
  z = s32[] constant(0)
  d = f32[1,4,12]{{2,1,0}} dynamic-slice(p, i, z, z), dynamic_slice_sizes={{1,4,12}}
  s = f32[1,4,6]{{2,1,0}} slice(d), slice={{[0:1], [0:4], [0:6]}}
  t = f32[1,4,6]{{2,1,0}} slice(d), slice={{[0:1], [0:4], [6:12]}}
  m = f32[1,4,6]{{2,1,0}} multiply(s, {second})
  ROOT r = f32[1,4,6]{{2,1,0}} {last}(m)
}}

ENTRY main {{
  a = f32[8,4,12]{{2,1,0}} parameter(0)
  b = f32[1,4,6]{{2,1,0}} parameter(1)
  i = s32[] parameter(2)
  f = f32[1,4,6]{{2,1,0}} fusion(a, i), kind=kLoop, calls=gate, backend_config={{"outer_dimension_partitions":["2","3"]}}
  g = f32[1,4,6]{{2,1,0}} add(f, b)
  ROOT o = (f32[1,4,6]{{2,1,0}}, f32[1,4,6]{{2,1,0}}) tuple(g, f)
}}
"""


@pytest.mark.parametrize(("second", "last", "expected"), [("t", "tanh", True), ("t", "negate", False), ("s", "tanh", False)])
def test_two_slices_of_a_dynamic_slice_and_a_transcendental_are_scalar(second, last, expected):
    text = FUSED.format(second=second, last=last)
    if second == "s":
        text = text.replace("  t = f32[1,4,6]{2,1,0} slice(d), slice={[0:1], [0:4], [6:12]}\n", "")
    fusion, _ = operations(text).operations
    assert fusion.scalarised is expected
    assert fusion.cut is (second == "t") and fusion.partitions == 6 and not fusion.library


@pytest.mark.parametrize(("axis", "part", "expected"), [(1, "n", True), (0, "n", False), (1, "s", False)])
def test_computed_parts_are_joined_within_a_row(axis, part, expected):
    rows, columns = (8, 6) if axis == 0 else (4, 12)
    text = f"""HloModule m

join {{
  p = f32[4,6]{{1,0}} parameter(0)
  q = f32[4,12]{{1,0}} parameter(1)
  s = f32[4,6]{{1,0}} slice(q), slice={{[0:4], [0:6]}}
  n = f32[4,6]{{1,0}} negate(s)
  ROOT c = f32[{rows},{columns}]{{1,0}} concatenate(p, {part}), dimensions={{{axis}}}
}}

ENTRY e {{
  a = f32[4,6]{{1,0}} parameter(0)
  b = f32[4,12]{{1,0}} parameter(1)
  ROOT f = f32[{rows},{columns}]{{1,0}} fusion(a, b), kind=kLoop, calls=join
}}
"""
    (fusion,) = operations(text).operations
    assert fusion.joined is expected and not fusion.cut


def test_a_call_knows_its_donated_and_its_fresh_buffers():
    program = operations(FUSED.format(second="t", last="tanh"))
    assert (program.arguments, program.donated) == (3, 1)
    assert program.fresh_outputs == (4 * 6 * 4,)


def test_argmax_reductions_transposed_copies_and_rows():
    x = jnp.ones((32, 64))
    program = operations(compiled(lambda x: jnp.argmax(x, axis=1), x))
    assert sum(o.argmax_elements for o in program.operations) == 32 * 64
    assert sum(o.minor_elements for o in program.operations) == 32 * 64
    ids = jnp.zeros(10, jnp.int32)
    rows = [o for o in operations(compiled(lambda t, i: t[i], x, ids)).operations if o.rows]
    assert [(o.rows, o.row_bytes) for o in rows] == [(10, 64 * 4)]
    turned = "HloModule m\n\nENTRY e {\n  a = f32[3,5]{1,0} parameter(0)\n  ROOT c = f32[3,5]{0,1} copy(a)\n}\n"
    assert operations(turned).operations[0].transposed == 15
    assert operations(turned.replace("{0,1}", "{1,0}")).operations[0].transposed == 0


def test_distances_between_two_uses_of_a_buffer():
    text = """HloModule m

ENTRY e {
  a = f32[1000]{0} parameter(0)
  b = f32[500]{0} negate(c)
  ROOT d = f32[500]{0} add(b, b)
}
""".replace("negate(c)", "slice(a), slice={[0:500]}")
    first, second = operations(text).operations
    assert first.reads[0].bytes == 2000 and second.reads[0].bytes == 2000
    assert second.reads[0].distance == 2000  # just written: nothing but itself in between
    assert first.reads[0].distance == operations(text).touched_bytes == 3 * 2000
