"""The constants of predicted times on accelerators: ``profiles/accelerator_times.json``."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from cr_jax.documents.base import Block, Document
from cr_jax.documents.fields import AboveZero, NonNegative, Number, Positive, Text

ByName = Annotated[dict[str, Number], Meta(description="an object: a number by name")]


class ConstantBy(Block):
    """Values that replace a constant, by property."""

    card: ByName | UnsetType = UNSET
    generation: ByName | UnsetType = UNSET
    memory_kind: ByName | UnsetType = UNSET
    platform: ByName | UnsetType = UNSET


class ConstantEntry(Block):
    """One number of a formula."""

    value: Annotated[Number | None, Meta(description="a number, or null where only values in by are known")]
    unit: Annotated[Text, Meta(description="seconds, bytes, 1 for a share, and so on")]
    meaning: Annotated[Text, Meta(description="meaning of the number in the formula")]
    kind: Annotated[
        Literal["fitted", "measured", "printed", "assumed"],
        Meta(description="fitted on measurements, measured or printed elsewhere, or assumed"),
    ]
    source: Annotated[Text, Meta(description="the rows it was fitted on, or where it is printed")]
    would_give: Annotated[Text, Meta(description="the source that would give a value where none is known")] | UnsetType = UNSET
    by: (
        Annotated[ConstantBy, Meta(description="an object: values that replace it, by card, generation, memory_kind or platform")]
        | UnsetType
    ) = UNSET


class ResidualErrors(Block):
    """Errors on cards that were left out of the fit."""

    rows: Annotated[Positive, Meta(description="measured operations")]
    cards: Annotated[tuple[str, ...], Meta(min_length=1, description="the cards that were predicted without being fitted")]
    generations: Annotated[tuple[str, ...], Meta(description="the generations of these cards")] | UnsetType = UNSET
    median: Annotated[NonNegative, Meta(description="median of |predicted - measured| / measured")]
    p90: Annotated[NonNegative, Meta(description="its 90th percentile")]
    worst: Annotated[NonNegative, Meta(description="the largest")]
    ratio_low: Annotated[AboveZero, Meta(description="5th percentile of measured / predicted")]
    ratio_high: Annotated[AboveZero, Meta(description="its 95th percentile")]


class Residuals(Block):
    """Errors of one class of operations, by relation of the cards."""

    meaning: Annotated[Text, Meta(description="which operations belong to the class")]
    same_card: ResidualErrors | UnsetType = UNSET
    same_generation: ResidualErrors | UnsetType = UNSET
    other_generation: ResidualErrors | UnsetType = UNSET
    other_vendor: ResidualErrors | UnsetType = UNSET


class AcceleratorTimes(Document):
    """crjax constants of predicted times on accelerators."""

    schema: Literal["urn:cr-jax:schema:accelerator-times:1.0"] = "urn:cr-jax:schema:accelerator-times:1.0"
    kind: Literal["accelerator-times"] = "accelerator-times"
    constants: Annotated[
        dict[Annotated[str, Meta(pattern=r"^[a-z_0-9]+\.[a-z_0-9]+$")], ConstantEntry],
        Meta(description="an object: the constants by mechanism and name, such as products_plain.utilisation"),
    ]
    residuals: Annotated[
        dict[str, Residuals], Meta(description="an object: by class of operation, the errors on cards left out of the fit")
    ]
