"""The changes from one cost report to another, and their causes."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TypedDict

from msgspec import structs

from cr_jax.documents.cost_report import CostReport
from cr_jax.documents.difference import (
    ChangedCondition,
    Difference,
    DifferenceSide,
    FigureChange,
    ModuleChange,
    ModuleSizeChange,
    StepChange,
    TurnChange,
)
from cr_jax.documents.fields import JsonValue, Tool
from cr_jax.documents.reported_step import ReportedStep
from cr_jax.report.compare import conditions
from cr_jax.report.document import without_times

_PARAMETERS = ("trainable", "frozen", "total", "trainable_bytes", "frozen_bytes", "as_the_paper_counted")
_TOTALS = (
    "flops",
    "matmul_flops",
    "other_flops",
    "transcendentals",
    "integer_ops",
    "hbm_bytes",
    "onchip_bytes",
    "collective_bytes",
)
_MEMORY = ("argument_bytes", "output_bytes", "temp_bytes", "alias_bytes", "peak_bytes")
_MODULE = ("matmul_flops", "other_flops", "transcendentals", "hbm_bytes")
_TURN = ("flops_per_turn", "hbm_bytes_per_turn")


def difference(a: CostReport, b: CostReport, file_a: str, file_b: str, version: str) -> Difference:
    """The difference from report ``a`` to report ``b``; version: crjax's own."""
    steps_a, steps_b = _named(a.steps), _named(b.steps)
    return Difference(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        tool=Tool(name="cr-jax", version=version),
        a=_side(a, file_a),
        b=_side(b, file_b),
        identical=_lasting(a) == _lasting(b),
        causes=causes(a, b),
        parameters=tuple(
            FigureChange(figure=key, **change(getattr(a.parameters, key, None), getattr(b.parameters, key, None)))
            for key in _PARAMETERS
        ),
        parameter_modules=_parameter_modules(a, b),
        steps=tuple(_step(name, steps_a.get(name), steps_b.get(name)) for name in _union(steps_a, steps_b)),
        turns=_turns(a, b),
    )


class _Change(TypedDict):
    """Both values, the change, and that over the first."""

    a: float | None
    b: float | None
    change: float | None
    relative: float | None


def change(a: float | None, b: float | None) -> _Change:
    """Both values, ``b - a``, and that over ``a``; ``None`` where a side is unknown or ``a`` is 0."""
    moved = None if a is None or b is None else b - a
    return {"a": a, "b": b, "change": moved, "relative": None if moved is None or not a else moved / a}


def causes(a: CostReport, b: CostReport) -> tuple[ChangedCondition, ...]:
    """Every condition that differs between the two sides: model, configuration, workload, versions."""
    left, right = _conditions(a), _conditions(b)
    return tuple(
        ChangedCondition(field=field, a=left.get(field), b=right.get(field))
        for field in _union(left, right)
        if left.get(field) != right.get(field)
    )


def _conditions(report: CostReport) -> dict[str, JsonValue]:
    model, target = report.model, report.target
    return {
        "model": model.name,
        "model code": model.code,
        **{f"config.{key}": value for key, value in model.config.items()},
        "device": target.name,
        "compiled for": target.compiled_for,
        **conditions(report),
    }


def _side(report: CostReport, file: str) -> DifferenceSide:
    dataset = report.dataset.name if report.dataset else None
    return DifferenceSide(file=file, created=report.created, model=report.model.name, device=report.target.name, dataset=dataset)


def _lasting(report: CostReport) -> CostReport:
    """The report without values that differ between equal runs, and without the command, which changes nothing by itself."""
    return structs.replace(without_times(report), command=None)


def _named(steps: Iterable[ReportedStep]) -> dict[str, ReportedStep]:
    return {step.name: step for step in steps}


def _union(a: Iterable[str], b: Iterable[str]) -> list[str]:
    return list(dict.fromkeys([*a, *b]))


def _parameter_modules(a: CostReport, b: CostReport) -> tuple[ModuleSizeChange, ...]:
    def sizes(report: CostReport) -> dict[str, int]:
        return {row.module: row.trainable + row.frozen for row in (report.parameters.modules if report.parameters else ())}

    left, right = sizes(a), sizes(b)
    return tuple(
        ModuleSizeChange(module=name, **change(left.get(name), right.get(name)))
        for name in _union(left, right)
        if left.get(name) != right.get(name)
    )


def _step(name: str, a: ReportedStep | None, b: ReportedStep | None) -> StepChange:
    left, right = _figures(a), _figures(b)
    figures = tuple(FigureChange(figure=key, **change(left.get(key), right.get(key))) for key in _union(left, right))
    if a is None or b is None:
        return StepChange(name=name, in_="b" if a is None else "a", program=None, figures=figures, modules=())
    program = "same" if a.program_sha256 == b.program_sha256 else "changed"
    return StepChange(name=name, in_="both", program=program, figures=figures, modules=_modules(a, b))


def _figures(step: ReportedStep | None) -> dict[str, float | None]:
    """A step's totals: of the traced program, of the compiled one, and its memory."""
    if step is None:
        return {}
    return {
        **{f"model.{key}": getattr(step.model, key) for key in _TOTALS},
        **{f"compiled.{key}": getattr(step.compiled, key) if step.compiled else None for key in _TOTALS},
        **{f"memory.{key}": getattr(step.memory, key) for key in _MEMORY},
    }


def _modules(a: ReportedStep, b: ReportedStep) -> tuple[ModuleChange, ...]:
    left, right = ({(row.module, row.pass_): row for row in step.modules} for step in (a, b))
    # A compiled step's modules are those of the compiled program: against a traced one nothing is comparable.
    if (a.compiled is None) != (b.compiled is None):
        return ()
    rows = []
    for key in dict.fromkeys([*left, *right]):
        for figure in _MODULE:
            old, new = (getattr(side.get(key), figure, 0) for side in (left, right))
            if old != new:
                rows.append(ModuleChange(module=key[0], pass_=key[1], figure=figure, **change(old, new)))
    return tuple(sorted(rows, key=lambda row: -abs(row.change or 0)))


def _turns(a: CostReport, b: CostReport) -> tuple[TurnChange, ...]:
    left, right = ({(row.mode, row.t): row for row in report.turns} for report in (a, b))
    compiled = [{step.name: step.compiled is not None for step in report.steps} for report in (a, b)]
    rows = []
    for mode, t in sorted(set(left) | set(right)):
        before, after = left.get((mode, t)), right.get((mode, t))
        if before and after and compiled[0].get(before.step) != compiled[1].get(after.step):
            continue  # a compiled program against a traced one: no change of the work
        for figure in _TURN:
            old, new = (getattr(side.get((mode, t)), figure, None) for side in (left, right))
            if old != new:
                rows.append(TurnChange(t=t, mode=mode, figure=figure, **change(old, new)))
    return tuple(rows)
