"""The bar chart of a comparison as SVG: FLOPs, bytes and peak memory per model and device.

Each panel has its own logarithmic axis. Objectives of a model are separate groups: their batches differ.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from cr_jax.documents.comparison import ComparedRow, Comparison
from cr_jax.errors import BadConfig
from cr_jax.render.svg import COLOURS, GRID, INK, RIM, decade, open_svg, short, text_at

_WIDTH, _LEFT, _RIGHT, _HEIGHT, _TOP = 1180, 84, 20, 250, 50
_SERIES = 2 * len(COLOURS)


@dataclass(frozen=True)
class _Chart:
    """values[group][series]; ``None`` leaves a gap."""

    title: str
    groups: list[str]
    values: list[list[float | None]]


def bars(document: Comparison) -> str:
    """An SVG of every row with figures: a group per model (and objective), a bar per device.

    With more devices than colours and fewer models, groups and bars change places. Raises ``BadConfig`` when neither fits.
    """
    rows = document.counted
    names = [_Names(row) for row in rows]
    devices = list(dict.fromkeys(one.device for one in names))
    charts = [
        ("FLOP per supervised turn, training", "train", "flops_per_turn"),
        ("Main memory bytes per supervised turn, training", "train", "hbm_bytes_per_turn"),
        ("Peak bytes of one training step", "train", "peak_bytes"),
        ("FLOP per answered turn, the last turn, incremental", "infer/incremental/last", "flops_per_turn"),
        ("Main memory bytes per answered turn, the last turn, incremental", "infer/incremental/last", "hbm_bytes_per_turn"),
        ("Peak bytes of answering the last turn", "infer/incremental/last", "peak_bytes"),
    ]
    made = [_chart(title, which, key, rows, names, devices) for title, which, key in charts]
    made = [chart for chart in made if any(v for group in chart.values for v in group)]
    series = devices
    turned = len(devices) > len(COLOURS) and max((len(c.groups) for c in made), default=0) <= len(COLOURS)
    if turned:
        series = list(dict.fromkeys(group for chart in made for group in chart.groups))
        made = [_turn(chart, devices, series) for chart in made]
    if len(series) > _SERIES:
        raise BadConfig(f"--plot: {len(series)} bars in a group; legal: at most {_SERIES} devices or models")
    return _draw(made, series, any(not p.compiled for row in rows for p in row.programs))


class _Names:
    """A row's group and series; a second row of the same model and device is a series of its own."""

    def __init__(self, row: ComparedRow) -> None:
        _, mark, number = row.name.partition("#")
        self.model, self.device = row.model, row.device + mark + number


def _chart(title: str, which: str, key: str, rows: Sequence[ComparedRow], names: list[_Names], devices: list[str]) -> _Chart:
    cells: dict[str, dict[str, float | None]] = {}
    for row, name in zip(rows, names, strict=True):
        matching = [p for p in row.programs if p.phase == which or p.program == which]
        for program in matching:
            label = f"{name.model} {program.objective}" if len(matching) > 1 else name.model
            cells.setdefault(label, {})[name.device] = getattr(program, key)
    known = {group: values for group, values in cells.items() if any(values.values())}
    return _Chart(title, list(known), [[values.get(device) for device in devices] for values in known.values()])


def _turn(chart: _Chart, devices: list[str], series: list[str]) -> _Chart:
    rows = dict(zip(chart.groups, chart.values, strict=True))
    values = [[rows[name][n] if name in rows else None for name in series] for n in range(len(devices))]
    return _Chart(chart.title, devices, values)


