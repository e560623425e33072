"""Conventions and their formatting.

FLOP: one floating-point operation; a fused multiply-add is two. Byte: moved between main memory
and the chip at a fusion boundary. SI units: bytes, seconds, joules, US dollars.
"""

FLOPS_PER_MULTIPLY_ADD = 2

_PREFIXES = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def scaled(value: float | None, unit: str = "") -> str:
    """``1234567, "FLOP"`` -> ``1.23 MFLOP``; ``None`` -> ``unknown``."""
    if value is None:
        return "unknown"
    for factor, prefix in _PREFIXES:
        if abs(value) >= factor:
            return f"{value / factor:.3g} {prefix}{unit}" if abs(value) < 1e18 else f"{value:.3g} {unit}"
    text = f"{value:.3g}" if isinstance(value, float) and not value.is_integer() else f"{int(value)}"
    return f"{text} {unit}".rstrip()


def count(value: int | None) -> str:
    """``1234567`` -> ``1,234,567``; ``None`` -> ``unknown``."""
    return "unknown" if value is None else f"{value:,}"
