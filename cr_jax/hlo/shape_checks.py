"""Comparison of an instruction's shape with the one that follows from its operands."""

from collections.abc import Callable, Mapping

from cr_jax.hlo.module import Computation, Instruction
from cr_jax.hlo.shapes import Shape

#: The computations that an instruction calls, by attribute.
Called = Mapping[str, list[Computation]]
#: Raises ``Mismatch`` where an instruction's own shape is not the one that follows.
Rule = Callable[[Instruction, Called], None]


class Mismatch(Exception):
    """An instruction's shape does not follow from its operands: what it is, and what it should be."""


def same(a: Shape, b: Shape) -> bool:
    """Whether two shapes are equal, except for layouts."""
    return a is b or a.plain == b.plain


def alike(a: Shape, b: Shape) -> bool:
    """Whether the element types agree; on a TPU, tiled floats may differ in precision."""
    if a.dtype == b.dtype:
        return True
    # Only the layouts of TPUs are tiled.
    tiled = "T(" in a.layout or "T(" in b.layout
    return tiled and a.is_float and b.is_float and (a.dtype[0] == "c") == (b.dtype[0] == "c")


def fits(a: Shape, b: Shape) -> bool:
    """Whether two shapes are equal, except for layouts and the precision of floats on TPUs."""
    return a.dims == b.dims and a.is_tuple == b.is_tuple and (a.plain == b.plain if a.is_tuple else alike(a, b))


def require(fits: bool, instruction: Instruction, wanted: str) -> None:
    """Raise ``Mismatch`` unless the result fits its operands, which make it ``wanted``."""
    if not fits:
        raise Mismatch(f"is {instruction.shape.plain[:80]}; its operands make it {wanted[:80]}")


def require_dims(instruction: Instruction, dims: tuple[int, ...]) -> None:
    """The result has these dimensions and the type of the first operand."""
    first = instruction.operands[0].shape
    require(
        instruction.shape.dims == dims and alike(instruction.shape, first),
        instruction,
        f"{first.dtype}[{','.join(map(str, dims))}]",
    )


def within(numbers: tuple[int, ...], rank: int, what: str) -> None:
    """Raise ``Mismatch`` unless the numbers differ from each other and lie in ``range(rank)``."""
    if len(set(numbers)) < len(numbers) or any(not 0 <= n < rank for n in numbers):
        raise Mismatch(f"has {what} {{{', '.join(map(str, numbers))[:60]}}} of {rank} dimensions")
