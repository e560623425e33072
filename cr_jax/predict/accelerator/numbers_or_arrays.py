"""Arithmetic on numbers and on arrays of them alike: predictions take one number at a time, fits take thousands."""

from typing import NamedTuple, TypeAlias

import numpy as np

Numbers: TypeAlias = float | np.ndarray


class Parts(NamedTuple):
    """Seconds of one execution on the lanes and on the memory, each as if the other took none. Numbers or arrays."""

    compute_s: Numbers
    memory_s: Numbers


def least(a: Numbers, b: Numbers) -> Numbers:
    """The smaller of two, by element."""
    if isinstance(a, int | float) and isinstance(b, int | float):
        return min(a, b)
    return np.minimum(a, b)


def most(a: Numbers, b: Numbers) -> Numbers:
    """The larger of two, by element."""
    if isinstance(a, int | float) and isinstance(b, int | float):
        return max(a, b)
    return np.maximum(a, b)


def whole(a: Numbers, unit: Numbers) -> Numbers:
    """The number of units that hold ``a``: the quotient, rounded up."""
    return -(-a // unit)


def together(parts: Parts, sharpness: float) -> Numbers:
    """Seconds of two parts that run side by side: (compute^p + memory^p)^(1/p), p the sharpness; the larger p, the
    nearer the longer one.
    """
    longer = most(most(parts.compute_s, parts.memory_s), 1e-30)
    shorter = least(parts.compute_s, parts.memory_s)
    return longer * (1 + (shorter / longer) ** sharpness) ** (1 / sharpness)
