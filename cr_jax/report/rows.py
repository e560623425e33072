"""One row of a comparison from one cost report: its programs' figures and their basis."""

from collections.abc import Sequence

from msgspec import UNSET, structs

from cr_jax.catalog.accelerator import Accelerator
from cr_jax.catalog.precision import matmul_precision
from cr_jax.documents.base import known
from cr_jax.documents.capacity import Fits
from cr_jax.documents.comparison import (
    ComparedProgram,
    ComparedRow,
    PhaseMemory,
    ProgramRatio,
    RowCoverage,
    RowMemory,
    RowParameters,
)
from cr_jax.documents.cost_report import CostReport, ReportedTarget, ReportedWorkload
from cr_jax.documents.fields import Bound
from cr_jax.documents.reported_step import ReportedStep, StepCoverage
from cr_jax.printable import one_line
from cr_jax.records import PHASES, Mode
from cr_jax.report.build import largest
from cr_jax.report.timing import times

#: The outcome of a step between the first and the last turn, which need not be compiled.
LEFT_OUT = "left out"
#: The ratios of a program without a partner in the baseline.
_NO_RATIO = ProgramRatio(to=None)
_BOUNDS: tuple[Bound, ...] = ("assumed", "exact", "lower", "range", "upper")


def row(name: str, source: str | None, report: CostReport, accelerator: Accelerator | None) -> ComparedRow:
    """The row of a report, without ratios. accelerator: the profile of the report's device, ``None`` if it has none."""
    target, work, parameters = report.target, report.workload, report.parameters
    return ComparedRow(
        name=name,
        source=source,
        status="ok",
        error=None,
        model=report.model.name,
        title=report.model.title,
        dataset=report.dataset.name if report.dataset else None,
        device=target.name,
        platform=target.platform,
        kind=target.kind,
        attached=target.attached,
        autotuned=target.autotuned,
        compiled_for=target.compiled_for,
        preset=work.preset,
        dtype=work.dtype,
        precision=work.precision,
        effective_precision=effective_precision(target, work, accelerator),
        users=work.users,
        versions=report.versions,
        mesh=target.mesh,
        devices=target.devices,
        parameters=parameters and RowParameters(**{key: getattr(parameters, key) for key in RowParameters.__struct_fields__}),
        programs=programs(report),
        memory=memory(report, accelerator),
        coverage=coverage(report),
    )


def effective_precision(target: ReportedTarget, work: ReportedWorkload, accelerator: Accelerator | None) -> str | None:
    """The type in which a matrix product of the workload's dtype is computed on the target; ``None``: unknown."""
    if target.effective_precision is not None:
        return target.effective_precision
    if accelerator is not None and work.dtype is not None:
        return matmul_precision(accelerator, work.precision, work.dtype)
    return work.dtype if target.platform == "cpu" else None


def programs(report: CostReport) -> tuple[ComparedProgram, ...]:
    """One entry per training objective, for the item side, and per mode for the first and the last turn.

    Objectives are listed separately and never added: their batches are not the same examples.
    """
    steps = {step.name: step for step in report.steps}
    entries = []
    for step in report.steps:
        if step.phase == "train":
            labels = step.labels
            batch, turns = known(labels.batch), known(labels.supervised_turns_per_example)
            units = batch * turns if batch and turns else None
            entries.append(_program(step, step.name, batch, units, objective=known(labels.objective)))
        elif step.phase == "precompute":
            entries.append(_program(step, step.name, None, None))
        elif step.phase == "step":
            entries.append(_program(step, "step", known(step.labels.batch), None))
    numbers = [row.t for row in report.turns]
    for place, t in (("first", min(numbers)), ("last", max(numbers))) if numbers else ():
        for row in report.turns:
            step = steps.get(row.step)
            if row.t == t and step is not None:
                users = known(step.labels.users) or report.workload.users
                entries.append(_program(step, f"infer/{row.mode}/{place}", users, users, mode=row.mode, t=t))
    return tuple(entries)


def _program(
    step: ReportedStep,
    name: str,
    batch: int | None,
    units: float | None,
    objective: str | None = None,
    mode: Mode | None = None,
    t: int | None = None,
) -> ComparedProgram:
    best = step.best
    flops, moved = best.flops, best.hbm_bytes
    account = step.matmul_account
    devices = (known(account.devices) if account else None) or 1
    return ComparedProgram(
        program=name,
        step=step.name,
        phase=step.phase,
        objective=objective,
        mode=mode,
        t=t,
        batch=batch,
        turns_per_step=units,
        compiled=step.compiled is not None,
        bound=best.bound,
        model_flops=step.model.flops,
        matmul_flops=best.matmul_flops,
        flops=flops,
        hbm_bytes=moved,
        intensity_flops_per_byte=flops / moved if moved else None,
        peak_bytes=step.memory.peak_bytes,
        flops_per_turn=devices * flops / units if units else None,
        hbm_bytes_per_turn=devices * moved / units if units else None,
        time=times(known(step.prediction), units),
        tag="counted",
        ratio=_NO_RATIO,
    )


