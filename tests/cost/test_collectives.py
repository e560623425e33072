"""Collectives of sharded programs compiled for eight devices of three backends, with hand-derived bytes."""

import os
import subprocess
import sys
from collections import Counter
from math import prod
from pathlib import Path

import pytest
from sharded_programs import BATCH, CLASSES, HIDDEN, LAYERS, TURNS, VECTORS, WIDTH, WORDS

from cr_jax.cost.assumptions import Assumptions
from cr_jax.cost.counting.count import count_hlo
from cr_jax.cost.operations.operation_list import operations
from cr_jax.cost.rules.collective_rules import ring_share
from cr_jax.errors import BadConfig, BadHlo

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "sharded"
#: By JAX 0.10; of 0.12 where it prints programs for GPUs otherwise.
DEVICES = ("cpu", "h100", "tpu-v5e")
LATER = "h100-jax-0.12"
LOSS, F32, BF16 = 4, 4, 2
DATA, SQUARE, CUBE, LINE = (("data", 8),), (("data", 4), ("model", 2)), (("x", 2), ("y", 2), ("z", 2)), (("x", 8),)
PARAMETERS = F32 * (WIDTH * HIDDEN + HIDDEN + HIDDEN * CLASSES)
LOOKED_UP = F32 * BATCH // 4 * WORDS * WIDTH
TABLE = F32 * (VECTORS // 2 * WIDTH + WIDTH * CLASSES)
ACTIVATION, LAYER = F32 * BATCH // 4 * WIDTH, F32 * 2 * WIDTH * HIDDEN // 2
PART = F32 * 16 * 128  # of one device, in the programs of every kind
STACKED = F32 * 512 * 512

#: kind, axes, executions and payload of each collective; the same gradients are reduced at once or one by one.
TRUTH = {
    "data_parallel": (DATA, [("all-reduce", "data", 1, PARAMETERS + LOSS)]),
    "sharded_table": (SQUARE, [("all-reduce", "model", 1, LOOKED_UP), ("all-reduce", "data", 1, TABLE + LOSS)]),
    "two_axes": (
        SQUARE,
        [
            ("all-reduce", "model", LAYERS, ACTIVATION),
            ("all-reduce", "model", LAYERS, ACTIVATION),
            ("all-reduce", "data", LAYERS, LAYER),
            ("all-reduce", "data", 1, LOSS),
        ],
    ),
    "every_kind": (
        CUBE,
        [
            ("all-reduce", "xz", TURNS, PART),
            ("all-gather", "y", TURNS, 2 * PART),
            ("reduce-scatter", "y", TURNS, 2 * PART),
            ("all-to-all", "z", TURNS, PART),
            ("collective-permute", "x", TURNS, PART),
            ("all-gather", "xy", TURNS, 4 * PART),
        ],
    ),
    "ragged": (LINE, [("ragged-all-to-all", "x", 1, PART)]),
    "broadcast": (LINE, [("collective-broadcast", "x", 1, PART)]),
}
#: Weights sharded over all devices, by the compiler: gathered in both passes, and their gradients reduced.
SHARDED_WEIGHTS = {
    "cpu": [("all-gather", STACKED), ("all-gather", STACKED), ("all-reduce", STACKED)],
    "h100": [("all-gather", STACKED), ("all-gather", STACKED), ("reduce-scatter", STACKED)],
    "tpu-v5e": [("all-gather", STACKED // 2), ("all-gather", STACKED // 2), ("reduce-scatter", STACKED)],  # bfloat16
}


def text(name, device):
    return (GOLDEN / f"{name}.{device}.txt").read_text()


def kinds(count):
    return Counter((one.kind, "".join(one.axes), one.executions, one.payload_bytes) for one in count.collectives)


def programs():
    return sorted((name, device) for name in TRUTH for device in (*DEVICES, LATER) if (GOLDEN / f"{name}.{device}.txt").exists())


@pytest.mark.parametrize(("name", "device"), programs())
def test_payloads_axes_and_executions(name, device):
    mesh, truth = TRUTH[name]
    count = count_hlo(text(name, device), mesh=mesh)
    assert kinds(count) == Counter((kind, axes, times, size) for kind, axes, times, size in truth)
    assert count.bound == "exact"
    for one in count.collectives:
        devices = prod(size for axis, size in mesh if axis in one.axes)
        assert (one.group_size, one.groups * one.group_size) == (devices, 8)
        assert one.at_most == (name == "ragged")
    if name != "ragged":  # its offsets and its result are operands too
        assert count.total.collective_bytes == sum(one.executions * one.operand_bytes for one in count.collectives)


@pytest.mark.parametrize("device", DEVICES)
def test_weights_sharded_over_all_devices(device):
    count = count_hlo(text("sharded_weights", device), mesh=DATA)
    wanted = Counter((kind, "data", LAYERS, size) for kind, size in SHARDED_WEIGHTS[device])
    assert kinds(count) == wanted + Counter([("all-reduce", "data", 1, LOSS)])
    # Each TPU fusion of an asynchronous collective repeats it.
    assert count.total.collective_bytes == sum(one.executions * one.operand_bytes for one in count.collectives)


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        ("all-reduce", 2 * 7 / 8),
        ("all-gather", 7 / 8),
        ("reduce-scatter", 7 / 8),
        ("all-to-all", 7 / 8),
        ("collective-permute", 1),
        ("collective-broadcast", 1),
    ],
)
def test_bytes_sent_in_a_ring(kind, sent):
    share, of = ring_share(kind, 8)
    assert share / of == sent
    assert ring_share(kind, 1)[0] == 0


@pytest.mark.parametrize("device", DEVICES)
def test_gradients_that_the_compiler_combines_are_of_several_modules(device):
    (one,) = count_hlo(text("data_parallel", device)).collectives
    assert one.module == "(several)"
    assert {one.module for one in count_hlo(text("every_kind", "h100")).collectives} == {"(none)"}


def test_bytes_sent_are_rounded_up():
    (one,) = count_hlo(text("data_parallel", "cpu"), mesh=DATA).collectives
    assert one.sent_bytes == -(-2 * 7 * (PARAMETERS + LOSS) // 8)


@pytest.mark.parametrize(
    ("name", "device", "asynchronous"),
    [
        ("data_parallel", "h100", 0),
        ("sharded_weights", "h100", 4),
        ("sharded_weights", "tpu-v5e", 1),
        ("sharded_weights", "cpu", 0),
    ],
)
def test_what_runs_beside(name, device, asynchronous):
    found = [one for one in count_hlo(text(name, device), mesh=DATA).collectives if one.asynchronous]
    assert len(found) == asynchronous
    product = 2 * 128 * 512 * 512  # of one layer, its rows by 8
    for one in found:
        if one.kind != "all-reduce" and one.between_flops:
            assert product <= one.between_flops < 1.1 * product


def test_a_tpu_hands_the_buffers_of_an_asynchronous_collective_on():
    """Its fusions move the operand and the result once, and the step beside its product's own bytes alone."""
    moved = {one.name: one.cost for one in operations(text("sharded_weights", "tpu-v5e")).operations}
    start, step, done = moved["async-collective-start"], moved["fusion.27"], moved["async-collective-done"]
    gathered, semaphores = BF16 * 512 * 512, 2 * 4 + 6 * 4
    assert start.onchip_bytes == gathered // 8 + gathered + semaphores
    rows = 1024 // 8 * 512
    product = F32 * 512 * 512 + F32 * rows + 2 * F32 * rows + BF16 * rows + 4
    assert (step.onchip_bytes, step.matmul_flops) == (product, 2 * 512 * rows)
    assert (done.onchip_bytes, done.hbm_bytes, done.collective_bytes) == (0, 0, 0)


ASYNC = """HloModule m, num_partitions=2

sum {{
  a = f32[] parameter(0)
  b = f32[] parameter(1)
  ROOT c = f32[] add(a, b)
}}

wrapped {{
  x = f32[8,128]{{1,0}} parameter(0)
  ROOT g = f32[16,128]{{1,0}} all-gather(x), channel_id=1, replica_groups=[1,2]<=[2], dimensions={{0}}, use_global_device_ids=true
}}

ENTRY e {{
  p = f32[8,128]{{1,0}} parameter(0)
  q = f32[64,64]{{1,0}} parameter(1)
  start = ((f32[8,128]{{1,0}}), f32[16,128]{{1,0}}, u32[]) async-start(p), calls=wrapped
  d = f32[64,64]{{1,0}} dot(q, q), lhs_contracting_dims={{1}}, rhs_contracting_dims={{0}}
  update = ((f32[8,128]{{1,0}}), f32[16,128]{{1,0}}, u32[]) async-update(start)
  {after}
  done = f32[16,128]{{1,0}} async-done({waits})
  r = f32[64,64]{{1,0}} all-reduce(d), channel_id=2, replica_groups={{}}, use_global_device_ids=true, to_apply=sum
  n = f32[64,64]{{1,0}} negate(d)
  ROOT t = (f32[16,128]{{1,0}}, f32[64,64]{{1,0}}, f32[64,64]{{1,0}}) tuple(done, r, n)
}}
"""


@pytest.mark.parametrize(("after", "waits"), [("", "update"), ("i = f32[64,64]{1,0} add(d, d)", "start")])
def test_wrapped_asynchronous_collectives(after, waits):
    gather, reduce = count_hlo(ASYNC.format(after=after, waits=waits), mesh=(("data", 2),)).collectives
    assert (gather.kind, gather.axes, gather.payload_bytes, gather.asynchronous) == ("all-gather", ("data",), 4 * 16 * 128, True)
    assert gather.between_flops == 2 * 64**3 + (64 * 64 if after else 0)
    assert gather.between_operations == (2 if after else 1)
    assert (reduce.kind, reduce.asynchronous, reduce.group_size) == ("all-reduce", False, 2)


LOOP = """HloModule m, num_partitions=2

sum {
  a = f32[] parameter(0)
  b = f32[] parameter(1)
  ROOT c = f32[] add(a, b)
}

body {
  state = (s32[], s32[], f32[4]) parameter(0)
  i = s32[] get-tuple-element(state), index=0
  n = s32[] get-tuple-element(state), index=1
  x = f32[4] get-tuple-element(state), index=2
  one = s32[] constant(1)
  next = s32[] add(i, one)
  r = f32[4] all-reduce(x), channel_id=1, replica_groups={}, use_global_device_ids=true, to_apply=sum
  ROOT t = (s32[], s32[], f32[4]) tuple(next, n, r)
}

condition {
  state = (s32[], s32[], f32[4]) parameter(0)
  i = s32[] get-tuple-element(state), index=0
  n = s32[] get-tuple-element(state), index=1
  ROOT less = pred[] compare(i, n), direction=LT
}

ENTRY e {
  n = s32[] parameter(0)
  x = f32[4] parameter(1)
  zero = s32[] constant(0)
  state = (s32[], s32[], f32[4]) tuple(zero, n, x)
  ROOT loop = (s32[], s32[], f32[4]) while(state), condition=condition, body=body
}
"""


def test_a_loop_of_unknown_trip_count():
    (one,) = count_hlo(LOOP).collectives
    assert (one.executions, one.payload_bytes, one.groups, one.group_size, one.axes) == (0, 16, 1, 2, ())
    given = count_hlo(LOOP, assumptions=Assumptions({"loop": 3}))
    assert [one.executions for one in given.collectives] == [3]


def test_refusals():
    with pytest.raises(BadConfig, match="data=4 has 4 devices; legal: one of 8"):
        count_hlo(text("data_parallel", "cpu"), mesh=(("data", 4),))
    broken = text("every_kind", "cpu").replace("replica_groups={{0,2},{1,3},{4,6},{5,7}}", "replica_groups=[4,2]<=[9]", 1)
    with pytest.raises(BadHlo, match="replica_groups of 4 x 2"):
        count_hlo(broken)


def test_without_collectives_nothing_is_added():
    count = count_hlo("HloModule m\n\nENTRY e {\n  ROOT a = f32[] parameter(0)\n}\n", mesh=())
    assert count.collectives == ()
    assert "collectives" not in count.as_dict()


@pytest.mark.slow
def test_the_texts_are_those_of_this_jax(tmp_path):
    """Compiled anew, the same collectives come out."""
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu"}
    script = Path(__file__).parent / "sharded_programs.py"
    subprocess.run([sys.executable, script, "cpu", tmp_path], check=True, env=os.environ | flags, timeout=600)
    for name, (mesh, _) in TRUTH.items():
        made = tmp_path / f"{name}.cpu.txt"
        if made.exists():
            assert kinds(count_hlo(made.read_text(), mesh=mesh)) == kinds(count_hlo(text(name, "cpu"), mesh=mesh)), name
