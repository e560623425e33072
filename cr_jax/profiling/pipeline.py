"""The stages from a request to cost reports: configure, trace, compile, count, predict, report."""

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from cr_jax.catalog import load
from cr_jax.catalog.dataset import Dataset
from cr_jax.catalog.topologies import Mesh
from cr_jax.cost.assumptions import Assumptions
from cr_jax.cost.booking import Booking
from cr_jax.cost.counting.count import count_hlo, count_walk
from cr_jax.cost.counting.hlo_count import each_of
from cr_jax.cost.memory.timeline import timeline
from cr_jax.cost.operations.operation_list import list_operations
from cr_jax.cost.operations.owners import OwnerTable
from cr_jax.cost.walk import Walk, collector_paused
from cr_jax.data.find_dataset import find_dataset
from cr_jax.documents.cost_report import CostReport
from cr_jax.errors import CrJaxError, NotCompiled
from cr_jax.hlo.parse import parse
from cr_jax.models import spec as specs
from cr_jax.profiling.cost_report import cost_report
from cr_jax.profiling.function_request import FunctionRequest
from cr_jax.profiling.request import SILENT, Listener, Request
from cr_jax.profiling.stages import Compiled, Configured, Counted, Failed, FunctionSubject, ModelSubject, Predicted, Traced
from cr_jax.records import CompiledStep, Target, Workload
from cr_jax.report.arguments import kept_bytes
from cr_jax.report.build import CountedStep
from cr_jax.report.document import validate
from cr_jax.report.prediction import Options, step_prediction
from cr_jax.steps import train, turn
from cr_jax.steps.check import check_steps
from cr_jax.steps.function import function_step
from cr_jax.steps.sharding import over_mesh
from cr_jax.steps.step import Step, abstract_model
from cr_jax.targets.programs import programs
from cr_jax.targets.resolve import resolve

_T = TypeVar("_T")
_R = TypeVar("_R")
#: The highest last turn: every turn has a program or two of its own.
TURNS = 1000


def profile(request: Request | FunctionRequest, options: Options = Options(), listener: Listener = SILENT) -> CostReport:
    """The cost report of ``request`` for its only device.

    Raises ``CrJaxError`` for anything a caller can mend.
    """
    (result,) = profile_devices(request, options, listener)
    if isinstance(result, Failed):
        raise result.reason
    return result


def profile_devices(
    request: Request | FunctionRequest, options: Options = Options(), listener: Listener = SILENT
) -> list[CostReport | Failed]:
    """A cost report per device of ``request``: traced once, compiled side by side.

    A device that cannot be profiled is ``Failed``; an error of every device is raised.
    """

    def report(compiled: Compiled) -> CostReport:
        if request.require_compiled:
            _refuse_uncompiled(compiled)
        document = cost_report(predict(count(compiled, options.refine is not None), options))
        validate(document, "the report (a bug in cr_jax: please report it)")
        return document

    if isinstance(request, FunctionRequest):
        traced = trace_function(request)
        targets = find_targets(request.devices, traced.mesh)
    else:
        configured, targets = prepare(request)
        traced = trace(configured)
    return for_each(compile_for(traced, targets, listener), report)


def prepare(request: Request) -> tuple[Configured, list[Target | Failed]]:
    """The request looked up, and the target of each of its devices."""
    data, problems = read_dataset(request.dataset)
    targets = find_targets(request.devices, request.mesh)
    return configure(request, data, problems), targets


def find_targets(devices: Sequence[str], mesh: Mesh = ()) -> list[Target | Failed]:
    """The target of each device, or of a mesh of each."""
    return [attempt(device, partial(resolve, mesh=mesh), device) for device in devices]


def configure(request: Request, data: Dataset, problems: Sequence[str] = ()) -> Configured:
    """Model, workload and configuration of a request on ``data``. Raises ``UnknownName`` and ``BadConfig``."""
    spec = specs.find(request.model)
    same = {field.name for field in dataclasses.fields(Workload)} & {field.name for field in dataclasses.fields(Request)}
    chosen = {name: getattr(request, name) for name in same}
    turns = data.last_turn if request.turns is None else request.turns
    work = Workload(**chosen | {"turns": turns, "lengths": data.lengths, "turn_histogram": data.turn_histogram})
    specs.positive(turns=work.turns, users=work.users, top_k=work.top_k, question_items=work.question_items)
    specs.at_most(TURNS, turns=work.turns)
    if work.batch is not None:
        specs.positive(batch=work.batch)
    config = specs.override(spec, spec.configure(data, work), request.settings)
    return Configured(request, spec, data, tuple(problems), work, config)


def read_dataset(dataset: str | Path | Dataset) -> tuple[Dataset, tuple[str, ...]]:
    """A data set by profile name, or from a file of conversations, with the skipped lines of the file."""
    if isinstance(dataset, Dataset):
        return dataset, ()
    profile, problems = find_dataset(str(dataset))
    return profile, tuple(problems.lines())


