"""Gathers and scatters: rows at positions that only the indices decide.

Memory moves in sectors of 32 bytes, so a row of 4 bytes costs as much as one of 32; and an isolated row leaves a part of the
memory's burst unused, which counts as a gap beside each row. Rows gathered more often than the table has rows come from the cache
where the table fits. A scatter that combines reads and writes its rows, and where indices may repeat it uses atomic operations,
each some clocks of a core per sector.

No public measurement of these was found: the constants are printed or assumed, and nothing here is validated.
"""

from collections.abc import Sequence

from cr_jax.cost.operations.buffer_reuse import Reads
from cr_jax.cost.operations.program import Operation
from cr_jax.predict.accelerator import streams
from cr_jax.predict.accelerator.card import Card
from cr_jax.predict.accelerator.numbers_or_arrays import Numbers, Parts, least, most, whole


def parts(
    card: Card,
    reads: Sequence[Reads[Numbers]],
    written: Numbers,
    written_distance: Numbers,
    *,
    rows: Numbers,
    row_bytes: Numbers,
    flops: Numbers = 0,
) -> Parts:
    """One gather. reads: of the indices and of the table, no more than the table has; written: bytes of the result. rows,
    row_bytes: gathered. flops: of what is fused to it.
    """
    blocks = most(whole(written, 4 * streams.BLOCK), 1)
    gathered, table, far = rows * row_bytes, _largest(reads), _furthest(reads)
    # Rows beyond the table's size were gathered before, and are as near as the table is large.
    first = least(1.0, table / most(gathered, 1))
    beside = _beside(card, rows, row_bytes)
    near = Reads((1 - first) * (gathered + beside), least(table, far))
    memory = streams.traffic(card, (*reads, Reads(first * beside, far), near), written, written_distance, blocks)
    return Parts(streams.arithmetic(card, streams.LaneWork(flops), blocks), memory)


def scatter_parts(
    card: Card,
    reads: Sequence[Reads[Numbers]],
    written: Numbers,
    written_distance: Numbers,
    *,
    rows: Numbers,
    row_bytes: Numbers,
    atomic: bool = True,
    flops: Numbers = 0,
) -> Parts:
    """One scatter. reads: of the rows that it combines with, the indices and the updates; written: bytes of its rows.
    atomic: the indices may repeat.
    """
    blocks = most(whole(rows * row_bytes, 4 * streams.BLOCK), 1)
    beside = Reads(2 * _beside(card, rows, row_bytes), _furthest(reads))  # read and written
    memory = streams.traffic(card, (*reads, beside), written, written_distance, blocks)
    clocks = card.constants("gathers")["atomic_clocks"] * rows * _sectors(card, row_bytes) if atomic else 0.0 * rows
    compute = clocks / (least(blocks, card.cores) * card.clock_hz)
    return Parts(compute + streams.arithmetic(card, streams.LaneWork(flops), blocks), memory)


def of_operation(card: Card, operation: Operation) -> Parts:
    """One execution of a gather or scatter, fused or not, of a compiled program."""
    flops = operation.cost.other_flops + operation.cost.integer_ops
    predict = scatter_parts if operation.family == "scatter" else parts
    return predict(
        card,
        operation.reads,
        operation.cost.written_bytes,
        operation.written_distance,
        rows=operation.rows,
        row_bytes=operation.row_bytes,
        flops=flops,
    )


def seconds(card: Card, of: Parts) -> Numbers:
    """Seconds without the launch of the kernel."""
    return streams.seconds(card, of)


def _sectors(card: Card, row_bytes: Numbers) -> Numbers:
    return whole(row_bytes, card.constants("gathers")["sector_bytes"])


def _beside(card: Card, rows: Numbers, row_bytes: Numbers) -> Numbers:
    """Bytes that are moved beside the rows: the rest of their sectors, and the gap of each."""
    known = card.constants("gathers")
    return rows * (_sectors(card, row_bytes) * known["sector_bytes"] - row_bytes + known["gap_bytes"])


def _largest(reads: Sequence[Reads[Numbers]]) -> Numbers:
    """Bytes of the buffer that is read most of: the table's."""
    size: Numbers = 0
    for read in reads:
        size = most(size, read.bytes)
    return size


def _furthest(reads: Sequence[Reads[Numbers]]) -> Numbers:
    """The longest distance since a buffer was touched: the table's."""
    far: Numbers = 0
    for read in reads:
        far = most(far, read.distance)
    return far
