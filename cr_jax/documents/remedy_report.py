"""The report of ``crjax remedy``: what cheaper recommenders lose against their teacher, what they cost, and when they pay."""

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta

from cr_jax.documents.base import Block, Document
from cr_jax.documents.fields import Count, Interval, NonNegative, Positive, Seconds, Share, Tag, Text, Tool, Versions
from cr_jax.documents.training_report import BootstrapDifference, Figures

VariantKind = Annotated[
    Literal["teacher", "distilled", "scratch", "smoothed", "compressed", "fewer", "early", "replayed", "popularity"],
    Meta(
        description="teacher: trained as published; distilled: a student trained against the teacher's scores; scratch: a model "
        "of its size trained without them; smoothed: so with smoothed labels; compressed: the teacher's weights with fewer "
        "numbers or bits, without training; fewer: the teacher's weights run with fewer passes, without training; early: the "
        "teacher's list of a turn kept for all later ones; replayed: the teacher reading the whole conversation at every turn; "
        "popularity: the items most frequent in training"
    ),
]
Verdict = Literal["not inferior", "inferior", "not shown", "not decided"]
#: Per turn.
PerTurn = Annotated[float, Meta(ge=0)]


class TurnQuality(Block):
    """Figures after turn t; a conversation that ended sooner counts with its last state. Differences: variant less teacher."""

    t: Count
    mrr: Share
    recall_10: Share
    mrr_difference: Annotated[BootstrapDifference | None, Meta(description="Paired over users; null: of the teacher itself.")]
    recall_10_difference: BootstrapDifference | None


class VariantRun(Block):
    """One seed of a variant."""

    seed: Count
    conversations: Annotated[Count, Meta(description="Of the test part; 0: the model ranks nothing there.")]
    by_turn: tuple[TurnQuality, ...]
    figures: Annotated[Mapping[str, Figures], Meta(description="The model's own checks on the test part, by name.")]


class MeanDifferenceOverSeeds(Block):
    """The mean over seeds, with the 95% interval of the two-way clustered variance; null: one seed has no interval."""

    mean: float
    low: float | None
    high: float | None


class QualityOverSeeds(Block):
    """Figures after turn t on average over seeds."""

    t: Count
    mrr: Share
    recall_10: Share
    mrr_difference: MeanDifferenceOverSeeds
    recall_10_difference: MeanDifferenceOverSeeds


class NonInferiorityTest(Block):
    """MRR after the last turn against the teacher's. low, high: one-sided 95% bounds of the ratio; null: no bound."""

    ratio: Annotated[NonNegative, Meta(description="The variant's MRR over the teacher's.")]
    low: float | None
    high: float | None
    seeds: Positive
    verdict: Annotated[
        Verdict,
        Meta(
            description="not inferior: low is above 1 - margin; inferior: high is below it; not shown: neither; not decided: "
            "fewer than five seeds"
        ),
    ]


class CountedTurn(Block):
    """The last turn, answered for one user with the state of the turns before; replayed: from the whole conversation."""

    parameters: Annotated[Count | None, Meta(description="Trainable and frozen; null: no model.")]
    weight_bytes: Annotated[Count | None, Meta(description="Of the parameters as they are held.")]
    flops: Annotated[PerTurn, Meta(description="Of the traced program.")]
    share_of_teacher: Annotated[NonNegative | None, Meta(description="Of the FLOPs of the teacher's incremental turn.")]
    tag: Tag


class MeasuredTurn(Block):
    """The last turn by the clock here, all variants in turn; interval_us: 95% of the median."""

    median_us: NonNegative
    interval_us: Interval
    samples: Positive
    device: str
    how: Text
    tag: Tag


class PredictedTurn(Block):
    """The same turns on a device; null: not known, and reason says why."""

    device: str
    hbm_bytes: Annotated[NonNegative | None, Meta(description="Main memory traffic of the compiled program.")]
    seconds: Seconds | None
    low_s: Seconds | None
    high_s: Seconds | None
    joules_per_million_turns: NonNegative | None
    usd_per_million_turns: NonNegative | None
    reason: str | None
    tag: Tag


