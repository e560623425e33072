"""A cost: a small value with zero, ``+`` and ``*``, so that a loop is one multiplication."""

from collections.abc import Iterable
from dataclasses import dataclass, fields

Key = tuple[str, str, str]  # module, pass, family
Owner = tuple[str, str]  # module, pass


@dataclass(slots=True)
class Cost:
    """Operations and bytes of a part of a program."""

    matmul_flops: int = 0
    """FLOPs of dots and convolutions."""
    other_flops: int = 0
    """FLOPs of other floating-point arithmetic."""
    integer_ops: int = 0
    """Integer and logical operations, comparisons, selections and conversions (XLA counts them as FLOPs)."""
    transcendentals: int = 0
    """exp, log, tanh, sqrt, power and similar functions, one each."""
    read_bytes: int = 0
    """Bytes read from main memory."""
    written_bytes: int = 0
    """Bytes written to main memory."""
    onchip_bytes: int = 0
    """Scratchpad traffic in both directions."""
    collective_bytes: int = 0
    """Operand bytes of collectives."""
    replaced_matmul_flops: int = 0
    """FLOPs of matrix products that the compiler carries out as multiplications and sums; the work is part of ``other_flops``."""

    def add(self, other: "Cost", times: int = 1) -> "Cost":
        """``self += times * other``."""
        # One operation is of one kind, so most fields are zero; this is the counter's hottest line.
        if other.matmul_flops:
            self.matmul_flops += times * other.matmul_flops
        if other.other_flops:
            self.other_flops += times * other.other_flops
        if other.integer_ops:
            self.integer_ops += times * other.integer_ops
        if other.transcendentals:
            self.transcendentals += times * other.transcendentals
        if other.read_bytes:
            self.read_bytes += times * other.read_bytes
        if other.written_bytes:
            self.written_bytes += times * other.written_bytes
        if other.onchip_bytes:
            self.onchip_bytes += times * other.onchip_bytes
        if other.collective_bytes:
            self.collective_bytes += times * other.collective_bytes
        if other.replaced_matmul_flops:
            self.replaced_matmul_flops += times * other.replaced_matmul_flops
        return self

    def __add__(self, other: "Cost") -> "Cost":
        return Cost().add(self).add(other)

    def __mul__(self, times: int) -> "Cost":
        return Cost().add(self, times)

    def part(self, share: int, of: int) -> "Cost":
        """``share`` of ``of`` equal parts, rounded down."""
        return Cost(*(getattr(self, f.name) * share // of for f in fields(self)))

    @staticmethod
    def largest(costs: Iterable["Cost"]) -> "Cost":
        """The largest value, field by field."""
        many = list(costs)
        return Cost(*(max(getattr(cost, f.name) for cost in many) for f in fields(Cost)))

    @staticmethod
    def smallest(costs: Iterable["Cost"]) -> "Cost":
        """The smallest value, field by field."""
        many = list(costs)
        return Cost(*(min(getattr(cost, f.name) for cost in many) for f in fields(Cost)))

    @property
    def hbm_bytes(self) -> int:
        """Bytes read from and written to main memory."""
        return self.read_bytes + self.written_bytes

    @property
    def flops(self) -> int:
        """Floating-point operations: matmul and other, without transcendentals."""
        return self.matmul_flops + self.other_flops

    @property
    def operations(self) -> int:
        """Operations of every kind, by which a conditional's most expensive branch is chosen."""
        return self.flops + self.integer_ops + self.transcendentals

    def as_dict(self) -> dict[str, int]:
        """The fields and ``hbm_bytes``, in a fixed order."""
        return {f.name: getattr(self, f.name) for f in fields(self)} | {"hbm_bytes": self.hbm_bytes}
