"""Properties of the predicted times of gathers, scatters and sorts."""

import pytest
from stream_cards import h100, t4

from cr_jax.cost.operations.buffer_reuse import Reads
from cr_jax.predict.accelerator import gathers, sorts, streams

FAR = 10**12
BOTH = pytest.mark.parametrize("card", [h100(), t4()], ids=["h100", "t4"])


def gather(card, rows, row_bytes, table=FAR):
    """Seconds of one gather of a table of so many bytes: the counter reads no more than all of it."""
    reads = (Reads(4 * rows, FAR), Reads(min(table, rows * row_bytes), FAR))
    return gathers.seconds(card, gathers.parts(card, reads, rows * row_bytes, FAR, rows=rows, row_bytes=row_bytes))


def scatter(card, rows, row_bytes, atomic=True):
    size = rows * row_bytes
    reads = (Reads(4 * rows, FAR), Reads(size, FAR), Reads(size, FAR))
    of = gathers.scatter_parts(card, reads, size, FAR, rows=rows, row_bytes=row_bytes, atomic=atomic)
    return gathers.seconds(card, of)


@BOTH
def test_short_rows_waste_their_sectors(card):
    assert gather(card, 10**6, 4) > 0.7 * gather(card, 10**6, 32)
    assert gather(card, 8 * 10**6, 4) > 2 * gather(card, 10**6, 32)


@BOTH
def test_long_rows_approach_a_stream(card):
    rows, row_bytes = 10**5, 4096
    stream = streams.traffic(card, (Reads(rows * row_bytes, FAR),), rows * row_bytes, FAR, 10**6)
    assert stream < gather(card, rows, row_bytes) < 1.05 * stream


@BOTH
def test_a_scatter_with_atomics_is_dearer_than_a_gather(card):
    for row_bytes in (4, 64, 512):
        assert scatter(card, 10**6, row_bytes) > 1.3 * gather(card, 10**6, row_bytes)
        assert scatter(card, 10**6, row_bytes) >= scatter(card, 10**6, row_bytes, atomic=False)


def test_a_small_table_stays_in_the_cache():
    card = h100()
    once, again = gather(card, 10**6, 256), gather(card, 10**6, 256, table=10**7)
    assert 256e6 / card.bandwidth < again < 0.8 * once  # what is written goes to memory still
    assert gather(card, 10**6, 256, table=10**9) == once


@BOTH
def test_sorts_grow_with_keys_and_with_what_is_carried(card):
    for sort in (sorts.radix, sorts.bitonic):
        times = [sorts.seconds(card, sort(card, 1, n, 4, 0, FAR)) for n in (1000, 10**5, 10**6, 10**8)]
        assert times == sorted(times)
        assert sorts.seconds(card, sort(card, 1, 10**6, 4, 4, FAR)) > sorts.seconds(card, sort(card, 1, 10**6, 4, 0, FAR))


def test_many_keys_are_sorted_faster_by_digits():
    card = h100()
    assert sorts.seconds(card, sorts.radix(card, 1, 10**8, 4, 0, FAR)) < 0.3 * sorts.seconds(
        card, sorts.bitonic(card, 1, 10**8, 4, 0, FAR)
    )


def test_kernels_of_a_sort():
    # One for the stages up to 2048; then a stage of 4096 has one wide pass and the tiles, one of 8192 two and the tiles.
    assert [sorts.bitonic_kernels(n) for n in (2, 2048, 4096, 8192)] == [1, 1, 3, 6]
    assert sorts.radix_kernels(1, 4) == 6


def test_selecting_reads_once():
    card = h100()
    of = sorts.selected(card, 64, 10**6, 4, 8, FAR)
    assert of.memory_s < 1.2 * streams.traffic(card, (Reads(256 * 10**6, FAR),), 0, FAR, 10**6)


LOOKUP = """HloModule lookup, entry_computation_layout={(f32[100000,64]{1,0}, s32[5000,1]{1,0})->f32[5000,64]{1,0}}

ENTRY main {
  table = f32[100000,64]{1,0} parameter(0)
  places = s32[5000,1]{1,0} parameter(1)
  ROOT g = f32[5000,64]{1,0} gather(table, places), offset_dims={1}, collapsed_slice_dims={0}, start_index_map={0}, index_vector_dim=1, slice_sizes={1,64}
}
"""  # noqa: E501


def test_a_lookup_of_a_compiled_program():
    from cr_jax.cost.operations.operation_list import operations

    card = h100()
    (operation,) = operations(LOOKUP).operations
    expected = gathers.parts(card, operation.reads, 5000 * 256, operation.written_distance, rows=5000, row_bytes=256)
    assert gathers.of_operation(card, operation) == pytest.approx(expected)
