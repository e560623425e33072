"""The cost of a whole training run before it starts: steps of the schedule times the cost of a step."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any, TypeVar

from cr_jax.catalog import load
from cr_jax.catalog.dataset import Dataset
from cr_jax.data.corpus import Corpus, read_corpus
from cr_jax.data.find_dataset import known_profile
from cr_jax.data.split import VALIDATION
from cr_jax.documents.base import known
from cr_jax.documents.cost_report import CostReport
from cr_jax.documents.reported_step import ReportedStep
from cr_jax.documents.run_estimate import (
    EstimatedData,
    EstimatedModel,
    EvaluationCosts,
    FailedRun,
    ItemSideCosts,
    ObjectiveCosts,
    RunCosts,
    RunEstimate,
    RunEstimates,
    TrainingCosts,
)
from cr_jax.errors import BadConfig, CrJaxError
from cr_jax.models import spec as specs
from cr_jax.predict.money.pricing import Rates
from cr_jax.printable import one_line
from cr_jax.profiling.pipeline import attempt, compile_for, count, for_each, predict, prepare, profile_devices, trace_validation
from cr_jax.profiling.request import Request
from cr_jax.profiling.stages import Compiled, Failed
from cr_jax.profiling.training_plan import BatchPlan, TrainingPlan, training_plan
from cr_jax.records import ArrayShape
from cr_jax.report.build import largest
from cr_jax.report.document import validate
from cr_jax.report.measured import MeasuredStep, measured_steps
from cr_jax.report.prediction import Options
from cr_jax.report.run_estimate import (
    EVALUATED,
    SUMMED,
    Money,
    ObjectiveRun,
    Parts,
    evaluation,
    frozen,
    grounds,
    item_side,
    length,
    mixed,
    objective_costs,
    read_schedule,
    total,
)
from cr_jax.report.step_figures import reported_step

NOTES = (
    "a stage that stops early costs less",
    "the ends of an interval are added: the errors of one device's predictions go the same way",
    f"evaluation as crjax train does it: a tenth of the conversations, every turn replayed, {EVALUATED} states at once (top k is "
    "in it); after each epoch of a stage, and once on the test part",
)
ONCE = "the item side is computed once more for the trained weights"
QUANTILE = (
    "a step's texts are padded to the 95% quantile of the data set; training pads each batch to what it holds, and takes less "
    "where conversations are short: a file of conversations as --dataset is counted as its batches are padded"
)
PADDED = (
    "steps are those of the file's training part, padded as crjax train pads its batches; of more than two shapes the smallest "
    "and the largest are compiled, those between lie on the line between them by positions"
)
CHECKED = "{} are validated by forwards of their own; the test part is ranked as well where it holds conversations"
FROZEN = "frozen modules are within the rows above, and cost what 'once' says where their outputs are kept"

_BUG = "the estimate (a bug in cr_jax: please report it)"


@dataclass(frozen=True)
class RunRequest:
    """A training run to estimate."""

    request: Request
    """Model, data, devices and workload; phases and users are the run's own."""
    schedule: str = "published"
    """``published`` (the length the public code trains for, at most: early stopping can end a stage sooner),
    ``epochs=N``, or ``equal-turns=N`` (N is 1 by default): every objective takes the fewest optimizer steps whose batches
    supervise N times the turns of the data set (question-answer pairs), so that models are compared after learning from
    equally many; one that supervises no turns takes N epochs."""
    measured: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Training or bench reports by file name, whose seconds per step are shown beside the prediction and give energy and price.
    """
    rates: Rates = field(default_factory=Rates)

    def __post_init__(self) -> None:
        read_schedule(self.schedule)  # a wrong one is refused before a file is read


def estimate(run: RunRequest) -> RunEstimate:
    """The cost of training from start to end on the only device of ``run``, per objective and in all.

    Times are the prediction's for one step times the steps; ``None`` with the reason where there is none. The
    objectives of one stage run in turn on the same batch. Raises ``CrJaxError``.
    """
    (result,) = _runs(run, _read(run.request.dataset))
    if isinstance(result, Failed):
        raise result.reason
    return result


def estimates(run: RunRequest, models: Sequence[str]) -> RunEstimates:
    """:func:`estimate` for ``models`` and every device of ``run``, an entry of ``runs`` each; a failed one has its reason.

    A measured report belongs to the runs of its model. Raises ``CrJaxError`` for an error of all runs.
    """
    source = _read(run.request.dataset)  # once for all models
    devices = run.request.devices
    runs: list[RunEstimate | FailedRun] = []
    for model in models:
        mine = {file: one for file, one in run.measured.items() if one["model"]["name"] == model}
        try:
            results = _runs(replace(run, request=replace(run.request, model=model), measured=mine), source)
        except CrJaxError as error:
            results = [Failed(device, error) for device in devices]
        for device, one in zip(devices, results, strict=True):
            if isinstance(one, Failed):
                runs.append(FailedRun(model=model, device=device, error=one_line(one.reason)))
            else:
                runs.append(one)
    document = RunEstimates(runs=tuple(runs))
    validate(document, _BUG)
    return document


def _read(dataset: str | Path | Dataset) -> tuple[Dataset, Corpus | None]:
    """A profile, or a file of conversations as ``crjax train`` reads it."""
    known = dataset if isinstance(dataset, Dataset) else known_profile(str(dataset))
    if known is not None:
        return known, None
    assert not isinstance(dataset, Dataset)
    corpus = read_corpus(dataset)
    return corpus.dataset, corpus


@dataclass(frozen=True)
class _Pair:
    """The counts with the smallest batches and with the largest: reports, or validation steps as ``steps``."""

    small: Sequence[ReportedStep]
    large: Sequence[ReportedStep]

    def by_objective(self) -> dict[str, tuple[ReportedStep, ReportedStep]]:
        small, large = ({str(step.labels.objective): step for step in steps} for steps in (self.small, self.large))
        return {name: (small[name], large[name]) for name in small}


@dataclass(frozen=True)
class _Counted:
    """One device's figures: of training steps, of validating forwards, and of the turns that rank.

    report: of the training steps with the smallest batches.
    """

    report: CostReport
    train: _Pair
    checks: _Pair
    tested: CostReport


_Reports = Sequence[CostReport | Failed]
_Steps = Sequence[tuple[ReportedStep, ...] | Failed]
_T = TypeVar("_T")


def _runs(run: RunRequest, source: tuple[Dataset, Corpus | None]) -> list[RunEstimate | Failed]:
    """The estimate of one model, per device."""
    data, corpus = source
    model, options = run.request.model, Options(run.rates)
    spec = specs.find(model)
    if spec.training is None:
        raise BadConfig(f"model {model!r} states no training schedule; legal: one whose SPEC has training")
    few = {name: min(getattr(run.request, name), data.items) for name in ("top_k", "question_items")}
    request = replace(run.request, dataset=data, command=None, **few)
    plan = training_plan(request, corpus)

    def training(batches: dict[str, tuple[ArrayShape, ...]]) -> _Reports:
        return profile_devices(replace(request, phases=("train",), batches=batches), options)

    single = replace(request, mesh=())

    def validation(batches: dict[str, tuple[ArrayShape, ...]]) -> _Steps:
        return _validation_steps(replace(single, batch=EVALUATED, batches=batches), options)

    ranking = replace(single, phases=("infer",), turns_compiled="replay", users=EVALUATED)
    trained, checked, tested = _both(plan.train, training), _both(plan.checks, validation), profile_devices(ranking, options)
    skipped = tuple(corpus.problems.lines()) if corpus is not None else ()
    estimated = []
    document = partial(_document, run, spec.training, plan, skipped)
    for device, *counted in zip(request.devices, *trained, *checked, tested, strict=True):
        steps = _counted(*counted)
        estimated.append(steps if isinstance(steps, Failed) else attempt(device, document, steps))
    return estimated


def _counted(
    small: CostReport | Failed,
    large: CostReport | Failed,
    first: tuple[ReportedStep, ...] | Failed,
    last: tuple[ReportedStep, ...] | Failed,
    ranked: CostReport | Failed,
) -> _Counted | Failed:
    """One device's figures, or the first of its failures. first, last: validating steps of the smallest and largest batches."""
    if isinstance(small, Failed):
        return small
    if isinstance(large, Failed):
        return large
    if isinstance(first, Failed):
        return first
    if isinstance(last, Failed):
        return last
    if isinstance(ranked, Failed):
        return ranked
    return _Counted(small, _Pair(small.steps, large.steps), _Pair(first, last), ranked)


