"""Sizes of matrix products and convolutions."""

from dataclasses import dataclass
from math import prod

from cr_jax.cost.cost import Cost
from cr_jax.cost.rules import instruction_rules
from cr_jax.cost.rules.matmul import LABELS, Contraction, gemm_contraction
from cr_jax.hlo.module import Instruction
from cr_jax.hlo.windows import window


@dataclass(frozen=True)
class Product:
    """One matrix product: ``[batch] m x k`` by ``k x n``. kind: layout of the operands in memory, ``nn`` (both row-major), ``nt``
    (the right one transposed) or ``tn`` (the left one).
    """

    m: int
    n: int
    k: int
    batch: int
    kind: str
    dtype: str

    @property
    def flops(self) -> int:
        """FLOPs; a multiply-add is two."""
        return 2 * self.batch * self.m * self.n * self.k


@dataclass(frozen=True)
class Convolution:
    """One convolution: images of height x width (of the result), one number of channels in and out per group, window
    positions. plain: a window of 3 x 3 that moves by one and is not dilated.
    """

    batch: int
    height: int
    width: int
    channels_in: int
    channels_out: int
    window: int
    plain: bool
    dtype: str


def dot_product(instruction: Instruction) -> Product:
    """A ``dot`` as a product."""
    names = ("lhs_contracting_dims", "rhs_contracting_dims", "lhs_batch_dims", "rhs_batch_dims")
    return _contracted(instruction, Contraction(*(instruction.numbers(name) for name in names)))


def _contracted(instruction: Instruction, over: Contraction) -> Product:
    left, right = (o.shape for o in instruction.operands[:2])
    k = prod(left.dims[d] for d in over.lhs)
    b = prod(left.dims[d] for d in over.lhs_batch)
    m = left.elements // max(1, k * b)
    n = prod(size for d, size in enumerate(right.dims) if d not in over.rhs + over.rhs_batch)
    transposed_left = bool(over.lhs) and bool(left.order) and left.order[0] not in over.lhs and m > 1
    transposed_right = bool(over.rhs) and bool(right.order) and right.order[0] in over.rhs and n > 1
    kind = ("t" if transposed_left else "n") + ("t" if transposed_right else "n")
    return Product(m, n, k, b, kind, left.dtype)


def equivalent_product(instruction: Instruction) -> Product | None:
    """A convolution, or a library call, as the product with the same arithmetic; a cuBLAS call as its own."""
    dimensions = gemm_contraction(instruction)
    if dimensions is not None:
        return _contracted(instruction, dimensions)
    try:
        flops = instruction_rules.arithmetic(instruction, lambda name, user: Cost()).matmul_flops
    except instruction_rules.Uncounted:
        return None
    result = instruction.shape.leaves[0]
    if not flops or not result.elements:
        return None
    kernel, labels = instruction.operands[1].shape, LABELS.match(instruction.attribute("dim_labels") or "")
    n = kernel.dims[labels[2].index("o")] if labels else kernel.dims[-1] if kernel.dims else 1
    n = min(n, result.elements)
    k = max(1, round(flops / 2 / result.elements))
    return Product(max(1, result.elements // max(1, n)), n, k, 1, "nn", instruction.operands[0].shape.dtype)


def image_convolution(instruction: Instruction) -> Convolution | None:
    """A convolution over images; ``None`` for a product that is written as one, and for any other call."""
    labels = LABELS.match(instruction.attribute("dim_labels") or "")
    if labels is None or not any(c.isdigit() for c in labels[1]):
        return None
    first, second = instruction.operands[0].shape, instruction.operands[1].shape
    result, target = instruction.shape.leaves[0], instruction.attribute("custom_call_target") or ""
    image, kernel, out = first, second, result
    if "BackwardInput" in target:
        image, out = result, first
    elif "BackwardFilter" in target:
        kernel, out = result, second
    axes, places, results = labels.groups()
    spatial = [out.dims[results.index(c)] for c in sorted(c for c in results if c.isdigit())]
    sizes = [kernel.dims[places.index(c)] for c in sorted(c for c in places if c.isdigit())]
    groups = (instruction.numbers("feature_group_count") or (1,))[0]
    steps = {number for axis in window(instruction) for number in (axis.stride, axis.base_dilation, axis.window_dilation)}
    plain = sizes == [3, 3] and steps <= {1}
    return Convolution(
        out.dims[results.index("b")] * groups,
        prod(spatial[:-1]),
        spatial[-1],
        image.dims[axes.index("f")] // groups,
        out.dims[results.index("f")] // groups,
        prod(sizes),
        plain,
        image.dtype,
    )
