"""Main-memory bytes derived by hand from the texts, term by term."""

from pathlib import Path

import pytest

from cr_jax import count_hlo
from cr_jax.cost.operations.operation_list import operations

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "hlo"
FLOAT = INDEX = 4

STEPS, BATCH, HIDDEN = 24, 32, 128
STATE = FLOAT * BATCH * HIDDEN
WEIGHT = FLOAT * HIDDEN * 3 * HIDDEN
GATES = FLOAT * BATCH * 3 * HIDDEN
SEQUENCE = STEPS * STATE

ROWS, WIDTH, LOOKUPS = 10_000, 128, 64 * 20
TABLE = FLOAT * ROWS * WIDTH
TOUCHED = FLOAT * LOOKUPS * WIDTH
IDS = INDEX * LOOKUPS


def _bytes(text: str) -> tuple[int, int]:
    found = count_hlo(text)
    assert found.complete
    return found.total.read_bytes, found.total.written_bytes


def _module(entry: str, *computations: str) -> str:
    blocks = [*computations, f"ENTRY main {{\n{entry}\n}}"]
    return "HloModule m\n\n" + "\n\n".join(block.strip("\n") for block in blocks) + "\n"


ADD = "add {\n  x = f32[] parameter(0)\n  y = f32[] parameter(1)\n  ROOT s = f32[] add(x, y)\n}"


def test_a_product_reads_both_sides_once():
    m, k, n = 7, 11, 5
    text = _module(f"""
  a = f32[{m},{k}]{{1,0}} parameter(0)
  b = f32[{k},{n}]{{1,0}} parameter(1)
  c = f32[{m},{n}]{{1,0}} dot(a, b), lhs_contracting_dims={{1}}, rhs_contracting_dims={{0}}
  ROOT g = f32[{m},{m}]{{1,0}} dot(a, a), lhs_contracting_dims={{1}}, rhs_contracting_dims={{1}}""")
    assert _bytes(text) == (FLOAT * (m * k + k * n + m * k), FLOAT * (m * n + m * m))


def test_gru_loop_on_cpu():
    index = INDEX
    step_reads = (
        (STATE + WEIGHT)  # h·Wh
        + (STATE + index)  # one slice of x
        + (STATE + WEIGHT)  # x·Wi
        + (STATE + 2 * GATES)  # gates: three slices of each product make the whole
        + (STATE + index)  # the update written into the outputs
        + index
        + 2 * index  # the counter: copied, then added to a constant
    )
    step_writes = 2 * GATES + 3 * STATE + 2 * index  # products; slice, new state, update; counter twice
    test_reads, test_writes = 2 * index, 1
    outside_reads = STATE + index + FLOAT + (SEQUENCE + FLOAT) + 2 * STATE  # copies, zero, sum, concatenation
    outside_writes = STATE + index + SEQUENCE + STATE + 2 * STATE
    assert _bytes((GOLDEN / "gru.cpu.txt").read_text()) == (
        STEPS * step_reads + (STEPS + 1) * test_reads + outside_reads,
        STEPS * step_writes + (STEPS + 1) * test_writes + outside_writes,
    )


def test_gru_loop_on_cuda():
    """As on the CPU, but constants are inside the fusions and sum and concatenation are one."""
    step_reads = (STATE + INDEX) + 2 * (STATE + WEIGHT) + (STATE + 2 * GATES) + (STATE + INDEX) + INDEX
    step_writes = 2 * GATES + 3 * STATE + INDEX
    assert _bytes((GOLDEN / "gru.cuda_h100.txt").read_text()) == (
        STEPS * step_reads + (STEPS + 1) * INDEX + (INDEX + STATE) + (STATE + SEQUENCE),
        STEPS * step_writes + (STEPS + 1) * 1 + (INDEX + STATE) + SEQUENCE + 2 * STATE,
    )


def test_gru_loop_on_tpu_lives_in_the_scratchpad():
    """Weights, sequence and state come once (three as copy-start, one as a convert); scalars stay."""
    arguments, result, counter = 2 * WEIGHT + SEQUENCE + STATE, 2 * STATE, INDEX
    reads = arguments + counter + STEPS * 2 * counter + (STEPS + 1) * 2 * counter + FLOAT  # last: the sum's zero
    writes = result + counter + STEPS * counter + (STEPS + 1) * 1
    assert _bytes((GOLDEN / "gru.tpu_v5e.txt").read_text()) == (reads, writes)


