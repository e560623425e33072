"""The result of ``crjax check``."""

from typing import Annotated, Literal

from msgspec import Meta

from cr_jax.documents.base import Block, Document
from cr_jax.documents.fields import Count, JsonValue, NonNegative, Number, Tool
from cr_jax.documents.prediction import Amount

#: The verdict on a step's time.
TimeStatus = Literal["same program", "within", "faster", "breach", "undecided", "skipped"]


class Finding(Block):
    """A figure that moved."""

    where: Annotated[str, Meta(description="parameters, or the step's name")]
    metric: str
    baseline: JsonValue
    now: JsonValue
    percent: Annotated[Number | None, Meta(description="Relative change; null: unknown.")]
    limit_percent: Annotated[Amount | None, Meta(description="null: must be equal")]
    text: str


class SkippedComparison(Block):
    """A comparison that was not made."""

    what: str
    reason: str


class StepTimeVerdict(Block):
    """A step's time now over the baseline's, from programs run in turn."""

    step: str
    status: TimeStatus
    ratio: Amount | None
    ratio_interval: tuple[NonNegative, NonNegative] | None
    p_value: Amount | None
    samples: Count | None
    reason: str | None


class TimeVerdicts(Block):
    """The baseline's kept programs and the current ones, run in turn."""

    limit_percent: Amount
    programs: str
    kept_with_jax: str
    steps: tuple[StepTimeVerdict, ...]
    warnings: tuple[str, ...]
    tag: Literal["measured"]


class GateResult(Document):
    """Gate result.

    A baseline's own workload run again: breaches of limits, improvements, and skipped comparisons.
    """

    schema: Literal["urn:cr-jax:schema:gate-result:1.1"] = "urn:cr-jax:schema:gate-result:1.1"
    kind: Literal["gate-result"] = "gate-result"
    schema_version: Literal["1.1"] = "1.1"
    created: Annotated[str, Meta(description="UTC, ISO 8601")]
    tool: Tool
    baseline: str
    model: str
    device: str
    dataset: str | None
    status: Literal["within", "regression"]
    limits_percent: dict[str, Amount]
    compared: Count
    breaches: tuple[Finding, ...]
    improvements: tuple[Finding, ...]
    skipped: tuple[SkippedComparison, ...]
    notes: tuple[str, ...]
    time: Annotated[
        TimeVerdicts | None, Meta(description="Programs of the baseline and of now, run in turn; null: not asked for.")
    ]
    updated: bool
