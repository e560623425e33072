"""FLOPs of dots and convolutions, also where a custom call hides them.

A multiply-add is two FLOPs. A convolution counts only the positions where a kernel element meets a
real input element, so padding and dilation holes are free, and the batched dots that the TPU
compiler writes as convolutions come out as dots.
"""

import re
from functools import lru_cache
from math import gcd, prod

from cr_jax.errors import BadHlo
from cr_jax.hlo.parse import Instruction
from cr_jax.hlo.shapes import Shape
from cr_jax.units import FLOPS_PER_MULTIPLY_ADD

#: A complex multiply-add is four real ones.
_COMPLEX = 4


def _fma(shape: Shape) -> int:
    return FLOPS_PER_MULTIPLY_ADD * (_COMPLEX if shape.dtype.startswith("c") else 1)


def dot(instruction: Instruction) -> int:
    """2 x elements of the result x contracted size."""
    left, _ = instruction.operands
    contracted = prod(left.shape.dims[d] for d in instruction.numbers("lhs_contracting_dims"))
    return _fma(instruction.shape) * instruction.shape.elements * contracted


_CONTRACTING = re.compile(r'"lhs_contracting_dimensions":\[([^\]]*)\]')


def gemm_call(instruction: Instruction) -> int | None:
    """A cuBLAS matrix product: contracted size from its backend configuration."""
    found = _CONTRACTING.search(instruction.config)
    if found is None:
        return None
    left = instruction.operands[0].shape
    contracted = prod(left.dims[int(d)] for d in re.findall(r"\d+", found[1]))
    result = instruction.shape.leaves[0]
    return _fma(result) * result.elements * contracted


_LABELS = re.compile(r"(\w+)_(\w+)->(\w+)")


def convolution(instruction: Instruction) -> int:
    """2 x valid positions x input features x output features x batch, groups taken out."""
    image, kernel = instruction.operands[0].shape, instruction.operands[1].shape
    return _convolution(instruction, image, kernel, instruction.shape)


def convolution_call(instruction: Instruction, target: str) -> int:
    """A cuDNN convolution, counted as the forward convolution it belongs to."""
    first, second = instruction.operands[0].shape, instruction.operands[1].shape
    result = instruction.shape.leaves[0]
    if "BackwardInput" in target:  # (output gradient, kernel) -> input gradient
        return _convolution(instruction, result, second, first)
    if "BackwardFilter" in target:  # (input, output gradient) -> kernel gradient
        return _convolution(instruction, first, result, second)
    return _convolution(instruction, first, second, result)


def _convolution(instruction: Instruction, image: Shape, kernel: Shape, result: Shape) -> int:
    labels = _LABELS.match(instruction.attribute("dim_labels") or "")
    if labels is None:
        raise BadHlo(instruction.line, f"convolution {instruction.name} has no dim_labels")
    image_axes, kernel_axes, result_axes = labels.groups()
    window = _window(instruction.attribute("window") or "{}")
    positions = 1
    for n, axis in enumerate(sorted(c for c in image_axes if c.isdigit())):
        positions *= valid_positions(
            image.dims[image_axes.index(axis)],
            kernel.dims[kernel_axes.index(axis)],
            result.dims[result_axes.index(axis)],
            *(_at(window, key, n, default) for key, default in (("stride", 1), ("lhs_dilate", 1), ("rhs_dilate", 1))),
            _at(window, "pad", n, 0),
        )
    groups = (instruction.numbers("feature_group_count") or (1,))[0]
    batch_groups = (instruction.numbers("batch_group_count") or (1,))[0]
    features_in = image.dims[image_axes.index("f")] // groups
    features_out = result.dims[result_axes.index("f")]
    batch = image.dims[image_axes.index("b")] // batch_groups
    return _fma(result) * positions * features_in * features_out * batch


def _at(window: dict[str, list[int]], key: str, place: int, default: int) -> int:
    values = window.get(key)
    return values[place] if values and place < len(values) else default


def _window(text: str) -> dict[str, list[int]]:
    """``{size=3x3 pad=1_1x0_0 stride=2x2}`` -> per key one number per axis (the low padding)."""
    found = {}
    for key, value in re.findall(r"(\w+)=([\d_x\-]+)", text):
        found[key] = [int(part.split("_")[0]) for part in value.split("x")]
    return found


@lru_cache(maxsize=4096)
def valid_positions(
    image: int, kernel: int, result: int, stride: int, image_dilation: int, kernel_dilation: int, pad_low: int
) -> int:
    """Pairs (output position, kernel position) that read a real element, along one axis."""
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
