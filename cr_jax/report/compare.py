"""Reports side by side: rows, ratios to a baseline row, and differences between the rows."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from msgspec import structs

from cr_jax.catalog import load
from cr_jax.catalog.accelerator import Accelerator
from cr_jax.documents.base import plain
from cr_jax.documents.comparison import (
    ComparedDevice,
    ComparedRow,
    Comparison,
    ConditionValue,
    DifferingCondition,
    FailedRow,
    Row,
)
from cr_jax.documents.cost_report import CostReport
from cr_jax.documents.fields import JsonValue, Tool
from cr_jax.errors import BadConfig, UnknownName
from cr_jax.predict.money.pricing import Rates
from cr_jax.printable import one_line
from cr_jax.report.prediction import with_rates
from cr_jax.report.rows import ratios, row
from cr_jax.report.timing import grounds, rank


@dataclass(frozen=True)
class Cell:
    """One model on one device: its report, or the reason why there is none. source: the report's file."""

    model: str
    device: str
    report: CostReport | None
    error: str | None = None
    source: str | None = None


def saved(report: CostReport, source: str) -> Cell:
    """The cell of a saved cost report."""
    return Cell(report.model.name, report.target.name, report, source=source)


def compare(
    cells: Sequence[Cell], version: str, baseline: str | None = None, command: Sequence[str] | None = None, rates: Rates = Rates()
) -> Comparison:
    """The comparison of ``cells``, in their order.

    version: crjax's own. baseline: a row's name, or a model, device or file of a single row; by default the first row with
    figures. rates: the user's prices, host, building and grid. A row without a report is ``failed`` and does not affect the
    others. Raises ``BadConfig`` without cells, and ``UnknownName`` for a baseline that is none of them.
    """
    if not cells:
        raise BadConfig("nothing to compare: legal: saved reports, or --model")
    names = row_names(cells)
    chosen = find_row(baseline, cells, names) if baseline is not None else None
    profiles = {device: load.accelerator_or_none(device) for device in dict.fromkeys(cell.device for cell in cells)}
    cells = [
        cell if cell.report is None else replace(cell, report=with_rates(cell.report, profiles[cell.device], rates))
        for cell in cells
    ]
    ranked = rank([_row(name, cell, profiles[cell.device]) for name, cell in zip(names, cells, strict=True)])
    if chosen is None:
        chosen = next((number for number, one in enumerate(ranked) if isinstance(one, ComparedRow)), None)
    base = ranked[chosen] if chosen is not None else None
    partners = base.programs if isinstance(base, ComparedRow) else ()
    rows = tuple(
        structs.replace(one, programs=ratios(one.programs, partners)) if isinstance(one, ComparedRow) else one for one in ranked
    )
    reports = {name: cell.report for name, cell in zip(names, cells, strict=True) if cell.report is not None}
    return Comparison(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        tool=Tool(name="cr-jax", version=version),
        command=tuple(command) if command is not None else None,
        baseline=base.name if base else None,
        differs=differences(rows, reports),
        warnings=warnings(rows, base),
        devices=tuple(_device(name, one) for name, one in profiles.items()),
        grounds=grounds(reports),
        rows=rows,
        capacity=None,
    )


def row_names(cells: Sequence[Cell]) -> list[str]:
    """``model@device``; a repeated name gets ``#2``, ``#3``."""
    repeats: dict[str, int] = {}
    names = []
    for cell in cells:
        name = f"{cell.model}@{cell.device}"
        repeats[name] = repeats.get(name, 0) + 1
        names.append(name if repeats[name] == 1 else f"{name}#{repeats[name]}")
    return names


def find_row(wanted: str, cells: Sequence[Cell], names: Sequence[str]) -> int:
    """The number of the row named by ``wanted``. Raises ``UnknownName``."""
    if wanted in names:
        return list(names).index(wanted)
    hits = [n for n, cell in enumerate(cells) if wanted in (cell.model, cell.device, cell.source)]
    if len(hits) != 1:
        raise UnknownName("baseline row", wanted, names)
    return hits[0]


def _row(name: str, cell: Cell, accelerator: Accelerator | None) -> Row:
    if cell.report is None:
        reason = one_line(cell.error or "no report")
        return FailedRow(name=name, source=cell.source, status="failed", error=reason, model=cell.model, device=cell.device)
    return row(name, cell.source, cell.report, accelerator)


