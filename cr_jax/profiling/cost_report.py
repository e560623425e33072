"""The cost report of predicted steps."""

import os
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, cast

from msgspec import UNSET, structs

from cr_jax.catalog import load
from cr_jax.catalog.precision import matmul_precision
from cr_jax.distillation import Distillation
from cr_jax.documents.cost_report import (
    CostReport,
    EffectivePrecision,
    ReportedArgument,
    ReportedDistillation,
    ReportedFunction,
    ReportedTarget,
    ReportedWorkload,
)
from cr_jax.documents.fields import Tool
from cr_jax.documents.reported_step import ReportedStep
from cr_jax.paper.table_ii import beside_table_ii
from cr_jax.printable import redact, redacted
from cr_jax.profiling.stages import Compiled, Configured, FunctionSubject, ModelSubject, Predicted
from cr_jax.records import MODES, Workload, plain
from cr_jax.report import build
from cr_jax.report.step_figures import product_types, reported_step
from cr_jax.steps.distil import training_objectives
from cr_jax.targets.compile import versions
from cr_jax.version import __version__

#: Of the workload, what a report says elsewhere or not at all.
_APART = ("lengths", "turn_histogram", "batches", "distillation")


def cost_report(predicted: Predicted) -> CostReport:
    """The document, as ``schemas/cost-report.schema.json`` describes it; it is not validated here."""
    subject = predicted.counted.compiled.traced.subject
    return _of_function(predicted, subject) if isinstance(subject, FunctionSubject) else _of_model(predicted, subject)


def _of_model(predicted: Predicted, subject: ModelSubject) -> CostReport:
    counted = predicted.counted.steps
    configured = subject.configured
    request, spec, config, data = configured.request, configured.spec, configured.config, configured.data
    parameters = subject.model.parameters()
    objectives = training_objectives(subject.model, configured.work)
    epochs = {o.name: o.examples_per_epoch(config, data) for o in objectives}
    trainable = sum(p.size for p in parameters if p.trainable)
    paper = beside_table_ii(spec.name, data, config, spec.paper_count(config, trainable))
    account = build.parameter_account(parameters, paper, counted)
    steps = _steps(predicted, epochs)
    if getattr(config, "weights", "float32") != "float32":
        steps = tuple(
            structs.replace(step, product_types=product_types(one.program)) if one.program else step
            for step, one in zip(steps, counted, strict=True)
        )
    turns = build.turn_rows(counted)
    answered_both_ways = {row.mode for row in turns} == set(MODES)
    return CostReport(
        **_head(request.command),
        model=build.model_entry(spec, plain(config)),
        dataset=build.dataset_entry(data, configured.problems),
        target=_target(predicted.counted.compiled),
        workload=_workload(configured),
        definitions=build.DEFINITIONS,
        parameters=account,
        summary=build.summary(counted, steps, turns, account),
        steps=steps,
        turns=turns,
        conversation=build.conversation_costs(turns, data.turn_histogram) if answered_both_ways else None,
    )


def _of_function(predicted: Predicted, subject: FunctionSubject) -> CostReport:
    counted, request = predicted.counted.steps, subject.request
    parameters = subject.traced.parameters
    account = build.parameter_account(parameters, None, counted) if parameters else None
    steps = _steps(predicted, {})
    (step,) = (one.step for one in counted)
    return CostReport(
        **_head(request.command),
        model=build.function_entry(request.function.title, request.call),
        function=ReportedFunction(
            call=request.call,
            batch=getattr(step.labels, "batch", None),
            arguments=tuple(ReportedArgument(**plain(argument)) for argument in step.arguments),
            notes=subject.traced.notes or UNSET,
            tag="counted",
        ),
        dataset=None,
        target=_target(predicted.counted.compiled),
        workload=ReportedWorkload(
            turns=None,
            users=None,
            batch=getattr(step.labels, "batch", None),
            items_scored=None,
            question_items=None,
            top_k=None,
            precision=request.precision,
            dtype=None,
            preset=None,
            phases=(),
            padding=None,
        ),
        definitions={name: text for name, text in build.DEFINITIONS.items() if name in build.OF_FUNCTIONS},
        parameters=account,
        summary=build.summary(counted, steps, (), account),
        steps=steps,
        turns=(),
        conversation=None,
    )


def _head(command: tuple[str, ...] | None) -> dict[str, Any]:
    shown = redacted(command)
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "tool": Tool(name="cr-jax", version=__version__),
        "versions": versions(),
        "command": None if shown is None else tuple(shown),
    }


def _steps(predicted: Predicted, epochs: Mapping[str, int]) -> tuple[ReportedStep, ...]:
    return tuple(
        reported_step(step, epochs.get(step.step.objective), prediction)
        for step, prediction in zip(predicted.counted.steps, predicted.predictions, strict=True)
    )


def _workload(configured: Configured) -> ReportedWorkload:
    request, work = configured.request, configured.work
    return ReportedWorkload(
        **{field.name: getattr(work, field.name) for field in fields(Workload) if field.name not in _APART},
        phases=tuple(request.phases),
        padding="95% quantile of each text length, rounded up to a bucket",
        settings=dict(request.settings),
        distillation=UNSET if work.distillation is None else _compared(work.distillation),
    )


def _compared(how: Distillation) -> ReportedDistillation:
    return ReportedDistillation(**plain(how) | {"teachers": tuple(plain(list(how.teachers)))})


def _target(compiled: Compiled) -> ReportedTarget:
    target, subject = compiled.target, compiled.traced.subject
    accelerator = load.accelerator_or_none(target.name)
    computed_in = matmul_precision(accelerator, subject.precision, subject.dtype) if accelerator and subject.dtype else None
    return ReportedTarget(
        **plain(target) | {"mesh": dict(target.mesh) or UNSET, "devices": target.devices if target.mesh else UNSET},
        compiled_for=target.name if build.all_compiled({step.outcome for step in compiled.steps}) else None,
        precision=subject.precision,
        effective_precision=cast(EffectivePrecision | None, computed_in),
        flags={n: redact(os.environ[n]) for n in ("XLA_FLAGS", "LIBTPU_INIT_ARGS") if os.environ.get(n)},
    )
