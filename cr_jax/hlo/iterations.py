"""Iterations of a loop that follow from its counter, in the arithmetic of the counter's type."""

from dataclasses import dataclass
from math import gcd

#: A narrow counter that wraps is followed step by step.
_FOLLOWED_BITS = 16


def wrap(value: int, bits: int, signed: bool) -> int:
    """``value`` as an integer type of ``bits`` holds it."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if signed and value >> (bits - 1) else value


@dataclass(frozen=True)
class Counter:
    """first: its value at the first test; step: what each iteration adds; bits: its width, ``None`` for one that
    does not wrap.
    """

    first: int
    step: int
    bits: int | None
    signed: bool

    def iterations(self, limit: int, sense: str) -> int | None:
        """Tests passed, as in ``counter LT limit``, before one fails; ``None`` where none ever does, or it is unknown."""
        if not _holds(self.first, limit, sense):
            return 0
        if self.step == 0:
            return None
        if sense == "NE":
            return self._until_equal(limit)
        if sense == "EQ":
            return 1
        if sense in ("LT", "LE") and self.step > 0:
            count = -(-(limit + (sense == "LE") - self.first) // self.step)
        elif sense in ("GT", "GE") and self.step < 0:
            count = -(-(self.first - limit + (sense == "GE")) // -self.step)
        else:
            return self._followed(limit, sense)
        last = self.first + count * self.step
        return count if self.bits is None or wrap(last, self.bits, self.signed) == last else self._followed(limit, sense)

    def _until_equal(self, limit: int) -> int | None:
        """The least count with ``first + count * step == limit``, wrapped."""
        distance = limit - self.first
        if self.bits is None:
            return distance // self.step if distance % self.step == 0 and distance // self.step > 0 else None
        size = 1 << self.bits
        shared = gcd(self.step, size)
        if distance % shared:
            return None
        return distance // shared * pow(self.step // shared, -1, size // shared) % (size // shared) or None

    def _followed(self, limit: int, sense: str) -> int | None:
        """Step by step, where the type is narrow enough to have come round to every value."""
        if self.bits is None or self.bits > _FOLLOWED_BITS:
            return None
        value = self.first
        for count in range(1 << self.bits):
            if not _holds(value, limit, sense):
                return count
            value = wrap(value + self.step, self.bits, self.signed)
        return None


def _holds(value: int, limit: int, sense: str) -> bool:
    return {
        "LT": value < limit,
        "LE": value <= limit,
        "GT": value > limit,
        "GE": value >= limit,
        "NE": value != limit,
        "EQ": value == limit,
    }.get(sense, False)
