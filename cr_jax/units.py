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


_SMALL = ((1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"))
_LONG = ((86400, "d"), (3600, "h"), (60, "min"))


def small(value: float | None, unit: str) -> str:
    """``0.00123, "J"`` -> ``1.23 mJ``, large ones as ``scaled``; ``None`` -> ``-``."""
    if value is None:
        return "-"
    if value == 0 or abs(value) >= 999.5:
        return scaled(value, unit)
    for factor, prefix in _SMALL:
        if abs(value) >= factor * 0.9995 or factor == _SMALL[-1][0]:
            return f"{value / factor:.3g} {prefix}{unit}"
    raise AssertionError("the last prefix takes everything")


def time_text(seconds: float | None) -> str:
    """``0.0123`` -> ``12.3 ms``, ``5400`` -> ``1.5 h``; ``None`` -> ``-``."""
    if seconds is not None and seconds >= 60:
        factor, unit = next((size, unit) for size, unit in _LONG if seconds >= size)
        return f"{seconds / factor:.3g} {unit}"
    return small(seconds, "s")


def plain_number(value: float | None) -> str:
    """``0.01234`` -> ``0.0123``, ``12345.6`` -> ``12,346``; ``None`` -> ``-``."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 999.5 else f"{value:.3g}"
