"""From names to a report, one line per stage."""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cr_jax import __version__
from cr_jax.catalog import load
from cr_jax.catalog.accelerator import Accelerator
from cr_jax.catalog.dataset import Dataset
from cr_jax.catalog.precision import matmul_precision
from cr_jax.cost.counting.count import count_hlo, count_walk
from cr_jax.cost.memory.timeline import timeline
from cr_jax.cost.operations.operation_list import list_operations
from cr_jax.cost.walk import Walk, collector_paused
from cr_jax.data.find_dataset import find_dataset
from cr_jax.errors import CrJaxError, NotCompiled, UnknownName
from cr_jax.hlo.parse import parse
from cr_jax.paper.table_ii import beside_table_ii
from cr_jax.predict.money.pricing import Rates
from cr_jax.records import MODES, PHASES, PRECISIONS, ArrayShape, CompiledStep, Workload, plain
from cr_jax.report import build
from cr_jax.report.arguments import kept_bytes
from cr_jax.report.build import CountedStep
from cr_jax.report.document import validate
from cr_jax.report.prediction import Refine, prediction_entry

PRESETS = ("published", "matched", "paper")
DTYPES = ("float32", "bfloat16")
TURNS_COMPILED = ("all", "ends", "last", "replay")
#: The last turn at most: every turn is a program or two of its own.
TURNS = 1000

#: Told the name of each step as it is about to be compiled; one line at a time.
Progress = Callable[[str], None]


def profile(
    model: str,
    dataset: str | Path = "cell-phones",
    *,
    device: str = "cpu",
    preset: str = "published",
    phases: Sequence[str] = PHASES,
    batch: int | None = None,
    users: int = 1,
    turns: int | None = None,
    items_scored: int | None = None,
    question_items: int = 10,
    top_k: int = 10,
    precision: str = "default",
    dtype: str = "float32",
    settings: Mapping[str, str] | None = None,
    command: Sequence[str] | None = None,
    progress: Progress | None = None,
    warn: Progress | None = None,
    require_compiled: bool = False,
    turns_compiled: str = "all",
    refine: Refine | None = None,
    rates: Rates = Rates(),
) -> dict[str, Any]:
    """Count what training and serving ``model`` on ``dataset`` costs; returns the cost report.

    model: a name of ``crjax list models`` or ``package.module:SPEC``. dataset: a profile's name or a
    file of conversations. batch: examples per training step (default: each objective's published
    one). users: conversations answered at once. turns: the last turn T (default: 95% of the
    conversations are not longer). settings: configuration values to change. warn: told what went
    wrong without spoiling the report. require_compiled: refuse a step that was not compiled for the
    device (``NotCompiled``). turns_compiled: ``all``, or ``ends`` to compile inference at the first
    and the last turn only; the turns between are then counted as traced, and say so. ``last`` has no
    programs but the incremental one of the last turn, ``replay`` none but those that replay. refine: times the
    program's own operations to predict better, where the device is attached and calibrated. rates: the
    user's prices, host, building and grid. Raises ``CrJaxError`` for anything a caller can mend.
    """
    found = profile_devices(
        model,
        dataset,
        [device],
        preset=preset,
        phases=phases,
        batch=batch,
        users=users,
        turns=turns,
        items_scored=items_scored,
        question_items=question_items,
        top_k=top_k,
        precision=precision,
        dtype=dtype,
        settings=settings,
        command=command,
        progress=progress,
        warn=warn,
        require_compiled=require_compiled,
        turns_compiled=turns_compiled,
        refine=refine,
        rates=rates,
    )[0]
    if isinstance(found, CrJaxError):
        raise found
    return found


