"""Replay: every piece of a program can be cut out and run, and the whole is put together from the pieces."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest
from jax import lax
from round_tables import calibration, typed

from cr_jax.catalog.load import accelerator
from cr_jax.cost.assumptions import Assumptions
from cr_jax.cost.operations.operation_list import operations
from cr_jax.hlo.parse import parse
from cr_jax.measure import replay as replaying
from cr_jax.predict.program_time import predict


def recurrent(x, w, table, ids):
    """A loop with products, gates, an in-place update, a gather, a reduction and the best of a row."""

    def step(h, now):
        z, r = jnp.split(jax.nn.sigmoid(now @ w), 2, axis=1)
        return h * z + jnp.tanh(r) * 0.5, h.sum(1)

    h, sums = lax.scan(step, x[0, :, :24], x)
    return h + table[ids][:, :24], sums, jnp.argmax(h, axis=1)


@pytest.fixture(scope="module")
def case():
    arguments = (jnp.ones((6, 16, 48)), jnp.ones((48, 48)), jnp.ones((50, 32)), jnp.zeros(16, jnp.int32))
    text = jax.jit(recurrent).lower(*arguments).compile().as_text()
    device = dataclasses.replace(accelerator("cpu"), calibration=typed(calibration()))
    program = operations(text)
    return text, program, predict(program, device, "default", "float32"), device


def test_hot_operations_are_replayed_and_the_whole_is_their_sum(case, monkeypatch):
    text, program, analytic, device = case
    monkeypatch.setattr(replaying, "_PAIRS_S", 0.0)
    monkeypatch.setattr(replaying, "_LONG_S", 1e-5)
    found, rows = replaying.replay(text, parse(text), program, analytic, device)
    assert found.method == "replay" and rows
    assert [r.name for r in rows if r.replay_s is None] == []
    hot = {r.name for r in rows}
    assert {"matmul", "elementwise"} <= {r.family for r in rows}
    assert sum(r.times for r in rows) <= sum(o.times for o in program.operations)
    rest = [t for t in found.operations if t.parts == next(a.parts for a in analytic.operations if a.operation is t.operation)]
    assert not {t.operation.name for t in rest} & hot
    whole = sum(t.seconds for t in found.operations) + sum(found.extras.values())
    assert found.seconds == pytest.approx(whole)


def test_equal_operations_share_a_key_and_others_do_not(case):
    text, program, _, _ = case
    pieces = replaying.Pieces(text, parse(text))
    keys = {o.name: pieces.key(o) for o in program.operations}
    assert len(set(keys.values())) > 3
    doubled = text.replace("metadata={", "metadata={source_line=1 ")
    again = replaying.Pieces(doubled, parse(doubled))
    assert keys == {o.name: again.key(o) for o in operations(doubled).operations}


def test_a_piece_runs_alone_and_counts_the_same_work(case):
    """The loop around a product holds that product, layouts and names aside."""
    text, program, _, _ = case
    product = next(o for o in program.operations if o.products)
    hlo, shapes = replaying.Pieces(text, parse(text)).looped(product)
    assert [tuple(s.dims) for s in shapes] == [s.dims for s in shapes]
    alone = operations(hlo, Assumptions({"end": 5}))
    assert not alone.loops[0].known or alone.loops[0].iterations == 5
    assert "{1,0}" not in hlo and "bitcast(" not in hlo and "metadata" not in hlo
    executable, _ = replaying._compile(hlo)
    assert executable is not None


def test_an_in_place_update_gets_its_own_result_back():
    text = """HloModule m

ENTRY e {
  a = f32[64,8]{1,0} parameter(0)
  u = f32[1,8]{1,0} parameter(1)
  i = s32[] parameter(2)
  z = s32[] constant(0)
  ROOT d = f32[64,8]{1,0} dynamic-update-slice(a, u, i, z)
}
"""
    (update,) = operations(text).operations
    assert not update.fresh
    hlo, _ = replaying.Pieces(text, parse(text)).looped(update)
    carried = next(line for line in hlo.split("\n") if "ROOT %out" in line)
    assert "%before, %w, %p1" in carried  # the result goes where the operand came from


SLICE = """HloModule m

ENTRY e {
  a = f32[4096,64]{1,0} parameter(0)
  i = s32[] parameter(1)
  z = s32[] constant(0)
  ROOT d = f32[64,64]{1,0} dynamic-slice(a, i, z), dynamic_slice_sizes={64,64}
}
"""


def test_a_part_is_picked_anew_from_another_place_not_from_a_changed_whole():
    """To change one element of the whole would copy it at every turn."""
    (picked,) = operations(SLICE).operations
    hlo, _ = replaying.Pieces(SLICE, parse(SLICE)).looped(picked)
    assert "dynamic-update-slice" not in hlo
    assert "%p1 = s32[] reshape(%poke)" in hlo and "%p0 = f32[4096,64] reshape(%q0)" in hlo
    assert replaying._compile(hlo)[0] is not None


def test_fetching_cold_operands_is_the_least_a_replayed_operation_takes():
    parts = replaying.TimeParts(compute_s=1e-6, memory_s=3e-6)
    assert replaying._scaled(parts, 1e-6).seconds == 3e-6
    assert replaying._scaled(parts, 5e-6).seconds == 5e-6


def test_a_large_result_that_memory_bounds_keeps_the_models_time():
    text = SLICE.replace("4096,64", "2097152,4").replace("f32[64,64]", "f32[1048576,4]").replace("={64,64}", "={1048576,4}")
    device = dataclasses.replace(accelerator("cpu"), calibration=typed(calibration()))
    program = operations(text)
    analytic = predict(program, device, "default", "float32")
    found, (row,) = replaying.replay(text, parse(text), program, analytic, device)
    assert row.replay_s is None and "copy" in (row.reason or "")
    assert found.seconds == pytest.approx(analytic.seconds)
