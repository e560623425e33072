"""Predicted against measured seconds as SVG: one panel per class, both axes logarithmic, a colour per card."""

from collections.abc import Sequence
from math import ceil, floor, log10

import numpy as np

from bench.accelerator_judging import Judged
from cr_jax.render.escape import svg_text
from cr_jax.render.svg import COLOURS, GRID, INK, open_svg, text_at

#: Panels in a row; their side, and the room for labels around them.
ACROSS, SIDE, LEFT, TOP, GAP_X, GAP_Y = 3, 290, 84, 96, 96, 104
#: Points of one card and class at most: more cover one another.
MOST = 400
BAND = 1.2
_MORE = ("#F0E442", "#000000", "#8A5A00", "#7F7F7F", "#6A3D9A", "#B2DF8A")


def scatter(every: Sequence[Judged]) -> str:
    """An SVG document. The seconds have what the clock adds; the band is a factor of 1.2 either way."""
    kinds = sorted({one.kind for one in every})
    cards = sorted({one.card for one in every})
    colours = dict(zip(cards, (COLOURS + _MORE) * (1 + len(cards) // 12), strict=False))
    across = min(ACROSS, max(1, len(kinds)))
    width = LEFT + across * (SIDE + GAP_X)
    legend, bottom = _legend(cards, colours, width)
    head = bottom + 54
    height = head + ceil(len(kinds) / across) * (SIDE + GAP_Y) - 20
    title, note = "Predicted against measured seconds", f"diagonal: equal; band: a factor of {BAND:g} either way"
    parts = [
        *open_svg(title, width, height),
        text_at(24, 34, title, 20, weight="bold"),
        text_at(24, 56, note, 14, colour="#555555"),
        *legend,
    ]
    for place, kind in enumerate(kinds):
        x, y = LEFT + place % across * (SIDE + GAP_X), head + place // across * (SIDE + GAP_Y)
        parts += _panel(kind, [one for one in every if one.kind == kind], colours, x, y)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _legend(cards: Sequence[str], colours: dict[str, str], width: float) -> tuple[list[str], float]:
    """A dot and a name for each card, in as many rows as it takes; and where they end."""
    parts, x, y = [], 30.0, 82.0
    for card in cards:
        step = 34 + 8.2 * len(card)
        if x + step > width:
            x, y = 30.0, y + 22
        parts += [f"<circle cx='{x:.0f}' cy='{y - 5:.0f}' r='6' fill='{colours[card]}'/>", text_at(x + 11, y, card, 14)]
        x += step
    return parts, y


def _panel(kind: str, ones: Sequence[Judged], colours: dict[str, str], left: float, top: float) -> list[str]:
    both = [np.concatenate([one.measured, one.predicted + one.offset]) for one in ones]
    low, high = log10(min(x.min() for x in both)) - 0.1, log10(max(x.max() for x in both)) + 0.1

    def at(seconds: np.ndarray | float) -> np.ndarray:
        return (np.log10(seconds) - low) / (high - low) * SIDE

    base = top + SIDE
    total = sum(len(one.measured) for one in ones)
    parts = [
        text_at(left, top - 12, f"{kind} ({total:,} rows)", 15, weight="bold"),
        f"<rect x='{left:.1f}' y='{top:.1f}' width='{SIDE}' height='{SIDE}' fill='none' stroke='{INK}'/>",
    ]
    for power in range(ceil(low), floor(high) + 1):
        place = float(at(10.0**power))
        lines = f"M{left + place:.1f} {top:.1f}V{base:.1f}M{left:.1f} {base - place:.1f}h{SIDE}"
        parts += [
            f"<path d='{lines}' stroke='{GRID}'/>",
            text_at(left + place, base + 19, _seconds(power), 13, anchor="middle"),
            text_at(left - 7, base - place + 4, _seconds(power), 13, anchor="end"),
        ]
    wide = log10(BAND) / (high - low) * SIDE
    parts.append(
        f"<path d='M{left:.1f} {base:.1f}v{-wide:.1f}L{left + SIDE - wide:.1f} {top:.1f}h{wide:.1f}v{wide:.1f}"
        f"L{left + wide:.1f} {base:.1f}z' fill='#000000' fill-opacity='0.10'/>"
    )
    parts.append(f"<path d='M{left:.1f} {base:.1f}l{SIDE} {-SIDE}' stroke='{INK}'/>")
    for one in ones:
        some = np.linspace(0, len(one.measured) - 1, min(MOST, len(one.measured))).astype(int)
        points = zip(left + at(one.measured[some]), base - at((one.predicted + one.offset)[some]), strict=True)
        dots = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in points)
        parts.append(
            f"<path d='{dots}' stroke='{colours[one.card]}' stroke-width='3.6' stroke-linecap='round' "
            f"stroke-opacity='0.6'><title>{svg_text(f'{one.label}, {one.by}')}</title></path>"
        )
    middle = top + SIDE / 2
    turned = f"transform='rotate(-90 {left - 62:.1f} {middle:.1f})'"
    parts += [
        text_at(left + SIDE / 2, base + 38, "measured", 13, anchor="middle", colour="#555555"),
        text_at(left - 62, middle, "predicted", 13, anchor="middle", colour="#555555", extra=turned),
    ]
    return parts


def _seconds(power: int) -> str:
    """A power of ten of seconds: ``-5`` -> ``10 us``."""
    unit, below = next(((u, p) for u, p in (("s", 0), ("ms", -3), ("us", -6)) if power >= p), ("ns", -9))
    return f"{10 ** (power - below):g} {unit}"
