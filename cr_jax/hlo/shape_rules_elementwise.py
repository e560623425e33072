"""Shape rules of operations that compute or move elements one by one."""

import re

from cr_jax.hlo.module import Instruction
from cr_jax.hlo.shape_checks import Called, Mismatch, alike, fits, require, require_dims, within
from cr_jax.hlo.shapes import BITS

_RANGE = re.compile(r"\[(\d{1,18}):(\d{1,18})(?::(\d{1,18}))?\]", re.ASCII)
_PADDING = re.compile(r"(-?\d{1,18})_(-?\d{1,18})(?:_(\d{1,18}))?\Z", re.ASCII)
_DIRECTIONS = frozenset({"EQ", "NE", "GE", "GT", "LE", "LT"})
#: Unary operations whose result is of another type than the operand.
_RETYPED = frozenset({"is-finite", "real", "imag", "abs"})


def unary(i: Instruction, called: Called) -> None:
    """The result has the operand's dimensions, and its type unless the operation changes it."""
    operand = i.operands[0].shape
    require(i.shape.dims == operand.dims and not operand.is_tuple, i, operand.plain)
    if i.opcode not in _RETYPED:
        require(alike(i.shape, operand), i, operand.plain)


def binary(i: Instruction, called: Called) -> None:
    """Both operands and the result have one shape; ``complex`` makes complex numbers of two parts."""
    left, right = (o.shape for o in i.operands)
    if left.dims != right.dims or not alike(left, right):
        raise Mismatch(f"takes {left.plain[:60]} and {right.plain[:60]}; legal: one shape for both")
    if i.opcode == "complex":
        require(i.shape.dims == left.dims and i.shape.dtype.startswith("c"), i, f"complex, of {left.plain}")
    else:
        require(fits(i.shape, left), i, left.plain)


def compare(i: Instruction, called: Called) -> None:
    """Two operands of one shape; the result is ``pred`` of their dimensions."""
    left, right = (o.shape for o in i.operands)
    if left.dims != right.dims or not alike(left, right):
        raise Mismatch(f"takes {left.plain[:60]} and {right.plain[:60]}; legal: one shape for both")
    if i.attribute("direction") not in _DIRECTIONS:
        raise Mismatch(f"has direction {str(i.attribute('direction'))[:40]}; legal: {', '.join(sorted(_DIRECTIONS))}")
    require(i.shape.dtype == "pred" and i.shape.dims == left.dims, i, f"pred, of {left.plain}")


def select(i: Instruction, called: Called) -> None:
    """A ``pred`` scalar or array chooses between two operands of the result's shape."""
    chosen, yes, no = (o.shape for o in i.operands)
    if chosen.dtype != "pred" or chosen.dims not in ((), yes.dims) or not fits(yes, no):
        raise Mismatch(f"takes {chosen.plain[:40]}, {yes.plain[:40]} and {no.plain[:40]}; legal: pred and one shape for both")
    require(fits(i.shape, yes), i, yes.plain)


def clamp(i: Instruction, called: Called) -> None:
    """The limits are scalars or have the value's shape, which is the result's."""
    low, value, high = (o.shape for o in i.operands)
    require(fits(i.shape, value), i, value.plain)
    for limit in (low, high):
        if limit.dims not in ((), value.dims) or not alike(limit, value):
            raise Mismatch(f"takes a limit of {limit.plain[:60]} for {value.plain[:60]}")


def moved(i: Instruction, called: Called) -> None:
    """A copy or another result that is its operand as it is."""
    require(fits(i.shape, i.operands[0].shape), i, i.operands[0].shape.plain)


def convert(i: Instruction, called: Called) -> None:
    """The result has the operand's dimensions, of any type."""
    require(i.shape.dims == i.operands[0].shape.dims, i, i.operands[0].shape.plain)


def reshape(i: Instruction, called: Called) -> None:
    """The result has as many elements as the operand, of its type."""
    operand = i.operands[0].shape
    require(i.shape.elements == operand.elements and alike(i.shape, operand), i, f"{operand.elements} elements")


def bitcast(i: Instruction, called: Called) -> None:
    """The result has as many bits as the operand."""
    operand = i.operands[0].shape
    if operand.is_tuple or i.shape.is_tuple:
        return moved(i, called)
    bits = (operand.elements * BITS[operand.dtype], i.shape.elements * BITS[i.shape.dtype])
    # On a TPU a bitcast may leave out what the operand's tiles hold beside the result.
    require(bits[0] == bits[1] or ("T(" in operand.layout and operand.bytes >= i.shape.bytes), i, f"{bits[0]} bits")


def transpose(i: Instruction, called: Called) -> None:
    """The result's dimensions are the operand's in the order of ``dimensions``."""
    operand, order = i.operands[0].shape, i.numbers("dimensions")
    if sorted(order) != list(range(len(operand.dims))):
        raise Mismatch(f"orders {{{', '.join(map(str, order))[:60]}}} of {len(operand.dims)} dimensions")
    require_dims(i, tuple(operand.dims[n] for n in order))


