"""Students of finished runs: the same architecture with another configuration, trained against their teachers' scores."""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from flax import nnx

from cr_jax.data.conversations import Conversations
from cr_jax.data.corpus import Corpus, read_corpus
from cr_jax.data.examples.batches import Batches
from cr_jax.data.examples.distilled import SCORES, recombined, supervised_to, with_readings, with_rows
from cr_jax.data.examples.pool import Pool, turn_rows
from cr_jax.distillation import Distillation
from cr_jax.errors import BadConfig, BadInput
from cr_jax.models import spec as specs
from cr_jax.models.spec import Spec, Stage
from cr_jax.printable import short
from cr_jax.records import Configuration, Workload, plain
from cr_jax.steps.distil import distillables, distinct, training_objectives
from cr_jax.steps.step import abstract_model
from cr_jax.train.checkpoint import difference, told
from cr_jax.train.compress import concrete
from cr_jax.train.distil_request import DistillationRequest
from cr_jax.train.distilled_run import DistilledRun
from cr_jax.train.finished import FinishedRun, read_run
from cr_jax.train.initial_student import initial_student_parameters
from cr_jax.train.loop import Plan, Tick
from cr_jax.train.request import TrainingRequest
from cr_jax.train.run import CHECKPOINT_STEPS, Ready, Trained, carry_out, workload
from cr_jax.train.state import Layout, TrainState, named
from cr_jax.train.teacher_scores import Teacher, TeacherScores, ensemble_rows, teacher_scores, vocabulary_sha256


def distil(
    request: DistillationRequest,
    out: str | Path,
    *,
    resume: bool = False,
    checkpoint_steps: int = CHECKPOINT_STEPS,
    command: Sequence[str] | None = None,
    tick: Callable[[Tick], None] | None = None,
    say: Callable[[str], None] | None = None,
) -> Trained:
    """Train the student and write ``out`` as :func:`cr_jax.train.run.train` does; ``report.json`` has the teachers' cost too.

    say: called with one line about what is not as usual, such as a student larger than its teacher. Raises ``CrJaxError``.
    """
    begin = time.perf_counter()
    specs.positive(checkpoint_steps=checkpoint_steps)
    asked, made = student(request, say)
    return carry_out(asked, made, out, resume=resume, checkpoint_steps=checkpoint_steps, begin=begin, command=command, tick=tick)


def student(request: DistillationRequest, say: Callable[[str], None] | None = None) -> tuple[TrainingRequest, Ready]:
    """Everything that a student's run needs before its first step, its teachers' scores among it. Raises ``CrJaxError``."""
    runs = tuple(read_run(folder, request.model) for folder in request.teachers)
    first = runs[0]
    spec, preset = first.spec, first.identity["preset"]
    distillables(spec)  # refused before the data is read
    corpus = read_corpus(request.dataset, first.split_seed, request.strict, request.reviews)
    _same(runs, corpus, request)
    chosen = _stages(request, spec, runs)
    own = {stage.objectives[0]: _schedule(first, stage.objectives[0]) for stage in chosen}
    config = specs.override(spec, first.config, request.settings)
    asked = _training_request(request, first, chosen)
    how = Distillation(
        request.temperature, request.weight, tuple(plain(run.config) for run in runs), request.on_the_fly, request.augment
    )
    published = {o.name: o.batch for o in spec.objectives(config)}
    batches = {name: request.batch or one.batch for name, one in own.items()}
    batch = None if batches == {name: published[name] for name in batches} else next(iter(batches.values()))
    work = dataclasses.replace(workload(corpus, preset, batch), distillation=how)
    teachers = tuple(Teacher.of(run, corpus) for run in runs)
    taught = _Taught(request, corpus, config, work, teachers, say)
    examples = spec.training.examples(corpus, config, first.split_seed) if spec.training else None
    assert examples is not None, "a distillable model is trained"
    pools = {name: taught.pool(name) for name in own}
    plans = tuple(_plan(request, stage, pools[stage.objectives[0]], batches, own) for stage in chosen)
    layout, model = Layout(request.devices, plans[0].batches.batch), abstract_model(spec, config)
    objectives = {o.name: o for o in training_objectives(model, work)}
    used = tuple(objectives[name] for plan in plans for name in plan.stage.objectives)
    within = tuple(teacher.arguments for teacher in teachers) if request.on_the_fly else ()
    state = TrainState(model, used, work, request.seed, layout, within)
    initial = request.initial or ("teacher" if compressed(config) else "seed")
    if initial == "teacher":
        built = spec.build(config, nnx.Rngs(request.seed))
        state.set_weights(named(initial_student_parameters(concrete(first), built)))
    distilled = taught.distilled(initial, sum(one.size for one in model.parameters() if one.trainable))
    examples = dataclasses.replace(examples, pools=pools, notes=(*examples.notes, *distilled.notes))
    for note in distilled.larger:
        if say is not None:
            say(note)
    return asked, Ready(spec, corpus, work, config, examples, plans, layout, state, distilled)


