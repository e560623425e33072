"""Sorts and the selection of the largest.

- ``radix``: CUB's sort, which XLA calls for keys it can order by their bits: a histogram reads the keys once, then each
  digit of 8 bits reads and writes keys and values once. Of many rows, each is one block's, and a digit reads twice.
- ``bitonic``: XLA's own, for any comparison: log2 n stages of up to log2 n passes. Passes within tiles of 2048 elements run
  in shared memory, all of a stage's in one kernel; each wider one is a kernel that reads and writes everything.
- ``selected``: the k largest of rows, in one pass.

The rate of the radix sort is from published times of CUB; the rest is assumed, and nothing here is validated.
"""

from math import ceil, log2

from cr_jax.predict.accelerator import streams
from cr_jax.predict.accelerator.card import Card
from cr_jax.predict.accelerator.numbers_or_arrays import Numbers, Parts

#: Elements that XLA sorts in shared memory (ir_emitter_unnested.cc: 2048 or the next power of two).
TILE = 2048


def radix(card: Card, rows: int, keys: int, key_bytes: int, value_bytes: int, distance: Numbers) -> Parts:
    """``rows`` sorts of ``keys`` each. value_bytes: carried with each key. distance: bytes since the keys were touched."""
    size, pair = rows * keys * key_bytes, rows * keys * (key_bytes + value_bytes)
    share = card.constants("sorts")["radix_share"]
    blocks = rows if rows > 1 else max(1, ceil(keys / TILE))
    each = 2 * pair + (size if rows > 1 else 0)
    first = streams.moved(card, size, distance, blocks, share)
    # Digit by digit: each pass reads the result of the one before.
    rest = key_bytes * streams.moved(card, each, 2 * pair, blocks, share)
    return Parts(0.0, first + rest)


def radix_kernels(rows: int, key_bytes: int) -> int:
    """Kernels of ``radix``: a histogram, its sums, and one per digit; of many rows one per digit."""
    return key_bytes + (2 if rows == 1 else 0)


def bitonic(card: Card, rows: int, keys: int, key_bytes: int, value_bytes: int, distance: Numbers) -> Parts:
    """``rows`` sorts of ``keys`` each by XLA's own kernels."""
    tiled, wide, steps = _passes(keys)
    pair = rows * keys * (key_bytes + value_bytes)
    blocks = rows * max(1, ceil(keys / TILE))
    first = streams.moved(card, 2 * pair, distance, blocks)
    rest = (tiled - 1 + wide) * streams.moved(card, 2 * pair, 2 * pair, blocks)
    clocks = card.constants("sorts")["compare_cycles"] * steps * rows * keys / 2
    return Parts(clocks / (min(blocks, card.cores) * card.lanes * card.clock_hz), first + rest)


def bitonic_kernels(keys: int) -> int:
    """Kernels of ``bitonic``."""
    tiled, wide, _ = _passes(keys)
    return tiled + wide


def _passes(keys: int) -> tuple[int, int, int]:
    """Kernels in shared memory, kernels over all elements, and comparisons of each element."""
    stages = max(1, ceil(log2(max(2, keys))))
    inner = int(log2(TILE))
    wide = sum(stage - inner for stage in range(inner + 1, stages + 1))
    return max(1, stages - inner + 1), wide, stages * (stages + 1) // 2


def selected(card: Card, rows: int, keys: int, key_bytes: int, k: int, distance: Numbers) -> Parts:
    """The ``k`` largest of each of ``rows``, with their places. Rows of up to TILE elements are one block's."""
    blocks = rows * max(1, ceil(keys / TILE))
    memory = streams.moved(card, rows * keys * key_bytes, distance, blocks)
    memory = memory + streams.moved(card, rows * k * (key_bytes + 4), distance, blocks)
    clocks = card.constants("sorts")["compare_cycles"] * rows * keys * max(1.0, log2(max(2, k)))
    return Parts(clocks / (min(blocks, card.cores) * card.lanes * card.clock_hz), memory)


def seconds(card: Card, of: Parts) -> Numbers:
    """Seconds without the launches of its kernels."""
    return streams.seconds(card, of)
