"""Live memory over a scheduled program, against schedules worked out by hand and the compiler's own account."""

import re

import jax
import jax.numpy as jnp
import pytest

from cr_jax.cost.memory.liveness import liveness
from cr_jax.cost.memory.timeline import LISTED, POINTS, timeline
from cr_jax.hlo.parse import parse

HEAD = "HloModule m, is_scheduled=true"


def live(body, header=HEAD):
    """Bytes alive at each operation of an entry computation (preceded by what it calls)."""
    module = parse(f"{header}\n\n{body}\n")
    found = liveness(module)
    return [sum(b.size for b in found.buffers if any(a <= t <= z for a, z in b.spans)) for t in range(len(found.steps))]


def test_a_chain_frees_what_nobody_reads_again():
    body = """ENTRY e {
  p = f32[10]{0} parameter(0)
  zero = f32[] constant(0)
  a = f32[100]{0} pad(p, zero), padding=0_90
  b = f32[200]{0} pad(p, zero), padding=0_190
  c = f32[50]{0} slice(a), slice={[0:50]}
  d = f32[50]{0} slice(b), slice={[0:50]}
  ROOT r = (f32[50]{0}, f32[50]{0}) tuple(c, d)
}"""
    # argument 40; a 400; b 800; c 200; d 200
    assert live(body) == [440, 1240, 1440, 1240]


def test_an_element_wise_result_takes_the_place_of_a_dying_operand_only():
    body = """ENTRY e {
  p = f32[10]{0} parameter(0)
  zero = f32[] constant(0)
  a = f32[100]{0} pad(p, zero), padding=0_90
  b = f32[100]{0} negate(a)
  c = f32[100]{0} add(a, b)
  ROOT d = f32[100]{0} reverse(c), dimensions={0}
}"""
    # b needs its own place (a is read again), c takes one of theirs, d takes none: it reads c elsewhere
    assert live(body) == [440, 840, 840, 840]


def test_an_argument_is_never_given_up_unless_a_result_takes_its_place():
    body = """ENTRY e {
  p = f32[100]{0} parameter(0)
  q = f32[100]{0} parameter(1)
  a = f32[100]{0} negate(p)
  ROOT r = f32[100]{0} add(a, q)
}"""
    assert live(body) == [1200, 1200]  # two arguments; a; r in a's place
    donated = HEAD + ", input_output_alias={ {}: (0, {}, may-alias) }"
    assert live(body, donated) == [800, 1200]  # a in p's place, which nobody reads again; r lies in p


LOOP = """body {
  s = (s32[], f32[100]{0}, f32[1000]{0}) parameter(0)
  i = s32[] get-tuple-element(s), index=0
  one = s32[] constant(1)
  n = s32[] add(i, one)
  x = f32[100]{0} get-tuple-element(s), index=1
  w = f32[1000]{0} get-tuple-element(s), index=2
  big = f32[500]{0} slice(w), slice={[0:500]}
  small = f32[100]{0} slice(big), slice={[0:100]}
  y = f32[100]{0} add(x, small)
  ROOT t = (s32[], f32[100]{0}, f32[1000]{0}) tuple(n, y, w)
}

condition {
  s = (s32[], f32[100]{0}, f32[1000]{0}) parameter(0)
  i = s32[] get-tuple-element(s), index=0
  limit = s32[] constant(7)
  ROOT go = pred[] compare(i, limit), direction=LT
}

ENTRY e {
  p = f32[1000]{0} parameter(0)
  w = f32[1000]{0} reverse(p), dimensions={0}
  x = f32[100]{0} slice(w), slice={[0:100]}
  zero = s32[] constant(0)
  i = s32[] copy(zero)
  s = (s32[], f32[100]{0}, f32[1000]{0}) tuple(i, x, w)
  loop = (s32[], f32[100]{0}, f32[1000]{0}) while(s), condition=condition, body=body
  ROOT out = f32[100]{0} get-tuple-element(loop), index=1
}"""


