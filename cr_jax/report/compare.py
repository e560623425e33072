"""Reports side by side: rows, ratios against a baseline row, and what differs between the rows."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from cr_jax.catalog import load
from cr_jax.catalog.accelerator import Accelerator
from cr_jax.documents.base import plain
from cr_jax.documents.cost_report import CostReport
from cr_jax.errors import BadConfig, UnknownName
from cr_jax.predict.money.pricing import Rates
from cr_jax.printable import one_line
from cr_jax.report.prediction import with_rates
from cr_jax.report.rows import figures, ratios
from cr_jax.report.timing import grounds, rank

SCHEMA_VERSION = "1.1"
SCHEMA_ID = f"urn:cr-jax:schema:comparison:{SCHEMA_VERSION}"


@dataclass(frozen=True)
class Cell:
    """One model on one device: its report, or why there is none. source: the report's file."""

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
) -> dict[str, Any]:
    """The comparison document of ``cells``, in their order.

    version: crjax's own. baseline: a row's name, or a model, device or file that one row alone has; by default the first
    row that has figures. rates: the user's prices, host, building and grid. A row without a report is ``failed`` and
    takes no other down. Raises
    ``BadConfig`` without cells, ``UnknownName`` for a baseline that is none of them.
    """
    if not cells:
        raise BadConfig("nothing to compare: legal: saved reports, or --model")
    names = row_names(cells)
    chosen = find_row(baseline, cells, names) if baseline is not None else None
    found = {device: load.accelerator_or_none(device) for device in dict.fromkeys(cell.device for cell in cells)}
    cells = [
        cell if cell.report is None else replace(cell, report=with_rates(cell.report, found[cell.device], rates))
        for cell in cells
    ]
    rows = [_row(name, cell, found[cell.device]) for name, cell in zip(names, cells, strict=True)]
    rank(rows)
    if chosen is None:
        chosen = next((number for number, row in enumerate(rows) if row["status"] == "ok"), None)
    base = rows[chosen] if chosen is not None else None
    for row in rows:
        if row["status"] == "ok":
            row["programs"] = ratios(row["programs"], base.get("programs", []) if base else [])
    reports = {name: cell.report for name, cell in zip(names, cells, strict=True) if cell.report is not None}
    return {
        "schema": SCHEMA_ID,
        "kind": "comparison",
        "schema_version": SCHEMA_VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "tool": {"name": "cr-jax", "version": version},
        "command": list(command) if command is not None else None,
        "baseline": base["name"] if base else None,
        "differs": differences(rows, reports),
        "warnings": warnings(rows, base),
        "devices": [_device(name, one) for name, one in found.items()],
        "grounds": grounds(reports),
        "rows": rows,
        "capacity": None,
    }


def row_names(cells: Sequence[Cell]) -> list[str]:
    """``model@device``; a name that would come again carries ``#2``, ``#3``."""
    seen: dict[str, int] = {}
    names = []
    for cell in cells:
        name = f"{cell.model}@{cell.device}"
        seen[name] = seen.get(name, 0) + 1
        names.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return names


def find_row(wanted: str, cells: Sequence[Cell], names: Sequence[str]) -> int:
    """The number of the row that ``wanted`` names. Raises ``UnknownName``."""
    if wanted in names:
        return list(names).index(wanted)
    hits = [n for n, cell in enumerate(cells) if wanted in (cell.model, cell.device, cell.source)]
    if len(hits) != 1:
        raise UnknownName("baseline row", wanted, names)
    return hits[0]


def _row(name: str, cell: Cell, accelerator: Accelerator | None) -> dict[str, Any]:
    head = {"name": name, "source": cell.source}
    if cell.report is None:
        reason = one_line(cell.error or "no report")
        return head | {"status": "failed", "error": reason, "model": cell.model, "device": cell.device}
    return head | {"status": "ok", "error": None} | figures(cell.report, accelerator)