@pytest.mark.parametrize(
    ("backend", "reads", "writes"),
    [
        # ids normalised for the scatter; rows gathered; zeros; scatter (rows it adds to, ids, updates)
        ("cpu", IDS + (TOUCHED + IDS) + FLOAT + (TOUCHED + IDS + TOUCHED), IDS + TOUCHED + TABLE + TOUCHED),
        # one fusion gathers, doubles and scatters
        ("cuda_h100", TOUCHED + TOUCHED + IDS, TABLE + TOUCHED),
        # the table goes to the scratchpad; ids in tiles of (8, 128); zeros and updates are one fusion's
        ("tpu_v5e", TABLE + INDEX * 24 * 128 + 2 * FLOAT, TABLE),
    ],
)
def test_embedding_gather_and_its_gradient(backend, reads, writes, shared):
    assert _bytes(shared(f"hlo/embed_grad.{backend}.txt").read_text()) == (reads, writes)


def test_update_in_place_inside_a_loop():
    trips, width = 10, 8
    body = f"""body {{
  t = (s32[], f32[{trips},{width}]{{1,0}}, f32[{width}]{{0}}) parameter(0)
  i = s32[] get-tuple-element(t), index=0
  a = f32[{trips},{width}]{{1,0}} get-tuple-element(t), index=1
  u = f32[{width}]{{0}} get-tuple-element(t), index=2
  one = s32[] constant(1)
  j = s32[] add(i, one)
  b = f32[{trips},{width}]{{1,0}} fusion(a, u, i), kind=kLoop, calls=fused
  ROOT r = (s32[], f32[{trips},{width}]{{1,0}}, f32[{width}]{{0}}) tuple(j, b, u)
}}"""
    fused = f"""fused {{
  p = f32[{trips},{width}]{{1,0}} parameter(0)
  q = f32[{width}]{{0}} parameter(1)
  n = s32[] parameter(2)
  z = s32[] constant(0)
  d = f32[1,{width}]{{1,0}} dynamic-slice(p, n, z), dynamic_slice_sizes={{1,{width}}}
  e = f32[1,{width}]{{1,0}} bitcast(q)
  s = f32[1,{width}]{{1,0}} add(d, e)
  ROOT w = f32[{trips},{width}]{{1,0}} dynamic-update-slice(p, s, n, z)
}}"""
    condition = f"""condition {{
  t = (s32[], f32[{trips},{width}]{{1,0}}, f32[{width}]{{0}}) parameter(0)
  i = s32[] get-tuple-element(t), index=0
  n = s32[] constant({trips})
  ROOT c = pred[] compare(i, n), direction=LT
}}"""
    entry = f"""
  z = s32[] constant(0)
  a = f32[{trips},{width}]{{1,0}} parameter(0)
  u = f32[{width}]{{0}} parameter(1)
  k = f32[{trips},{width}]{{1,0}} copy(a)
  t = (s32[], f32[{trips},{width}]{{1,0}}, f32[{width}]{{0}}) tuple(z, k, u)
  w = (s32[], f32[{trips},{width}]{{1,0}}, f32[{width}]{{0}}) while(t), condition=condition, body=body
  ROOT o = f32[{trips},{width}]{{1,0}} get-tuple-element(w), index=1"""
    row, whole = FLOAT * width, FLOAT * trips * width  # the carried tuple itself moves nothing
    reads = whole + trips * (2 * INDEX + (2 * row + INDEX)) + (trips + 1) * 2 * INDEX
    writes = whole + trips * (INDEX + row) + (trips + 1)
    assert _bytes(_module(entry, fused, body, condition)) == (reads, writes)


