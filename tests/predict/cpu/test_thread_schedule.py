"""Operations at the same time, against schedules worked out by hand and bounds that any schedule keeps."""

import dataclasses
import random

import pytest
from round_tables import calibration, typed

from cr_jax.catalog.load import accelerator
from cr_jax.cost.operations.operation_list import operations
from cr_jax.predict import program_time
from cr_jax.predict.cpu.thread_schedule import Busy, at_once, elapsed, width

COPY_S = 8e6 / 1e10 + 1e-6  # a copy of a million floats, by the round tables


def predict(text: str, cores: int = 2):
    device = dataclasses.replace(accelerator("cpu"), calibration=typed(calibration(cores=cores)))
    return program_time.predict(operations(text), device, "default", "float32")


def chains(count: int, length: int, elements: int = 1_000_000) -> str:
    """``count`` chains of copies that share nothing."""
    lines = []
    for chain in range(count):
        lines += [f"  c{chain}x0 = f32[{elements}]{{0}} parameter({chain})"]
        lines += [f"  c{chain}x{n} = f32[{elements}]{{0}} copy(c{chain}x{n - 1})" for n in range(1, length + 1)]
    ends = ", ".join(f"c{chain}x{length}" for chain in range(count))
    kinds = ", ".join([f"f32[{elements}]{{0}}"] * count)
    return "HloModule m\n\nENTRY e {\n" + "\n".join(lines) + f"\n  ROOT r = ({kinds}) tuple({ends})\n}}\n"


def beside_a_product(text: str) -> str:
    """The program with a large product before everything else, which nothing waits for."""
    product = "  p = f32[4000,4000]{1,0} dot(q, q), lhs_contracting_dims={1}, rhs_contracting_dims={0}"
    number = text[text.index("ENTRY e {") :].count(" parameter(")
    return text.replace("ENTRY e {\n", f"ENTRY e {{\n  q = f32[4000,4000]{{1,0}} parameter({number})\n{product}\n")


def test_a_large_product_in_the_background_leaves_its_thread_to_others():
    found = predict(beside_a_product(chains(2, 4)))
    assert found.extras["at once"] == pytest.approx(-4 * COPY_S)  # beside eight copies it had one thread of two
    assert found.seconds == pytest.approx(sum(t.seconds for t in found.operations) + sum(found.extras.values()))
    assert sum(found.shares.values()) == pytest.approx(1) and min(found.shares.values()) >= 0
    assert predict(beside_a_product(chains(2, 4)), cores=1).extras["at once"] == pytest.approx(0, abs=1e-12)
    assert predict(chains(2, 4)).extras["at once"] == pytest.approx(0, abs=1e-12)


def test_a_program_of_few_operations_runs_in_order():
    assert predict(beside_a_product(chains(1, 8))).extras["at once"] < 0
    assert predict(beside_a_product(chains(1, 7))).extras["at once"] == pytest.approx(0, abs=1e-12)


def test_a_device_known_by_its_peaks_runs_one_operation_after_the_other():
    found = program_time.predict(operations(chains(2, 10)), accelerator("h100"), "default", "float32")
    assert "at once" not in found.extras


def test_wide_operations_take_the_threads_that_nobody_holds():
    narrow, wide, behind = Busy(4.0), Busy(3.0, 2), Busy(3.0, 2, True)
    assert at_once([(), ()], [narrow, wide], 2) == Busy(7.0, 10 / 7)  # one queue: one after the other
    assert at_once([(), ()], [behind, narrow], 2) == Busy(5.0, 2.0)  # in the background: no thread idles
    assert at_once([(), ()], [Busy(3.0, 1, True), narrow], 1) == Busy(7.0, 1.0)  # one thread has no background
    assert at_once([(), (0,), (0,)], [behind, narrow, narrow], 2) == Busy(11.0, 14 / 11)  # then one queue
    assert at_once([], [], 2) == Busy(0.0, 1.0)


