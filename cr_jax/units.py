"""Units and their formatting.

FLOP: one floating-point operation; a fused multiply-add is two. Byte: moved between main memory
and the chip at a fusion boundary. SI units: bytes, seconds, joules, US dollars.
"""

import math

FLOPS_PER_MULTIPLY_ADD = 2

_PREFIXES = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
#: Three digits round up to the next prefix from here on: 999.5 k is 1 M.
_NEXT = 0.9995
#: Integers from here on are no floating-point numbers, or have more digits than Python prints.
_HUGE = 10**300


def scaled(value: float | None, unit: str = "") -> str:
    """``1234567, "FLOP"`` -> ``1.23 MFLOP``; ``None`` -> ``unknown``. Any number has a text, NaN and infinity too."""
    if value is None:
        return "unknown"
    if not _ordinary(value) or abs(value) >= 1e18 * _NEXT:
        return f"{_scientific(value)} {unit}".rstrip()
    for factor, prefix in _PREFIXES:
        if abs(value) >= factor * _NEXT and (abs(value) >= 1e3 or not float(value).is_integer()):
            return f"{value / factor:.3g} {prefix}{unit}"
    text = f"{value:.3g}" if isinstance(value, float) and not value.is_integer() else f"{int(value)}"
    return f"{text} {unit}".rstrip()


def count(value: int | None) -> str:
    """``1234567`` -> ``1,234,567``; ``None`` -> ``unknown``; an integer of 300 digits or more -> ``1.23e+456``."""
    if value is None:
        return "unknown"
    return f"{value:,}" if _ordinary(value) else _scientific(value)


def _ordinary(value: float) -> bool:
    """Whether a number can be printed and divided as it is."""
    return abs(value) < _HUGE if isinstance(value, int) else math.isfinite(value)


def _scientific(value: float) -> str:
    """Three digits and an exponent, of an integer of any size too."""
    if _ordinary(value) or isinstance(value, float):
        return f"{value:.3g}"
    whole = math.log10(abs(value))
    digits, exponent = f"{10 ** (whole % 1):.3g}", int(whole)
    digits, exponent = ("1", exponent + 1) if digits == "10" else (digits, exponent)
    return f"{'-' if value < 0 else ''}{digits}e+{exponent}"


_SMALL = ((1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"))
_LONG = ((86400, "d"), (3600, "h"), (60, "min"))


def small(value: float | None, unit: str) -> str:
    """``0.00123, "J"`` -> ``1.23 mJ``, large ones as ``scaled``; ``None`` -> ``-``."""
    if value is None:
        return "-"
    if value == 0 or not _ordinary(value) or abs(value) >= 999.5:
        return scaled(value, unit)
    for factor, prefix in _SMALL:
        if abs(value) >= factor * _NEXT or factor == _SMALL[-1][0]:
            return f"{value / factor:.3g} {prefix}{unit}"
    raise AssertionError("the last prefix takes everything")


def time_text(seconds: float | None) -> str:
    """``0.0123`` -> ``12.3 ms``, ``5400`` -> ``1.5 h``; ``None`` -> ``-``."""
    if seconds is not None and _ordinary(seconds) and seconds >= 60:
        factor, unit = next((size, unit) for size, unit in _LONG if seconds >= size)
        return f"{seconds / factor:.3g} {unit}"
    return small(seconds, "s")


def plain_number(value: float | None) -> str:
    """``0.01234`` -> ``0.0123``, ``12345.6`` -> ``12,346``; ``None`` -> ``-``."""
    if value is None:
        return "-"
    if not _ordinary(value):
        return _scientific(value)
    return f"{value:,.0f}" if abs(value) >= 999.5 else f"{value:.3g}"
