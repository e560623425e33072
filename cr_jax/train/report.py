"""The training report: data, configuration, figures per epoch, cost measured, on one page of JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from msgspec import UNSET, UnsetType, structs

from cr_jax.data.corpus import PARTS, Corpus
from cr_jax.data.examples.pool import Examples
from cr_jax.documents.fields import Tool
from cr_jax.documents.training_report import (
    Baseline,
    BestEpoch,
    DistillationBlock,
    EpochRow,
    FiguresByTest,
    MeasuredTraining,
    PredictedSteps,
    PredictedTraining,
    PublishedSchedule,
    StageRow,
    TeacherInference,
    TrainedModel,
    TrainingCost,
    TrainingData,
    TrainingReport,
    TrainingTarget,
)
from cr_jax.models.spec import Spec
from cr_jax.printable import redact
from cr_jax.records import Configuration, Workload, plain
from cr_jax.targets.compile import versions
from cr_jax.train.loop import Plan, Position
from cr_jax.train.state import Layout
from cr_jax.version import __version__

DEFINITIONS = {
    "turn": "one question-answer pair; turns_per_s counts those that the training examples supervise",
    "recall@k, hit@k": "share of conversations with the item sought among the first k, after the last turn; one "
    "item is sought, so the two are equal",
    "mrr": "mean of 1/rank; mrr@k: 0 beyond rank k",
    "ndcg@k": "mean of 1/log2(rank + 1), 0 beyond rank k",
    "success@k_by_turn": "share of conversations with the item among the first k at turn 0, by turn 1, ...",
    "difference": "model less baseline; low and high: 95% interval of a paired bootstrap over users",
    "ties": "broken by one seeded order of the items, for models and baselines alike",
}


@dataclass(frozen=True)
class Run:
    """The inputs of a report."""

    spec: Spec
    config: Configuration
    corpus: Corpus
    work: Workload
    plans: Sequence[Plan]
    position: Position
    examples: Examples
    seed: int
    resumed: int | None
    layout: Layout
    test: FiguresByTest
    baselines: dict[str, Baseline]
    seconds: float
    command: Sequence[str] | None
    predicted: PredictedSteps
    flop: int | UnsetType | None = UNSET
    teachers: TeacherInference | UnsetType = UNSET
    distillation: DistillationBlock | UnsetType = UNSET


def document(run: Run) -> TrainingReport:
    """The report of a finished run."""
    return TrainingReport(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        tool=Tool(name="cr-jax", version=__version__),
        versions=versions(),
        command=None if run.command is None else tuple(redact(part) for part in run.command),
        model=TrainedModel(
            name=run.spec.name,
            title=run.spec.title,
            paper=run.spec.paper,
            code=run.spec.code,
            deviations=tuple(run.spec.deviations),
            config=plain(run.config),
            preset=run.work.preset,
        ),
        dataset=_data(run.corpus),
        seed=run.seed,
        resumed_at_step=run.resumed,
        target=_target(run.layout),
        notes=tuple(run.examples.notes),
        stages=tuple(_stage(plan, run.position) for plan in run.plans),
        epochs=tuple(EpochRow(**row) for row in run.position.epochs),
        test=run.test,
        baselines=run.baselines,
        cost=TrainingCost(
            measured=_measured(run),
            predicted=_beside_the_clock(run.predicted, run.position),
            flop=run.flop,
            teachers=run.teachers,
        ),
        distillation=run.distillation,
        definitions=DEFINITIONS,
    )


def _data(corpus: Corpus) -> TrainingData:
    data = corpus.dataset
    return TrainingData(
        name=data.name,
        sha256=corpus.fingerprint,
        split=corpus.split,
        users=data.users,
        items=data.items,
        aspects=data.aspects,
        words=data.words,
        turns=data.turns,
        parts={part: len(corpus.conversations[part]) or len(corpus.dialogues[part]) for part in PARTS},
        problems=tuple(corpus.problems.lines()),
    )


def _target(layout: Layout) -> TrainingTarget:
    device = layout.mesh.devices.flat[0]
    return TrainingTarget(
        platform=device.platform,
        kind=device.device_kind,
        devices=layout.devices,
        hosts=layout.hosts,
        tables_sharded=layout.shard_tables,
    )


def _measured(run: Run) -> MeasuredTraining:
    at = run.position
    return MeasuredTraining(
        time_s=run.seconds,
        training_s=at.seconds,
        validation_s=sum(row["validation_s"] for row in at.epochs),
        steps=at.total,
        examples=at.examples,
        supervised_turns=at.turns,
        examples_per_s=at.examples / at.seconds if at.seconds else None,
        turns_per_s=at.turns / at.seconds if at.seconds else None,
        compiling_s=at.compiling,
        first_steps_s=at.first_seconds,
        input_wait_share=at.waited / at.seconds if at.seconds else None,
        later_input_wait_share=_share(at.waited - at.first_waited, at.seconds - at.first_seconds),
    )


def _beside_the_clock(predicted_steps: PredictedSteps, at: Position) -> PredictedTraining:
    """The prediction beside the clock, without compilation on both sides."""
    measured, seconds = at.seconds - at.compiling, predicted_steps.training_s
    ratio = seconds / measured if seconds is not None and measured > 0 else None
    return PredictedTraining(**structs.asdict(predicted_steps), measured_s=measured, ratio=ratio)


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


def _stage(plan: Plan, at: Position) -> StageRow:
    stage, best = plan.stage, at.best.get(plan.name)
    return StageRow(
        name=plan.name,
        objectives=tuple(stage.objectives),
        batch=plan.batches.batch,
        examples=len(plan.batches.pool),
        steps_per_epoch=plan.batches.per_epoch,
        steps_planned=plan.steps,
        published=PublishedSchedule(epochs=stage.epochs, steps=stage.steps, patience=stage.patience),
        patience=plan.patience,
        stopped_early=plan.name in at.stopped,
        best=None if best is None else BestEpoch(**best),
        padded_shapes=tuple(tuple(group.shape) for group in plan.batches.groups),
        padding_share=plan.batches.padding_share(),
    )