def _device(name: str, accelerator: Accelerator | None) -> dict[str, Any]:
    if accelerator is None:
        return {
            "name": name,
            "title": None,
            "memory_bytes": None,
            "memory_bandwidth_bytes_per_s": None,
            "matmul_flops_per_s": {},
            "tag": "assumed",
        }
    return {
        "name": name,
        "title": accelerator.title,
        "memory_bytes": accelerator.memory_bytes,
        "memory_bandwidth_bytes_per_s": accelerator.memory_bandwidth_bytes_per_s,
        "matmul_flops_per_s": dict(accelerator.matmul_flops_per_s),
        "tag": "assumed",
    }


def differences(rows: Sequence[Mapping[str, Any]], reports: Mapping[str, CostReport]) -> list[dict[str, Any]]:
    """Every field in which the rows' conditions are not all equal, with the rows of each value."""
    effective = {row["name"]: row.get("effective_precision") for row in rows}
    facts = {name: conditions(report) | {"effective precision": effective[name]} for name, report in reports.items()}
    fields = dict.fromkeys(field for one in facts.values() for field in one)
    found = []
    for field in fields:
        values: dict[str, dict[str, Any]] = {}
        for name, one in facts.items():
            value = one.get(field)
            values.setdefault(json.dumps(value, sort_keys=True), {"value": value, "rows": []})["rows"].append(name)
        if len(values) > 1:
            found.append({"field": field, "values": list(values.values())})
    return found


def conditions(report: CostReport) -> dict[str, Any]:
    """What a report's figures stand on, model and device apart: data set, workload, versions."""
    target = report.target
    batches = {s.labels.objective: s.labels.batch for s in report.steps if s.phase == "train"}
    return {
        "data set": report.dataset.name,
        "data set sha256": report.dataset.sha256[:12],
        **{f"workload.{key}": value for key, value in plain(report.workload).items()},
        "training batch": ", ".join(f"{name} {size}" for name, size in batches.items()) or None,
        "compiled": target.compiled_for is not None,
        "attached": target.attached,
        "flags": target.flags or None,
        "autotuned": target.autotuned,
        "cr-jax": report.tool.version,
        **report.versions,
        **(target.compiler or {}),
    }


def warnings(rows: Sequence[Mapping[str, Any]], base: Mapping[str, Any] | None) -> list[str]:
    """What a reader of the table must know first."""
    good = [row for row in rows if row["status"] == "ok"]
    failed = [row["name"] for row in rows if row["status"] == "failed"]
    found = []
    if failed:
        found.append(f"{len(failed)} of {len(rows)} rows failed: {', '.join(failed)}")
    if base is None or base["status"] == "failed":
        found.append("no ratios: the baseline row has no figures")
    precisions = {row["effective_precision"] for row in good}
    if len(precisions) > 1:
        kinds = ", ".join(sorted(kind or "unknown" for kind in precisions))
        found.append(f"mixed effective precision ({kinds}): equal FLOPs are not equal arithmetic")
    traced: dict[str, list[str]] = {}
    for row in good:
        missing = row["coverage"]["not_compiled"]
        if missing or row["coverage"]["compiled_programs"] == 0:
            traced.setdefault("; ".join(missing) or "no reason stated", []).append(row["name"])
    for reason, names in traced.items():
        found.append(f"not compiled for the device: {', '.join(names)}: {reason}")
    if traced:
        found.append("counts of what is not compiled are of the traced program; its bytes and intensity are not the device's")
    lower = [row["name"] for row in good if not row["coverage"]["complete"]]
    if lower:
        found.append(f"lower bounds (something is not counted): {', '.join(lower)}")
    upper = [row["name"] for row in good if row["coverage"]["complete"] and row["coverage"]["bounds"] != ["exact"]]
    if upper:
        found.append(f"upper bounds (branches, early ends of loops, declared costs): {', '.join(upper)}")
    return found