def profile_devices(
    model: str,
    dataset: str | Path | Dataset,
    devices: Sequence[str],
    *,
    preset: str = "published",
    phases: Sequence[str] = PHASES,
    batch: int | None = None,
    users: int = 1,
    turns: int | None = None,
    items_scored: int | None = None,
    question_items: int = 10,
    top_k: int = 10,
    precision: str = "default",
    dtype: str = "float32",
    settings: Mapping[str, str] | None = None,
    command: Sequence[str] | None = None,
    progress: Progress | None = None,
    warn: Progress | None = None,
    require_compiled: bool = False,
    turns_compiled: str = "all",
    refine: Refine | None = None,
    rates: Rates = Rates(),
    batches: Mapping[str, tuple[ArrayShape, ...]] | None = None,
) -> list[dict[str, Any] | CrJaxError]:
    """:func:`profile` for several devices: traced once, compiled side by side. A device that cannot
    be profiled has its error in the list; what is wrong for every device is raised. batches: padded
    training batches by objective, instead of those of 95% quantiles."""
    # JAX is imported here, not above, so that reports can be read and checked without it.
    from cr_jax.steps.step import abstract_model
    from cr_jax.targets.compile import versions
    from cr_jax.targets.resolve import resolve

    _one_of("preset", preset, PRESETS)
    _one_of("precision", precision, PRECISIONS)
    _one_of("dtype", dtype, DTYPES)
    _one_of("turns_compiled", turns_compiled, TURNS_COMPILED)
    for phase in phases:
        _one_of("phase", phase, PHASES)
    data, problems = (dataset, []) if isinstance(dataset, Dataset) else read(dataset)
    targets = [or_error(resolve, device) for device in devices]
    spec, work, config = configured(
        model,
        data,
        settings,
        turns,
        users=users,
        batch=batch,
        items_scored=items_scored,
        question_items=question_items,
        top_k=top_k,
        precision=precision,
        dtype=dtype,
        preset=preset,
        batches=batches or {},
    )
    abstract = abstract_model(spec, config, dtype)
    legal = [t for t in targets if not isinstance(t, CrJaxError)]
    made = iter(compile_steps(abstract, work, data, phases, legal, progress, warn, model, turns_compiled))
    parameters = abstract.parameters()

    def report(target: dict[str, Any]) -> dict[str, Any]:
        steps = next(made)
        if require_compiled:
            _compiled(target, steps)
        counted = [count(step, replayed=refine is not None) for step in steps]
        document = report_document(
            spec, config, data, problems, work, target, phases, parameters, counted, versions(), command, settings, refine, rates
        )
        validate(document, "the report (a bug in cr_jax: please report it)")
        return document

    return [t if isinstance(t, CrJaxError) else or_error(report, t) for t in targets]


def configured(
    model: str, data: Dataset, settings: Mapping[str, str] | None = None, turns: int | None = None, **rest: Any
) -> tuple[Any, Workload, Any]:
    """A model's SPEC, the workload on a data set and the configuration for it. turns, settings: as for
    :func:`profile`; rest: of :class:`Workload`. Raises ``UnknownName`` and ``BadConfig``."""
    from cr_jax.models import spec as specs

    spec = specs.find(model)
    work = Workload(
        turns=data.last_turn if turns is None else turns, lengths=data.lengths, turn_histogram=data.turn_histogram, **rest
    )
    specs.positive(turns=work.turns, users=work.users, top_k=work.top_k, question_items=work.question_items)
    specs.at_most(TURNS, turns=work.turns)
    if work.batch is not None:
        specs.positive(batch=work.batch)
    return spec, work, specs.override(spec, spec.configure(data, work), settings or {})


def read(dataset: str | Path) -> tuple[Dataset, list[str]]:
    """A data set by profile name, or from a file of conversations; with what was skipped in it."""
    found, problems = find_dataset(str(dataset))
    return found, problems.lines()


def compile_steps(
    model: Any,
    work: Workload,
    data: Dataset,
    phases: Sequence[str],
    targets: Sequence[dict[str, Any]],
    progress: Progress | None = None,
    warn: Progress | None = None,
    name: str | None = None,
    turns_compiled: str = "all",
) -> list[list[CompiledStep]]:
    """Per target, every step of the wanted phases, traced and (where there is a compiler) compiled.

    name: the model as a worker process can find it (default: the name of its spec).
    """
    from cr_jax.steps import train, turn

    turn.check_turns(model, work, getattr(model.config, "items", data.items))  # --set may change it
    steps = []
    if "train" in phases:
        steps += train.training_steps(model, work)
    if "precompute" in phases or "infer" in phases:
        items = turn.precompute_step(model, work)
        steps += [items] if items is not None and turns_compiled != "last" else []
    if "infer" in phases:
        steps += turn.of_kind(turn.turn_steps(model, work), turns_compiled)
    wanted = turn.ends(steps) if turns_compiled == "ends" else frozenset(s.name for s in steps)
    return compiled_for(model, work, steps, wanted, targets, progress, warn, name)


def compiled_for(
    model: Any,
    work: Workload,
    steps: Sequence[Any],
    wanted: frozenset[str],
    targets: Sequence[dict[str, Any]],
    progress: Progress | None = None,
    warn: Progress | None = None,
    name: str | None = None,
) -> list[list[CompiledStep]]:
    """Per target, the steps traced, and those that are ``wanted`` compiled."""
    from cr_jax.targets.ahead import Job, compile_jobs
    from cr_jax.targets.cache import Cache, kept_or_made
    from cr_jax.targets.compile import lower_step

    if not targets:
        return []
    cache = Cache()
    here = next((t for t in targets if t["platform"] == "cpu"), None)

    def make(step: Any) -> CompiledStep:
        lowered = lower_step(step, here or targets[0], work.precision)
        if here is None or step.name not in wanted:
            return lowered.step
        if progress:
            progress(step.name)
        return kept_or_made(lowered.step, here, cache, lowered.compile, warn)

    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        made = list(pool.map(make, steps))
    jobs = [Job(name or model.spec.name, model.config, work, t, tuple(made), wanted) for t in targets if t["platform"] != "cpu"]
    ahead = iter(compile_jobs(jobs, cache=cache, progress=progress, warn=warn))
    return [made if t["platform"] == "cpu" else list(next(ahead)) for t in targets]