class MakingCosts(Block):
    """What a variant took to make, on average over seeds; null: not known."""

    training_flop: NonNegative | None
    training_s: Seconds
    teacher_inference_flop: NonNegative | None
    teacher_inference_s: Annotated[Seconds | None, Meta(description="null: within training_s.")]
    tuning_runs: Annotated[Count, Meta(description="Trained on the first seed to choose the options; the chosen one among them.")]
    tuning_flop: Annotated[NonNegative | None, Meta(description="Of those that were not chosen.")]
    tuning_s: Seconds
    teacher_training_flop: Annotated[NonNegative | None, Meta(description="Of the teacher's own training.")]
    teacher_training_s: Seconds | None
    tag: Tag


class BreakEven(Block):
    """The first number of turns whose saving against the teacher's turn exceeds what the variant took to make."""

    unit: Literal["flop", "seconds"]
    device: Annotated[str | None, Meta(description="null: FLOPs, which no device changes.")]
    with_teacher: Annotated[bool, Meta(description="Whether the teacher's own training is among the costs.")]
    cost: NonNegative | None
    saving_per_turn: Annotated[float | None, Meta(description="Negative: a turn costs more than the teacher's.")]
    turns: Annotated[Count | None, Meta(description="null: never, or not known; reason says which.")]
    reason: str | None


class RemedyVariant(Block):
    """One way to answer turns. quality: over seeds, after every turn."""

    name: Text
    kind: VariantKind
    settings: dict[str, str]
    options: Annotated[dict[str, str], Meta(description="What tuning chose, such as temperature and weight.")]
    runs: tuple[VariantRun, ...]
    quality: tuple[QualityOverSeeds, ...]
    noninferiority: Annotated[NonInferiorityTest | None, Meta(description="null: the teacher itself, or nothing is ranked.")]
    counted: CountedTurn | None
    measured: MeasuredTurn | None
    predicted: tuple[PredictedTurn, ...]
    making: Annotated[MakingCosts | None, Meta(description="null: nothing was trained for it.")]
    break_even: tuple[BreakEven, ...]
    on_front: Annotated[bool | None, Meta(description="No other variant has a higher MRR at as few FLOPs or fewer.")]
    notes: tuple[str, ...]


class ComparedVariants(Block):
    """MRR after the last turn of one variant less another's, paired over users and seeds."""

    variant: Text
    against: Text
    mrr_difference: MeanDifferenceOverSeeds
    above: Annotated[bool, Meta(description="The whole interval lies above 0.")]


class RemedyData(Block):
    """The data set as it was read."""

    name: str
    sha256: str
    users: Count
    items: Count
    turns: Annotated[Count, Meta(description="The last turn that is counted and ranked.")]


class RemedyReport(Document):
    """Remedy report.

    A teacher, its students and their rivals over several seeds: quality after every turn, cost per turn, and break-even. Null is
    unknown.
    """

    schema: Literal["urn:cr-jax:schema:remedy-report:1.0"] = "urn:cr-jax:schema:remedy-report:1.0"
    kind: Literal["remedy-report"] = "remedy-report"
    schema_version: Literal["1.0"] = "1.0"
    created: Annotated[str, Meta(description="UTC, ISO 8601")]
    tool: Tool
    versions: Versions
    command: tuple[str, ...] | None
    model: Text
    dataset: RemedyData
    seeds: Annotated[tuple[Count, ...], Meta(min_length=1)]
    margin: Annotated[float, Meta(gt=0, lt=1, description="Share of the teacher's MRR.")]
    variants: Annotated[tuple[RemedyVariant, ...], Meta(min_length=1)]
    comparisons: tuple[ComparedVariants, ...]
    definitions: dict[str, str]
    notes: tuple[str, ...]