def test_an_update_that_is_summed_at_once_reads_the_array():
    """Only a fusion's result is updated in place; inside it the rest of the array must be read."""
    rows, width = 50, 8
    fused = f"""fused {{
  p = f32[{rows},{width}]{{1,0}} parameter(0)
  u = f32[1,{width}]{{1,0}} parameter(1)
  z = s32[] constant(0)
  d = f32[{rows},{width}]{{1,0}} dynamic-update-slice(p, u, z, z)
  f = f32[] constant(0)
  ROOT r = f32[] reduce(d, f), dimensions={{0,1}}, to_apply=add
}}"""
    entry = f"""
  a = f32[{rows},{width}]{{1,0}} parameter(0)
  u = f32[1,{width}]{{1,0}} parameter(1)
  ROOT r = f32[] fusion(a, u), kind=kLoop, calls=fused"""
    assert _bytes(_module(entry, ADD, fused)) == (FLOAT * (rows * width + width), FLOAT)


@pytest.mark.parametrize("target", ["parameter", "zeros"])
def test_a_scatter_writes_what_it_touches_only_into_a_parameter(target):
    rows, width, lookups = 50, 8, 3
    value = "p" if target == "parameter" else "b"
    fused = f"""fused {{
  p = f32[{rows},{width}]{{1,0}} parameter(0)
  i = s32[{lookups},1]{{1,0}} parameter(1)
  u = f32[{lookups},{width}]{{1,0}} parameter(2)
  f = f32[] constant(0)
  b = f32[{rows},{width}]{{1,0}} broadcast(f), dimensions={{}}
  ROOT s = f32[{rows},{width}]{{1,0}} scatter({value}, i, u), update_window_dims={{1}}, inserted_window_dims={{0}}, scatter_dims_to_operand_dims={{0}}, index_vector_dim=1, to_apply=add
}}"""  # noqa: E501
    entry = f"""
  a = f32[{rows},{width}]{{1,0}} parameter(0)
  i = s32[{lookups},1]{{1,0}} parameter(1)
  u = f32[{lookups},{width}]{{1,0}} parameter(2)
  ROOT s = f32[{rows},{width}]{{1,0}} fusion(a, i, u), kind=kLoop, calls=fused"""
    touched, whole, ids = FLOAT * lookups * width, FLOAT * rows * width, INDEX * lookups
    expected = (touched + ids + touched, touched) if target == "parameter" else (ids + touched, whole)
    assert _bytes(_module(entry, ADD, fused)) == expected


@pytest.mark.parametrize("at_result", [True, False])
def test_an_update_in_a_nested_fusion(at_result):
    rows, width = 50, 8
    inner = f"""inner {{
  p = f32[{rows},{width}]{{1,0}} parameter(1)
  u = f32[1,{width}]{{1,0}} parameter(0)
  z = s32[] constant(0)
  ROOT d = f32[{rows},{width}]{{1,0}} dynamic-update-slice(p, u, z, z)
}}"""
    root = "ROOT d" if at_result else "d"
    outer = f"""outer {{
  q = f32[{rows},{width}]{{1,0}} parameter(0)
  v = f32[1,{width}]{{1,0}} parameter(1)
  {root} = f32[{rows},{width}]{{1,0}} fusion(v, q), kind=kLoop, calls=inner
  {"" if at_result else f"ROOT n = f32[{rows},{width}]{{1,0}} negate(d)"}
}}"""
    entry = f"""
  a = f32[{rows},{width}]{{1,0}} parameter(0)
  u = f32[1,{width}]{{1,0}} parameter(1)
  ROOT r = f32[{rows},{width}]{{1,0}} fusion(a, u), kind=kLoop, calls=outer"""
    row, whole = FLOAT * width, FLOAT * rows * width
    assert _bytes(_module(entry, inner, outer)) == ((row, row) if at_result else (whole + row, whole))


def test_a_fusion_reads_the_slices_it_uses():
    rows, width, first, second = 20, 8, 3, 5
    fused = f"""fused {{
  p = f32[{rows},{width}]{{1,0}} parameter(0)
  s = f32[{first},{width}]{{1,0}} slice(p), slice={{[0:{first}], [0:{width}]}}
  t = f32[{second},{width}]{{1,0}} slice(p), slice={{[10:{10 + second}], [0:{width}]}}
  n = f32[{second},{width}]{{1,0}} negate(t)
  ROOT r = (f32[{first},{width}]{{1,0}}, f32[{second},{width}]{{1,0}}) tuple(s, n)
}}"""
    entry = f"""
  a = f32[{rows},{width}]{{1,0}} parameter(0)
  ROOT r = (f32[{first},{width}]{{1,0}}, f32[{second},{width}]{{1,0}}) fusion(a), kind=kLoop, calls=fused"""
    used = FLOAT * (first + second) * width
    assert _bytes(_module(entry, fused)) == (used, used)


