"""The interval of a predicted time, composed of each class's errors on cards left out of the fit.

Within a class errors are correlated (one constant is wrong for all of it), so their seconds add up; between classes they are
independent, so their widths add up as squares. A class that was never compared has an assumed width, and is named.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt

from msgspec import UnsetType, structs

from cr_jax.documents.accelerator_times import ResidualErrors
from cr_jax.documents.prediction import ClassErrors, Kinship
from cr_jax.predict.accelerator.card import Card

#: Assumed for a class without measurements, either way.
UNKNOWN_FACTOR = 2.5
#: Share of past comparisons between the quantiles of the residuals.
COVERAGE = 0.9
#: Seconds of unvalidated classes, as a share of the step, up to which the interval still has its coverage.
_NEGLIGIBLE = 0.05
#: From the closest card to the furthest.
KINSHIPS: tuple[Kinship, ...] = ("same_card", "same_generation", "other_generation", "other_vendor")


@dataclass(frozen=True)
class ClassError:
    """One class of operations in a step."""

    kind: str
    seconds: float
    """Seconds of the class."""
    kinship: Kinship | None
    """Relation of the compared cards to this one; ``None``: the class was never compared."""
    low: float
    """measured / predicted, between which and ``high`` nine of ten comparisons lay, or an assumption."""
    high: float
    errors: ResidualErrors | None

    def document(self) -> ClassErrors:
        """As reports have it."""
        known = self.errors
        return ClassErrors(
            class_=self.kind,
            seconds=self.seconds,
            kinship=self.kinship,
            n=known and known.rows,
            cards=known.cards if known else (),
            median_error=known and known.median,
            p90_error=known and known.p90,
            worst_error=known and known.worst,
            ratio_low=self.low,
            ratio_high=self.high,
        )


def errors(card: Card, seconds: Mapping[str, float]) -> tuple[ClassError, ...]:
    """The error of every class, the longest first. seconds: by class."""
    return tuple(_error(card, kind, spent) for kind, spent in sorted(seconds.items(), key=lambda item: -item[1]))


def _error(card: Card, kind: str, seconds: float) -> ClassError:
    anchors = card.accelerator.anchors
    measured = anchors.errors.get(kind) if anchors else None
    if measured is not None:  # on this very card, with the anchors in force
        return _class_error(kind, seconds, "same_card", ResidualErrors(cards=(card.name,), **structs.asdict(measured)))
    known = card.times.residuals.get(kind)
    for kinship in KINSHIPS if known else ():
        residual_errors: ResidualErrors | UnsetType = getattr(known, kinship)
        if residual_errors and _fits(card, kinship, residual_errors):
            return _class_error(kind, seconds, kinship, residual_errors)
    return ClassError(kind, seconds, None, 1 / UNKNOWN_FACTOR, UNKNOWN_FACTOR, None)


def _class_error(kind: str, seconds: float, kinship: Kinship, residual_errors: ResidualErrors) -> ClassError:
    return ClassError(
        kind, seconds, kinship, min(1.0, residual_errors.ratio_low), max(1.0, residual_errors.ratio_high), residual_errors
    )


def _fits(card: Card, kinship: Kinship, residual_errors: ResidualErrors) -> bool:
    if kinship == "same_card":
        return card.name in residual_errors.cards
    if kinship == "same_generation":
        return card.generation in (residual_errors.generations or ())
    return kinship == "other_vendor" or card.platform == "cuda"


def interval(seconds: float, classes: tuple[ClassError, ...]) -> tuple[float, float, float | None]:
    """(low, high, coverage) of a step; coverage is ``None`` where more than 5% of it was never compared."""
    below = sqrt(sum((one.seconds * (1 - one.low)) ** 2 for one in classes))
    above = sqrt(sum((one.seconds * (one.high - 1)) ** 2 for one in classes))
    unknown = sum(one.seconds for one in classes if one.kinship is None)
    return max(seconds - below, seconds / UNKNOWN_FACTOR), seconds + above, COVERAGE if unknown <= _NEGLIGIBLE * seconds else None
