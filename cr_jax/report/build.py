"""The cost report from compiled steps and their counts."""

import hashlib
import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from cr_jax.catalog.dataset import Dataset
from cr_jax.cost.counting.hlo_count import HloCount
from cr_jax.cost.memory.timeline import Timeline
from cr_jax.cost.operations.program import Program
from cr_jax.documents.cost_report import (
    ConversationCosts,
    FigureOrigin,
    ModuleParameters,
    OptimizerState,
    PaperParameters,
    ParameterAccount,
    ParameterTensor,
    ReportedData,
    ReportedModel,
    ReportSummary,
    TurnCosts,
    WordsPerText,
)
from cr_jax.documents.reported_step import ReportedStep
from cr_jax.hlo.module import HloModule
from cr_jax.records import MODES, CompiledStep, Parameter, TrainingLabels, TurnLabels, plain

DEFINITIONS = {
    "turn": "one question-answer pair; turn 0 is the user's request q0",
    "flop": "one floating-point operation; a multiply-add is 2; transcendentals and integer operations stand apart",
    "byte": "one byte moved between main memory and the chip at a fusion boundary",
    "model": "the program as traced, before the compiler; loops multiplied by their trip counts",
    "compiled": "the program the compiler made for the target; loops multiplied by their trip counts",
    "step": "train: one optimizer step of one objective; infer: one answered turn for every user of the batch",
    "replay": "the conversation so far is computed again at every turn",
    "incremental": "the state is carried from turn to turn and only what is new is computed",
}
#: The definitions that the report of a user's function needs.
OF_FUNCTIONS = ("flop", "byte", "model", "compiled")


@dataclass(frozen=True)
class CountedStep:
    """A compiled step with its counts: of the traced program, and of the compiled one if there is one.

    timeline: of the memory in use; ``None`` where there is no compiled program, or no order in its text.
    kept_bytes: of the arguments that the compiled program takes (``cr_jax.report.arguments``).
    program: the operations that the compiled program executes. module: the parsed compiled program; ``None`` unless it
    will be replayed, for it is many times as large as its operations.
    """

    step: CompiledStep
    model: HloCount
    compiled: HloCount | None
    timeline: Timeline | None = None
    kept_bytes: int | None = None
    program: Program | None = None
    module: HloModule | None = None

    @property
    def best(self) -> HloCount:
        """The compiled count, else the traced program's."""
        return self.compiled or self.model