def test_a_fused_arg_max_writes_both_of_its_results():
    rows, columns = 100, 64
    pick = """pick {
  a = f32[] parameter(0)
  i = s32[] parameter(1)
  b = f32[] parameter(2)
  j = s32[] parameter(3)
  g = pred[] compare(a, b), direction=GT
  s = f32[] select(g, a, b)
  t = s32[] select(g, i, j)
  ROOT r = (f32[], s32[]) tuple(s, t)
}"""
    fused = f"""fused {{
  p = f32[{rows},{columns}]{{1,0}} parameter(0)
  i = s32[{rows},{columns}]{{1,0}} iota(), iota_dimension=1
  f = f32[] constant(-inf)
  z = s32[] constant(0)
  ROOT r = (f32[{rows}]{{0}}, s32[{rows}]{{0}}) reduce(p, i, f, z), dimensions={{1}}, to_apply=pick
}}"""
    entry = f"""
  x = f32[{rows},{columns}]{{1,0}} parameter(0)
  m = (f32[{rows}]{{0}}, s32[{rows}]{{0}}) fusion(x), kind=kLoop, calls=fused
  ROOT o = s32[{rows}]{{0}} get-tuple-element(m), index=1"""
    assert _bytes(_module(entry, pick, fused)) == (FLOAT * rows * columns, (FLOAT + INDEX) * rows)


def test_a_library_workspace_is_no_result():
    m, k, n = 7, 11, 5
    config = 'backend_config={"gemm_backend_config":{"dot_dimension_numbers":{"lhs_contracting_dimensions":["1"]}}}'
    text = _module(f"""
  a = f32[{m},{k}]{{1,0}} parameter(0)
  b = f32[{k},{n}]{{1,0}} parameter(1)
  ROOT c = (f32[{m},{n}]{{1,0}}, s8[4194304]{{0}}) custom-call(a, b), custom_call_target="__cublas$gemm", {config}""")
    assert _bytes(text) == (FLOAT * (m * k + k * n), FLOAT * m * n)


def test_copy_to_the_scratchpad_and_back():
    size = FLOAT * 8 * 128
    text = _module("""
  a = f32[8,128]{1,0:T(8,128)} parameter(0)
  s = (f32[8,128]{1,0:T(8,128)S(1)}, f32[8,128]{1,0:T(8,128)}, u32[]{:S(2)}) copy-start(a)
  d = f32[8,128]{1,0:T(8,128)S(1)} copy-done(s)
  n = f32[8,128]{1,0:T(8,128)S(1)} negate(d)
  t = (f32[8,128]{1,0:T(8,128)}, f32[8,128]{1,0:T(8,128)S(1)}, u32[]{:S(2)}) copy-start(n)
  ROOT o = f32[8,128]{1,0:T(8,128)} copy-done(t)""")
    assert _bytes(text) == (size, size)
    assert count_hlo(text).total.onchip_bytes == 4 * size  # in; read and written by negate; out


def test_a_gather_given_to_the_sparse_cores_counts_once():
    """libtpu 0.0.52, v6e: ``table[ids] * 2`` with a table of [262144, 128] and 65,536 ids. The gather stands in a custom
    call's body, behind two asynchronous starts."""
    text = (GOLDEN / "gather_offload.tpu_v6e.txt").read_text()
    rows, ids = 65536 * 128 * 4, 65536 * 4
    found = count_hlo(text)
    assert found.complete and found.uncounted == ()
    assert found.hbm_bytes == 2 * rows + ids + 2 * rows + 2 * ids  # the gather, the product, the ids brought into bounds
    assert found.other_flops == 65536 * 128
    assert operations(text).total().hbm_bytes == found.hbm_bytes
