"""Properties of the predicted times of streams, reductions and vector arithmetic."""

from pathlib import Path
from time import perf_counter

import numpy as np
import pytest
from stream_cards import h100, t4

from cr_jax.cost.operations.buffer_reuse import Reads
from cr_jax.predict.accelerator import streams

ROOT = Path(__file__).resolve().parents[3]
MEASURED = ROOT.parent / "shared" / "measured"
MB = 1_000_000
#: A distance that no cache reaches.
FAR = 10**12


def stream(card, elements, distance=FAR, **more):
    """Seconds of one read and one write of float32."""
    size = 4 * elements
    reads = (Reads(size, distance),)
    work = streams.LaneWork(**{key: more.pop(key) for key in streams.LaneWork._fields if key in more})
    return streams.seconds(card, streams.parts(card, reads, size, distance, elements=elements, work=work, **more))


@pytest.mark.parametrize("card", [h100(), t4()], ids=["h100", "t4"])
def test_time_grows_with_bytes(card):
    times = [stream(card, n) for n in (1, 1000, 10**5, 10**6, 10**7, 10**8)]
    assert times == sorted(times) and times[0] > 0


@pytest.mark.parametrize("card", [h100(), t4()], ids=["h100", "t4"])
@pytest.mark.parametrize("elements", [10**3, 10**6, 10**9])
def test_cold_traffic_is_never_faster_than_the_peak(card, elements):
    assert stream(card, elements) >= 8 * elements / card.bandwidth


def test_a_long_stream_reaches_the_share_of_the_peak():
    card = h100()
    share = card.constants("streams")["bandwidth_share"]
    assert stream(card, 10**9) == pytest.approx(8e9 / (share * card.bandwidth), rel=0.01)


def test_a_measured_copy_replaces_the_share():
    from dataclasses import replace

    card = h100()
    copied = replace(card, accelerator=replace(card.accelerator, measured={"copy_bytes_per_s": 2e12}))
    assert stream(copied, 10**9) == pytest.approx(8e9 / 2e12, rel=0.01)


def test_what_was_just_written_is_read_from_the_cache():
    card = h100()
    near, far = stream(card, 2 * MB, distance=16 * MB), stream(card, 2 * MB)
    assert near < 0.7 * far


def test_a_buffer_leaves_the_cache_with_distance():
    card = h100()
    shares = [streams.in_cache(card, d * card.cache_bytes) for d in (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == 1 and shares[1] > 0.95 and shares[-1] < 0.05


def test_few_blocks_do_not_fill_the_machine():
    card = h100()
    one, full = 512, 512 * card.cores
    assert stream(card, one) / one > 20 * stream(card, full) / full


def test_exponentials_make_a_stream_bound_by_arithmetic():
    card, n = h100(), 10**8
    reads = (Reads(4 * n, FAR),)
    few = streams.parts(card, reads, 4 * n, FAR, elements=n, work=streams.LaneWork(2 * n))
    many = streams.parts(card, reads, 4 * n, FAR, elements=n, work=streams.LaneWork(transcendentals=20 * n))
    assert few.compute_s < few.memory_s and many.compute_s > many.memory_s
    assert few.memory_s == many.memory_s


def test_kinds_of_arithmetic_cost_in_order():
    card, n = h100(), 10**8
    kinds = ("flops", "divisions", "roots", "transcendentals", "powers")
    costs = [streams.arithmetic(card, streams.LaneWork(**{kind: n})) for kind in kinds]
    assert costs == sorted(costs) and costs[0] == pytest.approx(n / (card.cores * card.lanes * card.clock_hz))


def test_slower_types_take_longer():
    card = t4()
    assert streams.arithmetic(card, streams.LaneWork(10**6, slower=32)) == pytest.approx(
        32 * streams.arithmetic(card, streams.LaneWork(10**6))
    )


def test_a_reduction_over_columns_is_dearer_than_one_over_rows():
    card, n = h100(), 10**8
    rows, columns = (stream(card, n, reduced=n, minor=minor) for minor in (n, 0))
    assert stream(card, n) < rows < columns < 2 * rows


def test_arrays_give_what_numbers_give():
    card = t4()
    sizes = np.array([10**3, 10**5, 10**8])
    together = stream(card, sizes, distance=np.array([10**4, 10**7, 10**12]), reduced=sizes, minor=sizes // 2)
    alone = [
        stream(card, int(n), distance=d, reduced=int(n), minor=int(n) // 2)
        for n, d in zip(sizes, (10**4, 10**7, 10**12), strict=True)
    ]
    assert together == pytest.approx(np.array(alone))


SOFTMAX = """HloModule softmax, entry_computation_layout={(f32[4096,1024]{1,0})->f32[4096,1024]{1,0}}

add {
  a = f32[] parameter(0)
  b = f32[] parameter(1)
  ROOT c = f32[] add(a, b)
}

fused {
  x = f32[4096,1024]{1,0} parameter(0)
  e = f32[4096,1024]{1,0} exponential(x)
  zero = f32[] constant(0)
  s = f32[4096]{0} reduce(e, zero), dimensions={1}, to_apply=add
  t = f32[4096,1024]{1,0} broadcast(s), dimensions={0}
  ROOT q = f32[4096,1024]{1,0} divide(e, t)
}

ENTRY main {
  x = f32[4096,1024]{1,0} parameter(0)
  ROOT f = f32[4096,1024]{1,0} fusion(x), kind=kInput, calls=fused
}
"""


def test_a_softmax_of_a_compiled_program_reads_and_writes_once():
    from cr_jax.cost.operations.operation_list import operations

    card, n = h100(), 4096 * 1024
    (operation,) = operations(SOFTMAX).operations
    of = streams.of_operation(card, operation)
    expected = streams.parts(
        card,
        operation.reads,
        4 * n,
        operation.written_distance,
        elements=n,
        work=streams.LaneWork(n - 4096, divisions=n, transcendentals=n),
        reduced=n,
        minor=n,
    )
    assert operation.reads[0].bytes == 4 * n and of == pytest.approx(expected)
    assert of.memory_s > of.compute_s


def test_a_prediction_costs_little():
    card = h100()
    stream(card, 1000)
    begun = perf_counter()
    for _ in range(1000):
        stream(card, 10**6)
    assert perf_counter() - begun < 0.2  # 200 us each; about 15 on an idle machine


@pytest.mark.skipif(not MEASURED.is_dir(), reason="no measurements")
def test_rows_that_were_measured_are_met(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from bench.accelerator_fits import streams as fit
    from bench.accelerator_fits.entries import measured_card

    rows = fit.read(MEASURED)
    assert sum(len(part.seconds) for part in rows.values()) > 2000
    for (name, kind), part in rows.items():
        off = np.abs(fit.predict(measured_card(name), part) / part.seconds - 1)
        assert np.median(off) < (0.05 if kind == "streams" else 0.2), (name, kind)
