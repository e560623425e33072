"""A user's question about costs, whole and checked once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cr_jax.catalog.dataset import Dataset
from cr_jax.catalog.topologies import Mesh
from cr_jax.distillation import Distillation
from cr_jax.errors import UnknownName
from cr_jax.records import MESH_AXES, PHASES, PRECISIONS, ArrayShape, Phase, Precision

PRESETS = ("published", "matched", "paper")
DTYPES = ("float32", "bfloat16")
TurnsCompiled = Literal["all", "ends", "last", "replay"]
TURNS_COMPILED: tuple[TurnsCompiled, ...] = ("all", "ends", "last", "replay")


@dataclass(frozen=True)
class Request:
    """A model on a data set, under a workload, for devices. Raises ``UnknownName`` for a choice that does not exist."""

    model: str
    """A name of ``crjax list models``, or ``package.module:SPEC``."""
    dataset: str | Path | Dataset = "cell-phones"
    """A data set, the name of its profile, or a file of conversations."""
    devices: tuple[str, ...] = ("cpu",)
    """``cpu``, ``gpu``, ``tpu`` or names of ``crjax list accelerators``."""
    phases: tuple[Phase, ...] = PHASES
    preset: str = "published"
    batch: int | None = None
    """Examples per training step; ``None``: each objective's published batch."""
    users: int = 1
    """Conversations answered at once."""
    turns: int | None = None
    """The last turn T; ``None``: 95% of the conversations are not longer."""
    items_scored: int | None = None
    """Items scored per turn; ``None``: every item of the data set."""
    question_items: int = 10
    """Items whose memories MMN and PMMN average to choose the next question."""
    top_k: int = 10
    """Items returned per turn."""
    precision: Precision = "default"
    dtype: str = "float32"
    settings: Mapping[str, str] = field(default_factory=dict)
    """Configuration values to change, as text."""
    batches: Mapping[str, tuple[ArrayShape, ...]] = field(default_factory=dict)
    """By objective, the padded arrays of a training batch, instead of those of the 95% quantiles."""
    turns_compiled: TurnsCompiled = "all"
    """``all``; ``ends``: inference is compiled at the first and the last turn only, the turns between are counted as
    traced and say so; ``last``: no program but the incremental one of the last turn; ``replay``: those that replay."""
    distillation: Distillation | None = None
    """What training steps compare with: of a student. ``None``: they are as published."""
    mesh: Mesh = ()
    """Axes and sizes of several devices that run each program together: ``data`` splits batches and users, ``model`` tables."""
    require_compiled: bool = False
    """Refuse a step that was not compiled for the device."""
    command: tuple[str, ...] | None = None
    """The command line of the request, for the report."""

    def __post_init__(self) -> None:
        choices = {
            "preset": ([self.preset], PRESETS),
            "precision": ([self.precision], PRECISIONS),
            "dtype": ([self.dtype], DTYPES),
            "turns_compiled": ([self.turns_compiled], TURNS_COMPILED),
            "phase": (self.phases, PHASES),
            "axis of --mesh": ([name for name, _ in self.mesh], MESH_AXES),
        }
        for name, (values, legal) in choices.items():
            for value in values:
                if value not in legal:
                    raise UnknownName(name, value, legal)


@dataclass(frozen=True)
class Listener:
    """The receivers of news during the work, one line at a time."""

    progress: Callable[[str], None] | None = None
    """Called with the name of each step before it is compiled."""
    warn: Callable[[str], None] | None = None
    """Called with a problem that does not spoil the result."""


SILENT = Listener()
