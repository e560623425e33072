"""Labels of a step: its training objective, or the turns that it answers."""

from msgspec import UNSET, UnsetType

from cr_jax.documents.base import Block
from cr_jax.documents.fields import Count, NonNegative, Positive
from cr_jax.records import Mode

#: Required labels by phase.
NEEDED_LABELS = {"train": ("objective", "batch"), "infer": ("mode", "turns", "users")}
#: The same as a schema.
LABEL_RULES = [
    {"if": {"properties": {"phase": {"const": phase}}}, "then": {"properties": {"labels": {"required": list(keys)}}}}
    for phase, keys in NEEDED_LABELS.items()
]


class StepLabels(Block, forbid_unknown_fields=False):
    """Objective, example, batch and supervised turns; or mode, turns and users."""

    objective: str | UnsetType = UNSET
    example: str | UnsetType = UNSET
    batch: Positive | UnsetType = UNSET
    supervised_turns_per_example: NonNegative | UnsetType | None = UNSET
    trained_parameters: Count | UnsetType = UNSET
    optimizer_state_numbers: Count | UnsetType = UNSET
    optimizer_state_bytes: Count | UnsetType = UNSET
    items: Count | UnsetType | None = UNSET
    mode: Mode | UnsetType = UNSET
    turns: tuple[Count, ...] | UnsetType = UNSET
    users: Positive | UnsetType = UNSET


def check_labels(phase: str, labels: StepLabels) -> None:
    """Raise ``ValueError`` where a required label of the phase is missing."""
    if lacking := [key for key in NEEDED_LABELS.get(phase, ()) if getattr(labels, key) is UNSET]:
        raise ValueError(f"labels.{lacking[0]}: missing")
