"""Tiles, waves, bytes and the power limit of products, on plain lanes and on tensor cores.

A kernel cuts the output [m, n] of each batch into tiles, and may cut k into splits, whose partial sums a second kernel adds.
Sizes are scalars or arrays [rows]; everything here returns arrays [rows, choices] over the pairs of tile and split.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

#: Bytes that memory moves at once; a row that is no multiple of it is read and written in part sectors.
SECTOR_BYTES = 32
#: Bytes of the widest load; a row that is no multiple of it is loaded element by element.
VECTOR_BYTES = 16
#: Bytes of a partial sum of a split product.
PARTIAL_BYTES = 4
#: (rows of lhs, columns of rhs) of a tile.
Tile = tuple[int, int]
#: batch, m, n, k; [rows, 1] each.
Sizes = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


class ProductTime(NamedTuple):
    """Seconds of matrix products, scalars or arrays like the sizes. compute, memory: of the units and of main memory
    alone, for the fastest tile and split. seconds: both overlapped and the partial sums' kernel, without the start.
    """

    compute: np.ndarray
    memory: np.ndarray
    seconds: np.ndarray
    start: float


class Layout(NamedTuple):
    """The contiguous dimension of each operand, booleans or arrays like the sizes. JAX's ``x @ w`` is the default;
    a layer that keeps its weights as [n, k] has ``rhs_along_k``.
    """

    lhs_along_k: ArrayLike = True
    rhs_along_k: ArrayLike = False
    out_along_n: ArrayLike = True

    def both_along_k(self) -> ArrayLike:
        """Where neither operand is stored in the order of its tile, so that shared memory has to transpose."""
        if isinstance(self.lhs_along_k, bool) and isinstance(self.rhs_along_k, bool):
            return self.lhs_along_k and self.rhs_along_k
        return column(np.logical_and(self.lhs_along_k, self.rhs_along_k))

    def rows(self, sizes: "Sizes") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Elements of a contiguous row of lhs, rhs and result."""
        _, m, n, k = sizes
        return _where(self.lhs_along_k, k, m), _where(self.rhs_along_k, k, n), _where(self.out_along_n, n, m)


class ProductBatch(NamedTuple):
    """``batch`` products [m, k] @ [k, n]. Sizes may be arrays of one shape.

    computed_in: type of the multiplications. item_bytes: of an element of the operands as it is loaded (tf32 loads
    float32). out_bytes: of an element of the result. extra_bytes: read by a fused epilogue, such as a bias of n elements.
    """

    batch: ArrayLike
    m: ArrayLike
    n: ArrayLike
    k: ArrayLike
    computed_in: str = "float32"
    item_bytes: float = 4.0
    out_bytes: float = 4.0
    layout: Layout = Layout()
    extra_bytes: ArrayLike = 0.0


class Choices(NamedTuple):
    """tm, tn: the tile [choices]. split [rows, choices]. blocks: of all batches. per: tiles that the busiest core computes
    one after the other, partly filled waves weighted. resident: of them, at work at once.
    """

    tm: np.ndarray
    tn: np.ndarray
    split: np.ndarray
    blocks: np.ndarray
    per: np.ndarray
    resident: np.ndarray


def column(x: ArrayLike) -> np.ndarray:
    """``x`` as [rows, 1], to broadcast against [choices]."""
    return np.asarray(x).reshape(-1, 1)


def columns(batch: ArrayLike, m: ArrayLike, n: ArrayLike, k: ArrayLike) -> Sizes:
    """The sizes as floats [rows, 1]."""
    return tuple(np.asarray(x, float).reshape(-1, 1) for x in (batch, m, n, k))  # type: ignore[return-value]


def _where(along: ArrayLike, yes: np.ndarray, no: np.ndarray) -> np.ndarray:
    if isinstance(along, bool):
        return yes if along else no
    return np.where(column(along), yes, no)


def factor(where: ArrayLike, value: float) -> float | np.ndarray:
    """``value`` there and 1 elsewhere."""
    if isinstance(where, bool):
        return value if where else 1.0
    return np.where(where, value, 1.0)