def digest(value: Any) -> str:
    """SHA-256 of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def largest(values: Iterable[int | None]) -> int | None:
    """The largest value; ``None`` where one is unknown, and where there is none."""
    known = list(values)
    return None if None in known else max((value for value in known if value is not None), default=None)


def all_compiled(outcomes: Collection[str]) -> bool:
    """Whether a report may claim to be compiled: a program was compiled, and none failed."""
    return "compiled" in outcomes and set(outcomes) <= {"compiled", "left out"}


def turn_rows(steps: Sequence[CountedStep]) -> tuple[TurnCosts, ...]:
    """Per turn t and mode: cost per user, padding, with and without the item side, saving over replay."""
    precompute = next((s for s in steps if s.step.phase == "precompute"), None)
    replay: dict[int, CountedStep] = {}
    rows = []
    for mode in MODES:
        for counted in steps:
            labels = counted.step.labels
            if not isinstance(labels, TurnLabels) or labels.mode != mode:
                continue
            users, count = labels.users, counted.best
            devices = counted.step.devices  # whose counts these are
            flops = count.total.flops * devices / users
            items = precompute.best.total.flops * precompute.step.devices / users if precompute else 0.0
            for t in labels.turns:
                positions = labels.positions[t]
                if mode == "replay":
                    replay[t] = counted
                rows.append(
                    TurnCosts(
                        t=t,
                        mode=mode,
                        step=counted.step.name,
                        flops_per_turn=flops,
                        matmul_flops_per_turn=count.matmul_flops * devices / users,
                        hbm_bytes_per_turn=count.hbm_bytes * devices / users,
                        flops_per_turn_with_item_side=flops + items,
                        useful_positions=positions.useful,
                        executed_positions=positions.executed,
                        padding_share=max(0.0, 1 - positions.useful / positions.executed),
                        saving_over_replay=_saving(replay[t], counted) if t in replay else None,
                        program="compiled" if counted.compiled else "traced",
                        tag="counted",
                    )
                )
    return tuple(rows)


def _saving(replay: CountedStep, incremental: CountedStep) -> float | None:
    """FLOPs of replay over those of the incremental turn, of the same kind of program."""
    both = replay.compiled is not None and incremental.compiled is not None
    again, new = (s.best.total.flops if both else s.model.total.flops for s in (replay, incremental))
    return again / new if new else None


def conversation_costs(turns: Sequence[TurnCosts], histogram: Sequence[int]) -> ConversationCosts:
    """Cost of an average conversation: every turn weighted by the share of conversations that reach it."""
    total = sum(histogram)
    reach = [1.0] + [sum(histogram[t - 1 :]) / total for t in range(1, len(histogram) + 1)]
    replay, incremental = (
        sum(row.flops_per_turn * (reach[row.t] if row.t < len(reach) else 0.0) for row in turns if row.mode == mode)
        for mode in MODES
    )
    return ConversationCosts(
        replay_flops_per_conversation=replay,
        incremental_flops_per_conversation=incremental,
        turns_covered=max((row.t for row in turns), default=0),
        tag="counted",
    )


def parameter_account(
    parameters: Sequence[Parameter], paper: PaperParameters | None, steps: Sequence[CountedStep]
) -> ParameterAccount:
    """The parameter account. paper: as ``cr_jax.paper.table_ii.beside_table_ii`` gives it."""
    trained = [p for p in parameters if p.trainable]
    frozen = [p for p in parameters if not p.trainable]
    states = (
        OptimizerState(
            objective=labels.objective,
            trained_parameters=labels.trained_parameters,
            numbers=labels.optimizer_state_numbers,
            bytes=labels.optimizer_state_bytes,
        )
        for labels in (s.step.labels for s in steps)
        if isinstance(labels, TrainingLabels)
    )
    return ParameterAccount(
        trainable=sum(p.size for p in trained),
        frozen=sum(p.size for p in frozen),
        total=sum(p.size for p in parameters),
        trainable_bytes=sum(p.bytes for p in trained),
        frozen_bytes=sum(p.bytes for p in frozen),
        as_the_paper_counted=paper.counted if paper else None,
        paper=paper,
        optimizer_state=tuple(states),
        modules=tuple(_module_parameters(name, parameters) for name in sorted({p.module for p in parameters})),
        tensors=tuple(
            ParameterTensor(path=p.path, shape=p.shape, dtype=p.dtype, size=p.size, trainable=p.trainable) for p in parameters
        ),
        tag="counted",
    )


def _module_parameters(name: str, parameters: Sequence[Parameter]) -> ModuleParameters:
    own = [p for p in parameters if p.module == name]
    return ModuleParameters(
        module=name,
        trainable=sum(p.size for p in own if p.trainable),
        frozen=sum(p.size for p in own if not p.trainable),
        bytes=sum(p.bytes for p in own),
    )


def summary(
    counted: Sequence[CountedStep], steps: Sequence[ReportedStep], turns: Sequence[TurnCosts], parameters: ParameterAccount | None
) -> ReportSummary:
    """The figures a script asks for; ``None`` where there is no single one."""
    train = [step.per for step in steps if step.phase == "train"]
    peaks = [s.step.memory.peak_bytes for s in counted if s.step.outcome != "left out"]
    last = {row.mode: row for row in turns if row.t == max(other.t for other in turns)}
    paper = parameters.paper if parameters else None
    single = train[0] if len(train) == 1 else None
    replay, incremental = last.get("replay"), last.get("incremental")
    return ReportSummary(
        trainable_parameters=parameters.trainable if parameters else None,
        frozen_parameters=parameters.frozen if parameters else None,
        # One number has no meaning without its sizes: it is given where it is the paper's own figure.
        paper_parameters=paper.printed if paper and paper.counted == paper.printed else None,
        train_flops_per_step=single.flops_per_step if single else None,
        train_flops_per_supervised_turn=single.flops_per_supervised_turn if single else None,
        train_hbm_bytes_per_step=single.hbm_bytes_per_step if single else None,
        infer_flops_per_turn=incremental.flops_per_turn if incremental else None,
        infer_replay_flops_per_turn=replay.flops_per_turn if replay else None,
        infer_hbm_bytes_per_turn=incremental.hbm_bytes_per_turn if incremental else None,
        peak_bytes=largest(peaks),
        complete=all(s.best.complete for s in counted),
        jaxpr_agrees=all(step.jaxpr.agrees for step in steps),
        tag="counted",
    )


def dataset_entry(dataset: Dataset, problems: Sequence[str] = ()) -> ReportedData:
    """Sizes with their sources. problems: the skipped parts of a file, a line each."""
    origins = {name: FigureOrigin(**plain(origin)) for name, origin in sorted(dataset.origins.items())}
    sizes = {k: getattr(dataset, k) for k in ("users", "items", "aspects", "values", "turns", "conversations", "words")}
    lengths = plain(dataset.lengths)
    histogram = tuple(dataset.turn_histogram)
    return ReportedData(
        name=dataset.name,
        title=dataset.title,
        sizes=sizes,
        lengths={name: WordsPerText(**one) for name, one in lengths.items()},
        turn_histogram=histogram,
        origins=origins,
        sha256=digest({"sizes": sizes, "lengths": lengths, "turn_histogram": histogram}),
        problems=tuple(problems),
    )


def function_entry(title: str, call: str | None) -> ReportedModel:
    """A user's function in the place of the model. call: ``module:name`` where it was found."""
    return ReportedModel(
        name=call or title,
        title=title,
        paper=None,
        code=None,
        deviations=(),
        carried=None,
        limits="",
        config={},
        config_sha256=digest({}),
    )


def model_entry(spec: Any, config: dict[str, Any]) -> ReportedModel:
    """The model with the counted configuration. spec: a ``cr_jax.models.spec.Spec``."""
    return ReportedModel(
        name=spec.name,
        title=spec.title,
        paper=spec.paper,
        code=spec.code,
        deviations=tuple(spec.deviations),
        carried=spec.conversation.carried,
        limits=spec.conversation.limits,
        config=config,
        config_sha256=digest(config),
    )
