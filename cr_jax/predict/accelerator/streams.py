"""Kernels that stream arrays through vector arithmetic: elementwise fusions, reductions, the fused parts of a softmax.

Seconds on the memory: bytes that miss the last-level cache over the reached share of the memory's rate, or all bytes over the
rate of that cache (never below a multiple of memory's), whichever takes longer. Of a buffer touched ``d`` bytes ago, the share 1
/ (1 + (d / (reach x cache))^p) is still in the cache, p its sharpness. A kernel of few blocks keeps few cores busy, and a core
moves 32 bytes a clock at most. A reduction over the fastest axis reads at nearly the full rate; one over another axis reads more
slowly.

Seconds on the lanes: clocks of a lane per element (``op_cycles``) over lanes x clock. XLA's tables hold a chain of dependent
operations by one thread, in half clocks; divided by the same chain of additions they are instructions, which is the cost on a
full machine, where other warps hide the chain.
"""

from collections.abc import Sequence
from typing import NamedTuple

from cr_jax.cost.operations.buffer_reuse import Reads
from cr_jax.cost.operations.program import Operation
from cr_jax.predict.accelerator.card import Card
from cr_jax.predict.accelerator.numbers_or_arrays import Numbers, Parts, least, most, together, whole

#: Elements that one block of an elementwise fusion computes: 128 threads, four each.
BLOCK = 512


def in_cache(card: Card, distance: Numbers) -> Numbers:
    """Share of a buffer that is still in the last-level cache, ``distance`` bytes after it was touched."""
    known = card.constants("streams")
    return 1 / (1 + (distance / (known["cache_reach"] * card.cache_bytes)) ** known["cache_sharpness"])


def cold_rate(card: Card) -> float:
    """Bytes per second of main memory in a long stream: the card's copy where one was measured and no anchor is newer."""
    copied = None if "streams.bandwidth_share" in card.anchored else card.accelerator.measured.get("copy_bytes_per_s")
    return copied or card.constants("streams")["bandwidth_share"] * card.bandwidth


def traffic(
    card: Card,
    reads: Sequence[Reads[Numbers]],
    written: Numbers,
    written_distance: Numbers,
    blocks: Numbers,
    share: Numbers = 1.0,
) -> Numbers:
    """Seconds to read buffers and to write one that was touched ``written_distance`` bytes ago. blocks: of the kernel, of
    which each core runs one at least. share: of the memory's rate that the pattern of the reads reaches.
    """
    known = card.constants("streams")
    cold, through = written * (1 - in_cache(card, written_distance)), written
    for read in reads:
        cold = cold + read.bytes * (1 - in_cache(card, read.distance)) / share
        through = through + read.bytes
    filled = card.clock_hz * least(blocks, card.cores)
    rate = least(cold_rate(card), filled * known["core_bytes_per_clock"])
    cache = most(filled * known["cache_bytes_per_clock"], known["cache_speedup"] * rate)
    return together(Parts(cold / rate, through / cache), known["overlap"])


def moved(card: Card, size: Numbers, distance: Numbers, blocks: Numbers, share: Numbers = 1.0) -> Numbers:
    """Seconds to move ``size`` bytes of one buffer."""
    return traffic(card, (Reads(size, distance),), 0, 1, blocks, share)


class LaneWork(NamedTuple):
    """Operations on the lanes. flops: other than those named; transcendentals: without roots and powers. slower: than
    float32, for other types (float64: by the ratio of the card's peaks).
    """

    flops: Numbers = 0
    divisions: Numbers = 0
    transcendentals: Numbers = 0
    roots: Numbers = 0
    powers: Numbers = 0
    slower: Numbers = 1.0


def arithmetic(card: Card, work: LaneWork, blocks: Numbers | None = None) -> Numbers:
    """Seconds on the lanes. blocks: of the kernel; ``None``: all cores are busy."""
    known = card.constants("streams")
    clocks = work.flops * known["flop_cycles"] + work.divisions * known["division_cycles"] + work.roots * known["root_cycles"]
    clocks = clocks + work.transcendentals * known["transcendental_cycles"] + work.powers * known["power_cycles"]
    busy = card.cores if blocks is None else least(blocks, card.cores)
    return clocks * work.slower / (busy * card.lanes * card.clock_hz)


def parts(
    card: Card,
    reads: Sequence[Reads[Numbers]],
    written: Numbers,
    written_distance: Numbers,
    *,
    elements: Numbers,
    work: LaneWork = LaneWork(),
    reduced: Numbers = 0,
    minor: Numbers = 0,
) -> Parts:
    """One execution of a fusion without products.

    reads: by buffer, bytes and distance. written: bytes, to a buffer touched ``written_distance`` bytes ago. elements: of
    the largest result. reduced: elements read by a reduction, of which ``minor`` fold their fastest axis.
    """
    known = card.constants("streams")
    blocks = most(whole(most(elements, reduced), BLOCK), 1)
    columns = (reduced - minor) / most(reduced, 1)
    slow = columns / known["column_share"] + (1 - columns) / known["row_share"]
    share = 1 / (1 + (reduced > 0) * (slow - 1))
    memory = traffic(card, reads, written, written_distance, blocks, share)
    return Parts(arithmetic(card, work, blocks), memory)


def of_operation(card: Card, operation: Operation) -> Parts:
    """One execution of an operation of a compiled program that is no product, gather, scatter or sort."""
    cost, rates = operation.cost, card.accelerator.vector_flops_per_s
    fast, wide = rates.get("float32"), rates.get("float64")
    plain = cost.transcendentals - operation.roots - operation.powers
    return parts(
        card,
        operation.reads,
        cost.written_bytes,
        operation.written_distance,
        elements=operation.elements,
        work=LaneWork(
            max(0, cost.other_flops - operation.divisions) + cost.integer_ops,
            operation.divisions,
            max(0, plain),
            operation.roots,
            operation.powers,
            fast / wide if operation.dtype == "f64" and fast and wide else 1.0,
        ),
        reduced=operation.reduced_elements,
        minor=operation.minor_elements,
    )


def seconds(card: Card, of: Parts) -> Numbers:
    """Seconds without the launch of the kernel."""
    return together(of, card.constants("streams")["overlap"])
