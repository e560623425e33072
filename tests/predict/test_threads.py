"""Operations at the same time, against schedules worked out by hand and bounds that any schedule keeps."""

import dataclasses
import random

import pytest
from round_tables import calibration

from cr_jax.catalog.load import accelerator
from cr_jax.cost.operations import operations
from cr_jax.predict import roofline
from cr_jax.predict.threads import Busy, at_once, elapsed, width

COPY_S = 8e6 / 1e10 + 1e-6  # a copy of a million floats, by the round tables


def predict(text: str, cores: int = 2):
    device = dataclasses.replace(accelerator("cpu"), calibration=calibration(cores=cores))
    return roofline.predict(operations(text), device, "default", "float32")


def chains(count: int, length: int, elements: int = 1_000_000) -> str:
    """``count`` chains of copies that share nothing."""
    lines = []
    for chain in range(count):
        lines += [f"  c{chain}x0 = f32[{elements}]{{0}} parameter({chain})"]
        lines += [f"  c{chain}x{n} = f32[{elements}]{{0}} copy(c{chain}x{n - 1})" for n in range(1, length + 1)]
    ends = ", ".join(f"c{chain}x{length}" for chain in range(count))
    kinds = ", ".join([f"f32[{elements}]{{0}}"] * count)
    return "HloModule m\n\nENTRY e {\n" + "\n".join(lines) + f"\n  ROOT r = ({kinds}) tuple({ends})\n}}\n"


def test_what_is_independent_takes_half_on_two_threads_and_nothing_off_on_one():
    text = chains(2, 10)
    found = predict(text)
    assert found.extras["at once"] == pytest.approx(-10 * COPY_S)
    assert found.seconds == pytest.approx(sum(t.seconds for t in found.operations) + sum(found.extras.values()))
    assert sum(found.shares.values()) == pytest.approx(1) and min(found.shares.values()) >= 0
    assert predict(text, cores=1).extras["at once"] == 0
    assert predict(chains(4, 10), cores=4).extras["at once"] == pytest.approx(-30 * COPY_S)


def test_a_chain_few_operations_or_small_buffers_run_in_order():
    assert predict(chains(1, 20)).extras["at once"] == pytest.approx(0, abs=1e-12)
    assert predict(chains(2, 4)).extras["at once"] == 0  # 8 operations
    assert predict(chains(2, 10, elements=128)).extras["at once"] == 0  # 512 bytes


def test_a_device_known_by_its_peaks_runs_one_operation_after_the_other():
    found = roofline.predict(operations(chains(2, 10)), accelerator("h100"), "default", "float32")
    assert "at once" not in found.extras


def test_wide_operations_take_the_threads_that_narrow_ones_leave():
    narrow, short, wide = Busy(4.0, 1), Busy(2.0, 1), Busy(3.0, 2)
    assert at_once([(), (), ()], [narrow, short, wide], 2) == Busy(6.0, 2.0)  # 12 thread-seconds, none idle
    found = at_once([(), (), (0,)], [narrow, short, wide], 2)  # the wide one waits for the long one
    assert found == Busy(7.0, pytest.approx(12 / 7))
    assert at_once([], [], 2) == Busy(0.0, 1.0)


def loop_beside_a_chain(turns: int, body: int, other: int) -> str:
    """A loop of ``turns`` times ``body`` copies, and a chain of ``other`` copies that share nothing with it."""
    inner = [f"  b{n} = f32[1000000]{{0}} copy({'x' if n == 0 else f'b{n - 1}'})" for n in range(body)]
    chain = [f"  o{n} = f32[1000000]{{0}} copy({'a' if n == 0 else f'o{n - 1}'})" for n in range(other)]
    state = "(s32[], f32[1000000]{0})"
    return "\n".join([
        "HloModule m", "", "body {", f"  s = {state} parameter(0)", "  i = s32[] get-tuple-element(s), index=0",
        "  x = f32[1000000]{0} get-tuple-element(s), index=1", "  k = s32[] constant(1)", "  j = s32[] add(i, k)", *inner,
        f"  ROOT r = {state} tuple(j, b{body - 1})", "}", "", "test {", f"  s = {state} parameter(0)",
        "  i = s32[] get-tuple-element(s), index=0", f"  k = s32[] constant({turns})",
        "  ROOT l = pred[] compare(i, k), direction=LT", "}", "", "ENTRY e {", "  a = f32[1000000]{0} parameter(0)",
        "  z = s32[] constant(0)", f"  t = {state} tuple(z, a)",
        f"  w = {state} while(t), condition=test, body=body, backend_config={{\"known_trip_count\":{{\"n\":\"{turns}\"}}}}",
        *chain, "  y = f32[1000000]{0} get-tuple-element(w), index=1",
        f"  ROOT r = (f32[1000000]{{0}}, f32[1000000]{{0}}) tuple(y, o{other - 1})", "}", "",
    ])  # fmt: skip


def test_a_loop_leaves_the_threads_that_its_body_does_not_use():
    found = predict(loop_beside_a_chain(3, 10, 30))
    assert found.extras["at once"] == pytest.approx(-30 * COPY_S, rel=1e-2)


def test_a_loop_takes_its_entry_its_turns_and_one_test_more():
    program = operations(loop_beside_a_chain(3, 1, 1))  # two entries: in order
    assert elapsed(program, lambda place: 1.0, 50.0, 7.0, 2) == 3 * 2 + 4 * 1 + 50 + 3 * 7 + 1


@pytest.mark.parametrize("seed", range(20))
def test_no_schedule_is_faster_than_its_longest_chain_or_its_work(seed):
    draw = random.Random(seed)
    threads, count = draw.choice([1, 2, 3, 8]), 40
    after = [tuple(sorted({draw.randrange(n) for _ in range(draw.randrange(3))})) if n else () for n in range(count)]
    runs = [Busy(draw.random(), draw.choice([1, 1, 1.5, threads]) if threads > 1 else 1) for _ in range(count)]
    runs = [Busy(run.seconds, min(run.width, threads)) for run in runs]
    found = at_once(after, runs, threads)
    chain: list[float] = []
    for place, run in enumerate(runs):
        chain.append(run.seconds + max((chain[before] for before in after[place]), default=0))
    work = sum(run.seconds * run.width for run in runs)
    assert max(max(chain), work / threads) * (1 - 1e-9) <= found.seconds <= sum(run.seconds for run in runs) * (1 + 1e-9)
    assert found.seconds * found.width == pytest.approx(work)


def test_threads_of_an_operation():
    dot = "HloModule m\n\nENTRY e {{\n  a = f32[{m},{k}]{{1,0}} parameter(0)\n  b = f32[{k},512]{{1,0}} parameter(1)\n" \
          "  ROOT d = f32[{m},512]{{1,0}} dot(a, b), lhs_contracting_dims={{1}}, rhs_contracting_dims={{0}}\n}}\n"  # fmt: skip
    for m, k, threads in ((32, 64, 1), (32, 512, 2), (1, 512, 1), (1, 1024, 2)):
        (operation,) = operations(dot.format(m=m, k=k)).operations
        assert width(operation, 2) == threads
    cut = chains(1, 1).replace("copy(c0x0)", 'copy(c0x0), backend_config={"outer_dimension_partitions":["8"]}')
    (operation,) = operations(cut).operations
    assert (width(operation, 2), width(operation, 16)) == (2, 8)
