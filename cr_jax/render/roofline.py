"""The roofline of a comparison as SVG: a panel per device, a lane per model, a mark per program.

A program's mark is in its model's lane at its intensity; a line leads up to the rate that the device's roof allows there, a bound
and not a measurement. Where a peak is unknown there is no roof, only the lanes. Traced programs, which no compiler has fused for
the device, have no mark.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cr_jax.documents.comparison import ComparedDevice, ComparedRow, Comparison
from cr_jax.render.svg import COLOURS, GRID, INK, decade, open_svg, text_at
from cr_jax.units import scaled

_COLUMNS, _PANEL_WIDTH, _ROOF, _LANE, _GAP = 3, 430, 190, 21, 8
_LEFT, _RIGHT, _TOP, _BOTTOM = 82, 16, 54, 50
#: The coordinate of a value on a logarithmic axis.
_Place = Callable[[float], float]
_GREY = "#555555"
#: Kinds of arithmetic with a peak rate in an accelerator profile.
_PEAKS = ("float32", "tf32", "bfloat16", "float16")
_SHAPES = ("circle", "square", "triangle", "diamond", "cross", "down")


@dataclass(frozen=True)
class _Roof:
    """Peak FLOP/s and bytes/s. kind: the arithmetic of the peak."""

    peak: float
    bandwidth: float
    kind: str

    def rate(self, intensity: float) -> float:
        return min(self.peak, intensity * self.bandwidth)


@dataclass(frozen=True)
class _Panel:
    """marks: (lane, intensity, whether a training step). traced: lanes without a compiled program."""

    name: str
    roof: _Roof | None
    marks: list[tuple[int, float, bool]]
    traced: set[int]


def roofline(document: Comparison) -> str:
    """An SVG of all rows with figures: training steps filled, the last incremental turn hollow."""
    rows = document.counted
    models = list(dict.fromkeys(row.model for row in rows))
    panels = [_of_device(one, [row for row in rows if row.device == one.name], models) for one in document.devices]
    panels = [panel for panel in panels if panel.marks or panel.traced]
    intensities = [x for panel in panels for _, x, _ in panel.marks]
    intensities += [panel.roof.peak / panel.roof.bandwidth for panel in panels if panel.roof]
    across = _decades(intensities)
    roofs = [panel.roof for panel in panels if panel.roof]
    up = _decades([roof.peak for roof in roofs] + [roof.bandwidth * 10.0 ** across[0] for roof in roofs])
    columns = max(1, min(_COLUMNS, len(panels)))
    each = _TOP + _ROOF + _GAP + _LANE * len(models) + _BOTTOM
    width, height = max(columns * _PANEL_WIDTH + 30, 900), 44 + -(-len(panels) // columns) * each + 34
    title = "Roofline: the rate that each program's intensity allows"
    parts = [*open_svg(title, width, height), text_at(30, 30, title, 19, weight="bold")]
    for number, panel in enumerate(panels):
        left, top = 15 + (number % columns) * _PANEL_WIDTH, 44 + (number // columns) * each
        parts += _draw(panel, left, top, models, across, up)
    note = "Filled: a training step. Hollow: answering the last turn, incremental. Peaks as the accelerator profiles source them."
    parts.append(text_at(30, height - 12, note, 13, colour=_GREY))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _of_device(device: ComparedDevice, rows: Sequence[ComparedRow], models: list[str]) -> _Panel:
    marks, traced = [], set()
    for row in rows:
        lane = models.index(row.model)
        if row.coverage.compiled_programs == 0:
            traced.add(lane)
        for program in row.programs:
            training = program.phase == "train"
            wanted = training or program.program == "infer/incremental/last"
            if wanted and program.compiled and program.intensity_flops_per_byte:
                marks.append((lane, program.intensity_flops_per_byte, training))
    return _Panel(device.name, _roof(device, rows), marks, traced)


def _roof(device: ComparedDevice, rows: Sequence[ComparedRow]) -> _Roof | None:
    """The roof for the arithmetic of the rows; ``None`` unless peak and bandwidth are known for it."""
    kinds = {row.effective_precision for row in rows}
    kind = kinds.pop() if len(kinds) == 1 else None
    peak = device.matmul_flops_per_s.get(kind) if kind in _PEAKS else None
    bandwidth = device.memory_bandwidth_bytes_per_s
    return _Roof(peak, bandwidth, kind) if peak and bandwidth and kind else None


def _decades(values: Sequence[float]) -> tuple[int, int]:
    known = [math.log10(v) for v in values] or [0.0]
    low, high = math.floor(min(known) - 0.05), math.ceil(max(known) + 0.2)
    return low, max(high, low + 2)


def _draw(panel: _Panel, left: float, top: float, models: list[str], across: tuple[int, int], up: tuple[int, int]) -> list[str]:
    x0, x1, y1 = left + _LEFT, left + _PANEL_WIDTH - _RIGHT, top + _TOP
    middle, y0 = y1 + _ROOF, y1 + _ROOF + _GAP + _LANE * len(models)

    def place_x(value: float) -> float:
        return x0 + (math.log10(value) - across[0]) / (across[1] - across[0]) * (x1 - x0)

    def place_y(value: float) -> float:
        return middle - (math.log10(value) - up[0]) / (up[1] - up[0]) * _ROOF

    roof = panel.roof
    about = "no peak known: intensity only"
    if roof:
        about = f"{scaled(roof.peak, 'FLOP/s')} {roof.kind}, {scaled(roof.bandwidth, 'B/s')}"
    parts = [text_at(x0, top + 24, panel.name, 16, weight="bold"), text_at(x0, top + 43, about, 13, colour=_GREY)]
    for power in range(across[0], across[1] + 1):
        x = place_x(10.0**power)
        parts.append(f"<line x1='{x:.1f}' x2='{x:.1f}' y1='{y0}' y2='{y1}' stroke='{GRID}'/>")
        parts.append(text_at(x, y0 + 17, f"{10.0**power:g}" if -3 <= power < 3 else decade(power), 12, anchor="middle"))
    parts.append(text_at((x0 + x1) / 2, y0 + 35, "FLOP per byte of main memory", 12, anchor="middle", colour=_GREY))
    if roof:
        parts += _roof_lines(roof, x0, x1, place_x, place_y, across, up)
        turned = f"transform='rotate(-90 {left + 22:.0f} {(y1 + middle) / 2:.1f})'"
        parts.append(text_at(left + 22, (y1 + middle) / 2, "FLOP/s", 12, anchor="middle", colour=_GREY, extra=turned))
    for lane, name in enumerate(models):
        y = middle + _GAP + _LANE * (lane + 0.5)
        shown = name if len(name) <= 10 else f"{name[:9]}…"
        parts.append(f"<line x1='{x0}' x2='{x1}' y1='{y:.1f}' y2='{y:.1f}' stroke='{GRID}' stroke-dasharray='2 3'/>")
        parts.append(text_at(x0 - 8, y + 4, shown, 12, anchor="end"))
        if lane in panel.traced:
            parts.append(text_at(x0 + 8, y + 4, "not compiled for it", 12, colour=_GREY))
    for lane, intensity, _ in panel.marks if roof else ():
        x, y, colour = place_x(intensity), place_y(roof.rate(intensity)) if roof else 0.0, COLOURS[lane % len(COLOURS)]
        foot = middle + _GAP + _LANE * (lane + 0.5)
        parts.append(f"<line x1='{x:.1f}' x2='{x:.1f}' y1='{foot:.1f}' y2='{y:.1f}' stroke='{colour}' stroke-opacity='0.55'/>")
        parts.append(f"<circle cx='{x:.1f}' cy='{y:.1f}' r='2.6' fill='{colour}'/>")
    parts.append(f"<rect x='{x0}' y='{y1}' width='{x1 - x0}' height='{y0 - y1}' fill='none' stroke='#999999'/>")
    parts.append(f"<line x1='{x0}' x2='{x1}' y1='{middle}' y2='{middle}' stroke='#999999'/>")
    for lane, intensity, training in panel.marks:
        parts.append(_mark(place_x(intensity), middle + _GAP + _LANE * (lane + 0.5), lane, training))
    return parts


def _roof_lines(
    roof: _Roof, x0: float, x1: float, place_x: _Place, place_y: _Place, across: tuple[int, int], up: tuple[int, int]
) -> list[str]:
    parts = []
    for power in range(up[0], up[1] + 1):
        y = place_y(10.0**power)
        parts.append(f"<line x1='{x0}' x2='{x1}' y1='{y:.1f}' y2='{y:.1f}' stroke='{GRID}'/>")
        parts.append(text_at(x0 - 8, y + 4, decade(power), 12, anchor="end"))
    start, ridge, end = 10.0 ** across[0], roof.peak / roof.bandwidth, 10.0 ** across[1]
    path = " ".join(f"{place_x(x):.1f},{place_y(roof.rate(x)):.1f}" for x in (start, ridge, end))
    return [*parts, f"<polyline points='{path}' fill='none' stroke='{INK}' stroke-width='1.6'/>"]


def _mark(x: float, y: float, lane: int, filled: bool) -> str:
    colour, shape, size = COLOURS[lane % len(COLOURS)], _SHAPES[lane % len(_SHAPES)], 6.0
    paint = (
        f"fill='{colour}' stroke='#FFFFFF' stroke-width='1'" if filled else (f"fill='#FFFFFF' stroke='{colour}' stroke-width='2'")
    )
    corners = {
        "square": ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
        "triangle": ((0, -1.15), (1.1, 0.85), (-1.1, 0.85)),
        "down": ((0, 1.15), (1.1, -0.85), (-1.1, -0.85)),
        "diamond": ((0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)),
        "cross": (
            (-0.4, -1.1),
            (0.4, -1.1),
            (0.4, -0.4),
            (1.1, -0.4),
            (1.1, 0.4),
            (0.4, 0.4),
            (0.4, 1.1),
            (-0.4, 1.1),
            (-0.4, 0.4),
            (-1.1, 0.4),
            (-1.1, -0.4),
            (-0.4, -0.4),
        ),
    }.get(shape)
    if corners is None:
        return f"<circle cx='{x:.1f}' cy='{y:.1f}' r='{size}' {paint}/>"
    path = " ".join(f"{x + dx * size:.1f},{y + dy * size:.1f}" for dx, dy in corners)
    return f"<polygon points='{path}' {paint}/>"
