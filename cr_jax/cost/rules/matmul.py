"""FLOPs of dots and convolutions, also where a custom call hides them.

A multiply-add is two FLOPs. A convolution counts only the positions where a kernel element meets a
real input element, so padding and dilation holes are free, and the batched dots that the TPU
compiler writes as convolutions come out as dots.
"""

import re
from math import prod
from typing import NamedTuple

from cr_jax.cost.rules.windows import valid_positions
from cr_jax.errors import BadHlo
from cr_jax.hlo.module import Instruction
from cr_jax.hlo.shapes import Shape
from cr_jax.hlo.windows import Axis, window
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


_GEMM_DIMENSIONS = re.compile(r'"([lr]hs)_(contracting|batch)_dimensions":\[([\d",]{0,200})\]', re.ASCII)


class Contraction(NamedTuple):
    """The dimensions of a product's operands that it sums over, and those that it keeps apart."""

    lhs: tuple[int, ...]
    rhs: tuple[int, ...]
    lhs_batch: tuple[int, ...]
    rhs_batch: tuple[int, ...]


def gemm_contraction(instruction: Instruction) -> Contraction | None:
    """The dimensions that a cuBLAS call has in its backend configuration; ``None`` for any other call."""
    if "gemm_backend_config" not in instruction.config:
        return None
    told = {(side, what): dims for side, what, dims in _GEMM_DIMENSIONS.findall(instruction.config)}
    if ("lhs", "contracting") not in told:
        return None

    def numbers(side: str, what: str) -> tuple[int, ...]:
        return tuple(int(d) for d in re.findall(r"\d{1,9}", told.get((side, what), ""), re.ASCII))

    return Contraction(*(numbers(side, what) for what in ("contracting", "batch") for side in ("lhs", "rhs")))


def gemm_call(instruction: Instruction) -> int | None:
    """A cuBLAS matrix product: contracted size from its backend configuration."""
    dimensions = gemm_contraction(instruction)
    if dimensions is None:
        return None
    left = instruction.operands[0].shape
    result = instruction.shape.leaves[0]
    return _fma(result) * result.elements * prod(left.dims[d] for d in dimensions.lhs)


#: ``b01f_01io->b01f``: the axes of image, window and result.
LABELS = re.compile(r"(\w+)_(\w+)->(\w+)")


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
    labels = LABELS.match(instruction.attribute("dim_labels") or "")
    if labels is None:
        raise BadHlo(instruction.line, f"convolution {instruction.name} has no dim_labels")
    image_axes, kernel_axes, result_axes = labels.groups()
    spatial = sorted(c for c in image_axes if c.isdigit())
    positions = 1
    for letter, axis in zip(spatial, window(instruction) or [Axis(1)] * len(spatial), strict=True):
        positions *= valid_positions(
            image.dims[image_axes.index(letter)],
            kernel.dims[kernel_axes.index(letter)],
            result.dims[result_axes.index(letter)],
            axis.stride,
            axis.base_dilation,
            axis.window_dilation,
            axis.pad_low,
        )
    groups = (instruction.numbers("feature_group_count") or (1,))[0]
    batch_groups = (instruction.numbers("batch_group_count") or (1,))[0]
    features_in = image.dims[image_axes.index("f")] // groups
    features_out = result.dims[result_axes.index("f")]
    batch = image.dims[image_axes.index("b")] // batch_groups
    return _fma(result) * positions * features_in * features_out * batch
