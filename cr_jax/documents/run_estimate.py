"""The estimate of ``crjax estimate``: one training run, or several side by side."""

from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from cr_jax.documents.base import Block, Document, one_of
from cr_jax.documents.cost_report import ReportedTarget
from cr_jax.documents.fields import Count, JsonObject, NonNegative, Number, Positive, Share, Tag, Versions
from cr_jax.documents.prediction import Amount, EnergyAssumptions, Method, ValidatedOn

Schema = Literal["urn:cr-jax:schema:run-estimate:1.2"]


class EstimatedModel(Block):
    """The model and its configuration."""

    name: str
    config: JsonObject


class EstimatedData(Block):
    """The data set."""

    name: str
    turns: Count
    problems: Annotated[tuple[str, ...], Meta(description="What was skipped in the file, by kind, with the first line numbers.")]


class MeasuredSteps(Block):
    """Time of an objective's steps by the clock."""

    seconds: NonNegative
    seconds_per_step: NonNegative
    source: str
    note: str
    tag: Tag


class ObjectiveCosts(Block):
    """One objective over the run."""

    objective: str
    batch: Positive
    optimizer_steps: Count
    epochs: Number | None
    supervised_turns: Annotated[Amount | None, Meta(description="Turns learnt from; null: the objective supervises none.")]
    patience: int | None
    peak_bytes: int | None
    flops: Count
    hbm_bytes: Count
    seconds: Number | None
    low_s: Number | None
    high_s: Number | None
    energy_j: Number | None
    price_usd: Number | None
    carbon_g: Amount | None
    reason: str | None
    tag: Tag
    measured: Annotated[
        MeasuredSteps | None, Meta(description="By the clock, from a saved report; energy, price and carbon are then of it.")
    ]


class TrainingCosts(Block):
    """Training alone."""

    optimizer_steps: Count
    flops: Count
    hbm_bytes: Count
    seconds: Number | None
    low_s: Number | None
    high_s: Number | None
    energy_j: Number | None
    price_usd: Number | None
    carbon_g: Amount | None
    measured_s: Annotated[Amount | None, Meta(description="null: not every objective was measured.")]
    peak_bytes: Count | None
    tag: Tag


class EvaluationCosts(Block):
    """Ranking of the validation part after every epoch, and of the test part once."""

    validation_passes: Count
    test_passes: Count
    states_per_pass: Count
    batch: Positive
    peak_bytes: Count | None
    flops: Count | None
    hbm_bytes: Count | None
    seconds: Amount | None
    low_s: Amount | None
    high_s: Amount | None
    energy_j: Amount | None
    price_usd: Amount | None
    carbon_g: Amount | None
    reason: str | None
    tag: Tag


class ItemSideCosts(Block):
    """Computed once for the trained weights; null: the model has none."""

    peak_bytes: Count | None
    flops: Count | None
    hbm_bytes: Count | None
    seconds: Amount | None
    low_s: Amount | None
    high_s: Amount | None
    energy_j: Amount | None
    price_usd: Amount | None
    carbon_g: Amount | None
    reason: str | None
    tag: Tag


class FrozenCosts(Block):
    """Frozen modules: their part of the training's counts, and the cost of one epoch of them. null: no module is frozen."""

    modules: tuple[str, ...]
    flops: Count
    hbm_bytes: Count
    flops_once: Count
    hbm_bytes_once: Count
    tag: Tag


class RunCosts(Block):
    """Training, evaluation and item side."""

    flops: Count | None
    hbm_bytes: Count | None
    seconds: Amount | None
    low_s: Amount | None
    high_s: Amount | None
    energy_j: Amount | None
    price_usd: Amount | None
    carbon_g: Amount | None
    peak_bytes: Count | None
    tag: Tag


class RunGrounds(Block):
    """The basis of times, energy and price."""

    method: Method | None
    validated_on: ValidatedOn
    coverage: Share | None
    device_memory_bytes: Count | None
    energy: EnergyAssumptions | None
    energy_reason: str | None
    per_hour_usd: Amount | None
    price_source: str | None
    price_reason: str | None


class RunEstimate(Document):
    """Run estimate.

    Cost of a whole training run: steps of the schedule times the cost of a step. Null is unknown, with a reason. One run, or
    several side by side.
    """

    schema: Schema = "urn:cr-jax:schema:run-estimate:1.2"
    kind: Literal["run-estimate"] = "run-estimate"
    schema_version: Literal["1.2"] = "1.2"
    model: EstimatedModel
    dataset: EstimatedData
    target: ReportedTarget
    versions: Versions
    schedule: str
    note: str
    objectives: tuple[ObjectiveCosts, ...]
    total: TrainingCosts
    evaluation: EvaluationCosts
    item_side: ItemSideCosts | None
    frozen: FrozenCosts | None
    whole: RunCosts
    grounds: RunGrounds


class FailedRun(Block):
    """A run that could not be estimated."""

    model: str
    device: str
    error: str


if TYPE_CHECKING:
    RunOrFailure = RunEstimate | FailedRun
else:
    RunOrFailure = one_of("RunOrFailure", RunEstimate, FailedRun)


class RunEstimates(Document):
    """Several runs side by side."""

    schema: Schema = "urn:cr-jax:schema:run-estimate:1.2"
    kind: Literal["run-estimate"] = "run-estimate"
    schema_version: Literal["1.2"] = "1.2"
    runs: Annotated[tuple[RunOrFailure, ...], Meta(min_length=1)]