def test_a_loop_keeps_its_state_in_place_and_adds_what_its_body_needs():
    # argument 4000, w 4000, x 400, i 4; the comparison's 1; big 2000, small 400; y in x's place
    state = 4000 + 4000 + 400 + 4
    assert live(LOOP) == [8000, 8400, state, state, state + 1, state, state + 2000, state + 2400, state + 400]


def test_branches_come_one_after_the_other():
    body = """t {
  x = f32[100]{0} parameter(0)
  zero = f32[] constant(0)
  a = f32[900]{0} pad(x, zero), padding=0_800
  ROOT b = f32[10]{0} slice(a), slice={[0:10]}
}

f {
  x = f32[100]{0} parameter(0)
  ROOT b = f32[10]{0} slice(x), slice={[0:10]}
}

ENTRY e {
  c = pred[] parameter(0)
  x = f32[100]{0} parameter(1)
  ROOT r = f32[10]{0} conditional(c, x, x), true_computation=t, false_computation=f
}"""
    assert live(body) == [401, 401 + 3600, 401 + 3640, 401 + 40]


def test_an_update_inside_a_fusion_is_in_place():
    body = """fused {
  a = f32[8,100]{1,0} parameter(0)
  u = f32[1,100]{1,0} parameter(1)
  i = s32[] parameter(2)
  z = s32[] constant(0)
  n = f32[1,100]{1,0} negate(u)
  ROOT d = f32[8,100]{1,0} dynamic-update-slice(a, n, i, z)
}

ENTRY e {
  p = f32[1,100]{1,0} parameter(0)
  i = s32[] parameter(1)
  zero = f32[] constant(0)
  a = f32[8,100]{1,0} pad(p, zero), padding=0_7x0_0
  b = f32[8,100]{1,0} fusion(a, p, i), kind=kLoop, calls=fused
  ROOT r = f32[1,100]{1,0} slice(b), slice={[0:1], [0:100]}
}"""
    assert live(body) == [404 + 3200, 404 + 3200, 404 + 3600]


def test_what_lies_on_the_chip_is_not_in_main_memory_and_tiles_pad():
    body = """ENTRY e {
  p = f32[3,100]{1,0:T(8,128)} parameter(0)
  copy-start = (f32[3,100]{1,0:T(8,128)S(1)}, f32[3,100]{1,0:T(8,128)}, u32[]{:S(2)}) copy-start(p)
  copy-done = f32[3,100]{1,0:T(8,128)S(1)} copy-done(copy-start)
  ROOT a = f32[3,100]{1,0:T(8,128)} negate(copy-done)
}"""
    assert live(body) == [4096, 4096, 8192]


def test_an_asynchronous_operation_holds_its_operand_until_it_is_done():
    body = """wrapped {
  x = f32[100]{0} parameter(0)
  ROOT r = f32[50]{0} slice(x), slice={[0:50]}
}

ENTRY e {
  p = f32[10]{0} parameter(0)
  zero = f32[] constant(0)
  a = f32[100]{0} pad(p, zero), padding=0_90
  s = ((f32[100]{0}), f32[50]{0}, u32[]) async-start(a), calls=wrapped
  b = f32[200]{0} pad(p, zero), padding=0_190
  d = f32[50]{0} async-done(s)
  ROOT r = (f32[50]{0}, f32[200]{0}) tuple(d, b)
}"""
    assert live(body) == [440, 644, 1444, 1444]  # with its context


def test_a_text_without_an_order_has_no_timeline():
    text = "HloModule m\n\nENTRY e {\n  p = f32[10]{0} parameter(0)\n  ROOT a = f32[10]{0} negate(p)\n}\n"
    assert timeline(parse(text)) is None
    assert timeline(parse(text.replace("HloModule m", HEAD))).peak.live_bytes == 80


def compiled(function, *arguments, donate=(), dump=None):
    options = {"xla_dump_to": str(dump), "xla_dump_hlo_as_text": True} if dump else None
    made = jax.jit(function, donate_argnums=donate).lower(*arguments).compile(compiler_options=options)
    figures = made.memory_analysis()
    told = figures.argument_size_in_bytes + figures.output_size_in_bytes + figures.temp_size_in_bytes
    return timeline(parse(made.as_text())), told - figures.alias_size_in_bytes, figures


