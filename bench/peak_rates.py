"""The previous predictor, kept for comparison: an accelerator that is known by its peak rates only.

Products run at 0.8 of the peak of the precision they are computed in, less what tiles of 128 x 128 and whole waves leave
idle; everything else at 0.9 of the memory's rate (or the card's measured figures, where the profile has them); each kernel
costs 2.5 us to start. It knew no power limit, no cache, no splits, no Winograd.
"""

from dataclasses import dataclass

import numpy as np

from cr_jax.predict.accelerator.card import Card
from cr_jax.predict.accelerator.measured.convolutions import Convolutions
from cr_jax.predict.accelerator.measured.products import Products
from cr_jax.predict.accelerator.measured.rows import Rows
from cr_jax.predict.accelerator.measured.streams import Streams

#: Share of the peaks that a large product and a large copy reach where no card was measured.
MATMUL_SHARE, BANDWIDTH_SHARE = 0.8, 0.9
#: Seconds to start a kernel; side of a tile of a product's result on a streaming multiprocessor.
KERNEL_S, TILE = 2.5e-6, 128


@dataclass(frozen=True)
class Shape:
    """Products of each row, as arrays."""

    batch: np.ndarray
    m: np.ndarray
    n: np.ndarray
    k: np.ndarray


def seconds(on: Card, rows: Rows) -> np.ndarray:
    """What it said of the rows, without what the clock adds; NaN where it said nothing (collectives)."""
    if not isinstance(rows, Products | Streams | Convolutions):
        return np.full(len(rows), np.nan)
    flops, moved, peak = rows.work(on)
    seen, bfloat16 = on.accelerator.measured.get("matmul_bfloat16_flops_per_s"), on.peaks.get("bfloat16")
    share = seen / bfloat16 if seen and bfloat16 else MATMUL_SHARE
    bandwidth = on.accelerator.measured.get("copy_bytes_per_s") or on.bandwidth * BANDWIDTH_SHARE
    compute = np.zeros(len(rows))
    if isinstance(rows, Products):
        compute = flops / (peak * share * efficiency(on, Shape(rows.batch, rows.m, rows.n, rows.k)))
    elif isinstance(rows, Convolutions):
        depth = rows.side**2 * rows.channels_in
        shape = Shape(np.ones(len(rows)), rows.batch * rows.out**2, rows.channels_out, depth)
        compute = flops / (peak * share * efficiency(on, shape))
    return np.maximum(compute, moved / bandwidth) + KERNEL_S


def efficiency(on: Card, shape: Shape) -> np.ndarray:
    """Share of the multipliers that a product's shape keeps busy."""
    tiles = shape.batch * np.ceil(shape.m / TILE) * np.ceil(shape.n / TILE)
    waves = np.ceil(tiles / on.cores) * on.cores
    return np.maximum(shape.batch * shape.m * shape.n / (waves * TILE * TILE), 1e-4)


def roofline(on: Card, rows: Rows) -> np.ndarray:
    """The larger of operations over the peak and bytes over the bandwidth, without what the clock adds."""
    flops, moved, peak = rows.work(on)
    return np.maximum(flops / peak, moved / on.bandwidth)
