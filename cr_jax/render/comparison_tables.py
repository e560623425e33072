"""The tables of a comparison."""

from collections.abc import Sequence

from msgspec import UNSET

from cr_jax.documents.comparison import ComparedProgram, ComparedRow, Comparison, FailedRow, PhaseMemory, RowCoverage
from cr_jax.documents.reported_step import ReportedPhase
from cr_jax.render.phrases import sign, whole_count
from cr_jax.render.text_table import TextTable
from cr_jax.render.time import capacity_tables, time_tables
from cr_jax.units import count, scaled

_TRACED = "* of the traced program, which no compiler has fused for the device"


def tables(document: Comparison) -> list[TextTable]:
    """Overview, training, item side, functions, first turn, last turn, then predicted times."""
    rows, base = document.counted, document.baseline
    all_tables = [_overview(document)]
    all_tables += _training(rows, base)
    all_tables += _undivided(rows, base, "precompute", "Item side, paid once per set of weights")
    all_tables += _undivided(rows, base, "step", "One call of a function")
    all_tables += _answering(rows, base, "first") + _answering(rows, base, "last")
    return all_tables + time_tables(document) + capacity_tables(document)


def _overview(document: Comparison) -> TextTable:
    lines = []
    for row in document.rows:
        if isinstance(row, FailedRow):
            lines.append((row.name, *["-"] * 6, f"failed: {row.error}"))
            continue
        peaks = {one.phase: one for one in row.memory.phases}
        peaks_known = [one.peak_bytes for one in peaks.values() if one.peak_bytes is not None]
        peak = max(peaks_known) if peaks_known and len(peaks_known) == len(peaks) else None
        lines.append(
            (
                row.name,
                count(row.parameters.trainable) if row.parameters else "unknown",
                (f"{row.devices} x {row.compiled_for}" if row.devices else row.compiled_for) if row.compiled_for else "no",
                row.effective_precision or "unknown",
                scaled(peak, "B"),
                scaled(row.memory.device_memory_bytes, "B"),
                _fits(row.memory.phases),
                _count(row.coverage),
            )
        )
    columns = ("row", "trainable", "compiled for", "products in", "peak memory", "device memory", "fits", "count")
    return TextTable("Models and devices", columns, tuple(lines), left=(0, 2, 3, 6, 7))


def _fits(phases: Sequence[PhaseMemory]) -> str:
    kinds = {one.fits for one in phases}
    if len(kinds) == 1:
        return kinds.pop()
    return ", ".join(f"{one.phase} {one.fits}" for one in phases) or "unknown"


def _count(coverage: RowCoverage) -> str:
    part = coverage.compiled_programs
    some = f", {part} of {coverage.programs} programs compiled" if 0 < part < coverage.programs else ""
    if coverage.not_compiled and part:
        some += f" ({'; '.join(coverage.not_compiled)})"
    if coverage.complete:
        declared = f", cost of {', '.join(coverage.declared)} declared or by formula" if coverage.declared else ""
        return f"{whole_count(() if coverage.bounds is UNSET else coverage.bounds)}{declared}{some}"
    missing = [f"{coverage.unknown_loops} loops unknown"] if coverage.unknown_loops else []
    missing += [f"not counted: {', '.join(coverage.uncounted)}"] if coverage.uncounted else []
    return f"lower bound: {'; '.join(missing) or 'see the report'}{some}"


def _training(rows: Sequence[ComparedRow], base: str | None) -> list[TextTable]:
    lines = []
    for row in rows:
        for p in (p for p in row.programs if p.phase == "train"):
            ratio = p.ratio
            lines.append(
                (
                    row.name,
                    p.objective or "-",
                    str(p.batch),
                    _number(p, "flops"),
                    _bytes(p, "hbm_bytes"),
                    _intensity(p),
                    scaled(p.peak_bytes, "B"),
                    _number(p, "flops_per_turn"),
                    _bytes(p, "hbm_bytes_per_turn"),
                    _times(_per_turn(p, "flops")),
                    _times(_per_turn(p, "hbm_bytes")),
                    _times(ratio.peak_bytes),
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
    return _table("Training, one optimizer step per objective", columns, lines, rows, "train", note, (0, 1))


def _undivided(rows: Sequence[ComparedRow], base: str | None, phase: ReportedPhase, title: str) -> list[TextTable]:
    """Programs that are made of neither turns nor examples."""
    lines = []
    for row in rows:
        for p in (p for p in row.programs if p.phase == phase):
            ratio = p.ratio
            lines.append(
                (
                    row.name,
                    _number(p, "flops"),
                    _bytes(p, "hbm_bytes"),
                    _intensity(p),
                    scaled(p.peak_bytes, "B"),
                    _times(ratio.flops),
                    _times(ratio.hbm_bytes),
                    _times(ratio.peak_bytes),
                )
            )
    columns = ("row", "FLOP", "bytes", "FLOP/byte", "peak", "x FLOP", "x bytes", "x peak")
    return _table(title, columns, lines, rows, phase, f"x: over {base}.")


def _answering(rows: Sequence[ComparedRow], base: str | None, place: str) -> list[TextTable]:
    lines = []
    for row in rows:
        modes = {p.mode: p for p in row.programs if p.program.startswith("infer/") and p.program.endswith(f"/{place}")}
        again = modes.get("incremental")
        if again is None:
            continue
        replay = modes.get("replay")
        lines.append(
            (
                row.name,
                str(again.t),
                _number(replay, "flops_per_turn"),
                _bytes(replay, "hbm_bytes_per_turn"),
                _number(again, "flops_per_turn"),
                _bytes(again, "hbm_bytes_per_turn"),
                _intensity(again),
                scaled(again.peak_bytes, "B"),
                _times(again.ratio.flops_per_turn),
                _times(again.ratio.hbm_bytes_per_turn),
                _times(again.ratio.peak_bytes),
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
    return _table(f"Answering the {place} turn, per user", columns, lines, rows, "infer", note)


def _table(
    title: str,
    columns: tuple[str, ...],
    lines: list[tuple[str, ...]],
    rows: Sequence[ComparedRow],
    phase: str,
    note: str,
    left: tuple[int, ...] = (0,),
) -> list[TextTable]:
    if not lines:
        return []
    traced = any(not p.compiled for row in rows for p in row.programs if p.phase == phase)
    return [TextTable(title, columns, tuple(lines), left, f"{note} {_TRACED}." if traced else note)]


def _number(program: ComparedProgram | None, key: str) -> str:
    value = getattr(program, key) if program else None
    if program is None or value is None:
        return "-"
    return sign(program.bound) + scaled(value)


def _bytes(program: ComparedProgram | None, key: str) -> str:
    value = getattr(program, key) if program else None
    if program is None or value is None:
        return "-"
    return sign(program.bound) + scaled(value, "B") + ("" if program.compiled else "*")


def _intensity(program: ComparedProgram) -> str:
    value = program.intensity_flops_per_byte
    return "-" if value is None else f"{value:.3g}{'' if program.compiled else '*'}"


def _per_turn(program: ComparedProgram, figure: str) -> float | None:
    return getattr(program.ratio, f"{figure}_per_turn" if program.turns_per_step else figure)


def _times(ratio: float | None) -> str:
    if ratio is None:
        return "-"
    return f"{ratio:,.0f}x" if ratio >= 100 else f"{ratio:.3g}x"
