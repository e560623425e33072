"""A user's request for distillation."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cr_jax.distillation import HOTTEST
from cr_jax.errors import BadConfig, UnknownName

INITIAL = ("seed", "teacher")


@dataclass(frozen=True)
class DistillationRequest:
    """A student to train from teachers. Raises ``BadConfig`` for a value outside its range.

    What is ``None`` is as the first teacher was trained.
    """

    teachers: tuple[str | Path, ...]
    """Folders of finished runs of one architecture, on one split of one data set."""
    dataset: str | Path
    """The file or folder of conversations that they were trained on."""
    reviews: str | Path | None = None
    """5-core reviews of the same items, where the teachers had them."""
    model: str | None = None
    """``package.module:SPEC`` of teachers whose model is not in the package."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Values of the first teacher's configuration to change, as text."""
    temperature: float = 2.0
    """T by which scores are divided before the softmax."""
    weight: float = 0.5
    """Of the teachers' part of the loss; the rest is the published loss."""
    on_the_fly: bool = False
    """Whether teachers score within the optimizer step instead of beforehand."""
    initial: str | None = None
    """First weights: ``seed``, or ``teacher``: the first teacher's where they fit, item tables nearest to its own; ``None``:
    ``teacher`` where item tables are compressed, else ``seed``."""
    augment: int = 0
    """Recombined conversations per training conversation."""
    epochs: int | None = None
    steps: int | None = None
    patience: int | None = None
    """0: never stop early."""
    batch: int | None = None
    seed: int = 0
    """Of the order, the negatives, the recombined conversations and the first weights; the split is the teachers'."""
    strict: bool = False
    devices: int | None = None
    stages: tuple[str, ...] | None = None
    """Objectives of the stages that run."""

    def __post_init__(self) -> None:
        if not self.teachers:
            raise BadConfig("no teacher; legal: one or more folders that crjax train wrote to")
        if not (math.isfinite(self.temperature) and 0 < self.temperature <= HOTTEST):
            raise BadConfig(f"temperature={self.temperature}: legal: above 0, {HOTTEST:g} at most")
        if not 0 < self.weight <= 1:
            raise BadConfig(f"weight={self.weight}: legal: above 0, 1 at most (0 is crjax train)")
        if self.initial not in (None, *INITIAL):
            raise UnknownName("initial weights", self.initial, INITIAL)
        if self.augment < 0:
            raise BadConfig(f"augment={self.augment}: legal: 0 or more")