def _device(name: str, accelerator: Accelerator | None) -> ComparedDevice:
    return ComparedDevice(
        name=name,
        title=accelerator.title if accelerator else None,
        memory_bytes=accelerator.memory_bytes if accelerator else None,
        memory_bandwidth_bytes_per_s=accelerator.memory_bandwidth_bytes_per_s if accelerator else None,
        matmul_flops_per_s=dict(accelerator.matmul_flops_per_s) if accelerator else {},
        tag="assumed",
    )


def differences(rows: Sequence[Row], reports: Mapping[str, CostReport]) -> tuple[DifferingCondition, ...]:
    """Every field in which the rows' conditions are not all equal, with the rows of each value."""
    effective = {one.name: one.effective_precision for one in rows if isinstance(one, ComparedRow)}
    by_row = {name: conditions(report) | {"effective precision": effective[name]} for name, report in reports.items()}
    differing = []
    for field in dict.fromkeys(field for one in by_row.values() for field in one):
        values: dict[str, JsonValue] = {}
        having: dict[str, list[str]] = {}
        for name, one in by_row.items():
            key = json.dumps(one.get(field), sort_keys=True)
            values[key] = one.get(field)
            having.setdefault(key, []).append(name)
        if len(values) > 1:
            each = tuple(ConditionValue(value=value, rows=tuple(having[key])) for key, value in values.items())
            differing.append(DifferingCondition(field=field, values=each))
    return tuple(differing)


def conditions(report: CostReport) -> dict[str, JsonValue]:
    """The conditions of a report's figures, without model and device: data set, workload, versions."""
    target = report.target
    batches = {s.labels.objective: s.labels.batch for s in report.steps if s.phase == "train"}
    return {
        "data set": report.dataset.name if report.dataset else None,
        "data set sha256": report.dataset.sha256[:12] if report.dataset else None,
        **{f"workload.{key}": value for key, value in plain(report.workload).items()},
        "training batch": ", ".join(f"{name} {size}" for name, size in batches.items()) or None,
        "compiled": target.compiled_for is not None,
        "mesh": dict(target.mesh) if target.mesh else None,
        "attached": target.attached,
        "flags": target.flags or None,
        "autotuned": target.autotuned,
        "cr-jax": report.tool.version,
        **report.versions,
        **(target.compiler or {}),
    }


def warnings(rows: Sequence[Row], base: Row | None) -> tuple[str, ...]:
    """Warnings for the reader of the table."""
    good = [one for one in rows if isinstance(one, ComparedRow)]
    failed = [one.name for one in rows if isinstance(one, FailedRow)]
    lines = []
    if failed:
        lines.append(f"{len(failed)} of {len(rows)} rows failed: {', '.join(failed)}")
    if not isinstance(base, ComparedRow):
        lines.append("no ratios: the baseline row has no figures")
    if any(one.devices for one in good):
        turns = any(program.phase != "step" for one in good for program in one.programs)
        lines.append(
            "several devices run a program together: figures are of one of them, "
            f"{'those per turn, ' if turns else ''}energy and price of all"
        )
    precisions = {one.effective_precision for one in good}
    if len(precisions) > 1:
        kinds = ", ".join(sorted(kind or "unknown" for kind in precisions))
        lines.append(f"mixed effective precision ({kinds}): equal FLOPs are not equal arithmetic")
    traced: dict[str, list[str]] = {}
    for one in good:
        missing = one.coverage.not_compiled
        if missing or one.coverage.compiled_programs == 0:
            traced.setdefault("; ".join(missing) or "no reason stated", []).append(one.name)
    for reason, names in traced.items():
        lines.append(f"not compiled for the device: {', '.join(names)}: {reason}")
    if traced:
        lines.append("counts of what is not compiled are of the traced program; its bytes and intensity are not the device's")
    lower = [one.name for one in good if not one.coverage.complete]
    if lower:
        lines.append(f"lower bounds (something is not counted): {', '.join(lower)}")
    upper = [one.name for one in good if one.coverage.complete and set(one.coverage.bounds or ()) - {"exact", "assumed"}]
    if upper:
        lines.append(f"upper bounds (branches, early ends of loops, declared costs): {', '.join(upper)}")
    assumed = [one.name for one in good if "assumed" in (one.coverage.bounds or ())]
    if assumed:
        lines.append(f"exact if the trip counts and kernel costs given are right: {', '.join(assumed)}")
    return tuple(lines)
