"""Quality against cost per turn as SVG: a numbered point per variant, and the line of those that nothing beats."""

import math
from dataclasses import dataclass

from cr_jax.documents.remedy_report import RemedyReport, RemedyVariant
from cr_jax.render.escape import shown
from cr_jax.render.svg import COLOURS, GRID, INK, decade, open_svg, text_at

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 1180, 600, 84, 800, 76, 540
_LEGEND = 830
_COLOUR = {
    "teacher": INK,
    "distilled": COLOURS[0],
    "scratch": COLOURS[1],
    "smoothed": COLOURS[2],
    "compressed": COLOURS[3],
    "fewer": COLOURS[4],
    "early": COLOURS[5],
    "replayed": "#777777",
}


@dataclass(frozen=True)
class _Point:
    """bar: the 95% interval of the difference to the teacher, about the variant's own mean."""

    variant: RemedyVariant
    flops: float
    mrr: float
    bar: tuple[float, float]


@dataclass(frozen=True)
class _Axes:
    """Powers of ten of the first axis, and the ends of the second."""

    low: int
    high: int
    bottom: float
    top: float

    def x(self, flops: float) -> float:
        return _LEFT + (math.log10(flops) - self.low) / (self.high - self.low) * (_RIGHT - _LEFT)

    def y(self, mrr: float) -> float:
        share = (min(max(mrr, self.bottom), self.top) - self.bottom) / (self.top - self.bottom)
        return _BOTTOM - share * (_BOTTOM - _TOP)


def pareto(document: RemedyReport) -> str | None:
    """MRR after the last turn over FLOPs per turn, which have a logarithmic axis; ``None``: no variant has both."""
    document = shown(document)
    points = [point for one in document.variants if (point := _point(one)) is not None]
    if not points:
        return None
    axes = _axes(points)
    title = f"{document.model} on {document.dataset.name}: quality against cost, {len(document.seeds)} seeds"
    parts = [*open_svg(title, _WIDTH, _HEIGHT), text_at(_LEFT, 30, title, 19, weight="bold"), *_grid(axes)]
    front = sorted((point.flops, point.mrr) for point in points if point.variant.on_front)
    line = " ".join(f"{axes.x(flops):.1f},{axes.y(mrr):.1f}" for flops, mrr in front)
    parts.append(f"<polyline points='{line}' fill='none' stroke='#999999' stroke-dasharray='5 4'/>")
    for number, point in enumerate(points, start=1):
        parts += _mark(number, point, axes)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _point(one: RemedyVariant) -> _Point | None:
    if one.counted is None or not one.quality or one.counted.flops <= 0:
        return None
    last = one.quality[-1]
    off = last.mrr_difference
    if off.low is None or off.high is None or one.kind == "teacher":
        return _Point(one, one.counted.flops, last.mrr, (last.mrr, last.mrr))
    return _Point(one, one.counted.flops, last.mrr, (last.mrr + off.low - off.mean, last.mrr + off.high - off.mean))


def _axes(points: list[_Point]) -> _Axes:
    """Around the points; bars may be cut."""
    low = math.floor(math.log10(min(point.flops for point in points)))
    high = max(low + 1, math.ceil(math.log10(max(point.flops for point in points))))
    least, most = min(point.mrr for point in points), max(point.mrr for point in points)
    reach = max(most - least, 0.05 * most, 1e-3)
    bars = [end for point in points for end in point.bar]
    return _Axes(low, high, max(0.0, least - reach, min(bars) - 0.1 * reach), min(most + reach, max(bars) + 0.1 * reach))


def _grid(axes: _Axes) -> list[str]:
    parts = [text_at(_LEFT, 54, "MRR after the last turn; bars: 95% interval of the difference to the teacher", 13)]
    for power in range(axes.low, axes.high + 1):
        x = axes.x(10.0**power)
        parts.append(f"<line x1='{x:.1f}' x2='{x:.1f}' y1='{_TOP}' y2='{_BOTTOM}' stroke='{GRID}'/>")
        parts.append(text_at(x, _BOTTOM + 20, decade(power), 13, anchor="middle"))
    for number in range(5):
        value = axes.bottom + (axes.top - axes.bottom) * number / 4
        y = axes.y(value)
        parts.append(f"<line x1='{_LEFT}' x2='{_RIGHT}' y1='{y:.1f}' y2='{y:.1f}' stroke='{GRID}'/>")
        parts.append(text_at(_LEFT - 8, y + 5, f"{value:.3f}", 13, anchor="end"))
    parts.append(text_at((_LEFT + _RIGHT) / 2, _HEIGHT - 16, "FLOP per turn, the last turn", 14, anchor="middle"))
    return parts


def _mark(number: int, point: _Point, axes: _Axes) -> list[str]:
    x, y, colour = axes.x(point.flops), axes.y(point.mrr), _COLOUR[point.variant.kind]
    low, high = (axes.y(end) for end in point.bar)
    row = _TOP + 24 * number
    disc = "<circle cx='{:.1f}' cy='{:.1f}' r='9' fill='{}'/>"
    label = {"anchor": "middle", "colour": "#FFFFFF", "weight": "bold"}
    return [
        f"<line x1='{x:.1f}' x2='{x:.1f}' y1='{low:.1f}' y2='{high:.1f}' stroke='{colour}'/>",
        disc.format(x, y, colour),
        text_at(x, y + 4, str(number), 11, **label),
        disc.format(_LEGEND, row, colour),
        text_at(_LEGEND, row + 4, str(number), 11, **label),
        text_at(_LEGEND + 18, row + 5, point.variant.name, 14),
    ]
