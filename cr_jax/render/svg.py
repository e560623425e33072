"""Bar charts as SVG text: panels of grouped bars over one logarithmic axis.

Written by hand, so that no plotting library is needed: plain shapes and text, a light background, and colours that are distinct
with any colour vision (Okabe and Ito's).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from cr_jax.render.escape import svg_text

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9")
_WIDTH, _PANEL, _LEFT, _RIGHT, _TOP, _BOTTOM = 1040, 250, 92, 24, 34, 34
_FONT = "font-family='Helvetica, Arial, sans-serif'"
INK, GRID = "#222222", "#DDDDDD"
#: For a label over grid lines: a white rim under its letters.
RIM = "stroke='#FFFFFF' stroke-width='3' stroke-linejoin='round' paint-order='stroke'"


@dataclass(frozen=True)
class Panel:
    """Bars of one panel: values[i][s] is the bar of group i and series s, ``None`` leaves a gap."""

    title: str
    groups: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]


def short(value: float) -> str:
    """``8177095`` -> ``8.18M``: three digits for a bar's label."""
    for factor, unit in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor * 0.9995:
            return f"{value / factor:#.3g}".rstrip(".") + unit
    return f"{value:#.3g}".rstrip(".")


def decade(power: int) -> str:
    """The power of ten on an axis: ``5`` -> ``100k``; below 1 and from 10^18 on as a power."""
    if not 0 <= power < 18:
        return f"1e{power}"
    return f"{10 ** (power % 3)}{('', 'k', 'M', 'G', 'T', 'P')[power // 3]}"


def bar_panels(title: str, axis: str, series: Sequence[str], panels: Sequence[Panel], note: str = "") -> str:
    """An SVG document of panels one below the other, all on the same logarithmic axis.

    axis: the name of the values. series: legend, one entry per bar of a group. note: a line below.
    """
    known = [v for panel in panels for group in panel.values for v in group if v]
    low = math.floor(math.log10(min(known)))
    high = math.ceil(math.log10(max(known) * 1.3))
    head = 78
    height = head + len(panels) * _PANEL + (30 if note else 8)
    parts = [*open_svg(title, _WIDTH, height), text_at(_LEFT, 28, title, 19, weight="bold")]
    at = float(_LEFT)
    for name, colour in zip(series, COLOURS, strict=False):
        parts.append(f"<rect x='{at:.0f}' y='46' width='14' height='14' fill='{colour}'/>")
        parts.append(text_at(at + 20, 58, name, 14))
        at += 20 + 7.6 * len(name) + 28
    for number, panel in enumerate(panels):
        parts += _panel(panel, head + number * _PANEL, low, high, axis)
    if note:
        parts.append(text_at(_LEFT, height - 12, note, 13, colour="#555555"))
    return "\n".join([*parts, "</svg>"]) + "\n"


def open_svg(title: str, width: float, height: float) -> list[str]:
    """The first lines of an SVG document of this size on a white ground."""
    return [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width:.0f} {height:.0f}' width='{width:.0f}' "
        f"height='{height:.0f}' role='img' aria-label='{svg_text(title)}'>",
        f"<title>{svg_text(title)}</title>",
        f"<rect width='{width:.0f}' height='{height:.0f}' fill='#FFFFFF'/>",
    ]


def _panel(panel: Panel, top: float, low: int, high: int, axis: str) -> list[str]:
    base, ceiling = top + _PANEL - _BOTTOM, top + _TOP
    right = _WIDTH - _RIGHT

    def place(value: float) -> float:
        return base - (math.log10(value) - low) / (high - low) * (base - ceiling)

    parts = [text_at(_LEFT, top + 18, panel.title, 16, weight="bold")]
    for power in range(low, high + 1):
        y = place(10.0**power)
        parts.append(f"<line x1='{_LEFT}' x2='{right}' y1='{y:.1f}' y2='{y:.1f}' stroke='{GRID}'/>")
        parts.append(text_at(_LEFT - 8, y + 5, decade(power), 13, anchor="end"))
    middle = (base + ceiling) / 2
    turned = f"transform='rotate(-90 24 {middle:.1f})'"
    parts.append(text_at(24, middle, axis, 13, anchor="middle", extra=turned, colour="#555555"))
    slot = (right - _LEFT) / len(panel.groups)
    for i, (group, values) in enumerate(zip(panel.groups, panel.values, strict=True)):
        width = min(72.0, slot * 0.8 / len(values))
        start = _LEFT + slot * (i + 0.5) - width * len(values) / 2
        for s, value in enumerate(values):
            if not value:
                continue
            x, y = start + s * width, place(value)
            parts.append(
                f"<rect x='{x + 2:.1f}' y='{y:.1f}' width='{width - 4:.1f}' height='{base - y:.1f}' "
                f"fill='{COLOURS[s % len(COLOURS)]}'/>"
            )
            parts.append(text_at(x + width / 2, y - 5, short(value), 13, anchor="middle"))
        parts.append(text_at(_LEFT + slot * (i + 0.5), base + 20, group, 15, anchor="middle"))
    parts.append(f"<line x1='{_LEFT}' x2='{right}' y1='{base:.1f}' y2='{base:.1f}' stroke='{INK}'/>")
    return parts


def text_at(
    x: float, y: float, text: str, size: int, *, anchor: str = "start", weight: str = "normal", colour: str = INK, extra: str = ""
) -> str:
    """One line of text; (x, y) is its anchor on the base line."""
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' {_FONT} font-size='{size}' font-weight='{weight}' "
        f"text-anchor='{anchor}' fill='{colour}' {extra}>{svg_text(text)}</text>"
    )
