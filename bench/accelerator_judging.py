"""Predictions of measured rows compared with their clock: by card and class, beside a roofline and the previous predictor."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench import peak_rates
from bench.accelerator_fits import collectives, convolutions, products, streams
from cr_jax.catalog.load import accelerator
from cr_jax.catalog.times import MissingConstant
from cr_jax.predict.accelerator.card import Card
from cr_jax.predict.accelerator.intervals import errors, interval
from cr_jax.predict.accelerator.measured.rows import Rows, clear

#: Absolute errors in percent that each class is to reach: the median, in words.
AIMS: Mapping[str, str] = {
    "products_float32": "6 (90%: 20)",
    "products_float32_limited": "17-31",
    "products_skinny": "15",
    "products_bfloat16": "8",
    "products_float16": "8",
    "products_tf32": "12",
    "streams_hbm": "4",
    "streams_gddr": "7",
    "convolutions": "30",
}
#: What the constants had seen when they predicted these rows.
LEFT_OUT, SEEN, GIVEN = "left out", "own rows", "file"


@dataclass(frozen=True)
class Judged:
    """Rows of one card, in one class. All in seconds, none with what the clock adds but ``measured``. low, high: the
    interval of the class and the card's kinship to those the errors were found on. strict: another one, by errors of other
    cards alone, where there are any; the shipped errors on unseen cards hold this card's too.
    """

    card: str
    label: str
    kind: str
    by: str
    kinship: str | None
    lines: np.ndarray
    measured: np.ndarray
    offset: np.ndarray
    predicted: np.ndarray
    low: np.ndarray
    high: np.ndarray
    roofline: np.ndarray
    previous: np.ndarray
    strict: tuple[float, float] | None = None


def judge(on: Card, rows: Rows, predicted: np.ndarray | None = None, by: str = GIVEN) -> list[Judged]:
    """Rows of one card, by class. predicted: with what the clock adds, where something else than the shipped constants
    said it. Raises ``MissingConstant``.
    """
    said = rows.predicted(on) if predicted is None else predicted - rows.offset
    roof, before = peak_rates.roofline(on, rows), peak_rates.seconds(on, rows)
    kinds, found = rows.classes(on), []
    for kind in dict.fromkeys(kinds):
        which = np.flatnonzero(kinds == kind)
        stranger = replace(on, name="", generation="") if by == LEFT_OUT else on
        (error,) = errors(stranger, {kind: 1.0})
        low, high, _ = interval(1.0, (error,))
        mine = said[which]
        found.append(
            Judged(
                on.name,
                rows.label,
                kind,
                by,
                error.kinship,
                rows.lines[which],
                rows.seconds[which],
                rows.offset[which],
                mine,
                low * mine,
                high * mine,
                roof[which],
                before[which],
            )
        )
    return found


def of_files(parts: Sequence[Rows], card_of: Callable[[str], Card]) -> tuple[list[Judged], int, list[str]]:
    """Every row that its clock does not hide; how many it does; and why cards were not predicted."""
    found: list[Judged] = []
    hidden, failed = 0, []
    for rows in parts:
        kept = clear(rows)
        hidden += len(rows) - len(kept)
        if not len(kept):
            continue
        try:
            found += judge(card_of(rows.card), kept)
        except MissingConstant as error:
            failed.append(f"{rows.label}, {len(kept)} rows: {error}")
    return found, hidden, failed


def of_folder(measured: Path, card_of: Callable[[str], Card]) -> list[Judged]:
    """The rows of ``../shared/measured``, each card predicted with constants fitted on the others; where that is not to be
    had (a class of one card), by constants that saw half of the card's rows or all, which ``by`` says.
    """
    found: list[Judged] = []
    for kin, rows, predicted in products.run(measured, card_of)[1]:
        if kin == "other_generation" or (kin == "same_card" and rows.computed_in == "bfloat16"):
            found += judge(card_of(rows.card), rows, predicted, LEFT_OUT if kin == "other_generation" else SEEN)
    kernels = streams.read(measured)
    cards = {name: card_of(name) for name in sorted({key[0] for key in kernels})}
    for key, one in streams.judged(cards, kernels, measured).items():
        found += judge(cards[key[0]], kernels[key], one.unseen, LEFT_OUT)
    windows = convolutions.read(measured)
    cards = {name: card_of(name) for name in windows}
    for name, one in convolutions.judged(cards, windows).items():
        found += judge(cards[name], windows[name], one.unseen, LEFT_OUT)
    every = collectives.read(measured)
    on = card_of(every[0].card)
    for rows, predicted in collectives.judged(collectives.blank(on), every):
        found += judge(on, rows, predicted, SEEN)
    return [strictly(one, found) for one in found]


def strictly(one: Judged, every: Sequence[Judged]) -> Judged:
    """With the ends (over predicted) that rows of its class on cards of other generations alone would have given."""
    here = accelerator(one.card).generation
    others = [x for x in every if x.kind == one.kind and x.by == LEFT_OUT and accelerator(x.card).generation != here]
    if one.by != LEFT_OUT or not others:
        return one
    ratio = np.concatenate([x.measured / (x.predicted + x.offset) for x in others])
    return replace(one, strict=(min(1.0, float(np.quantile(ratio, 0.05))), max(1.0, float(np.quantile(ratio, 0.95)))))


def summary(every: Sequence[Judged]) -> list[dict[str, Any]]:
    """A line per class and card. Errors in percent, of seconds with what the clock adds. inside: share of rows, in percent,
    whose measured seconds less that lie in the predicted interval; strict: in that by other cards' errors alone. width: of
    the interval, high over low.
    """
    groups: dict[tuple[str, str, str], list[Judged]] = {}
    for one in every:
        groups.setdefault((one.kind, one.card, one.by), []).append(one)
    return [_line(key, ones) for key, ones in sorted(groups.items())]


def _line(key: tuple[str, str, str], ones: Sequence[Judged]) -> dict[str, Any]:
    def all_of(name: str) -> np.ndarray:
        return np.concatenate([getattr(one, name) for one in ones])

    measured, offset, predicted = all_of("measured"), all_of("offset"), all_of("predicted")
    device = measured - offset
    off = np.abs(predicted + offset - measured) / measured
    inside = (device >= all_of("low")) & (device <= all_of("high"))
    ends = [one.strict for one in ones if one.strict is not None]
    strict = _percent(float(((device >= ends[0][0] * predicted) & (device <= ends[0][1] * predicted)).mean())) if ends else None

    def middle(name: str) -> float | None:
        other = all_of(name) + offset
        return None if np.isnan(other).all() else _percent(float(np.median(np.abs(other - measured) / measured)))

    kind, card, by = key
    return {
        "class": kind,
        "card": card,
        "by": by,
        "n": len(off),
        "median": _percent(float(np.median(off))),
        "p90": _percent(float(np.quantile(off, 0.9))),
        "worst": _percent(float(off.max())),
        "bias": _percent(float(np.median((predicted + offset) / measured) - 1)),
        "inside": _percent(float(inside.mean())),
        "width": float(f"{np.median(all_of('high') / all_of('low')):.3g}"),
        "strict": strict,
        "kinship": ones[0].kinship,
        "roofline": middle("roofline"),
        "previous": middle("previous"),
        "aim": AIMS.get(kind),
    }


def _percent(share: float) -> float:
    return float(f"{100 * share:.3g}")
