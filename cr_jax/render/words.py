"""What predictions stand on, in words, for every table that shows one."""

from collections.abc import Mapping
from typing import Any

from cr_jax.units import scaled, time_text

METHODS = {"calibrated": "rates measured on it", "replay": "its operations timed on it", "peaks": "data sheet rates"}


#: Before a figure that is a bound.
_SIGNS = {"exact": "", "lower": "≥ ", "upper": "≤ ", "range": "≤ "}


def sign(bound: str) -> str:
    """What stands before a figure, by its bound; of a range the upper end is shown."""
    return _SIGNS[bound]


def interval(low: float | None, high: float | None) -> str:
    """``49.8 to 311 µs``: the unit once where both ends share it."""
    if low is None or high is None:
        return "-"
    ends = [time_text(value).split(" ") for value in (low, high)]
    return f"{ends[0][0]} to {' '.join(ends[1])}" if ends[0][1] == ends[1][1] else " to ".join(map(" ".join, ends))


def validated(found: Any) -> str:
    """What a method was held against, in words."""
    if isinstance(found, str):
        return found
    return (f"validated on {', '.join(found['devices'])}, {found['n']} programs: median error {found['median_error']:.0%}, "
            f"90% within {found['p90_error']:.0%} ({found['source']}, {found['date']})")  # fmt: skip


def energy_text(assumed: Mapping[str, Any]) -> str:
    """What an energy stands on, in words."""
    idle = f"idle {assumed['idle_w']:.3g} W ({assumed['idle_is']})"
    text = f"limit {scaled(assumed['limit_w'], 'W')}, {idle}, host {assumed['host_w']:g} W, PUE {assumed['pue']:g}"
    grid = assumed["grid_g_per_kwh"]
    return text if grid is None else f"{text}, grid {grid:g} g CO2e per kWh ({assumed['grid_source']})"