def memory(report: CostReport, accelerator: Accelerator | None) -> RowMemory:
    """The highest peak of each phase, and whether it fits the device's memory: yes, no or unknown."""
    size = accelerator.memory_bytes if accelerator else None
    phases = []
    for phase in (*PHASES, "step"):
        peaks = [step.memory.peak_bytes for step in report.steps if step.phase == phase and step.outcome != LEFT_OUT]
        if peaks:
            known = [peak for peak in peaks if peak is not None]
            phases.append(PhaseMemory(phase=phase, peak_bytes=largest(peaks), fits=_fits(known, len(peaks), size)))
    return RowMemory(device_memory_bytes=size, phases=tuple(phases), tag="compiler")


def _fits(known: list[int], programs: int, size: int | None) -> Fits:
    # One program that is known to be too large decides, whatever the others need.
    if size is None:
        return "unknown"
    if any(peak > size for peak in known):
        return "no"
    return "yes" if len(known) == programs else "unknown"


def bound(coverage: StepCoverage) -> Bound:
    """The bound of a step's counts; older reports knew exact and lower only."""
    if coverage.bound is not UNSET:
        return coverage.bound
    return "exact" if coverage.complete else "lower"


def coverage(report: CostReport) -> RowCoverage:
    """The operations that the counts leave out, over all steps."""
    steps = [step.coverage for step in report.steps]
    reached = {bound(one) for one in steps}
    bounds: tuple[Bound, ...] = tuple(kind for kind in _BOUNDS if kind in reached)
    return RowCoverage(
        complete=all(one.complete for one in steps),
        uncounted=tuple(sorted({missing.operation for one in steps for missing in one.uncounted})),
        unknown_loops=sum(len(one.unknown_loops) for one in steps),
        bounds=bounds,
        declared=tuple(sorted({call.operation for one in steps for call in one.declared if call.source != "assumed"})),
        unattributed_share=max((one.unattributed_share for one in steps), default=0.0),
        programs=len(steps),
        compiled_programs=sum(step.compiled is not None for step in report.steps),
        not_compiled=why_not(report),
        tag="counted",
    )


def why_not(report: CostReport) -> tuple[str, ...]:
    """The reasons why steps that should have been compiled for the target were not, one line each."""
    asked = [step for step in report.steps if step.outcome != LEFT_OUT]
    reasons: dict[str, list[str]] = {}
    for step in asked:
        if step.outcome != "compiled":
            reasons.setdefault(one_line(step.reason or step.outcome), []).append(step.name)
    return tuple(reason if len(names) == len(asked) else f"{', '.join(names[:3])}: {reason}" for reason, names in reasons.items())


def ratios(programs: Sequence[ComparedProgram], baseline: Sequence[ComparedProgram]) -> tuple[ComparedProgram, ...]:
    """``programs`` with ``ratio``: each figure over that of the baseline's program of the same place.

    A figure has no ratio (``None``) where the two do not mean the same work: another batch (per
    step and for the peak), another turn t, or a compiled program against a traced one (FLOPs are
    then those of the traced programs on both sides).
    """
    return tuple(structs.replace(program, ratio=_ratio(program, _partner(program, baseline))) for program in programs)


def _partner(program: ComparedProgram, baseline: Sequence[ComparedProgram]) -> ComparedProgram | None:
    for other in baseline:
        if other.program == program.program:
            return other if other.t == program.t else None
    # Objectives are named per model: another model's is compared with the baseline's only one.
    trained = [other for other in baseline if other.phase == "train"]
    return trained[0] if program.phase == "train" and len(trained) == 1 else None


def _ratio(program: ComparedProgram, other: ComparedProgram | None) -> ProgramRatio:
    if other is None:
        return _NO_RATIO
    alike, same_batch = program.compiled == other.compiled, program.batch == other.batch
    flops = (program.flops, other.flops) if alike else (program.model_flops, other.model_flops)
    units = program.turns_per_step, other.turns_per_step
    return ProgramRatio(
        to=other.program,
        flops=_over(*flops) if same_batch else None,
        hbm_bytes=_over(program.hbm_bytes, other.hbm_bytes) if alike and same_batch else None,
        peak_bytes=_over(program.peak_bytes, other.peak_bytes) if same_batch else None,
        flops_per_turn=_over(flops[0] / units[0], flops[1] / units[1]) if units[0] and units[1] else None,
        hbm_bytes_per_turn=_over(program.hbm_bytes_per_turn, other.hbm_bytes_per_turn) if alike else None,
    )


def _over(value: float | None, base: float | None) -> float | None:
    return None if value is None or not base else value / base