def _both(
    batches: BatchPlan, counted: Callable[[dict[str, tuple[ArrayShape, ...]]], Sequence[_T]]
) -> tuple[Sequence[_T], Sequence[_T]]:
    """Per device, the result of ``counted`` for the smallest batches and for the largest."""
    small = counted(batches.part(0))
    return small, small if batches.part(0) == batches.part(-1) else counted(batches.part(-1))


def _validation_steps(request: Request, options: Options) -> _Steps:
    """Per device, the step of each objective that is validated by its own forward, as a cost report has steps."""

    def entries(compiled: Compiled) -> tuple[ReportedStep, ...]:
        predicted = predict(count(compiled), options)
        pairs = zip(predicted.counted.steps, predicted.predictions, strict=True)
        return tuple(reported_step(step, None, prediction) for step, prediction in pairs)

    configured, targets = prepare(request)
    return for_each(compile_for(trace_validation(configured), targets), entries)


def _document(
    run: RunRequest, training: specs.Training, plan: TrainingPlan, skipped: tuple[str, ...], counted: _Counted
) -> RunEstimate:
    """The estimate of one model on one device."""
    report = counted.report
    money = Money(load.accelerator_or_none(report.target.name), run.rates, report.target.devices or 1)
    unsplit, shared = money.unsplit()
    clock: dict[str, MeasuredStep] = {}
    for file, document in run.measured.items():
        clock |= measured_steps(document, file, report)
    scheduled = _schedule(run, training, plan, counted)
    rows = [objective_costs(one, clock.get(name), money) for name, one in scheduled.objectives.items()]
    own = counted.checks.by_objective()
    judged = evaluation(counted.tested, scheduled.passes, unsplit, scheduled.validation if own else None, plan.ranked)
    once = item_side(counted.tested, unsplit)
    whole = [*rows, judged, *([once] if once else [])]
    fixed = frozen(report, scheduled.objectives)
    document = RunEstimate(
        model=EstimatedModel(name=report.model.name, config=report.model.config),
        dataset=EstimatedData(name=report.data.name, turns=report.data.sizes["turns"], problems=skipped),
        target=report.target,
        versions=report.versions,
        schedule=run.schedule,
        note="\n".join([*_notes(plan, own, once, fixed), *([shared] if report.target.mesh else [])]),
        objectives=tuple(rows),
        total=TrainingCosts(
            optimizer_steps=sum(one.optimizer_steps for one in rows),
            **_sums(rows),
            measured_s=total(one.measured.seconds if one.measured else None for one in rows),
            peak_bytes=largest(one.peak_bytes for one in rows),
            tag="predicted",
        ),
        evaluation=judged,
        item_side=once,
        frozen=fixed,
        whole=RunCosts(**_sums(whole), peak_bytes=largest(one.peak_bytes for one in whole), tag="predicted"),
        grounds=grounds(report, money),
    )
    validate(document, _BUG)
    return document


