"""The chart of ``bench/accuracy.py``."""

from collections.abc import Mapping
from html import escape
from math import log10
from typing import Any


def scatter(rows: list[dict[str, Any]], names: Mapping[str, str]) -> str:
    """Predicted over measured seconds, both axes logarithmic, as SVG. names: of the methods, for the legend."""
    size, edge = 640, 70
    times = [t for r in rows for m in ("calibrated", "replay") for t in (r["measured_s"], r[f"{m}_s"]) if t]
    low, high = log10(min(times)) - 0.2, log10(max(times)) + 0.2

    def at(value: float) -> float:
        return (log10(value) - low) / (high - low) * (size - 2 * edge)

    def line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
        return f"<line x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}' stroke='{colour}'/>"

    def words(x: float, y: float, text: str, anchor: str = "middle") -> str:
        return (
            f"<text x='{x:.1f}' y='{y:.1f}' font-family='Helvetica, Arial, sans-serif' font-size='13' "
            f"text-anchor='{anchor}'>{escape(text)}</text>"
        )

    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {size} {size}' width='{size}' height='{size}'>",
        f"<rect width='{size}' height='{size}' fill='#FFFFFF'/>",
    ]
    for power in range(int(low) - 1, int(high) + 2):
        if low <= power <= high:
            place = at(10.0**power)
            name = f"{10.0**power * 1e3:g} ms" if power < 0 else f"{10.0**power:g} s"
            parts += [
                line(edge + place, edge, edge + place, size - edge, "#DDDDDD"),
                line(edge, size - edge - place, size - edge, size - edge - place, "#DDDDDD"),
                words(edge + place, size - edge + 20, name),
                words(edge - 6, size - edge - place + 4, name, "end"),
            ]
    parts.append(line(edge, size - edge, size - edge, edge, "#222222"))
    for number, (method, colour) in enumerate((("calibrated", "#0072B2"), ("replay", "#E69F00"))):
        parts += [
            f"<circle cx='{edge + 10}' cy='{edge - 40 + 18 * number}' r='5' fill='{colour}'/>",
            words(edge + 22, edge - 36 + 18 * number, names[method], "start"),
        ]
        for row in rows:
            if row[f"{method}_s"]:
                about = escape(f"{row['model']} {row['dataset']} {row['step']} users {row['users']}")
                parts.append(
                    f"<circle cx='{edge + at(row['measured_s']):.1f}' cy='{size - edge - at(row[f'{method}_s']):.1f}' "
                    f"r='5' fill='{colour}' fill-opacity='0.75'><title>{about}</title></circle>"
                )
    parts += [words(size / 2, size - 20, "measured seconds of a step"), words(size / 2, 20, "Predicted over measured")]
    return "\n".join([*parts, "</svg>"]) + "\n"
