"""Constants of one card from operations measured on it, and the remaining errors on other operations.

Every mechanism has few constants that differ from card to card. Each is scaled by the factor that makes the median of measured /
predicted 1 over the operations of its group; half of a group's sizes give the factor, the other half tests it. Where no factor
within the bounds does so, or the errors do not fall (a constant fitted on them is as good), the constant stays unchanged.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import exp, log, sqrt
from statistics import median
from typing import TypedDict

import numpy as np

from cr_jax.catalog.anchors import MOST_SHARE, refusal
from cr_jax.predict.accelerator import products_plain
from cr_jax.predict.accelerator.card import Card

#: The fewest operations of a class for an error, and for quantiles instead of the extremes.
FEWEST, MANY = 3, 20
#: Student's t for 5% on either side, by degrees of freedom.
_T = {2: 2.92, 3: 2.353, 4: 2.132, 5: 2.015, 6: 1.943, 7: 1.895, 8: 1.86, 9: 1.833, 10: 1.812}
_T_BEYOND = 1.8
_STEPS = 30
#: A constant that moves its operations by less than this over its whole reach does not decide them.
_FELT = 0.02
#: Nor does one whose operations do not change on either side of their fit, at this distance (a logarithm).
_NEAR = log(1.5)


@dataclass(frozen=True)
class Measured:
    """Operations of one group, measured."""

    group: str
    names: tuple[str, ...]
    """Name of each operation."""
    kinds: tuple[str, ...]
    """Class of errors of each operation."""
    seconds: tuple[float, ...]
    predicted: Callable[[Card], Sequence[float]]
    """Their seconds in the same order, as predicted for a card."""
    judged: bool


@dataclass(frozen=True)
class Rule:
    """Constants that a group of operations anchors, scaled alike. least and most bound the factor."""

    group: str
    constants: tuple[str, ...]
    least: float = 0.2
    most: float = 5.0

    @property
    def mechanism(self) -> str:
        """The mechanism of its constants: the name before the first dot."""
        return self.constants[0].partition(".")[0]


class ErrorFigures(TypedDict):
    """Errors of a class, as the profile has them."""

    rows: int
    median: float
    p90: float
    worst: float
    ratio_low: float
    ratio_high: float


@dataclass(frozen=True)
class Anchors:
    """The anchors of a card."""

    card: Card
    """The card with these constants."""
    constants: Mapping[str, tuple[float, str]]
    """By name, with the operations that gave them."""
    errors: Mapping[str, ErrorFigures]
    """Errors by class."""
    left_out: tuple[tuple[str, str], ...]
    """(constant, reason)."""
    rows: tuple[Mapping[str, str | float | bool], ...] = field(default=())


def rules(card: Card) -> tuple[Rule, ...]:
    """The constants that each group anchors on a card. Those that the operations of other groups depend on too come first."""
    if card.platform == "tpu":
        return (
            Rule("enqueue", ("tpu.floor_s",), 0.05, 20),
            Rule("call", ("tpu.call_s",), 0.05, 20),
            Rule("streams", ("tpu.bandwidth_share",)),
            Rule("matrix", ("tpu.matrix_share",)),
        )
    lanes = "utilisation_128" if card.lanes >= 128 else "utilisation"
    plain = "picojoules_per_flop_nm" if products_plain.limited(card) else lanes
    launches = [Rule(group, (f"launches.{group}_s",), 0.05, 20) for group in ("enqueue", "graph_kernel", "graph", "wait", "call")]
    return (
        *launches,
        Rule("streams", ("streams.bandwidth_share",)),
        Rule("cache", ("streams.cache_bytes_per_clock",)),
        Rule("gap", ("launches.gap_s",), 0.05, 20),
        Rule("rows", ("streams.row_share",)),
        Rule("columns", ("streams.column_share",)),
        Rule("plain_start", ("products_plain.start_s",), 0.05, 20),
        Rule("plain", (f"products_plain.{plain}",)),
        Rule("plain_skinny", ("products_plain.bandwidth_share",)),
        Rule("tensor_start", ("products_tensor.start_s",), 0.05, 20),
        Rule("tensor", ("products_tensor.utilisation",)),
        Rule("tf32", ("products_tensor.tf32_rate",)),
        Rule("tensor_skinny", ("products_tensor.bandwidth_share",)),
        Rule("gathers", ("gathers.gap_bytes",), 0.05, 20),
        Rule("scatters", ("gathers.atomic_clocks",), 0.05, 20),
        Rule("sorts", ("sorts.compare_cycles",), 0.05, 20),
        Rule("convolutions", ("convolutions.direct_share", "convolutions.fused_share", "convolutions.product_share")),
    )


def judging(count: int) -> list[bool]:
    """The operations of a group that test its constants: every other one by size. The constants come from the rest."""
    return [count > 1 and place % 2 == 0 for place in range(count)]


def derive(card: Card, measured: Sequence[Measured], source: str = "crjax calibrate") -> Anchors:
    """The anchors of a card with the shipped constants. Raises ``MissingConstant``."""
    factors: dict[str, tuple[float, str]] = {}
    left: dict[str, str] = {}
    at, groups = card, defaultdict[str, list[Measured]](list)
    for one in measured:
        if not one.judged:
            groups[one.group].append(one)
    for _ in range(2):  # an operation depends on constants of more than one mechanism
        for rule in rules(card):
            if rule.group not in groups:
                continue
            at, why = _anchored(at, card, rule, groups, source, factors)
            for name in rule.constants:
                left.pop(name, None)
                if why is not None and name not in factors:
                    left[name] = why
    return Anchors(at, factors, errors(at, measured), tuple(left.items()), tuple(_rows(card, at, measured)))


def _anchored(
    at: Card,
    shipped: Card,
    rule: Rule,
    groups: Mapping[str, Sequence[Measured]],
    source: str,
    factors: dict[str, tuple[float, str]],
) -> tuple[Card, str | None]:
    """The card with the rule's constants anchored, or unchanged with the reason."""
    mechanism, some = rule.mechanism, groups[rule.group]
    usual = {name: shipped.constants(mechanism)[name.partition(".")[2]] for name in rule.constants}
    value, why = _factor(at, rule, usual, some)
    if value is None:
        return at, why
    values = {name: one * value for name, one in usual.items()}
    for name, one in values.items():
        wrong = refusal(shipped.accelerator, shipped.times, name, one)
        if wrong is not None:
            return at, wrong
    anchored = at.with_anchors(values)
    beside = [groups[one.group] for one in rules(shipped) if one.mechanism == mechanism != "launches" and one.group in groups]
    if _apart(anchored, some) >= _apart(at, some) or sum(_apart(anchored, one) - _apart(at, one) for one in beside) > 0:
        return at, f"the operations of group {rule.group}, or others of {mechanism}, are no nearer with it"
    count = sum(len(one.seconds) for one in some)
    what = f"{source}: {count} operations of group {rule.group}, {value:.4g} times what comes with cr_jax"
    factors |= {name: (one, what) for name, one in values.items()}
    return anchored, None


