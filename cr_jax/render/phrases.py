"""The basis of predictions, in words, for every table that shows one."""

from collections.abc import Iterable, Sequence

from msgspec import UNSET

from cr_jax.documents.prediction import ClassErrors, Comparisons, EnergyAssumptions, Kinship, Method, NotValidated
from cr_jax.units import scaled, time_text

_METHODS: dict[Method, str] = {
    "calibrated": "rates measured on it",
    "replay": "its operations timed on it",
    "model": "formulas fitted on other cards",
    "peaks": "data sheet rates",
}


def method_text(method: Method | None) -> str:
    """The method of a prediction, in words."""
    return _METHODS[method] if method else "an unknown method"


#: Sign before a figure that is a bound.
_SIGNS = {"exact": "", "lower": "≥ ", "upper": "≤ ", "range": "≤ ", "assumed": "≈ "}


def sign(bound: str) -> str:
    """The sign before a figure, by its bound; of a range the upper end is shown."""
    return _SIGNS[bound]


def whole_count(bounds: Iterable[str]) -> str:
    """The bound of several counts in which everything is counted."""
    kinds = set(bounds) - {"exact"}
    return "upper bound" if kinds - {"assumed"} else "as assumed" if kinds else "exact"


def interval(low: float | None, high: float | None) -> str:
    """``49.8 to 311 µs``: the unit once where both ends share it."""
    if low is None or high is None:
        return "-"
    ends = [time_text(value).split(" ") for value in (low, high)]
    return f"{ends[0][0]} to {' '.join(ends[1])}" if ends[0][1] == ends[1][1] else " to ".join(map(" ".join, ends))


def validated(validation: Comparisons | NotValidated) -> str:
    """The validation of a method, in words."""
    if isinstance(validation, str):
        return validation
    if validation.classes is not UNSET:
        return _classes(validation.classes)
    return (
        f"validated on {', '.join(validation.devices or ())}, {validation.n} programs: "
        f"median error {validation.median_error:.0%}, 90% within {validation.p90_error:.0%} "
        f"({validation.source}, {validation.date})"
    )


#: Words for a class of operations, and for the relation of the cards that it was compared on.
_CLASSES = {
    "launches": "starting kernels",
    "tpu": "other TPU operations",
    "tpu_products": "products on TPU",
    "streams_hbm": "elementwise",
    "streams_gddr": "elementwise",
}
_KINSHIP = {
    "same_card": "this one among them",
    "same_generation": "of its generation",
    "other_generation": "of other generations",
    "other_vendor": "of other makers",
}
#: Share of a step from which a class is named.
_NAMED = 0.03


def class_name(kind: str) -> str:
    """A class of operations in words: ``products_tf32`` is products in tf32."""
    known = _CLASSES.get(kind)
    head, _, tail = kind.partition("_")
    return known or (f"{tail.replace('_', ' ')} {head}" if tail else head)


def _classes(classes: Sequence[ClassErrors]) -> str:
    """Errors by class of operations, the largest share of the time first."""
    total = sum(one.seconds for one in classes)
    named = [one for one in classes if one.seconds >= _NAMED * total]
    parts = []
    for one in named:
        share = f"{class_name(one.class_)} {one.seconds / total:.0%} of the time"
        if one.kinship is None:
            parts.append(f"{share}: not validated")
        else:
            parts.append(
                f"{share}: median error {one.median_error:.0%}, 90% within {one.p90_error:.0%} "
                f"({one.n:,} operations on {_cards(one.cards, one.kinship)})"
            )
    return "; ".join(parts)


def _cards(cards: Sequence[str], kinship: Kinship) -> str:
    """The cards that a class was compared on, by their relation to this one."""
    many = len(cards)
    if kinship == "same_card" and many == 1:
        return "this card"
    return f"{many} card{'s' if many > 1 else ''} {_KINSHIP[kinship]}".replace(" this", ", this")


def energy_text(assumed: EnergyAssumptions) -> str:
    """The basis of an energy, in words."""
    idle = f"idle {assumed.idle_w:.3g} W ({assumed.idle_is})"
    text = f"limit {scaled(assumed.limit_w, 'W')}, {idle}, host {assumed.host_w:g} W, PUE {assumed.pue:g}"
    grid = assumed.grid_g_per_kwh
    return text if grid is None else f"{text}, grid {grid:g} g CO2e per kWh ({assumed.grid_source})"


def on(dataset: str | None) -> str:
    """`` on DATASET``; nothing for a user's function, which has none."""
    return "" if dataset is None else f" on {dataset}"