@dataclass(frozen=True)
class _Scheduled:
    """The schedule in steps. passes: epochs of validation; validation: the forwards that validate, the test part among them."""

    objectives: dict[str, ObjectiveRun]
    passes: int
    validation: Parts


def _per_epoch(step: ReportedStep) -> float:
    number = known(step.per.steps_per_epoch)
    assert number is not None, f"{step.name}: its examples are not known"
    return number


def _schedule(run: RunRequest, training: specs.Training, plan: TrainingPlan, counted: _Counted) -> _Scheduled:
    turns, own = counted.report.data.sizes["turns"], counted.checks.by_objective()
    kind, number = read_schedule(run.schedule)
    steps = counted.train.by_objective()
    epochs = {
        name: plan.train.number[name] if name in plan.train.number else _per_epoch(step) for name, (step, _) in steps.items()
    }
    objectives: dict[str, ObjectiveRun] = {}
    passes, validation = 0, []
    for stage in training.stages:
        for name in stage.objectives:
            taken = length(stage, steps[name][0], epochs[name], kind, number, turns)
            patience = stage.patience if kind == "published" else None
            parts = mixed(*steps[name], plan.train.share(name), taken)
            objectives[name] = ObjectiveRun(parts, taken, epochs[name], patience)
        first = stage.objectives[0]
        through = ceil(objectives[first].steps / epochs[first])
        passes += through
        for name in own.keys() & set(stage.objectives):
            batch = known(steps[name][0].labels.batch)
            assert batch is not None, "a training step has a batch"
            assumed = ceil(VALIDATION * epochs[name] * batch / EVALUATED)
            numbers = plan.checks.number, plan.tests
            validated, judged_once = (found.get(name, 0 if plan.train.shapes else assumed) for found in numbers)
            if times := through * validated + judged_once:
                validation += mixed(*own[name], plan.checks.share(name), times)
    return _Scheduled(objectives, passes, validation)


def _notes(plan: TrainingPlan, own: Mapping[str, Any], once: Any, fixed: Any) -> list[str]:
    padded = PADDED if plan.train.shapes else QUANTILE
    checked = [CHECKED.format(" and ".join(own))] if own else []
    return [padded, *NOTES, *checked, *([ONCE] if once else []), *([FROZEN] if fixed else [])]


def _sums(rows: Sequence[ObjectiveCosts | EvaluationCosts | ItemSideCosts]) -> dict[str, Any]:
    return {key: total(getattr(one, key) for one in rows) for key in SUMMED}