def _apart(at: Card, some: Sequence[Measured]) -> float:
    """Median of |log(measured / predicted)|."""
    return median(abs(log(m / p)) for one in some for m, p in zip(one.seconds, one.predicted(at), strict=True))


def _factor(at: Card, rule: Rule, usual: Mapping[str, float], some: Sequence[Measured]) -> tuple[float | None, str | None]:
    """The factor that makes the median of measured / predicted 1; else the reason why there is none."""
    shares = [one for name, one in usual.items() if name.endswith(("share", "utilisation", "utilisation_128", "rate"))]
    low, high = log(rule.least), log(min([rule.most, *(MOST_SHARE / one for one in shares)]))

    def off(scale: float) -> float:
        """Logarithm of the median."""
        card = at.with_anchors({name: one * exp(scale) for name, one in usual.items()})
        return median(log(m / p) for one in some for m, p in zip(one.seconds, one.predicted(card), strict=True))

    below, above = off(low), off(high)
    if abs(below - above) < _FELT:
        return None, f"it does not decide the operations of group {rule.group}"
    if not min(below, above) <= 0 <= max(below, above):
        return None, (
            f"no value within reach: the operations of group {rule.group} take {exp(min((below, above), key=abs)):.2f} "
            "times the time predicted with the nearest"
        )
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if (off(middle) > 0) == (below > 0):
            low = middle
        else:
            high = middle
    logarithm = (low + high) / 2
    # Where the device waits for the host, its own time is hidden below some value: any lower one would fit as well.
    beside = (off(logarithm - _NEAR), off(logarithm + _NEAR))
    if min(abs(one - off(logarithm)) for one in beside) < _FELT:
        return None, f"other constants decide the operations of group {rule.group}"
    return exp(logarithm), None