def compressed(config: Configuration) -> bool:
    """Whether an item table is other than dense."""
    return any(getattr(config, key, None) is not None for key in ("item_rank", "item_codes"))


@dataclass(frozen=True)
class _Schedule:
    """A stage as the first teacher ran it."""

    batch: int
    steps: int
    patience: int | None


def _schedule(run: FinishedRun, objective: str) -> _Schedule:
    (row,) = (row for row in run.identity["stages"] if objective in cast(list[str], row["objectives"]))
    return _Schedule(cast(int, row["batch"]), cast(int, row["steps"]), cast(int | None, row["patience"]))


def _training_request(request: DistillationRequest, first: FinishedRun, stages: Sequence[Stage]) -> TrainingRequest:
    if request.epochs is not None and request.steps is not None:
        raise BadConfig(f"epochs={request.epochs} and steps={request.steps}: legal: one of the two")
    numbers = {"epochs": request.epochs, "steps": request.steps, "batch": request.batch}
    specs.positive(**{name: number for name, number in numbers.items() if number is not None})
    return TrainingRequest(
        first.spec.name,
        request.dataset,
        request.reviews,
        first.identity["preset"],
        epochs=request.epochs,
        steps=request.steps,
        batch=request.batch,
        patience=request.patience,
        seed=request.seed,
        settings=request.settings,
        strict=request.strict,
        devices=request.devices,
        stages=tuple(name for stage in stages for name in stage.objectives),
        split_seed=first.split_seed,
    )


def _same(runs: Sequence[FinishedRun], corpus: Corpus, request: DistillationRequest) -> None:
    """Refuse teachers of another architecture, data set, split or vocabulary than the first, or than the data."""
    here = {"model": runs[0].spec.name, "dataset": {"sha256": corpus.fingerprint, "split": corpus.split}}
    for run in runs:
        data = run.identity["dataset"]
        theirs = {"model": run.spec.name, "dataset": {"sha256": data["sha256"], "split": data["split"]}}
        if differences := difference(theirs, here):
            raise BadInput(run.where, f"no teacher for {request.dataset}: " + told(differences))
        for name in ("words", "items", "aspects"):
            _same_texts(run.where, name, getattr(run.assets, name), getattr(corpus, name))
        for item in corpus.items:
            _same_texts(
                run.where,
                f"description of {short(item)}",
                run.assets.descriptions.get(item, ()),
                corpus.descriptions.get(item, ()),
            )


def _same_texts(where: str, name: str, theirs: Sequence[str], ours: Sequence[str]) -> None:
    if tuple(theirs) == tuple(ours):
        return
    place = next((i for i, (a, b) in enumerate(zip(theirs, ours, strict=False)) if a != b), min(len(theirs), len(ours)))
    a, b = (short(texts[place]) if place < len(texts) else "none" for texts in (theirs, ours))
    number = f"{len(theirs):,}, here {len(ours):,}"
    raise BadInput(
        where, f"no teacher for this data: {name}: {number}; number {place} is {a}, here {b}; legal: the same --reviews"
    )


