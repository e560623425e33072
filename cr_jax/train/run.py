"""From names to trained weights and a training report."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from cr_jax.data import recommender_assets
from cr_jax.data.corpus import PARTS, Corpus, read_corpus
from cr_jax.data.examples.batch_shapes import taken
from cr_jax.data.examples.batches import Batches
from cr_jax.data.examples.pool import Examples
from cr_jax.documents.training_report import Baseline, BootstrapDifference, PredictedSteps, TrainingReport
from cr_jax.errors import BadConfig, BadInput, NotWritten
from cr_jax.files import exists, expanded, is_folder
from cr_jax.models import spec as specs
from cr_jax.models.spec import Spec, Stage, Weights
from cr_jax.records import Configuration, Workload, plain
from cr_jax.report.document import write, write_rows
from cr_jax.steps.step import abstract_model
from cr_jax.train import hosts, metrics
from cr_jax.train.checkpoint import Checkpoints
from cr_jax.train.evaluate import Ranked, baselines, finite
from cr_jax.train.finished import RECOMMENDER
from cr_jax.train.loop import Loop, Plan, Position, Tick
from cr_jax.train.position import Identity
from cr_jax.train.predicted import predicted
from cr_jax.train.report import Run, document
from cr_jax.train.request import TrainingRequest
from cr_jax.train.state import Layout, TrainState

#: Steps between two checkpoints, besides one per epoch.
CHECKPOINT_STEPS = 1000


@dataclass(frozen=True)
class Trained:
    """The result of :func:`train`: the report, and its inputs for further tests."""

    report: TrainingReport
    ranked: Ranked | None
    corpus: Corpus
    weights: Weights


@dataclass(frozen=True)
class Ready:
    """Everything that a run needs before its first step."""

    spec: Spec
    corpus: Corpus
    work: Workload
    config: Configuration
    examples: Examples
    plans: tuple[Plan, ...]
    layout: Layout
    state: TrainState
    distilled: "Distilled | None" = None


class Distilled(Protocol):
    """What a student's run has beyond another one."""

    @property
    def identity(self) -> Mapping[str, object]:
        """What it must share with the checkpoint it continues from."""
        ...

    def reported(self, made: Ready, position: Position) -> dict[str, Any]:
        """Fields of ``train.report.Run``: ``flop``, ``teachers``, ``distillation``."""
        ...


def ready(request: TrainingRequest) -> Ready:
    """Data read, examples and batches planned, weights initialised. Raises ``CrJaxError``."""
    spec = specs.find(request.model)
    if spec.training is None:
        raise BadConfig(f"{spec.name} states no training examples (Spec.training); legal: {', '.join(_trainable())}")
    if request.epochs is not None and request.steps is not None:
        raise BadConfig(f"epochs={request.epochs} and steps={request.steps}: legal: one of the two")
    numbers = {"epochs": request.epochs, "steps": request.steps, "batch": request.batch}
    specs.positive(**{name: number for name, number in numbers.items() if number is not None})
    corpus = read_corpus(request.dataset, request.drawn_by, request.strict, request.reviews)
    work = workload(corpus, request.preset, request.batch)
    config = specs.override(spec, spec.configure(corpus.dataset, work), request.settings)
    examples = spec.training.examples(corpus, config, request.drawn_by)
    plans = _plans(request, spec, config, examples)
    layout = Layout(request.devices, plans[0].batches.batch, request.shard_tables)
    objectives = {o.name: o for o in spec.objectives(config)}
    used = tuple(objectives[name] for plan in plans for name in plan.stage.objectives)
    state = TrainState(abstract_model(spec, config), used, work, request.seed, layout)
    return Ready(spec, corpus, work, config, examples, plans, layout, state)


def workload(corpus: Corpus, preset: str, batch: int | None) -> Workload:
    """The workload of training on ``corpus``."""
    data = corpus.dataset
    return Workload(
        turns=data.last_turn,
        lengths=data.lengths,
        turn_histogram=data.turn_histogram,
        batch=batch,
        preset=preset,
        question_items=min(10, data.items),
    )


def train(
    request: TrainingRequest,
    out: str | Path,
    *,
    resume: bool = False,
    checkpoint_steps: int = CHECKPOINT_STEPS,
    command: Sequence[str] | None = None,
    tick: Callable[[Tick], None] | None = None,
) -> Trained:
    """Train as ``request`` says and write ``out``: ``report.json``, ``log.jsonl`` (a loss per step), ``checkpoints/`` and
    ``recommender.json`` (the words, items and aspects for recommending).

    resume: continue from the newest checkpoint in ``out``. checkpoint_steps: steps between two checkpoints, besides one per
    epoch. tick: called with the progress of the run. Raises ``CrJaxError`` for anything a caller can mend; a loss that is not
    finite stops the run with ``NotFinite``.
    """
    begin = time.perf_counter()
    specs.positive(checkpoint_steps=checkpoint_steps)
    return carry_out(
        request, ready(request), out, resume=resume, checkpoint_steps=checkpoint_steps, begin=begin, command=command, tick=tick
    )


