"""The position of a run: plain values, stored in every checkpoint and checked when they are read back."""

import dataclasses
import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NotRequired, TypedDict, cast

from cr_jax.documents.training_report import Figures
from cr_jax.errors import BadInput
from cr_jax.json_text import NotJson, parse
from cr_jax.printable import short


class EpochEntry(TypedDict):
    """A row of the report: one epoch and its validation."""

    stage: str
    epoch: int
    step: int
    loss: dict[str, float]
    validation: Mapping[str, Figures]
    validation_s: float


class BestEpoch(TypedDict):
    """The epoch whose weights are kept."""

    criterion: str
    value: float
    epoch: int


class DatasetIdentity(TypedDict):
    """The data set of a run."""

    name: str
    sha256: str
    split: str


class Identity(TypedDict):
    """The values that a run and the checkpoint it continues from must share."""

    model: str
    config: dict[str, Any]
    seed: int
    preset: str
    dataset: DatasetIdentity
    stages: list[dict[str, list[str] | int | None]]
    split_seed: NotRequired[int]
    distillation: NotRequired[Mapping[str, Any]]


@dataclass
class Position:
    """The position of a run; plain values, stored in every checkpoint. All seconds are of a monotonic clock."""

    stage: int = 0
    """The stage of the next step."""
    step: int = 0
    """The next step within its stage."""
    total: int = 0
    """Steps taken before."""
    epochs: list[EpochEntry] = field(default_factory=list)
    """Rows of the report."""
    best: dict[str, BestEpoch] = field(default_factory=dict)
    """By stage name, the best epoch."""
    stopped: list[str] = field(default_factory=list)
    """Stages that ended early."""
    sums: dict[str, float] = field(default_factory=dict)
    """Sums over the current epoch."""
    seconds: float = 0.0
    """Seconds of training alone."""
    waited: float = 0.0
    """The part of ``seconds`` spent waiting for batches."""
    first_seconds: float = 0.0
    """Seconds of the first steps, in which programs are compiled; ``first_waited`` is their part of ``waited``."""
    first_waited: float = 0.0
    compiling: float = 0.0
    """The part of ``seconds`` spent on tracing and compiling."""
    taken: dict[str, int] = field(default_factory=dict)
    """Steps by stage name."""
    turns: float = 0.0
    """Conversation turns trained on."""
    examples: int = 0
    """Examples trained on."""


_FIELDS: dict[str, type] = {field.name: type(getattr(Position(), field.name)) for field in dataclasses.fields(Position)}
_EPOCH = {"stage": str, "epoch": int, "step": int, "loss": dict, "validation": dict, "validation_s": float}
_BEST = {"criterion": str, "value": float, "epoch": int}
_IDENTITY: dict[str, type] = {"model": str, "config": dict, "seed": int, "dataset": dict, "stages": list}


def read_position(stored: Any, where: str) -> Position:
    """The position in ``stored``. Raises ``BadInput`` for an impossible one: values missing or of another kind, counts and
    seconds below 0, a part longer than the whole, or NaN.
    """
    _fields(stored, _FIELDS, "", where)
    for row in stored["epochs"]:
        _fields(row, _EPOCH, "epochs.", where)
    for row in stored["best"].values():
        _fields(row, _BEST, "best.", where, signed=("value",))
    for name, kind in (("sums", float), ("taken", int)):
        _fields(stored[name], dict.fromkeys(stored[name], kind), f"{name}.", where, signed=stored[name] if name == "sums" else ())
    if not all(isinstance(name, str) for name in stored["stopped"]):
        raise _damaged(where, "stopped", stored["stopped"])
    for part in ("waited", "compiling", "first_seconds", "first_waited"):
        # Seconds are sums of rounded numbers.
        if stored[part] > stored["seconds"] * (1 + 1e-9):
            raise _damaged(where, part, stored[part], f"more than the {stored['seconds']:g} seconds of all")
    return Position(**stored)


def read_identity(stored: Any, where: str) -> Identity:
    """The identity that a checkpoint states, in ``stored``. Raises ``BadInput``."""
    others = {key: object for key in stored if key not in _IDENTITY} if isinstance(stored, dict) else {}
    _fields(stored, _IDENTITY | others, "identity.", where)
    _fields(stored["dataset"], dict.fromkeys((*stored["dataset"], "name", "sha256"), str), "identity.dataset.", where)
    return cast(Identity, stored)


def strict(value: object, where: str) -> Any:
    """``value``, which another reader took from JSON, as the strict reader reads it. Raises ``BadInput``."""
    try:
        return parse(json.dumps(value))
    except (NotJson, TypeError, ValueError, RecursionError) as error:
        raise BadInput(where, f"damaged: {error}") from None


def _fields(stored: object, kinds: Mapping[str, type], path: str, where: str, signed: Collection[str] = ()) -> None:
    if not isinstance(stored, dict) or stored.keys() != kinds.keys():
        keys = sorted(set(stored) ^ set(kinds)) if isinstance(stored, dict) else []
        raise BadInput(
            where,
            f"damaged: {path or 'progress: '}{', '.join(map(str, keys)) or 'no object'}: "
            f"missing, or of another version; legal: {', '.join(kinds)}",
        )
    for key, kind in kinds.items():
        value = stored[key]
        number = kind in (int, float)
        fits = isinstance(value, (int, float) if kind is float else kind) and not (number and isinstance(value, bool))
        if not fits or (number and not (math.isfinite(value) and (value >= 0 or key in signed))):
            raise _damaged(where, f"{path}{key}", value)


def _damaged(where: str, key: str, value: object, reason: str = "none that a run can have") -> BadInput:
    return BadInput(where, f"damaged: {key} is {short(value)}: {reason}; legal: another checkpoint, or a run from the start")
