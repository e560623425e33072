"""Buffers that an operation reads, and the bytes touched by the program since their last use."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from cr_jax.cost.cost import Cost
from cr_jax.hlo.module import Instruction

#: A number, or an array of them in a fit.
Size = TypeVar("Size", covariant=True)


@dataclass(frozen=True)
class Reads(Generic[Size]):
    """Bytes read of one buffer, and the bytes that the program touched since its last use."""

    bytes: Size
    distance: Size
    """Bytes of other buffers in between; a buffer is still in a cache of that size."""


class Trace:
    """Bytes touched between two uses of a buffer, in the order of a computation."""

    def __init__(self, footprint: int) -> None:
        self.footprint, self.clock = footprint, 0
        self.last: dict[int, int] = {}

    def read(self, value: Instruction, size: int) -> Reads[int]:
        """The read of ``size`` bytes of a value's buffer; the first read of a value touches its bytes."""
        before, distance = self.last.get(id(value)), self.footprint
        if before is None:
            self.clock += size
        elif self.clock - before < distance:
            distance = self.clock - before
        self.last[id(value)] = self.clock
        return Reads(size, distance if distance > size else size)

    def write(self, value: Instruction, size: int) -> int:
        """Write a result to a buffer used before in this run or the one before; the bytes since that use."""
        self.clock += size
        self.last[id(value)] = self.clock
        return max(size, self.footprint)

    def skip(self, size: int, value: Instruction) -> None:
        """Advance by the ``size`` bytes that the computation behind ``value`` touches; its result is the newest buffer."""
        self.clock += size
        self.last[id(value)] = self.clock


def _size(operand: Instruction) -> int:
    return 0 if operand.shape.parts else operand.shape.bytes


def sources(instruction: Instruction, cost: Cost) -> list[tuple[Instruction, int]]:
    """Buffers that an operation reads, behind reinterpretations, with a share of its bytes.

    The counter knows the bytes of the whole operation; operands share them by size, none above its own.
    """
    left = cost.read_bytes
    shares: dict[int, tuple[Instruction, int]] = {}
    operands = instruction.operands
    for operand in operands if len(operands) == 1 else sorted(operands, key=_size):
        size = min(left, operand.shape.bytes if not operand.shape.on_chip else 0)
        value = operand
        while value.opcode == "bitcast":
            value = value.operands[0]
        if size > 0:
            before = shares.get(id(value), (value, 0))[1]
            shares[id(value)] = (value, before + size)
        left -= size
    return list(shares.values())