def carry_out(
    request: TrainingRequest,
    made: Ready,
    out: str | Path,
    *,
    resume: bool,
    checkpoint_steps: int,
    begin: float,
    command: Sequence[str] | None,
    tick: Callable[[Tick], None] | None,
) -> Trained:
    """The run of :func:`train` from its first step on. begin: when it was asked for, by ``time.perf_counter``."""
    spec, corpus, plans, state = made.spec, made.corpus, made.plans, made.state
    folder = Path(hosts.first(lambda: str(folder_of(out, resume))))
    identity = _identity(request, made)
    hosts.same("model, configuration, data set or seed", identity)
    checkpoints = Checkpoints(folder / "checkpoints", identity)
    try:
        hosts.first(lambda: _write_assets(corpus, request.seed, spec, folder))
        loop = Loop(
            spec, state, made.examples, plans, checkpoints, folder / "log.jsonl", checkpoint_steps=checkpoint_steps, tick=tick
        )
        # A run killed before its first checkpoint was whole starts again.
        resumed = loop.resume() if resume and checkpoints.latest() is not None else None
        position = loop.run()
    finally:
        checkpoints.close()
    weights = state.tested
    trained = [name for plan in plans for name in plan.stage.objectives]
    # A model of several stages ranks with the weights of all of them.
    ranked = loop.tester.ranked(weights, "test") if spec.training and len(plans) == len(spec.training.stages) else None
    figures = ({} if ranked is None else {"ranking": ranked.figures()}) | finite(loop.tester.checked(weights, "test", trained))
    run = Run(
        spec=spec,
        config=made.config,
        corpus=corpus,
        work=made.work,
        plans=plans,
        position=position,
        examples=made.examples,
        seed=request.seed,
        resumed=resumed,
        layout=made.layout,
        test=figures,
        baselines=_against(corpus, ranked, request.seed),
        seconds=time.perf_counter() - begin,
        command=command,
        predicted=_predicted(made, position),
        **({} if made.distilled is None else made.distilled.reported(made, position)),
    )
    report = document(run)
    hosts.first(lambda: write(report, folder / "report.json"))
    return Trained(report, ranked, corpus, weights)


def _identity(request: TrainingRequest, made: Ready) -> Identity:
    """The values that a run and the checkpoint it continues from must share."""
    stages = [
        {"objectives": list(p.stage.objectives), "batch": p.batches.batch, "steps": p.steps, "patience": p.patience}
        for p in made.plans
    ]
    corpus = made.corpus
    identity: Identity = {
        "model": made.spec.name,
        "config": plain(made.config),
        "seed": request.seed,
        "preset": request.preset,
        "dataset": {"name": corpus.dataset.name, "sha256": corpus.fingerprint, "split": corpus.split},
        "stages": stages,
    }
    if request.drawn_by != request.seed:
        identity["split_seed"] = request.drawn_by
    if made.distilled is not None:
        identity["distillation"] = made.distilled.identity
    return identity


def _predicted(made: Ready, position: Position) -> PredictedSteps:
    """The predicted time of the steps that were taken."""
    shapes = {
        name: taken(plan.batches, position.taken.get(plan.name, 0)) for plan in made.plans for name in plan.stage.objectives
    }
    return predicted(made.state.model, made.work, shapes, made.layout.mesh.devices.flat[0], made.layout.devices)


def _write_assets(corpus: Corpus, seed: int, spec: Spec, folder: Path) -> None:
    assets = recommender_assets.assets_of(corpus, seed)
    write_rows(
        recommender_assets.without_users(assets, spec.name), "users", recommender_assets.users(assets), folder / RECOMMENDER
    )


def _trainable() -> list[str]:
    return [name for name in specs.names() if specs.find(name).training is not None]


def _plans(request: TrainingRequest, spec: Spec, config: Configuration, examples: Examples) -> tuple[Plan, ...]:
    assert spec.training is not None
    only = request.stages
    published = {o.name: o.batch for o in spec.objectives(config)}
    chosen = [s for s in spec.training.stages if only is None or set(only) & set(s.objectives)]
    if only is not None and (unknown := set(only) - {name for stage in spec.training.stages for name in stage.objectives}):
        raise BadConfig(f"stage {sorted(unknown)[0]!r}: legal: {', '.join(published)}")
    plans = []
    for stage in chosen:
        name = stage.objectives[0]
        batches = Batches(examples.pools[name], request.batch or published[name], request.seed)
        length = _length(stage, batches.per_epoch, request.epochs, request.steps)
        limit = stage.patience if request.patience is None else request.patience or None
        plans.append(Plan(stage, batches, length, limit))
    return tuple(plans)


def _length(stage: Stage, per_epoch: int, epochs: int | None, steps: int | None) -> int:
    if steps is not None:
        return steps
    if epochs is not None:
        return epochs * per_epoch
    if stage.steps is not None:
        return stage.steps
    assert stage.epochs is not None, "a stage states epochs or steps"
    return stage.epochs * per_epoch


def folder_of(out: str | Path, resume: bool) -> Path:
    """The folder of a run, made where it is missing; an earlier run in it is only continued. Raises ``CrJaxError``."""
    folder = expanded(out)
    if resume and not is_folder(folder / "checkpoints"):
        raise BadInput(str(folder), "no checkpoint to resume from; legal: a folder that crjax train wrote to")
    if not resume and exists(folder / "checkpoints"):
        raise BadInput(str(folder), "holds an earlier run; legal: --resume, or a folder without checkpoints")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NotWritten(f"{out}: no folder: {error.strerror}") from None
    return folder


def _against(corpus: Corpus, ranked: Ranked | None, seed: int) -> dict[str, Baseline]:
    """Baselines on the test part, and the model's difference to each."""
    if ranked is None or not corpus.conversations[PARTS[0]]:
        return {}
    by_baseline: dict[str, Baseline] = {}
    mine, users = metrics.per_row(ranked.final), ranked.users
    for name, ranks in baselines(corpus, ranked.ranking, seed).items():
        theirs = metrics.per_row(ranks)
        differences = {key: metrics.paired_bootstrap(mine[key], theirs[key], users, seed) for key in ("mrr", "ndcg@10", "hit@10")}
        by_baseline[name] = Baseline(
            figures=metrics.means(ranks),
            difference={key: BootstrapDifference(**plain(d), above=d.above) for key, d in differences.items()},
        )
    return by_baseline