def count(step: CompiledStep, replayed: bool = False) -> CountedStep:
    """Count the traced and the compiled program of a step; the compiled one is parsed and walked once.

    replayed: keep the parsed program, which replay cuts into pieces.
    Raises ``Contradiction`` where the compiled program is not the traced step's.
    """
    model = count_hlo(step.model_hlo, step.modules)
    if step.compiled_hlo is None:
        return CountedStep(step, model, None)
    with collector_paused():
        module = parse(step.compiled_hlo)
        walk = Walk(module, products=model.products)
        return CountedStep(
            step,
            model,
            count_walk(walk, step.modules, model),
            timeline(module, step.modules),
            kept_bytes(step, module),
            list_operations(walk),
            module if replayed else None,
        )


def report_document(
    spec: Any,
    config: Any,
    data: Dataset,
    problems: list[str],
    work: Workload,
    target: Mapping[str, Any],
    phases: Sequence[str],
    parameters: Any,
    counted: Sequence[CountedStep],
    versions: Mapping[str, str | None],
    command: Sequence[str] | None,
    settings: Mapping[str, str] | None = None,
    refine: Refine | None = None,
    rates: Rates = Rates(),
) -> dict[str, Any]:
    """The cost report of counted steps."""
    epochs = {o.name: o.examples_per_epoch(config, data) for o in spec.objectives(config)}
    trainable = sum(p.size for p in parameters if p.trainable)
    paper = beside_table_ii(spec.name, data, config, spec.paper_count(config, trainable))
    account = build.parameter_entry(parameters, paper, counted)
    turns = build.turn_rows(counted)
    outcomes = {s.step.outcome for s in counted}
    return {
        "schema": build.SCHEMA_ID,
        "kind": "cost-report",
        "schema_version": build.SCHEMA_VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "tool": {"name": "cr-jax", "version": __version__},
        "versions": dict(versions),
        "command": [redact(part) for part in command] if command is not None else None,
        "model": build.model_entry(spec, plain(config)),
        "dataset": build.dataset_entry(data) | {"problems": problems},
        "target": dict(target)
        | {
            "compiled_for": target["name"] if build.all_compiled(outcomes) else None,
            "precision": work.precision,
            "effective_precision": _effective(target["name"], work),
            "flags": {n: redact(os.environ[n]) for n in ("XLA_FLAGS", "LIBTPU_INIT_ARGS") if os.environ.get(n)},
        },
        "workload": {k: v for k, v in plain(work).items() if k not in ("lengths", "turn_histogram", "batches")}
        | {
            "phases": list(phases),
            "padding": "95% quantile of each text length, rounded up to a bucket",
            "settings": dict(settings or {}),
        },
        "definitions": build.DEFINITIONS,
        "parameters": account,
        "summary": build.summary(counted, turns, account),
        "steps": [
            build.step_entry(s, epochs.get(s.step.labels.get("objective", "")))
            | {
                "prediction": prediction_entry(
                    s.step, accelerator_of(target["name"]), work.dtype, refine, rates, s.program, s.module
                )
            }
            for s in counted
        ],
        "turns": turns,
        "conversation": build.conversation_rows(turns, data.turn_histogram)
        if {row["mode"] for row in turns} == set(MODES)
        else None,
    }


def accelerator_of(device: str) -> Accelerator | None:
    return load.accelerator(device) if device in load.accelerator_names() else None


def _effective(device: str, work: Workload) -> str | None:
    """What a matrix product is computed in on a device; ``None`` for one without a profile."""
    accelerator = accelerator_of(device)
    return matmul_precision(accelerator, work.precision, work.dtype) if accelerator else None


def _compiled(target: Mapping[str, Any], steps: Sequence[CompiledStep]) -> None:
    """Refuse steps that should have been compiled and were not."""
    for step in steps:
        if step.outcome not in ("compiled", "left out"):
            raise NotCompiled(f"{step.name} is not compiled for {target['name']}: {step.reason}")


def or_error(call: Callable[[Any], Any], argument: Any) -> Any:
    try:
        return call(argument)
    except CrJaxError as error:
        return error


def redact(text: str) -> str:
    """Home folders in an argument become ``~``."""
    home = os.path.expanduser("~")
    return text.replace(home, "~") if len(home) > 1 else text


def without_times(report: Mapping[str, Any]) -> dict[str, Any]:
    """The report less what differs between equal runs: the time stamp and durations."""
    steps = [{k: v for k, v in s.items() if k != "durations_s"} for s in report["steps"]]
    return {k: v for k, v in report.items() if k != "created"} | {"steps": steps}


def _one_of(name: str, value: str, legal: Sequence[str]) -> None:
    if value not in legal:
        raise UnknownName(name, value, legal)