@lru_cache(maxsize=64)
def pairs(tiles: Sequence[Tile], splits: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows and columns of the tile, and the split, of every pair of both."""
    every = np.array([(tm, tn, split) for tm, tn in tiles for split in splits], float)
    return every[:, 0], every[:, 1], every[:, 2]


def choices(
    cores: int,
    sizes: Sizes,
    tiles: Sequence[Tile],
    splits: Sequence[int],
    least_depth: int,
    wave_share: float,
    resident_elements: float,
) -> Choices:
    """The pairs of tile and split for products of ``sizes``. least_depth: of k in a split. Batched products are not split (cuBLAS
    has no such kernel). wave_share: the share of a last wave's idle part that costs time; cores that are done early fill the
    rest. resident_elements: output elements in flight on a core.
    """
    batch, m, n, k = sizes
    tm, tn, split = pairs(tuple(tiles), tuple(splits))
    split = np.minimum(split, np.maximum(k // least_depth, 1.0))
    split = np.where(batch > 1, 1.0, split)
    blocks = batch * np.ceil(m / tm) * np.ceil(n / tn) * split
    waves = blocks / cores
    per = wave_share * np.ceil(waves) + (1 - wave_share) * np.maximum(waves, 1.0)
    resident = np.maximum(1.0, np.minimum(per, resident_elements / (tm * tn)))
    return Choices(tm, tn, split, blocks, per, resident)


def edge_efficiency(edge: float, tm: np.ndarray, tn: np.ndarray, best: int) -> np.ndarray:
    """Rate of a tile as a share of that of a square one with sides of ``best``: its multiplications grow with its area, its loads
    with its edge. edge: time of loading an element of the edge, in multiply-adds.
    """
    return (1 + edge * 2 / best) / (1 + edge * (1 / tm + 1 / tn))


def held_rate(free: ArrayLike, limit: ArrayLike, flops: ArrayLike, burst_s: float, lasts: float | None) -> np.ndarray:
    """FLOP/s of ``free`` that a board's power limit allows. limit: the rate that its watts sustain. A load may draw more for a
    while, until it has drawn ``burst_s`` seconds' worth of the limit's energy beyond it. lasts: seconds of such work; ``None``:
    this product alone.
    """
    free = np.asarray(free, float)
    limit = np.minimum(free, limit)
    over = free / limit - 1
    alone = np.asarray(flops / free if lasts is None else lasts, float)
    return limit * (1 + over / (1 + alone * over / burst_s))


def traffic(
    cores: int,
    cache_bytes: int,
    sizes: Sizes,
    chosen: Choices,
    item_bytes: float,
    out_bytes: float,
    layout: Layout,
    unaligned: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Bytes of main memory of products [rows, choices], and of their operands and results alone [rows, 1].

    Operands of a batch that overflow half the cache are read anew for every square of tiles that is in flight.
    unaligned: share that rows of part sectors add.
    """
    batch, m, n, k = sizes
    lhs, rhs, out = item_bytes * batch * m * k, item_bytes * batch * k * n, out_bytes * batch * m * n
    side = np.sqrt(2 * cores * chosen.tm * chosen.tn)
    again = item_bytes * batch * k * m * n * (1 / np.minimum(n, side) + 1 / np.minimum(m, side))
    once = lhs + rhs
    read = np.where(item_bytes * k * (m + n) < cache_bytes / 2, once, np.maximum(once, again))

    ragged = [
        1 + unaligned * ((row * item) % SECTOR_BYTES > 0)
        for row, item in zip(layout.rows(sizes), (item_bytes, item_bytes, out_bytes), strict=True)
    ]
    operands = (lhs * ragged[0] + rhs * ragged[1]) / once
    partials = 2 * PARTIAL_BYTES * batch * m * n * chosen.split * (chosen.split > 1)
    return read * operands + out * ragged[2] + partials, once + out


def unvectorised(sizes: Sizes, item_bytes: float, layout: Layout) -> np.ndarray:
    """Where an operand's rows are no multiple of the widest load."""
    lhs, rhs, _ = layout.rows(sizes)
    return ((lhs * item_bytes) % VECTOR_BYTES > 0) | ((rhs * item_bytes) % VECTOR_BYTES > 0)


def fastest(
    compute: np.ndarray, memory: np.ndarray, overlap: float, extra: np.ndarray, start: float, shape: tuple[int, ...]
) -> ProductTime:
    """The choice with the least time for each row. overlap: exponent by which the slower part hides the other. shape: that of the
    given sizes.
    """
    longer = np.maximum(compute, memory)
    seconds = longer * (1 + (np.minimum(compute, memory) / longer) ** overlap) ** (1 / overlap) + extra
    best = (np.arange(len(seconds)), seconds.argmin(1))
    return ProductTime(compute[best].reshape(shape), memory[best].reshape(shape), seconds[best].reshape(shape), start)
