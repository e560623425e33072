"""Time of matrix products on a GPU's tensor cores: bfloat16, float16, tf32, float8, int8, float64.

As on the plain lanes, with other limits: tensor cores multiply faster than the cache feeds a core, and the cache feeds all cores
together no faster than its own width, so that small tiles wait; a tile's start and end cost a microsecond; where few tiles are at
work, the chain of loads along k decides. Constants, the cards of their fit and their errors: ``products_tensor.*`` in
``profiles/accelerator_times.json``.
"""

from collections.abc import Sequence

import numpy as np

from cr_jax.catalog.times import MissingConstant
from cr_jax.predict.accelerator.card import Card
from cr_jax.predict.accelerator.tiling import (
    ProductBatch,
    ProductTime,
    Tile,
    choices,
    column,
    columns,
    edge_efficiency,
    factor,
    fastest,
    held_rate,
    traffic,
)

#: Tiles of cuBLAS's and CUTLASS's kernels for tensor cores (names such as ``s16816gemm_bf16_128x64``, ``..._64x32``); those
#: with a side of 16 are Triton's, which XLA tries too.
TILES: tuple[Tile, ...] = (
    (256, 128),
    (128, 256),
    (256, 64),
    (64, 256),
    (128, 128),
    (128, 64),
    (64, 128),
    (128, 32),
    (32, 128),
    (64, 64),
    (64, 32),
    (32, 64),
    (32, 32),
    (128, 16),
    (16, 128),
    (64, 16),
    (16, 64),
)
#: tf32 has no kernel that shares loads between cores (as bfloat16's on Hopper do, which its feed counts): larger tiles pay.
LARGE_TOO: tuple[Tile, ...] = (*TILES, (256, 256))
SPLITS = (1, 2, 4, 8, 16)
_LEAST_DEPTH = 64
#: Output elements in flight on a core: two tiles of 128 x 128, whose sums fill half the registers.
_RESIDENT_ELEMENTS = 32768


def parts(
    card: Card, of: ProductBatch, *, tiles: Sequence[Tile] | None = None, lasts: float | None = None, warm: bool = True
) -> ProductTime:
    """Seconds of a batch of products; arguments as in ``products_plain.parts``.

    Raises ``MissingConstant`` where the profile has no peak for the type that they are computed in.
    """
    c = card.constants("products_tensor")
    peak = card.peaks.get(of.computed_in)
    if peak is None:
        raise MissingConstant(
            f"{card.name}: the peak rate of matrix products in {of.computed_in} is not known "
            "(matmul_flops_per_s in its profile); the maker's data sheet would give it"
        )
    sizes = columns(of.batch, of.m, of.n, of.k)
    batches, rows, cols, depth = sizes
    free, feed_rate = peak * c["utilisation"], c["feed_bytes_per_clock"] * card.clock_hz
    chip_rate = c["chip_bytes_per_clock"] * card.cores * card.clock_hz
    if of.computed_in == "tf32":
        free, chip_rate = free * c["tf32_rate"], chip_rate * c["tf32_feed"]
    joules = 1e-12 * c["picojoules_per_flop_nm"] * c["process_nm"] * of.item_bytes / 2
    flops = 2 * batches * rows * cols * depth
    rate = held_rate(free, card.watts * (1 - c["idle_share"]) / joules, flops, c["burst_s"], lasts)

    if tiles is None:
        tiles = LARGE_TOO if of.computed_in == "tf32" else TILES
    chosen = choices(card.cores, sizes, tiles, SPLITS, _LEAST_DEPTH, c["wave_share"], _RESIDENT_ELEMENTS)
    tm, tn, split = chosen.tm, chosen.tn, chosen.split
    steps = depth / split
    units = chosen.per * 2 * tm * tn * (steps + c["overhead_steps"])
    units = units / (rate / card.cores * edge_efficiency(c["edge"], tm, tn, 256))
    feed = np.maximum(chosen.per / feed_rate, chosen.blocks / chip_rate) * (tm + tn) * steps * of.item_bytes
    rounds = np.ceil(chosen.per / chosen.resident)
    chain = rounds * steps * of.item_bytes / 2 * c["latency_cycles"] / card.clock_hz
    compute = np.maximum(np.maximum(units, feed), chain) + rounds * c["tile_s"]

    shape = np.broadcast(of.batch, of.m, of.n, of.k).shape
    moved, own = traffic(card.cores, card.cache_bytes, sizes, chosen, of.item_bytes, of.out_bytes, of.layout, c["unaligned"])
    share = c["bandwidth_share"] * (c["ramp"] + (1 - c["ramp"]) * np.minimum(1.0, chosen.blocks / card.cores))
    share = share * factor(of.layout.both_along_k(), c["both_along_k_bandwidth"])
    if warm:
        share = share * factor(own < card.cache_bytes / 2, c["cache_speedup"])
    memory = (moved + column(of.extra_bytes)) / (card.bandwidth * share)
    return fastest(compute, memory, c["overlap"], c["split_s"] * (split > 1), c["start_s"], shape)
