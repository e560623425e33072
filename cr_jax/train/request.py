"""A user's request for training."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cr_jax.errors import BadConfig


@dataclass(frozen=True)
class TrainingRequest:
    """A model to train on conversations. Raises ``BadConfig`` for choices that contradict each other."""

    model: str
    """A name of ``crjax list models``, or ``package.module:SPEC``."""
    dataset: str | Path
    """A file or folder of conversations."""
    reviews: str | Path | None = None
    """5-core reviews of the same items, for their texts."""
    preset: str = "published"
    epochs: int | None = None
    """Epochs of every stage, instead of the published schedule."""
    steps: int | None = None
    """Steps of every stage, instead of the published schedule."""
    patience: int | None = None
    """Epochs without a better validation figure after which a stage ends; 0: never, ``None``: as published."""
    batch: int | None = None
    """Examples per step; ``None``: as published."""
    seed: int = 0
    """Seed of the split, the order, the negatives and the first weights."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Configuration values to change, as text."""
    strict: bool = False
    """Refuse the first faulty line instead of skipping it."""
    devices: int | None = None
    """Devices to split a batch over; ``None``: all that divide it."""
    shard_tables: bool = False
    """Split large tables over the devices."""
    stages: tuple[str, ...] | None = None
    """Objectives of the stages that run; ``None``: all."""
    split_seed: int | None = None
    """Seed of the split alone, so that runs of several seeds share its parts; ``None``: ``seed``."""

    def __post_init__(self) -> None:
        for name in ("seed", "split_seed"):
            if (value := getattr(self, name)) is not None and not 0 <= value < 2**32:
                raise BadConfig(f"{name}={value}: legal: 0 to {2**32 - 1}")

    @property
    def drawn_by(self) -> int:
        """The seed of the split."""
        return self.seed if self.split_seed is None else self.split_seed
