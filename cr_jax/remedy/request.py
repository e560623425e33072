"""A user's request: a teacher, its students and their rivals, over seeds."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cr_jax.errors import BadConfig, UnknownName
from cr_jax.predict.money.pricing import Rates
from cr_jax.remedy.noninferiority import MARGIN, SEEDS

Rival = Literal["scratch", "smoothed", "compressed", "fewer", "early", "replayed", "popularity"]
RIVALS: tuple[Rival, ...] = ("scratch", "smoothed", "compressed", "fewer", "early", "replayed", "popularity")


@dataclass(frozen=True)
class RemedyRequest:
    """What is trained, and what is set beside it. Raises ``BadConfig`` and ``UnknownName``.

    temperatures x weights, smoothings and learning_rates are what tuning chooses from, for distilled students, for those with
    smoothed labels and for those from scratch: all are trained on the first seed, and the best by MRR on the validation part is
    trained on the others.
    """

    model: str
    dataset: str | Path
    students: tuple[Mapping[str, str], ...]
    """The configuration values in which each student differs from its teacher."""
    reviews: str | Path | None = None
    preset: str = "published"
    settings: Mapping[str, str] = field(default_factory=dict)
    """Of the teacher."""
    epochs: int | None = None
    steps: int | None = None
    batch: int | None = None
    patience: int | None = None
    stages: tuple[str, ...] | None = None
    seeds: tuple[int, ...] = tuple(range(SEEDS))
    """Each draws a split, first weights and the order of batches."""
    ensemble: int = 1
    """Teachers of every student, trained on one split."""
    temperatures: tuple[float, ...] = (2.0,)
    weights: tuple[float, ...] = (0.5,)
    smoothings: tuple[float, ...] = (0.1,)
    learning_rates: tuple[str, ...] = ()
    augment: int = 0
    rivals: tuple[str, ...] = RIVALS
    compressions: tuple[Mapping[str, str], ...] | None = None
    """Choices of ``crjax compress``; ``None``: a quarter of the rank, bfloat16 and int8 weights, where the model has them."""
    devices: tuple[str, ...] = ()
    """Devices whose time, energy and price are predicted, beside this machine's CPU."""
    rates: Rates = field(default_factory=Rates)
    margin: float = MARGIN
    strict: bool = False

    def __post_init__(self) -> None:
        for one in self.rivals:
            if one not in RIVALS:
                raise UnknownName("rival", one, RIVALS)
        if not self.students and not self.rivals:
            raise BadConfig("no student and no rival; legal: one of them")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise BadConfig(f"seeds {', '.join(map(str, self.seeds)) or 'none'}: legal: one or more, each once")
        if self.ensemble < 1:
            raise BadConfig(f"ensemble={self.ensemble}: legal: 1 or more teachers")
        if not (math.isfinite(self.margin) and 0 < self.margin < 1):
            raise BadConfig(f"margin={self.margin}: legal: above 0, below 1")
        if self.epochs is not None and self.steps is not None:
            raise BadConfig(f"epochs={self.epochs} and steps={self.steps}: legal: one of the two")
        for name in ("temperatures", "weights", "smoothings"):
            if not getattr(self, name):
                raise BadConfig(f"{name}: none; legal: one or more")
        for value in self.smoothings:
            if not (math.isfinite(value) and 0 < value < 1):
                raise BadConfig(f"smoothing={value}: legal: above 0, below 1")
