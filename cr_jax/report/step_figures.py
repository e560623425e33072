"""One step of the cost report from its counts."""

from collections import Counter
from dataclasses import fields
from typing import Any

from msgspec import UNSET, UnsetType, convert

from cr_jax.cost.counting.hlo_count import HloCount
from cr_jax.cost.memory.memory_account import memory_account
from cr_jax.cost.operations.program import Program
from cr_jax.documents.counts import CountedConditional, DeclaredCall, OperationCosts, UncountedOperation
from cr_jax.documents.prediction import StepPrediction
from cr_jax.documents.reported_step import (
    CompilerHint,
    JaxprFigures,
    MatmulAccount,
    ModuleCosts,
    ProgramTotals,
    ReportedStep,
    StepCoverage,
    StepDurations,
    StepRatios,
    XlaFigures,
)
from cr_jax.documents.step_labels import StepLabels
from cr_jax.hlo.fingerprint import fingerprint
from cr_jax.records import CompiledStep, FunctionLabels, Labels, TrainingLabels, TurnLabels
from cr_jax.report.build import CountedStep
from cr_jax.report.hlo_count import counted_collectives, counted_loops


def product_types(program: Program) -> dict[str, int]:
    """FLOPs of the matrix products of a program by the HLO type of their operands."""
    by_type: Counter[str] = Counter()
    for operation in program.operations:
        flops, products = operation.times * operation.cost.matmul_flops, operation.products
        of_all = sum(product.flops for product in products)
        for product in products if flops else ():
            by_type[product.dtype] += flops * product.flops // of_all
    return dict(sorted(by_type.items()))


def reported_step(
    counted: CountedStep, examples_per_epoch: int | None, prediction: StepPrediction | UnsetType = UNSET
) -> ReportedStep:
    """One step's figures."""
    step, best = counted.step, counted.best
    return ReportedStep(
        name=step.name,
        phase=step.phase,  # pyright: ignore[reportArgumentType]  # steps of the phase check are of no cost report
        labels=_labels(step.labels),
        model=_totals(counted.model),
        compiled=_totals(counted.compiled) if counted.compiled else None,
        matmul_account=_matmul_account(counted),
        per=_per(step, best, examples_per_epoch),
        memory=memory_account(step, counted.timeline, counted.kept_bytes),
        modules=_modules(counted),
        passes=convert(best.by("pass"), dict[str, OperationCosts]),
        families=convert(best.by("family"), dict[str, OperationCosts]),
        loops=counted_loops(best),
        coverage=_coverage(best),
        jaxpr=JaxprFigures(
            matmul_flops=step.jaxpr.matmul_flops,
            unknown_loops=step.jaxpr.unknown_loops,
            agrees=step.jaxpr.matmul_flops == counted.model.matmul_flops,
            tag="counted",
        ),
        hint=CompilerHint(
            estimated_cycles=counted.compiled.estimated_cycles if counted.compiled else None,
            note="the TPU compiler's own estimate: good for large products, far too high for streaming and gathers",
            tag="compiler",
        ),
        xla=XlaFigures(
            flops=step.xla_flops,
            transcendentals=step.xla_transcendentals,
            bytes_accessed=step.xla_bytes,
            note="XLA's own figures, raw: a loop's body counts once, a custom call as unknown",
            tag="compiler",
        ),
        outcome=step.outcome,
        reason=step.reason,
        program_sha256=fingerprint(step.compiled_hlo or step.model_hlo),
        durations_s=StepDurations(**step.durations_s, tag="measured"),
        prediction=prediction,
        collectives=counted_collectives(best),
    )


def _labels(labels: Labels) -> StepLabels:
    """The labels without positions, which the report's turns have."""
    if isinstance(labels, FunctionLabels):
        return StepLabels() if labels.batch is None else StepLabels(batch=labels.batch)
    return StepLabels(**{field.name: getattr(labels, field.name) for field in fields(labels) if field.name != "positions"})


