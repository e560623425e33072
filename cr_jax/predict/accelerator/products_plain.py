"""Time of matrix products on a GPU's plain lanes: float32 without tf32, float64 and float16 where no tensor core takes them.

For each tile and split: the lanes' time by waves of tiles, each tile slower the longer its edge for its area; the chain of loads
where too few tiles are at work to hide them; main memory's time; both overlapped. The least over all choices counts. Constants,
the cards of their fit and their errors: ``products_plain.*`` in ``profiles/accelerator_times.json``.
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
    unvectorised,
)

#: Seen in the names of cuBLAS's float32 kernels under torch 2.1 on compute capability 6.0 to 8.0; those with a side of 16
#: are its ``gemmSN`` kernels for few rows. XLA tries them all.
TILES: tuple[Tile, ...] = (
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
SPLITS = (1, 2, 4, 8, 16)
_LEAST_DEPTH = 64
#: Output elements in flight on a core: 65,536 registers, four for each element with its operands and pipeline.
_RESIDENT_ELEMENTS = 16384
#: A thread keeps at most 8 x 8 elements of the result, and 4 x 4 where the tile is too small for that many of 64 threads.
_THREADS, _LEAST_ELEMENTS, _MOST_ELEMENTS = 64, 16, 64
#: Threads of a warp times the quarters of a core: a warp's multiply-add holds its quarter for ``_WIDTH / lanes`` clocks.
_WIDTH = 128
#: A limit within a fifth of the free rate costs little more than the errors of products on other boards.
_CLEARLY = 0.8
_SIMPLE: tuple[Tile, ...] = tuple(tile for tile in TILES if min(tile) > 16 and tile not in ((64, 128), (32, 64)))
_FROM_AMPERE = ("ampere-datacenter", "ampere", "ada", "hopper")


def library_tiles(generation: str, batched: bool) -> tuple[Tile, ...]:
    """The tiles of torch's calls of cuBLAS, which does not try them all, for measurements of that kind. Observed on compute
    capability 6.0 to 8.0; later cards are assumed to be like 8.0.
    """
    if generation in _FROM_AMPERE:
        return ((128, 128),) if batched else tuple(tile for tile in _SIMPLE if tile != (128, 128))
    if not batched:
        return _SIMPLE
    observed: dict[str, tuple[Tile, ...]] = {
        "pascal": ((64, 128),),
        "volta": ((64, 64), (128, 32), (32, 128)),
        "turing": ((64, 128), (64, 64), (32, 128), (128, 32)),
    }
    return observed.get(generation, TILES)


def peak(card: Card, computed_in: str) -> float:
    """FLOP/s of the plain lanes. Raises ``MissingConstant``."""
    float32 = 2.0 * card.cores * card.lanes * card.clock_hz
    if computed_in == "float32":
        return float32
    rates = card.accelerator.vector_flops_per_s
    rate, base = rates.get(computed_in), rates.get("float32")
    if rate is None or base is None:
        raise MissingConstant(
            f"{card.name}: the rate of its plain lanes in {computed_in} is not known "
            "(vector_flops_per_s in its profile); the maker's data sheet would give it"
        )
    return float32 * rate / base


def limited(card: Card) -> bool:
    """Whether the board's power limit slows its float32 products, whose times then repeat badly."""
    c = card.constants("products_plain")
    free = peak(card, "float32") * (c["utilisation_128"] if card.lanes >= 128 else c["utilisation"])
    return card.watts * (1 - c["idle_share"]) < free * 1e-12 * c["picojoules_per_flop_nm"] * c["process_nm"] * _CLEARLY


def parts(
    card: Card, of: ProductBatch, *, tiles: Sequence[Tile] = TILES, lasts: float | None = None, warm: bool = True
) -> ProductTime:
    """Seconds of a batch of products.

    tiles: those the library chooses among. lasts: seconds that such work goes on, for the board's power limit; ``None``:
    this batch alone. warm: operands that fit into half the cache lie there. Raises ``MissingConstant``.
    """
    c = card.constants("products_plain")
    sizes = columns(of.batch, of.m, of.n, of.k)
    batches, rows, cols, depth = sizes
    most = peak(card, of.computed_in)
    free = most * (c["utilisation_128"] if card.lanes >= 128 else c["utilisation"])
    joules = 1e-12 * c["picojoules_per_flop_nm"] * c["process_nm"] * of.item_bytes / 4
    flops = 2 * batches * rows * cols * depth
    rate = held_rate(free, card.watts * (1 - c["idle_share"]) / joules, flops, c["burst_s"], lasts)

    chosen = choices(card.cores, sizes, tiles, SPLITS, _LEAST_DEPTH, c["wave_share"], _RESIDENT_ELEMENTS)
    tm, tn, split = chosen.tm, chosen.tn, chosen.split
    steps = depth / split + c["overhead_steps"]
    lanes = chosen.per * 2 * tm * tn * steps / (rate / card.cores * edge_efficiency(c["edge"], tm, tn, 128))
    elements = np.clip(tm * tn / _THREADS, _LEAST_ELEMENTS, _MOST_ELEMENTS)
    chain = chosen.per / chosen.resident * steps * c["latency"] * elements * _WIDTH / card.lanes / card.clock_hz
    compute = np.maximum(lanes, chain) * split ** c["split_loss"]
    both = of.layout.both_along_k()
    compute = compute / factor(unvectorised(sizes, of.item_bytes, of.layout), c["unvectorised"])
    compute = compute / factor(both, c["both_along_k_rate"])

    shape = np.broadcast(of.batch, of.m, of.n, of.k).shape
    moved, own = traffic(card.cores, card.cache_bytes, sizes, chosen, of.item_bytes, of.out_bytes, of.layout, c["unaligned"])
    share = c["bandwidth_share"] * (c["ramp"] + (1 - c["ramp"]) * np.minimum(1.0, chosen.blocks / card.cores))
    share = share * factor(both, c["both_along_k_bandwidth"])
    if warm:
        share = share * factor(own < card.cache_bytes / 2, c["cache_speedup"])
    memory = (moved + column(of.extra_bytes)) / (card.bandwidth * share)
    return fastest(compute, memory, c["overlap"], c["split_s"] * (split > 1), c["start_s"], shape)
