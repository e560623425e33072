"""From names to a report, one line per stage."""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cr_jax import __version__
from cr_jax.catalog.dataset import Dataset
from cr_jax.cost.walk import count_hlo
from cr_jax.data.detect import find_dataset
from cr_jax.errors import UnknownName
from cr_jax.records import PHASES, PRECISIONS, CompiledStep, Workload, plain
from cr_jax.report import build
from cr_jax.report.build import CountedStep
from cr_jax.report.document import validate

PRESETS = ("published", "matched", "paper")
DTYPES = ("float32", "bfloat16")

#: Told the name of each step as it is about to be compiled.
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
) -> dict[str, Any]:
    """Count what training and serving ``model`` on ``dataset`` costs; returns the cost report.

    model: a name of ``crjax list models`` or ``package.module:SPEC``. dataset: a profile's name or a
    file of conversations. batch: examples per training step (default: each objective's published
    one). users: conversations answered at once. turns: the last turn T (default: 95% of the
    conversations are not longer). settings: configuration values to change. Raises ``CrJaxError``
    for anything a caller can mend.
    """
    # JAX is imported here, not above, so that reports can be read and checked without it.
    from cr_jax.models import spec as specs
    from cr_jax.steps.step import abstract_model
    from cr_jax.targets.compile import versions
    from cr_jax.targets.resolve import resolve

    _one_of("preset", preset, PRESETS)
    _one_of("precision", precision, PRECISIONS)
    _one_of("dtype", dtype, DTYPES)
    for phase in phases:
        _one_of("phase", phase, PHASES)
    spec = specs.find(model)
    data, problems = read(dataset)
    target = resolve(device)
    work = Workload(
        turns=data.last_turn if turns is None else turns,
        lengths=data.lengths,
        turn_histogram=data.turn_histogram,
        users=users,
        batch=batch,
        items_scored=items_scored,
        question_items=question_items,
        top_k=top_k,
        precision=precision,
        dtype=dtype,
        preset=preset,
    )
    specs.positive(turns=work.turns, users=users, top_k=top_k, question_items=question_items)
    if batch is not None:
        specs.positive(batch=batch)
    config = specs.override(spec, spec.configure(data, work), settings or {})
    abstract = abstract_model(spec, config, dtype)
    steps = compile_steps(abstract, work, data, phases, target, progress)
    parameters = abstract.parameters()
    counted = [count(step) for step in steps]
    report = report_document(spec, config, data, problems, work, target, phases, parameters, counted, versions(), command)
    validate(report, "the report (a bug in cr_jax: please report it)")
    return report


def read(dataset: str | Path) -> tuple[Dataset, list[str]]:
    """A data set by profile name, or from a file of conversations; with what was skipped in it."""
    found, problems = find_dataset(str(dataset))
    return found, problems.lines()


def compile_steps(
    model: Any, work: Workload, data: Dataset, phases: Sequence[str], target: Any, progress: Progress | None
) -> list[CompiledStep]:
    """Every step of the wanted phases, traced and (where the target has a compiler) compiled."""
    from cr_jax.steps import train, turn
    from cr_jax.targets.compile import compile_step

    turn.check_turns(model, work, data.items)
    steps = []
    if "train" in phases:
        steps += train.training_steps(model, work)
    if "precompute" in phases or "infer" in phases:
        items = turn.precompute_step(model, work)
        steps += [items] if items is not None else []
    if "infer" in phases:
        steps += turn.turn_steps(model, work)

    def make(step: Any) -> CompiledStep:
        if progress:
            progress(step.name)
        return compile_step(step, target, work.precision, compiled=target["attached"])

    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        return list(pool.map(make, steps))


def count(step: CompiledStep) -> CountedStep:
    """Count the traced and the compiled program of a step."""
    compiled = count_hlo(step.compiled_hlo, step.modules) if step.compiled_hlo is not None else None
    return CountedStep(step, count_hlo(step.model_hlo, step.modules), compiled)


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
) -> dict[str, Any]:
    """The cost report of counted steps."""
    epochs = {o.name: o.examples_per_epoch(config, data) for o in spec.objectives(config)}
    trainable = sum(p.size for p in parameters if p.trainable)
    account = build.parameter_entry(parameters, spec.paper_count(config, trainable), counted)
    turns = build.turn_rows(counted)
    compiled_for = {s.step.target["compiled_for"] for s in counted}
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
        "target": {k: v for k, v in target.items() if k != "device"} | {
            "compiled_for": compiled_for.pop() if len(compiled_for) == 1 else None,
            "precision": work.precision,
        },
        "workload": {k: v for k, v in plain(work).items() if k not in ("lengths", "turn_histogram")} | {
            "phases": list(phases), "padding": "95% quantile of each text length, rounded up to a bucket"},
        "definitions": build.DEFINITIONS,
        "parameters": account,
        "summary": build.summary(counted, turns, account),
        "steps": [build.step_entry(s, epochs.get(s.step.labels.get("objective", ""))) for s in counted],
        "turns": turns,
        "conversation": build.conversation_rows(turns, data.turn_histogram) if turns else None,
    }  # fmt: skip


def redact(text: str) -> str:
    """Home folders in an argument become ``~``."""
    home = str(Path.home())
    return text.replace(home, "~") if len(home) > 1 else text


def without_times(report: Mapping[str, Any]) -> dict[str, Any]:
    """The report less what differs between equal runs: the time stamp and durations."""
    steps = [{k: v for k, v in s.items() if k != "durations_s"} for s in report["steps"]]
    return {k: v for k, v in report.items() if k != "created"} | {"steps": steps}


def _one_of(name: str, value: str, legal: Sequence[str]) -> None:
    if value not in legal:
        raise UnknownName(name, value, legal)


