"""Starting kernels, worked out by hand: host and device, CUDA graphs, loops that XLA counts and loops that wait."""

import pytest

from cr_jax.cost.operations.operation_list import operations
from cr_jax.predict.accelerator.launches import Launches

TIMES = {"enqueue_s": 3.0, "gap_s": 1.0, "graph_s": 5.0, "graph_kernel_s": 0.5, "wait_s": 10.0, "call_s": 20.0}


def program(kernels, trips=None, annotated=True):
    """``kernels`` in a row, in a loop of ``trips`` iterations where given."""
    lines, last = [], "p"
    for n in range(kernels):
        lines.append(f"  k{n} = f32[8]{{0}} negate({last})")
        last = f"k{n}"
    if trips is None:
        body = "\n".join(lines).replace(f"k{kernels - 1} =", f"ROOT k{kernels - 1} =")
        return operations(f"HloModule m\n\nENTRY e {{\n  p = f32[8]{{0}} parameter(0)\n{body}\n}}\n")
    note = f', backend_config={{"known_trip_count":{{"n":"{trips}"}}}}' if annotated else ""
    return operations(f"""HloModule m

b {{
  t = (s32[], f32[8]{{0}}) parameter(0)
  i = s32[] get-tuple-element(t), index=0
  p = f32[8]{{0}} get-tuple-element(t), index=1
{chr(10).join(lines)}
  one = s32[] constant(1)
  next = s32[] add(i, one)
  ROOT r = (s32[], f32[8]{{0}}) tuple(next, {last})
}}

c {{
  t = (s32[], f32[8]{{0}}) parameter(0)
  i = s32[] get-tuple-element(t), index=0
  n = s32[] constant({trips})
  ROOT l = pred[] compare(i, n), direction=LT
}}

ENTRY e {{
  p = f32[8]{{0}} parameter(0)
  zero = s32[] constant(0)
  s = (s32[], f32[8]{{0}}) tuple(zero, p)
  w = (s32[], f32[8]{{0}}) while(s), condition=c, body=b{note}
  ROOT o = f32[8]{{0}} get-tuple-element(w), index=1
}}
""")


def started(found, seconds):
    launches = Launches(found, TIMES, lambda place: seconds)
    return launches, launches.run()


def test_short_kernels_take_the_hosts_time_and_long_ones_the_devices():
    _, short = started(program(3), 0.5)
    assert short.seconds == 20 + 3 * 3.0 + 0.5  # the device waits for each
    _, long = started(program(3), 100.0)
    assert long.seconds == 20 + 3.0 + 3 * 100.0 + 2 * 1.0  # the host runs ahead
    assert (short.kernels, short.busy_s, long.busy_s) == (3, 1.5, 300.0)


def test_five_in_a_row_are_one_graph_and_four_are_not():
    _, four = started(program(4), 0.5)
    _, five = started(program(5), 0.5)
    assert four.seconds == 20 + 4 * 3.0 + 0.5
    assert five.seconds == 20 + 5.0 + 5 * (0.5 + 0.5)


@pytest.mark.parametrize("trips", [1, 2, 3, 50])
def test_a_loop_of_known_length_is_its_body_enqueued_so_often(trips):
    launches, found = started(program(2, trips), 0.5)  # with the counter's addition: three kernels an iteration
    assert found.seconds == pytest.approx(20 + trips * 3 * 3.0 + 0.5)
    assert found.kernels == trips * 3 and found.busy_s == pytest.approx(trips * 1.5)
    (loop,) = found.loops
    assert (loop.iterations, loop.kernels, loop.graphs, loop.waits) == (trips, 3, 0, False)
    assert sum(launches.runs.values()) == trips * 3  # the condition never runs


def test_long_kernels_in_a_loop_take_the_devices_time():
    _, found = started(program(2, 50), 100.0)
    assert found.seconds == pytest.approx(20 + 3.0 + 150 * 100.0 + 149 * 1.0)


def test_a_loop_that_xla_does_not_count_waits_in_every_iteration():
    _, found = started(program(2, 50, annotated=False), 0.5)
    (loop,) = found.loops
    assert loop.waits and found.seconds > 50 * (10.0 + 4 * 3.0)
    assert loop.launching_s > 0.9 * loop.seconds