def loop_beside_a_chain(turns: int, body: int, other: int) -> str:
    """A loop of ``turns`` times ``body`` copies, and a chain of ``other`` copies that share nothing with it."""
    inner = [f"  b{n} = f32[1000000]{{0}} copy({'x' if n == 0 else f'b{n - 1}'})" for n in range(body)]
    chain = [f"  o{n} = f32[1000000]{{0}} copy({'a' if n == 0 else f'o{n - 1}'})" for n in range(other)]
    state = "(s32[], f32[1000000]{0})"
    return "\n".join(
        [
            "HloModule m",
            "",
            "body {",
            f"  s = {state} parameter(0)",
            "  i = s32[] get-tuple-element(s), index=0",
            "  x = f32[1000000]{0} get-tuple-element(s), index=1",
            "  k = s32[] constant(1)",
            "  j = s32[] add(i, k)",
            *inner,
            f"  ROOT r = {state} tuple(j, b{body - 1})",
            "}",
            "",
            "test {",
            f"  s = {state} parameter(0)",
            "  i = s32[] get-tuple-element(s), index=0",
            f"  k = s32[] constant({turns})",
            "  ROOT l = pred[] compare(i, k), direction=LT",
            "}",
            "",
            "ENTRY e {",
            "  a = f32[1000000]{0} parameter(0)",
            "  z = s32[] constant(0)",
            f"  t = {state} tuple(z, a)",
            f'  w = {state} while(t), condition=test, body=body, backend_config={{"known_trip_count":{{"n":"{turns}"}}}}',
            *chain,
            "  y = f32[1000000]{0} get-tuple-element(w), index=1",
            f"  ROOT r = (f32[1000000]{{0}}, f32[1000000]{{0}}) tuple(y, o{other - 1})",
            "}",
            "",
        ]
    )


def test_a_loop_runs_in_order_beside_a_product_in_the_background():
    text = loop_beside_a_chain(3, 10, 8)
    assert predict(text).extras["at once"] == pytest.approx(0, abs=1e-12)
    found = predict(beside_a_product(text))
    others = sum(t.seconds for t in found.operations if not t.operation.products) + found.extras["loops"]
    assert found.extras["at once"] == pytest.approx(-others / 2, rel=1e-3)


def test_a_loop_takes_its_entry_its_turns_and_one_test_more():
    program = operations(loop_beside_a_chain(3, 1, 1))  # two entries: in order
    assert elapsed(program, lambda place: 1.0, 50.0, 7.0, 2) == 3 * 2 + 4 * 1 + 50 + 3 * 7 + 1


@pytest.mark.parametrize("seed", range(20))
def test_no_schedule_is_faster_than_its_longest_chain_or_its_work(seed):
    draw = random.Random(seed)
    threads, count = draw.choice([1, 2, 3, 8]), 40
    after = [tuple(sorted({draw.randrange(n) for _ in range(draw.randrange(3))})) if n else () for n in range(count)]
    widths = [draw.choice([1, 1, min(1.5, threads), threads]) for _ in range(count)]
    runs = [Busy(draw.random(), width, width > 1 and draw.random() < 0.5) for width in widths]
    found = at_once(after, runs, threads)
    chain: list[float] = []
    for place, run in enumerate(runs):
        chain.append(run.seconds + max((chain[before] for before in after[place]), default=0))
    work = sum(run.seconds * run.width for run in runs)
    assert max(max(chain), work / threads) * (1 - 1e-9) <= found.seconds <= sum(run.seconds for run in runs) * (1 + 1e-9)
    assert found.seconds * found.width == pytest.approx(work)


def test_threads_of_an_operation():
    dot = (
        "HloModule m\n\nENTRY e {{\n  a = f32[{m},{k}]{{1,0}} parameter(0)\n  b = f32[{k},512]{{1,0}} parameter(1)\n"
        "  ROOT d = f32[{m},512]{{1,0}} dot(a, b), lhs_contracting_dims={{1}}, rhs_contracting_dims={{0}}\n}}\n"
    )
    for m, k, threads in ((32, 64, 1), (32, 512, 2), (1, 512, 1), (1, 1024, 2)):
        (operation,) = operations(dot.format(m=m, k=k)).operations
        assert width(operation, 2) == threads
    cut = chains(1, 1).replace("copy(c0x0)", 'copy(c0x0), backend_config={"outer_dimension_partitions":["8"]}')
    (operation,) = operations(cut).operations
    assert (width(operation, 2), width(operation, 16)) == (2, 8)
