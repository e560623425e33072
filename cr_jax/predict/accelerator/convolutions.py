"""Convolutions on the plain lanes and on tensor cores: the fastest of the algorithms that cuDNN's autotuner chooses from.

- Direct, as one product: rows of pixels by channels out, depth channels in x window; tiles of 128 pixels by 32, 64 or 128
  channels, in whole waves over the cores.
- Winograd in one kernel, F(2x2, 3x3): blocks of 8 x 16 pixels of one image by 32 channels out, each 16 products of 32 x 32
  x channels in, where the direct algorithm has 36.
- Winograd in four kernels, F(4x4, 3x3): 36 products of tiles x channels in x channels out, where the direct algorithm has
  144; the transformed input, weights and output go through memory, written and read once each.

The last two only for windows of 3 x 3 that move by one, on the plain lanes. The blocks are those that cuDNN 8.9 launched in
NeuSight's measurements. A card at its power limit cannot hold its clock; its multiply-adds per joule are then the limit.
"""

from collections.abc import Sequence
from typing import NamedTuple

from cr_jax.cost.operations.buffer_reuse import Reads
from cr_jax.predict.accelerator import streams
from cr_jax.predict.accelerator.card import Card
from cr_jax.predict.accelerator.numbers_or_arrays import Numbers, Parts, least, together, whole

#: Pixels and channels of a tile of the direct product, and of the products of the four-kernel Winograd.
DIRECT_TILES = ((128, 32), (128, 64), (128, 128))
PRODUCT_TILES = ((32, 128), (64, 64), (128, 64), (128, 32))
#: Multiplications and weights of a tile, transformed: F(2x2) and F(4x4). A window has 9.
FUSED, UNFUSED, WINDOW = 16, 36, 9


class ImageBatch(NamedTuple):
    """Convolutions of one size, or arrays of sizes. height, width: of the result's images. window: positions of the window, 9 for
    3 x 3. For grouped convolutions: the channels of one group, and ``batch`` times the groups.
    """

    batch: Numbers
    height: Numbers
    width: Numbers
    channels_in: Numbers
    channels_out: Numbers
    window: Numbers


def parts(
    card: Card,
    reads: Sequence[Reads[Numbers]],
    written: Numbers,
    written_distance: Numbers,
    of: ImageBatch,
    *,
    winograd: bool = False,
    peak: float | None = None,
    item: int = 4,
) -> Parts:
    """One convolution.

    reads: input and weights, bytes and distance. written: bytes of the result. winograd: the window is 3 x 3, moves by one,
    is not dilated, and an algorithm may be chosen. peak: FLOP/s of the tensor cores where they compute it; else the plain
    lanes do. item: bytes of one element.
    """
    batch, height, width, channels_in, channels_out, window = of
    memory = streams.traffic(card, reads, written, written_distance, card.cores)
    ways = [_direct(card, memory, batch * height * width, channels_in, channels_out, window, peak)]
    if winograd and peak is None:
        ways.append(_fused(card, memory, batch * whole(height, 8) * whole(width, 16), channels_in, channels_out, item))
        ways.append(_unfused(card, memory, batch * whole(height, 4) * whole(width, 4), channels_in, channels_out, item))
    return _fastest(card, ways)


def seconds(card: Card, of: Parts) -> Numbers:
    """Seconds without the launch of its first kernel."""
    return together(of, card.constants("convolutions")["overlap"])


def _rate(card: Card, share: float) -> float:
    """Multiply-adds per second of one core: a share of the clock's, or the board's power limit."""
    allowed = card.constants("convolutions")["joule_products"] * card.watts / card.cores
    return min(share * card.lanes * card.clock_hz, allowed)


def _product(
    card: Card, batch: int, m: Numbers, n: Numbers, k: Numbers, tiles: tuple[tuple[int, int], ...], rate: float
) -> Numbers:
    """Seconds of ``batch`` products in whole waves of the best tile. rate: multiply-adds per second of one core."""
    known = card.constants("convolutions")
    loss, most = known["tile_loss"], 1 + known["tile_loss"] * 2 / 128
    best: Numbers = float("inf")
    for tm, tn in tiles:
        waves = whole(batch * whole(m, tm) * whole(n, tn), card.cores)
        best = least(best, waves * (tm * tn) * (1 + loss * (1 / tm + 1 / tn)) / most)
    return best * (k + known["depth"]) / rate


def _direct(
    card: Card, memory: Numbers, pixels: Numbers, channels_in: Numbers, channels_out: Numbers, window: Numbers, peak: float | None
) -> Parts:
    known = card.constants("convolutions")
    rate = known["tensor_share"] * peak / 2 / card.cores if peak else _rate(card, known["direct_share"])
    compute = _product(card, 1, pixels, channels_out, channels_in * window, DIRECT_TILES, rate)
    return Parts(compute + known["kernel_s"], memory)


def _fused(card: Card, memory: Numbers, patches: Numbers, channels_in: Numbers, channels_out: Numbers, item: int) -> Parts:
    known = card.constants("convolutions")
    waves = whole(patches * whole(channels_out, 32), card.cores)
    compute = waves * FUSED * 32 * 32 * (channels_in + known["fused_depth"]) / _rate(card, known["fused_share"])
    weights = _weights(card, (WINDOW + FUSED) * item * channels_in * channels_out)
    return Parts(compute + weights + known["kernel_s"], memory)


def _unfused(card: Card, memory: Numbers, tiles: Numbers, channels_in: Numbers, channels_out: Numbers, item: int) -> Parts:
    known = card.constants("convolutions")
    compute = _product(card, UNFUSED, tiles, channels_out, channels_in, PRODUCT_TILES, _rate(card, known["product_share"]))
    weights = item * channels_in * channels_out
    images = UNFUSED * item * tiles * (channels_in + channels_out)
    product = together(Parts(compute, (images + UNFUSED * weights) / streams.cold_rate(card)), known["overlap"])
    # One kernel after the other: no product overlaps with the transforms.
    transforms = (images / streams.cold_rate(card) + memory) / known["transform_share"]
    return Parts(product + transforms + _weights(card, (WINDOW + UNFUSED) * weights) + 3 * known["kernel_s"], 0.0 * transforms)


def _weights(card: Card, size: Numbers) -> Numbers:
    """Seconds to transform weights, which are read against their order."""
    return size / (card.constants("convolutions")["weights_share"] * streams.cold_rate(card))


def _fastest(card: Card, ways: list[Parts]) -> Parts:
    """The parts of the fastest algorithm."""
    times = [seconds(card, way) for way in ways]
    if all(isinstance(time, int | float) for time in times):
        return min(zip(times, ways, strict=True))[1]
    import numpy as np

    which = np.argmin(np.broadcast_arrays(*times), 0)
    compute, memory = (np.broadcast_arrays(*(way[n] for way in ways), which)[:-1] for n in (0, 1))
    return Parts(np.choose(which, compute), np.choose(which, memory))