def _matmul_account(counted: CountedStep) -> MatmulAccount | None:
    """The matrix products of the traced program and of the compiled one."""
    if counted.compiled is None:
        return None
    traced, compiled = counted.model.matmul_flops, counted.compiled.matmul_flops
    replaced = counted.compiled.total.replaced_matmul_flops
    devices, shared = counted.step.devices, bool(counted.step.splits)
    rest = devices * (compiled + replaced) - traced
    return MatmulAccount(
        traced_flops=traced,
        compiled_flops=compiled,
        as_multiply_and_sum_flops=replaced,
        devices=devices if shared else UNSET,
        replicated_flops=max(0, rest) if shared else UNSET,
        padding_and_repeats_flops=0 if shared else max(0, rest),
        removed_flops=max(0, -rest),
        note="traced = devices x (compiled + as multiply and sum) - replicated + removed; the last two are net, and padding and "
        "repeats are within replicated"
        if shared
        else "traced = compiled + as multiply and sum - padding and repeats + removed; the last two are net",
        tag="counted",
    )


def _totals(count: HloCount) -> ProgramTotals:
    return ProgramTotals(
        **count.total.as_dict(),
        flops=count.total.flops,
        complete=count.complete,
        bound=count.bound,
        least=convert(count.least, OperationCosts, from_attributes=True),
        tag="counted",
    )


def _coverage(count: HloCount) -> StepCoverage:
    nobody = sum(cost.flops for key, cost in count.rows.items() if key[0] == "(none)")
    flops = count.total.flops
    return StepCoverage(
        complete=count.complete,
        bound=count.bound,
        uncounted=convert(count.uncounted, tuple[UncountedOperation, ...], from_attributes=True),
        conditionals=convert(count.conditionals, tuple[CountedConditional, ...], from_attributes=True),
        declared=convert(count.declared, tuple[DeclaredCall, ...], from_attributes=True),
        unknown_loops=tuple(loop.name for loop in count.loops if loop.trip_count is None),
        inferred_loops=sum(loop.source == "inferred" for loop in count.loops),
        unattributed_flops=nobody,
        unattributed_share=nobody / flops if flops else 0.0,
        merged_products_flops=count.merged.flops,
        merged_products_left_flops=count.merged.left_flops,
        tag="counted",
    )


def _modules(counted: CountedStep) -> tuple[ModuleCosts, ...]:
    best = counted.best
    traced = counted.model.by("module", "pass")
    rows = []
    for key, cost in best.by("module", "pass").items():
        module, which = key.split("|")
        own = traced.get(key, {}).get("matmul_flops", 0)
        rows.append(convert({"module": module, "pass": which, **cost, "model_matmul_flops": own}, ModuleCosts))
    return tuple(sorted(rows, key=lambda r: (-r.matmul_flops - r.other_flops, r.module, r.pass_)))


def _per(step: CompiledStep, count: HloCount, examples_per_epoch: int | None) -> StepRatios:
    """FLOPs and bytes per unit of work; ``None`` where the unit does not apply."""
    flops, moved = count.total.flops, count.total.hbm_bytes
    devices = step.devices
    units: dict[str, float | None] = {"step": 1.0}
    epoch = None
    labels = step.labels
    if isinstance(labels, TrainingLabels):
        turns = labels.conversational_turns
        epoch = float(-(-examples_per_epoch // labels.batch)) if examples_per_epoch else None
        units["example"] = devices / labels.batch
        units["supervised_turn"] = devices / turns if turns else None
        units["epoch"] = devices * epoch if epoch else None
    elif isinstance(labels, TurnLabels):
        units["turn"] = devices / labels.users
    elif isinstance(labels, FunctionLabels) and labels.batch:
        units["example"] = devices / labels.batch
    figures: dict[str, Any] = {}
    for unit, share in units.items():
        figures[f"flops_per_{unit}"] = None if share is None else flops * share
        figures[f"hbm_bytes_per_{unit}"] = None if share is None else moved * share
    return StepRatios(**figures, steps_per_epoch=epoch, tag="counted")
