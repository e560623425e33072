"""The difference of ``crjax diff``."""

from typing import Annotated, Literal

from msgspec import Meta, field

from cr_jax.documents.base import Block, Document
from cr_jax.documents.fields import Count, JsonValue, Number, Tool


class DifferenceSide(Block):
    """One of the two reports."""

    file: str
    created: str
    model: str
    device: str
    dataset: str | None


class ChangedCondition(Block):
    """A condition that differs between the two sides."""

    field: str
    a: JsonValue
    b: JsonValue


class FigureChange(Block):
    """A figure on both sides, the change from A to B, and that over A; null is unknown or absent."""

    figure: str
    a: Number | None
    b: Number | None
    change: Number | None
    relative: Annotated[Number | None, Meta(description="change / a; null: unknown or a is 0.")]


class ModuleSizeChange(Block):
    """Parameters of a module on both sides."""

    module: str
    a: Number | None
    b: Number | None
    change: Number | None
    relative: Annotated[Number | None, Meta(description="change / a; null: unknown or a is 0.")]


class ModuleChange(Block):
    """A figure of a step's module on both sides."""

    module: str
    pass_: str = field(name="pass")
    figure: str
    a: Number | None
    b: Number | None
    change: Number | None
    relative: Annotated[Number | None, Meta(description="change / a; null: unknown or a is 0.")]


class StepChange(Block):
    """A step's figures on both sides."""

    name: str
    in_: Literal["both", "a", "b"] = field(name="in")
    program: Literal["same", "changed"] | None
    figures: tuple[FigureChange, ...]
    modules: Annotated[tuple[ModuleChange, ...], Meta(description="Modules and passes that changed.")]


class TurnChange(Block):
    """A figure of answering turn t on both sides."""

    t: Count
    mode: str
    figure: str
    a: Number | None
    b: Number | None
    change: Number | None
    relative: Annotated[Number | None, Meta(description="change / a; null: unknown or a is 0.")]


Change = FigureChange | ModuleSizeChange | ModuleChange | TurnChange


class Difference(Document):
    """Difference.

    Changes from cost report A to cost report B. Null is unknown or absent.
    """

    schema: Literal["urn:cr-jax:schema:difference:1.0"] = "urn:cr-jax:schema:difference:1.0"
    kind: Literal["difference"] = "difference"
    schema_version: Literal["1.0"] = "1.0"
    created: Annotated[str, Meta(description="UTC, ISO 8601")]
    tool: Tool
    a: DifferenceSide
    b: DifferenceSide
    identical: Annotated[bool, Meta(description="Equal but for time stamp, durations and command.")]
    causes: Annotated[tuple[ChangedCondition, ...], Meta(description="Conditions that are not equal.")]
    parameters: tuple[FigureChange, ...]
    parameter_modules: tuple[ModuleSizeChange, ...]
    steps: tuple[StepChange, ...]
    turns: Annotated[tuple[TurnChange, ...], Meta(description="Turns whose cost per user changed.")]
