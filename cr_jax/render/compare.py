"""A comparison as tables: terminal, Markdown, LaTeX and CSV. Input is the document alone."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from cr_jax.render import sheet
from cr_jax.render.escape import csv_cell, shown, terminal
from cr_jax.render.sheet import Sheet
from cr_jax.render.time import capacity_sheets, time_sheets
from cr_jax.render.words import sign
from cr_jax.units import count, scaled

_TRACED = "* of the traced program, which no compiler has fused for the device"


def render_compare(document: dict[str, Any]) -> RenderableType:
    """What differs between the rows, then the tables, for a terminal."""
    document, head = shown(document), Text()
    for line in document["warnings"]:
        head.append(f"! {line}\n", style="yellow")
    for line in difference_lines(document):
        head.append(f"{line}\n", style="dim")
    return Group(head, *(sheet.terminal(one) for one in sheets(document)))


def as_text(document: dict[str, Any]) -> str:
    """The terminal's tables as plain text."""
    text = io.StringIO()
    terminal(text, 200).print(render_compare(document))
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"


def as_markdown(document: dict[str, Any]) -> str:
    """What differs between the rows, then the tables, as Markdown."""
    head = sheet.bullets([*document["warnings"], *difference_lines(document)], "md")
    return head + "\n".join(map(sheet.markdown, sheets(document)))


def as_latex(document: dict[str, Any]) -> str:
    """What differs between the rows, then the tables, as LaTeX."""
    head = sheet.bullets([*document["warnings"], *difference_lines(document)], "latex")
    return head + "\n".join(map(sheet.latex, sheets(document)))


_CSV_ROW = (
    "name",
    "source",
    "status",
    "error",
    "model",
    "dataset",
    "device",
    "compiled_for",
    "preset",
    "dtype",
    "precision",
    "effective_precision",
)
_CSV_PROGRAM = (
    "program",
    "phase",
    "objective",
    "mode",
    "t",
    "batch",
    "turns_per_step",
    "compiled",
    "bound",
    "model_flops",
    "matmul_flops",
    "flops",
    "hbm_bytes",
    "intensity_flops_per_byte",
    "peak_bytes",
    "flops_per_turn",
    "hbm_bytes_per_turn",
)
_CSV_TIME = (
    "seconds",
    "low_s",
    "high_s",
    "seconds_per_turn",
    "bound",
    "method",
    "standing",
    "times_fastest",
    "energy_j",
    "energy_j_per_turn",
    "unit",
    "price_usd_per_unit",
    "carbon_g_per_unit",
    "reason",
)