def _draw(charts: list[_Chart], series: list[str], traced: bool) -> str:
    legend, lines = _legend(series)
    head = 46 + 24 * lines
    slanted = any(_slanted(chart) for chart in charts)
    each = _HEIGHT + (44 if slanted else 0)
    height = head + each * max(len(charts), 1) + 30
    title = "Cost per model and device"
    parts = [*open_svg(title, _WIDTH, height), text_at(_LEFT, 28, title, 19, weight="bold"), *legend]
    for number, chart in enumerate(charts):
        parts += _panel(chart, head + number * each, slanted)
    note = "Logarithmic axes. No bar: unknown, or there is no such program."
    note += " Some rows are counted from the traced program: their bytes are not the device's." if traced else ""
    parts.append(text_at(_LEFT, height - 10, note, 13, colour="#555555"))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _slanted(chart: _Chart) -> bool:
    slot = (_WIDTH - _LEFT - _RIGHT) / max(len(chart.groups), 1)
    return any(len(group) * 7.8 > slot - 6 for group in chart.groups)


def _panel(chart: _Chart, top: float, slanted: bool) -> list[str]:
    known = [v for group in chart.values for v in group if v]
    low, high = math.floor(math.log10(min(known)) - 0.1), math.ceil(math.log10(max(known)))
    base, ceiling, right = top + _HEIGHT - 30, top + _TOP + 26, _WIDTH - _RIGHT

    def place(value: float) -> float:
        return base - (math.log10(value) - low) / (high - low) * (base - ceiling)

    parts = [text_at(_LEFT, top + 22, chart.title, 15, weight="bold")]
    for power in range(low, high + 1, 1 + (high - low) // 7):
        y = place(10.0**power)
        parts.append(f"<line x1='{_LEFT}' x2='{right}' y1='{y:.1f}' y2='{y:.1f}' stroke='{GRID}'/>")
        parts.append(text_at(_LEFT - 8, y + 4, decade(power), 12, anchor="end"))
    slot = (right - _LEFT) / len(chart.groups)
    width = min(44.0, slot * 0.86 / len(chart.values[0]))
    upright = any(width < 8.4 * len(short(v)) for v in known)
    for i, (group, values) in enumerate(zip(chart.groups, chart.values, strict=True)):
        start = _LEFT + slot * (i + 0.5) - width * len(values) / 2
        for s, value in enumerate(values):
            if value:
                parts += _bar(start + s * width, place(value), width, base, s, short(value), upright)
        x, y = _LEFT + slot * (i + 0.5), base + 18
        lean = f"transform='rotate(-28 {x:.1f} {y:.1f})'" if slanted else ""
        parts.append(text_at(x, y, group, 13, anchor="end" if slanted else "middle", extra=lean))
    parts.append(f"<line x1='{_LEFT}' x2='{right}' y1='{base:.1f}' y2='{base:.1f}' stroke='{INK}'/>")
    return parts


def _bar(x: float, y: float, width: float, base: float, series: int, label: str, upright: bool) -> list[str]:
    gap = min(2.0, width * 0.08)
    box = f"x='{x + gap:.1f}' y='{y:.1f}' width='{width - 2 * gap:.1f}' height='{max(base - y, 0):.1f}'"
    parts = [f"<rect {box} {_paint(series)}/>"]
    middle = x + width / 2
    if not upright:
        parts.append(text_at(middle, y - 5, label, 12, anchor="middle", extra=RIM))
    elif width >= 13:  # Labels wider than their bars are turned upright; below this they would touch.
        turned = f"transform='rotate(-90 {middle + 4:.1f} {y - 5:.1f})' {RIM}"
        parts.append(text_at(middle + 4, y - 5, label, 12, extra=turned))
    return parts


def _paint(series: int) -> str:
    colour = COLOURS[series % len(COLOURS)]
    return f"fill='{colour}'" if series < len(COLOURS) else f"fill='#FFFFFF' stroke='{colour}' stroke-width='2'"


def _legend(series: list[str]) -> tuple[list[str], int]:
    parts, x, line = [], float(_LEFT), 0
    for number, name in enumerate(series):
        needed = 20 + 7.9 * len(name) + 24
        if x + needed > _WIDTH - _RIGHT and x > _LEFT:
            x, line = float(_LEFT), line + 1
        y = 46 + 24 * line
        parts.append(f"<rect x='{x:.0f}' y='{y}' width='13' height='13' {_paint(number)}/>")
        parts.append(text_at(x + 20, y + 12, name, 14))
        x += needed
    return parts, line + 1