def trace(configured: Configured) -> Traced:
    """The model as shapes and the steps of the phases asked for. Raises ``BadConfig`` for turns that cannot be answered."""
    request, work = configured.request, configured.work
    model = abstract_model(configured.spec, configured.config, work.dtype)
    turn.check_turns(model, work, getattr(configured.config, "items", configured.data.items))  # --set may change it
    steps: list[Step] = []
    if "train" in request.phases:
        train.check_trainable(model)
        steps += train.training_steps(model, work)
    if "precompute" in request.phases or "infer" in request.phases:
        items = turn.precompute_step(model, work)
        steps += [items] if items is not None and request.turns_compiled != "last" else []
    if "infer" in request.phases:
        steps += turn.of_kind(turn.turn_steps(model, work), request.turns_compiled)
    steps = over_mesh(model, steps, request.mesh)
    wanted = turn.ends(steps) if request.turns_compiled == "ends" else frozenset(s.name for s in steps)
    return Traced(ModelSubject(configured, model), tuple(steps), wanted)


def trace_function(request: FunctionRequest) -> Traced:
    """A user's function as its only step. Raises ``BadConfig`` where it cannot be traced."""
    traced = function_step(request.function, request.precision, request.mesh)
    return Traced(FunctionSubject(request, traced), (traced.step,), frozenset({traced.step.name}))


def trace_validation(configured: Configured) -> Traced:
    """The steps that validate training objectives by their own forward pass."""
    model = abstract_model(configured.spec, configured.config, configured.work.dtype)
    steps = over_mesh(model, check_steps(model, configured.work), configured.request.mesh)
    return Traced(ModelSubject(configured, model), tuple(steps), frozenset(step.name for step in steps))


def compile_for(traced: Traced, targets: Sequence[Target | Failed], listener: Listener = SILENT) -> list[Compiled | Failed]:
    """The steps compiled for each target, side by side; a failed target is passed through."""
    subject = traced.subject
    legal = {number: target for number, target in enumerate(targets) if not isinstance(target, Failed)}
    given = (traced.steps, subject.precision, traced.wanted, list(legal.values()))
    made = programs(subject.source, *given, listener.progress, listener.warn)
    compiled = {number: Compiled(traced, target, steps) for (number, target), steps in zip(legal.items(), made, strict=True)}
    return [target if isinstance(target, Failed) else compiled[number] for number, target in enumerate(targets)]


def count(compiled: Compiled, keep_modules: bool = False) -> Counted:
    """Count every step. keep_modules: keep the parsed programs for replay, which cuts them into pieces."""
    given = compiled.traced.subject.assumptions
    return Counted(compiled, tuple(count_step(step, keep_modules, given) for step in compiled.steps))


def count_step(step: CompiledStep, keep_module: bool = False, assumptions: Assumptions = Assumptions()) -> CountedStep:
    """Count the traced and the compiled program of a step; the compiled one is parsed and walked once.

    Raises ``Contradiction`` where the compiled program is not the traced step's, and ``UnknownName`` for an assumption that
    neither of the two programs needs.
    """
    assumptions = dataclasses.replace(assumptions, traced=step.kernels)
    model = count_hlo(step.model_hlo, step.modules, assumptions)
    if step.compiled_hlo is None:
        model.openings.refuse_unused(assumptions)
        return CountedStep(step, model, None)
    with collector_paused():
        module = parse(step.compiled_hlo)
        traced = model if step.devices == 1 else each_of(model, step.devices)
        walk = Walk(module, assumptions, products=traced.products)
        counted = count_walk(walk, step.modules, traced, step.target.mesh)
        (model.openings | counted.openings).refuse_unused(assumptions)
        return CountedStep(
            step,
            model,
            counted,
            timeline(module, step.modules),
            kept_bytes(step, module),
            list_operations(walk, OwnerTable(Booking(walk, step.modules), counted)),
            module if keep_module else None,
        )


def predict(counted: Counted, options: Options = Options()) -> Predicted:
    """Every step's predicted time, energy and price."""
    accelerator = load.accelerator_or_none(counted.compiled.target.name)
    dtype = counted.compiled.traced.subject.dtype or "float32"
    entries = (step_prediction(s.step, accelerator, dtype, options, s.program, s.module) for s in counted.steps)
    return Predicted(counted, tuple(entries))


def attempt(device: str, stage: Callable[[_T], _R], value: _T) -> _R | Failed:
    """The result of ``stage``, or an error that a caller can mend, with its device."""
    try:
        return stage(value)
    except CrJaxError as error:
        return Failed(device, error)


def for_each(compiled: Sequence[Compiled | Failed], stage: Callable[[Compiled], _R]) -> list[_R | Failed]:
    """``stage`` for every device that has not failed before."""
    return [one if isinstance(one, Failed) else attempt(one.target.name, stage, one) for one in compiled]


def _refuse_uncompiled(compiled: Compiled) -> None:
    for step in compiled.steps:
        if step.outcome not in ("compiled", "left out"):
            raise NotCompiled(f"{step.name} is not compiled for {compiled.target.name}: {step.reason}")