def _stages(request: DistillationRequest, spec: Spec, runs: Sequence[FinishedRun]) -> tuple[Stage, ...]:
    assert spec.training is not None
    common = [name for name in runs[0].objectives if all(name in run.objectives for run in runs)]
    wanted = common if request.stages is None else request.stages
    for name in wanted:
        if name not in common:
            raise BadConfig(f"stage {name!r}: not trained by every teacher; legal: {', '.join(common) or 'none'}")
        if name not in distillables(spec):
            raise BadConfig(f"stage {name!r}: has no distillation; legal: {', '.join(distillables(spec))}")
    return tuple(stage for stage in spec.training.stages if set(stage.objectives) & set(wanted))


def _plan(
    request: DistillationRequest, stage: Stage, pool: Pool, sizes: Mapping[str, int], schedules: Mapping[str, _Schedule]
) -> Plan:
    name = stage.objectives[0]
    batches, own = Batches(pool, sizes[name], request.seed), schedules[name]
    steps = own.steps if request.epochs is None else request.epochs * batches.per_epoch
    patience = own.patience if request.patience is None else request.patience or None
    return Plan(stage, batches, steps if request.steps is None else request.steps, patience)


class _Taught:
    """The student's examples with what its teachers say about them."""

    def __init__(
        self,
        request: DistillationRequest,
        corpus: Corpus,
        config: Configuration,
        work: Workload,
        teachers: tuple[Teacher, ...],
        say: Callable[[str], None] | None,
    ) -> None:
        self.request, self.corpus, self.config, self.work, self.teachers, self.say = request, corpus, config, work, teachers, say
        self.hooks = distillables(teachers[0].run.spec)
        self.scored: list[tuple[TeacherScores, ...]] = []
        self._train = corpus.conversations["train"]
        self._talks: Conversations = self._train
        if request.augment:
            self._talks = recombined(self._train, request.augment, request.seed)

    def pool(self, name: str) -> Pool:
        """The examples of objective ``name``, with scores or with what teachers read."""
        hook, augment = self.hooks[name], self.request.augment
        if augment and not (hook.every_turn and len(self._train)):
            raise BadConfig(f"augment={augment}: {name} does not learn from conversations of aspects and values; legal: 0")
        pool = hook.examples(self.corpus, self.config, self._talks)
        if augment:
            pool = supervised_to(pool, len(turn_rows(self._train)))
        read = [hook.histories(self.corpus, type(self.config)(**one), self._talks) for one in self._configs()]
        assert all(len(one) == len(pool) for one in read), f"{name}: the rows of examples and histories differ"
        if self.request.on_the_fly:
            return with_readings(pool, read)
        scores = tuple(
            self._scores(name, teacher, read[self._configs().index(plain(teacher.run.config))]) for teacher in self.teachers
        )
        self.scored.append(scores)
        mean = ensemble_rows(scores, tuple(hook.values), self.request.temperature)
        return with_rows(pool, lambda rows: {SCORES + output: array for output, array in mean(rows).items()})

    def _configs(self) -> list[Mapping[str, Any]]:
        return distinct([plain(teacher.run.config) for teacher in self.teachers])

    def _scores(self, name: str, teacher: Teacher, pool: Pool) -> TeacherScores:
        origin: dict[str, object] = {"sha256": self.corpus.fingerprint, "split": self.corpus.split}
        origin |= {"vocabulary": vocabulary_sha256(self.corpus)}
        if self.request.augment:
            origin |= {"augment": self.request.augment, "seed": self.request.seed}
        return teacher_scores(teacher, name, pool, self.work, origin, self.say)

    def distilled(self, initial: str, parameters: int) -> DistilledRun:
        """What the run's identity and report say. parameters: of the student."""
        return DistilledRun(self.request, self.teachers, tuple(self.scored), initial, parameters)