def as_csv(document: dict[str, Any]) -> str:
    """One line per row and program, plain numbers, empty where unknown; a failed row is one line."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    kinds = ("flops", "hbm_bytes", "peak_bytes", "flops_per_turn", "hbm_bytes_per_turn")
    writer.writerow(
        [
            *_CSV_ROW,
            "trainable_parameters",
            "total_parameters",
            "device_memory_bytes",
            *_CSV_PROGRAM,
            "fits",
            "ratio_to",
            *(f"ratio_{kind}" for kind in kinds),
            *(f"time_{key}" for key in _CSV_TIME),
            "time_validated",
        ]
    )
    grounds = {(one["device"], one["method"]): one["validated_on"] for one in document["grounds"]}
    for row in document["rows"]:
        start = [csv_cell(row.get(key)) for key in _CSV_ROW]
        if row["status"] == "failed":
            writer.writerow(start + [""] * (3 + len(_CSV_PROGRAM) + 2 + len(kinds) + len(_CSV_TIME) + 1))
            continue
        parameters, memory = row["parameters"], row["memory"]
        start += [csv_cell(v) for v in (parameters["trainable"], parameters["total"], memory["device_memory_bytes"])]
        fits = {one["phase"]: one["fits"] for one in memory["phases"]}
        for program in row["programs"]:
            ratio, time = program["ratio"], program["time"]
            to = f"{document['baseline']} {ratio['to']}" if ratio["to"] else ""
            writer.writerow(
                [
                    *start,
                    *(csv_cell(program[key]) for key in _CSV_PROGRAM),
                    fits[program["phase"]],
                    csv_cell(to),
                    *(csv_cell(ratio[kind]) for kind in kinds),
                    *(csv_cell(time[key]) for key in _CSV_TIME),
                    _validation(grounds.get((row["device"], time["method"]))),
                ]
            )
    return text.getvalue()


def _validation(found: Any) -> str:
    """yes, no, or nothing where there is no time."""
    return "" if found is None else "no" if isinstance(found, str) else "yes"


def difference_lines(document: dict[str, Any]) -> list[str]:
    """``workload.batch: 16 (dmn), 32 (aim)``, a line per field in which rows differ."""
    rows = [row for row in document["rows"] if row["status"] == "ok"]
    lines = []
    for entry in document["differs"]:
        shown = [f"{_value(one['value'])} ({_who(one['rows'], rows)})" for one in entry["values"]]
        lines.append(f"{entry['field']} differs: {'; '.join(shown)}")
    return lines


def _value(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{k}={v}" for k, v in value.items()) or "none"
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return str(value)


def _who(names: Sequence[str], rows: Iterable[dict[str, Any]]) -> str:
    # The rows of whole platforms, models or devices are named by these.
    for axis in ("platform", "model", "device"):
        groups: dict[str, set[str]] = {}
        for row in rows:
            groups.setdefault(row[axis], set()).add(row["name"])
        whole = [key for key, members in groups.items() if members <= set(names)]
        if len(groups) > 1 and sum(len(groups[key]) for key in whole) == len(names):
            return ", ".join(whole)
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def sheets(document: dict[str, Any]) -> list[Sheet]:
    """Overview, training, item side, first turn, last turn, then predicted times."""
    rows = [row for row in document["rows"] if row["status"] == "ok"]
    base = document["baseline"]
    found = [_overview(document)]
    found += _training(rows, base)
    found += _items(rows, base)
    found += _answering(rows, base, "first") + _answering(rows, base, "last")
    return found + time_sheets(document) + capacity_sheets(document)


def _overview(document: dict[str, Any]) -> Sheet:
    lines = []
    for row in document["rows"]:
        if row["status"] == "failed":
            lines.append((row["name"], *["-"] * 6, f"failed: {row['error']}"))
            continue
        peaks = {one["phase"]: one for one in row["memory"]["phases"]}
        largest = [one["peak_bytes"] for one in peaks.values()]
        peak = max(largest) if largest and None not in largest else None
        lines.append(
            (
                row["name"],
                count(row["parameters"]["trainable"]),
                row["compiled_for"] or "no",
                row["effective_precision"] or "unknown",
                scaled(peak, "B"),
                scaled(row["memory"]["device_memory_bytes"], "B"),
                _fits(row["memory"]["phases"]),
                _count(row["coverage"]),
            )
        )
    columns = ("row", "trainable", "compiled for", "products in", "peak memory", "device memory", "fits", "count")
    return Sheet("Models and devices", columns, tuple(lines), left=(0, 2, 3, 6, 7))


def _fits(phases: list[dict[str, Any]]) -> str:
    kinds = {one["fits"] for one in phases}
    if len(kinds) == 1:
        return kinds.pop()
    return ", ".join(f"{one['phase']} {one['fits']}" for one in phases) or "unknown"


def _count(coverage: dict[str, Any]) -> str:
    part = coverage["compiled_programs"]
    some = f", {part} of {coverage['programs']} programs compiled" if 0 < part < coverage["programs"] else ""
    if coverage["not_compiled"] and part:
        some += f" ({'; '.join(coverage['not_compiled'])})"
    if coverage["complete"]:
        declared = f", cost of {', '.join(coverage['declared'])} declared or by formula" if coverage.get("declared") else ""
        return f"{'exact' if coverage.get('bounds', ['exact']) == ['exact'] else 'upper bound'}{declared}{some}"
    missing = [f"{coverage['unknown_loops']} loops unknown"] if coverage["unknown_loops"] else []
    missing += [f"not counted: {', '.join(coverage['uncounted'])}"] if coverage["uncounted"] else []
    return f"lower bound: {'; '.join(missing) or 'see the report'}{some}"


def _training(rows: list[dict[str, Any]], base: str | None) -> list[Sheet]:
    lines = []
    for row in rows:
        for p in (p for p in row["programs"] if p["phase"] == "train"):
            ratio = p["ratio"]
            lines.append(
                (
                    row["name"],
                    p["objective"],
                    str(p["batch"]),
                    _number(p, "flops"),
                    _bytes(p, "hbm_bytes"),
                    _intensity(p),
                    scaled(p["peak_bytes"], "B"),
                    _number(p, "flops_per_turn"),
                    _bytes(p, "hbm_bytes_per_turn"),
                    _times(_per_turn(p, "flops")),
                    _times(_per_turn(p, "hbm_bytes")),
                    _times(ratio["peak_bytes"]),
                )
            )
    columns = (
        "row",
        "objective",
        "batch",
        "FLOP/step",
        "bytes/step",
        "FLOP/byte",
        "peak",
        "FLOP/turn",
        "bytes/turn",
        "x FLOP",
        "x bytes",
        "x peak",
    )
    note = f"Turn: a supervised one. x: over {base}, per turn (per step where none is supervised); peak at the same batch."
    return _sheet("Training, one optimizer step per objective", columns, lines, rows, "train", note, (0, 1))


def _items(rows: list[dict[str, Any]], base: str | None) -> list[Sheet]:
    lines = []
    for row in rows:
        for p in (p for p in row["programs"] if p["phase"] == "precompute"):
            ratio = p["ratio"]
            lines.append(
                (
                    row["name"],
                    _number(p, "flops"),
                    _bytes(p, "hbm_bytes"),
                    _intensity(p),
                    scaled(p["peak_bytes"], "B"),
                    _times(ratio["flops"]),
                    _times(ratio["hbm_bytes"]),
                    _times(ratio["peak_bytes"]),
                )
            )
    columns = ("row", "FLOP", "bytes", "FLOP/byte", "peak", "x FLOP", "x bytes", "x peak")
    return _sheet("Item side, paid once per set of weights", columns, lines, rows, "precompute", f"x: over {base}.")


def _answering(rows: list[dict[str, Any]], base: str | None, place: str) -> list[Sheet]:
    lines = []
    for row in rows:
        modes = {
            p["mode"]: p for p in row["programs"] if p["program"].startswith("infer/") and p["program"].endswith(f"/{place}")
        }
        again = modes.get("incremental")
        if again is None:
            continue
        replay = modes.get("replay")
        lines.append(
            (
                row["name"],
                str(again["t"]),
                _number(replay, "flops_per_turn"),
                _bytes(replay, "hbm_bytes_per_turn"),
                _number(again, "flops_per_turn"),
                _bytes(again, "hbm_bytes_per_turn"),
                _intensity(again),
                scaled(again["peak_bytes"], "B"),
                _times(again["ratio"]["flops_per_turn"]),
                _times(again["ratio"]["hbm_bytes_per_turn"]),
                _times(again["ratio"]["peak_bytes"]),
            )
        )
    columns = (
        "row",
        "t",
        "replay FLOP",
        "replay bytes",
        "incr. FLOP",
        "incr. bytes",
        "incr. FLOP/byte",
        "incr. peak",
        "x FLOP",
        "x bytes",
        "x peak",
    )
    note = f"x: incremental over {base}'s, at the same turn t."
    return _sheet(f"Answering the {place} turn, per user", columns, lines, rows, "infer", note)


def _sheet(
    title: str,
    columns: tuple[str, ...],
    lines: list[tuple[str, ...]],
    rows: list[dict[str, Any]],
    phase: str,
    note: str,
    left: tuple[int, ...] = (0,),
) -> list[Sheet]:
    if not lines:
        return []
    traced = any(not p["compiled"] for row in rows for p in row["programs"] if p["phase"] == phase)
    return [Sheet(title, columns, tuple(lines), left, f"{note} {_TRACED}." if traced else note)]


def _number(program: dict[str, Any] | None, key: str) -> str:
    value = program[key] if program else None
    if program is None or value is None:
        return "-"
    return sign(program["bound"]) + scaled(value)


def _bytes(program: dict[str, Any] | None, key: str) -> str:
    value = program[key] if program else None
    if program is None or value is None:
        return "-"
    return sign(program["bound"]) + scaled(value, "B") + ("" if program["compiled"] else "*")


def _intensity(program: dict[str, Any]) -> str:
    value = program["intensity_flops_per_byte"]
    return "-" if value is None else f"{value:.3g}{'' if program['compiled'] else '*'}"


def _per_turn(program: dict[str, Any], figure: str) -> float | None:
    return program["ratio"][f"{figure}_per_turn" if program["turns_per_step"] else figure]


def _times(ratio: float | None) -> str:
    if ratio is None:
        return "-"
    return f"{ratio:,.0f}x" if ratio >= 100 else f"{ratio:.3g}x"