def errors(card: Card, measured: Sequence[Measured]) -> dict[str, ErrorFigures]:
    """By class of operation, the errors on the operations that test the constants."""
    ratios: dict[str, list[float]] = defaultdict(list)
    for one in measured:
        if one.judged:
            for kind, taken, predicted in zip(one.kinds, one.seconds, one.predicted(card), strict=True):
                ratios[kind].append(taken / float(predicted))
    return {kind: error(some) for kind, some in sorted(ratios.items()) if len(some) >= FEWEST}


def error(ratios: Sequence[float]) -> ErrorFigures:
    """Errors from measured / predicted. Of few operations, the bounds are the extremes or, where that is wider, the interval that
    their scatter predicts for another one (Student's t, 90%).
    """
    off = np.array([abs(1 / ratio - 1) for ratio in ratios])
    low, high = (float(q) for q in np.quantile(ratios, (0.05, 0.95)))
    if len(ratios) < MANY:
        logs = np.log(ratios)
        spread = _T.get(len(ratios) - 1, _T_BEYOND) * float(logs.std(ddof=1)) * sqrt(1 + 1 / len(ratios))
        low = min(*ratios, exp(float(logs.mean()) - spread))
        high = max(*ratios, exp(float(logs.mean()) + spread))
    return {
        "rows": len(ratios),
        "median": _figures(np.median(off)),
        "p90": _figures(np.quantile(off, 0.9)),
        "worst": _figures(off.max()),
        "ratio_low": _figures(low),
        "ratio_high": _figures(high),
    }


def _rows(shipped: Card, at: Card, measured: Sequence[Measured]) -> list[dict[str, str | float | bool]]:
    return [
        {
            "name": name,
            "class": kind,
            "seconds": _figures(taken),
            "predicted_s": _figures(new),
            "shipped_s": _figures(old),
            "judged": one.judged,
        }
        for one in measured
        for name, kind, taken, new, old in zip(
            one.names, one.kinds, one.seconds, one.predicted(at), one.predicted(shipped), strict=True
        )
    ]


def block(
    anchors: Anchors, about: Mapping[str, object], skipped: Sequence[tuple[str, str]] = (), rows: bool = True
) -> dict[str, object]:
    """The ``anchors`` of an accelerator profile. about: created, device, jax, driver; took_s and passes of a sweep."""
    units = anchors.card.times.constants
    document: dict[str, object] = {
        "constants": {
            name: {"value": _figures(value), "unit": units[name].unit, "kind": "measured", "source": source}
            for name, (value, source) in sorted(anchors.constants.items())
        },
        "errors": dict(anchors.errors),
        **about,
        "skipped": [{"what": what, "why": why} for what, why in (*skipped, *anchors.left_out)],
    }
    return document | {"rows": list(anchors.rows)} if rows else document


def _figures(value: float) -> float:
    """A number with six significant figures."""
    return float(f"{float(value):.6g}")