def broadcast(i: Instruction, called: Called) -> None:
    """The operand's dimensions are those of the result at ``dimensions``."""
    operand, places = i.operands[0].shape, i.numbers("dimensions")
    if len(places) != len(operand.dims):
        raise Mismatch(f"places {len(places)} dimensions of an operand that has {len(operand.dims)}")
    within(places, len(i.shape.dims), "dimensions")
    agree = all(i.shape.dims[place] == size for place, size in zip(places, operand.dims, strict=True))
    require(agree and alike(i.shape, operand), i, f"a broadcast of {operand.plain}")


def reverse(i: Instruction, called: Called) -> None:
    """``dimensions`` exist, and the result has the operand's shape."""
    within(i.numbers("dimensions"), len(i.shape.dims), "dimensions")
    moved(i, called)


def iota(i: Instruction, called: Called) -> None:
    """``iota_dimension`` exists."""
    within(i.numbers("iota_dimension"), len(i.shape.dims), "iota_dimension")


def concatenate(i: Instruction, called: Called) -> None:
    """Operands agree but for ``dimensions``, where the result has the sum of their sizes."""
    (axis,) = i.numbers("dimensions")
    first = i.operands[0].shape
    within((axis,), len(first.dims), "dimensions")
    total = 0
    for operand in (o.shape for o in i.operands):
        others = operand.dims[:axis] + operand.dims[axis + 1 :]
        wanted = first.dims[:axis] + first.dims[axis + 1 :]
        if len(operand.dims) != len(first.dims) or others != wanted or not alike(operand, first):
            raise Mismatch(f"joins {first.plain[:60]} and {operand.plain[:60]}")
        total += operand.dims[axis]
    require_dims(i, (*first.dims[:axis], total, *first.dims[axis + 1 :]))


def sliced(i: Instruction, called: Called) -> None:
    """Every range of ``slice`` lies in its dimension; the result has the sizes of the ranges."""
    dims, ranges = i.operands[0].shape.dims, _RANGE.findall(i.attribute("slice") or "")
    if len(ranges) != len(dims):
        raise Mismatch(f"slices {len(ranges)} dimensions of {len(dims)}")
    sizes: list[int] = []
    for size, (first, end, step) in zip(dims, ranges, strict=True):
        start, stop, stride = int(first), int(end), int(step or 1)
        if not start <= stop <= size or stride < 1:
            raise Mismatch(f"slices [{first}:{end}] of {size}")
        sizes.append(-(-(stop - start) // stride))
    require_dims(i, tuple(sizes))


def _indices(i: Instruction, first: int, rank: int) -> None:
    given = [o.shape for o in i.operands[first:]]
    one_vector = len(given) == 1 and given[0].dims == (rank,)
    if not (one_vector or (len(given) == rank and all(not g.dims for g in given))) or not all(g.is_integer for g in given):
        raise Mismatch(f"has {len(given)} indices for {rank} dimensions; legal: an integer each")


def dynamic_slice(i: Instruction, called: Called) -> None:
    """``dynamic_slice_sizes`` fit the operand and are the result's; there is an index per dimension."""
    dims, sizes = i.operands[0].shape.dims, i.numbers("dynamic_slice_sizes")
    _indices(i, 1, len(dims))
    if len(sizes) != len(dims) or any(not 0 <= s <= d for s, d in zip(sizes, dims, strict=True)):
        raise Mismatch(f"slices {{{', '.join(map(str, sizes))[:60]}}} of {i.operands[0].shape.plain[:60]}")
    require_dims(i, sizes)


def dynamic_update_slice(i: Instruction, called: Called) -> None:
    """The update fits into the operand, whose shape the result has; there is an index per dimension."""
    target, update = i.operands[0].shape, i.operands[1].shape
    _indices(i, 2, len(target.dims))
    if len(update.dims) != len(target.dims) or any(u > t for u, t in zip(update.dims, target.dims, strict=True)):
        raise Mismatch(f"writes {update.plain[:60]} into {target.plain[:60]}")
    if not alike(update, target):
        raise Mismatch(f"writes {update.plain[:60]} into {target.plain[:60]}")
    require_dims(i, target.dims)


def pad(i: Instruction, called: Called) -> None:
    """The result has the operand's sizes with ``padding`` at both ends and between the elements."""
    operand, parts = i.operands[0].shape, [_PADDING.match(p) for p in (i.attribute("padding") or "").split("x")]
    if not operand.dims and i.attribute("padding") in ("", None):
        parts = []
    if len(parts) != len(operand.dims) or i.operands[1].shape.dims or not alike(operand, i.operands[1].shape):
        raise Mismatch(f"pads {len(parts)} dimensions of {operand.plain[:60]} with {i.operands[1].shape.plain[:60]}")
    sizes: list[int] = []
    for size, part in zip(operand.dims, parts, strict=True):
        if part is None:
            raise Mismatch(f"has a padding {str(i.attribute('padding'))[:60]!r} that cannot be read")
        low, high, between = int(part[1]), int(part[2]), int(part[3] or 0)
        sizes.append(size + low + high + max(0, size - 1) * between)
    if any(n < 0 for n in sizes):
        raise Mismatch("is padded to a negative size")
    require_dims(i, tuple(sizes))