def layers(weights, x):
    with jax.named_scope("layers"):
        x, _ = jax.lax.scan(lambda x, w: (jnp.tanh(x @ w), jnp.sum(x)), x, weights)
    return jnp.sum(x**2)


def step(weights, x):
    return weights - 0.1 * jax.grad(layers)(weights, x)


SIZES = jax.ShapeDtypeStruct((20, 64, 64), jnp.float32), jax.ShapeDtypeStruct((256, 64), jnp.float32)


CASES = pytest.mark.parametrize(("function", "donate"), [(layers, ()), (jax.grad(layers), ()), (step, ()), (step, (0,))])


@CASES
def test_the_fullest_moment_against_the_compilers_account(function, donate):
    found, told, figures = compiled(function, *SIZES, donate=donate)
    # No more than the compiler sets aside, and no less but for what is idle and gaps between buffers.
    assert found.peak.live_bytes <= told <= 1.05 * (found.peak.live_bytes + found.idle_bytes)
    assert sum(found.role_bytes.values()) == found.peak.live_bytes
    if not donate:
        assert found.role_bytes["argument"] == figures.argument_size_in_bytes


@CASES
def test_the_fullest_moment_is_that_of_the_compilers_own_live_ranges(function, donate, tmp_path):
    found, _, _ = compiled(function, *SIZES, donate=donate, dump=tmp_path)
    assert found.peak.live_bytes == fullest(tmp_path)


def fullest(folder):
    """XLA's own account, from its dump: values live from-to, those in one place of one allocation once."""
    ranges = next(folder.glob("*live-range.txt")).read_text()
    lines = re.findall(r"^ +(\S+)\{([\d,]*)\}:(\d+)-(\d+)$", ranges.split("BufferLiveRange:")[1], re.MULTILINE)
    alive = {(name, index): range(int(a), int(z) + 1) for name, index, a, z in lines}
    last = int(re.search(r"HloLiveRange \(max (\d+)\)", ranges)[1])
    places, place = {}, None
    for line in next(folder.glob("*after_optimizations-buffer-assignment.txt")).read_text().splitlines():
        if head := re.match(r"allocation (\d+): size \d+(.*)", line):
            place = None if re.search("constant|thread-local", head[2]) else head[1]
            whole = "parameter" in head[2] and "maybe-live-out" not in head[2]
        value = re.match(r" value: <\d+ ([^\s{]+)(?:\{([\d,]*)\})?(?: \(phi\))? @\d+> \(size=(\d+),offset=(\d+)\): (.)", line)
        if value and place and value[5] != "(":  # tables of tuples are no buffers here
            times = range(last + 1) if whole else alive[value[1], value[2] or ""]
            for time in times:
                at = places.setdefault(time, {})
                at[place, value[4]] = max(at.get((place, value[4]), 0), int(value[3]))
    return max(sum(at.values()) for at in places.values())


def test_the_peak_names_the_activations_kept_for_the_backward_pass():
    found, _, _ = compiled(jax.grad(layers), *SIZES)
    kept = [a for a in found.alive if a.role == "temporary" and a.bytes == 20 * 256 * 64 * 4]
    assert kept and {a.module for a in kept} == {"layers"}
    assert [a.bytes for a in found.alive] == sorted((a.bytes for a in found.alive), reverse=True)


def test_points_are_bounded_and_hold_the_peak():
    def long(x):
        for n in range(200):
            x = jnp.sort(x[::-1] + n)
        return x

    found, _, _ = compiled(long, jax.ShapeDtypeStruct((64,), jnp.float32))
    assert found.positions > POINTS == len(found.points) and len(found.alive) <= LISTED
    assert found.peak in found.points and found.peak.live_bytes == max(p.live_bytes for p in found.points)
    assert [p.position for p in found.points] == sorted({p.position for p in found.points})
