"""Real elements under a window that moves over a padded, dilated axis."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import gcd, prod

from cr_jax.hlo.windows import Axis

#: The most positions of the shorter of window and result that are visited one by one.
_MOST = 1 << 20


@lru_cache(maxsize=4096)
def valid_positions(
    image: int, kernel: int, result: int, stride: int, image_dilation: int, kernel_dilation: int, pad_low: int
) -> int:
    """Pairs (output position, kernel position) that read a real element, along one axis.

    Raises ``ValueError`` where both have more than a million positions.
    """
    if kernel > result:  # the sum is symmetric in both; the shorter is visited
        kernel, result, stride, kernel_dilation = result, kernel, kernel_dilation, stride
    if kernel > _MOST:
        raise ValueError(f"its window has {kernel} places over {result}; legal: up to {_MOST}")
    span = (image - 1) * image_dilation  # last real place in the dilated image
    shared = gcd(stride, image_dilation)
    period = image_dilation // shared
    total = 0
    for place in range(kernel):
        offset = place * kernel_dilation - pad_low  # out * stride + offset must be a real place
        first = max(0, -(offset // stride))
        last = min(result - 1, (span - offset) // stride)
        if last < first:
            continue
        if image_dilation == 1:
            total += last - first + 1
        elif offset % shared == 0:
            inverse = pow(stride // shared, -1, period) if period > 1 else 0
            wanted = (-(offset // shared) * inverse) % period if period > 1 else 0
            start = first + (wanted - first) % period
            if start <= last:
                total += (last - start) // period + 1
    return total


@dataclass(frozen=True)
class Windows:
    """Windows over different elements, and the elements in all of them."""

    count: int
    elements: int


def reduction_windows(axes: Sequence[Axis], dims: Sequence[int]) -> Windows:
    """The windows of a reduction over an array of these dimensions; those that lie over the same elements are one."""
    windows = [_along(axis, length) for axis, length in zip(axes, dims, strict=True)]
    return Windows(prod(one.count for one in windows), prod(one.elements for one in windows))


@lru_cache(maxsize=4096)
def _along(axis: Axis, length: int) -> Windows:
    places = axis.positions(length)
    if axis == Axis(1):
        return Windows(places, places)
    elements = valid_positions(length, axis.size, places, axis.stride, axis.base_dilation, axis.window_dilation, axis.pad_low)
    if axis.base_dilation > 1 or axis.window_dilation > 1:
        return Windows(min(places, elements), elements)
    # Windows over any element, and those over the whole axis, which are all equal.
    held = _between(-(-(axis.pad_low - axis.size + 1) // axis.stride), (axis.pad_low + length - 1) // axis.stride, places)
    whole = _between(-(-(axis.pad_low + length - axis.size) // axis.stride), axis.pad_low // axis.stride, places)
    spare = max(0, whole - 1)
    return Windows(held - spare, elements - spare * length)


def _between(first: int, last: int, places: int) -> int:
    return max(0, min(last, places - 1) - max(first, 0) + 1)
