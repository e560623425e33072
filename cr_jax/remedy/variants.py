"""The ways to answer turns that a request sets beside each other, and what tuning chooses from."""

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from cr_jax.documents.remedy_report import VariantKind
from cr_jax.errors import BadConfig
from cr_jax.models import spec as specs
from cr_jax.models.spec import Spec
from cr_jax.records import Configuration
from cr_jax.remedy.request import RemedyRequest

#: Kinds that are trained, each run in a folder of its own.
TRAINED = ("teacher", "distilled", "scratch", "smoothed")
#: Kinds whose answers are the teacher's own weights', changed without training.
CHANGED = ("compressed", "fewer")
#: The part of the teacher's hidden units that the rank of its compressed table has.
_RANK = 4


@dataclass(frozen=True)
class Variant:
    """settings: in which it differs from the teacher. stop: the turn whose list is kept for all later ones."""

    kind: VariantKind
    settings: Mapping[str, str] = field(default_factory=dict)
    stop: int | None = None

    @property
    def name(self) -> str:
        """``distilled hidden=8 hops=1``."""
        changed = [f"{key}={value}" for key, value in self.settings.items()]
        stop = [] if self.stop is None else [f"after turn {self.stop}"]
        return " ".join([self.kind, *changed, *stop])


def variants(request: RemedyRequest, spec: Spec, config: Configuration, last_turn: int) -> tuple[Variant, ...]:
    """The teacher first. config: the teacher's. Raises ``BadConfig`` for a student's setting that the model does not have."""
    for settings in (*request.students, *(request.compressions or ())):
        specs.override(spec, config, dict(settings))
    made = [Variant("teacher")]
    for kind in ("distilled", "scratch", "smoothed"):
        if kind == "distilled" or kind in request.rivals:
            made += [Variant(kind, settings) for settings in request.students]
    if request.stages is not None:  # of some stages nothing is ranked
        return tuple(made)
    if "compressed" in request.rivals:
        made += [Variant("compressed", settings) for settings in _compressions(request, spec, config)]
    hops = getattr(config, "hops", 1)
    if "fewer" in request.rivals:
        made += [Variant("fewer", {"hops": str(number)}) for number in range(1, hops)]
    if "early" in request.rivals and last_turn > 1:
        made.append(Variant("early", stop=last_turn // 2))
    for kind in ("replayed", "popularity"):
        if kind in request.rivals:
            made.append(Variant(kind))
    return tuple(made)


def _compressions(request: RemedyRequest, spec: Spec, config: Configuration) -> tuple[Mapping[str, str], ...]:
    if request.compressions is not None:
        return request.compressions
    hidden = getattr(config, "hidden", 0)
    wanted = [{"item_rank": str(hidden // _RANK)}, {"weights": "bfloat16"}, {"weights": "int8"}]
    possible = []
    for settings in wanted:
        try:
            specs.override(spec, config, settings)
        except BadConfig:  # a choice that this model does not have
            continue
        possible.append(settings)
    return tuple(possible)


def recipes(request: RemedyRequest, variant: Variant) -> tuple[dict[str, str], ...]:
    """The options that tuning chooses from; a single one is not tuned."""
    if variant.kind == "distilled":
        pairs = itertools.product(request.temperatures, request.weights)
        return tuple({"temperature": f"{t:g}", "weight": f"{w:g}"} for t, w in pairs)
    if variant.kind == "smoothed":
        return tuple({"weight": f"{w:g}"} for w in request.smoothings)
    if variant.kind == "scratch" and request.learning_rates:
        return tuple({"learning_rate": rate} for rate in request.learning_rates)
    return ({},)


def slug(variant: Variant, recipe: Mapping[str, str], seed: int) -> str:
    """The name of a cell's files."""
    parts = [variant.kind, *(f"{k}-{v}" for k, v in sorted(variant.settings.items())), *(f"{k}-{v}" for k, v in recipe.items())]
    return "_".join(re.sub(r"[^A-Za-z0-9.\-]+", "-", part) for part in [*parts, f"seed-{seed}"])
