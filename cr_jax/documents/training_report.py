"""The report of ``crjax train``."""

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from cr_jax.documents.base import Block, Document
from cr_jax.documents.fields import Count, JsonObject, NonNegative, Positive, Seconds, Share, Tool, Versions

Figures = Annotated[
    Mapping[str, float | list[float]], Meta(description="Figures of a test by name; success by turn is a list from t = 0.")
]
FiguresByTest = Annotated[Mapping[str, Figures], Meta(description="Rankings after the last turn, and the model's own checks.")]


class TrainedModel(Block):
    """The model and its configuration."""

    name: str
    title: str
    paper: str
    code: str
    deviations: tuple[str, ...]
    config: JsonObject
    preset: str


class TrainingData(Block):
    """The data set, as it was read and split."""

    name: str
    sha256: Annotated[str, Meta(description="Of the bytes of the data set's files, in order.")]
    split: str
    users: Count
    items: Count
    aspects: Count
    words: Count
    turns: Count
    parts: Annotated[dict[str, Count], Meta(description="Conversations or dialogues of each part.")]
    problems: tuple[str, ...]


class TrainingTarget(Block):
    """The devices that trained."""

    platform: str
    kind: str
    devices: Positive
    hosts: Annotated[Positive, Meta(description="Processes that trained together.")]
    tables_sharded: bool


class PublishedSchedule(Block):
    """The schedule of the publication; null: it states none."""

    epochs: Count | None
    steps: Count | None
    patience: Count | None


class BestEpoch(Block):
    """The epoch of the kept weights."""

    criterion: str
    value: float
    epoch: Count


class StageRow(Block):
    """One stage of the schedule."""

    name: str
    objectives: tuple[str, ...]
    batch: Count
    examples: Count
    steps_per_epoch: Count
    steps_planned: Count
    published: PublishedSchedule
    patience: Count | None
    stopped_early: bool
    best: BestEpoch | None
    padded_shapes: tuple[tuple[Count, ...], ...]
    padding_share: Share


class EpochRow(Block):
    """One epoch and its validation."""

    stage: str
    epoch: Count
    step: Count
    loss: dict[str, float]
    validation: FiguresByTest
    validation_s: Seconds


class BootstrapDifference(Block):
    """Model less baseline, with a 95% interval."""

    mean: float
    low: float
    high: float
    users: Count
    draws: Count
    above: Annotated[bool, Meta(description="The whole 95% interval lies above 0.")]


class Baseline(Block):
    """A baseline on the same test part."""

    figures: Figures
    difference: Annotated[dict[str, BootstrapDifference], Meta(description="Model less baseline, paired bootstrap over users.")]


class MeasuredTraining(Block):
    """Training by the clock."""

    time_s: Seconds
    training_s: Seconds
    validation_s: Seconds
    steps: Count
    examples: Count
    supervised_turns: NonNegative
    examples_per_s: NonNegative | None
    turns_per_s: NonNegative | None
    compiling_s: Annotated[Seconds, Meta(description="Of training_s, tracing and compiling.")]
    first_steps_s: Annotated[Seconds, Meta(description="Of training_s, the first steps, which hold compilation.")]
    input_wait_share: Share | None
    later_input_wait_share: Annotated[Share | None, Meta(description="Without the first steps, in which programs are compiled.")]


class PredictedObjective(Block):
    """The predicted step of one objective."""

    objective: str
    steps: Positive
    seconds_per_step: float | None
    bound: str | None
    reason: str | None


class PredictedSteps(Block):
    """Predicted seconds of the steps that were taken; null: reason has the cause."""

    training_s: Annotated[
        float | None, Meta(description="Predicted seconds per step times the steps taken; null: reason says why.")
    ]
    low_s: float | None
    high_s: float | None
    coverage: float | None
    method: str | None
    validated_on: JsonObject | str | None
    objectives: tuple[PredictedObjective, ...]
    reason: str | None
    tag: Literal["predicted"]


class PredictedTraining(PredictedSteps):
    """Predicted seconds beside the measured ones."""

    measured_s: Annotated[float, Meta(description="Seconds of training by the clock, tracing and compiling apart.")]
    ratio: Annotated[float | None, Meta(description="Predicted over measured.")]


class TeacherInference(Block):
    """The teachers' passes over the examples of a student."""

    turns: Annotated[Count, Meta(description="Rows scored, each by every teacher: states of conversations, else examples.")]
    flop: Annotated[
        Count | None,
        Meta(description="Of the traced programs, padding and item sides included; null: one does not say them exactly."),
    ]
    seconds: Annotated[
        Seconds | None, Meta(description="By the clock, when the scores were computed. null: within training_s, step by step.")
    ]
    reused: Annotated[bool, Meta(description="The scores of every teacher were in the cache: nothing was computed in this run.")]
    kept_bytes: Annotated[Count, Meta(description="Of the scores in the cache.")]


class TrainingCost(Block):
    """The cost of the run."""

    measured: MeasuredTraining
    predicted: Annotated[
        PredictedTraining, Meta(description="What was predicted of the steps that were taken, compilation apart.")
    ]
    flop: Annotated[
        Count | UnsetType | None,
        Meta(description="Of the traced optimizer steps that were taken, teachers within them apart; null: not said exactly."),
    ] = UNSET
    teachers: TeacherInference | UnsetType = UNSET


class DistilledFrom(Block):
    """A teacher. sha256: of its architecture, configuration and weights."""

    folder: str
    sha256: str
    seed: Count
    steps: Count
    parameters: Count
    config: JsonObject


class DistillationBlock(Block):
    """How a student learned from its teachers."""

    temperature: Annotated[float, Meta(gt=0)]
    weight: Annotated[float, Meta(gt=0, le=1, description="Of the teachers' part of the loss; the rest is the published loss.")]
    on_the_fly: Annotated[bool, Meta(description="The teachers scored within the optimizer step, not beforehand.")]
    initial: Annotated[
        Literal["seed", "teacher"],
        Meta(description="First weights; teacher: the first teacher's where they fit, item tables nearest to its own."),
    ]
    augment: Annotated[Count, Meta(description="Recombined conversations per training conversation, which teachers alone label.")]
    parameters: Annotated[Count, Meta(description="Trainable parameters of the student.")]
    teachers: Annotated[tuple[DistilledFrom, ...], Meta(min_length=1)]


class TrainingReport(Document):
    """Training report.

    A training run on real data: data, configuration, figures per epoch and on the test part, cost measured and predicted.
    """

    schema: Literal["urn:cr-jax:schema:training-report:1.1"] = "urn:cr-jax:schema:training-report:1.1"
    kind: Literal["training-report"] = "training-report"
    schema_version: Literal["1.1"] = "1.1"
    created: Annotated[str, Meta(description="UTC, ISO 8601")]
    tool: Tool
    versions: Versions
    command: tuple[str, ...] | None
    model: TrainedModel
    dataset: TrainingData
    seed: Count
    resumed_at_step: Annotated[Count | None, Meta(description="null: the run was not interrupted.")]
    target: TrainingTarget
    notes: tuple[str, ...]
    stages: Annotated[tuple[StageRow, ...], Meta(min_length=1)]
    epochs: tuple[EpochRow, ...]
    test: FiguresByTest
    baselines: Annotated[dict[str, Baseline], Meta(description="Popularity and random order on the same test part.")]
    cost: TrainingCost
    distillation: DistillationBlock | UnsetType = UNSET
    definitions: dict[str, str]
