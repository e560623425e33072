"""The predicted times of a comparison as tables."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from cr_jax.documents.comparison import ComparedProgram, ComparedRow, Comparison, PredictionGrounds, ProgramTime
from cr_jax.documents.reported_step import ReportedPhase
from cr_jax.records import PHASES
from cr_jax.render.phrases import energy_text, interval, method_text, validated
from cr_jax.render.text_table import TextTable
from cr_jax.units import count, plain_number, scaled, small, time_text

_PHASES: tuple[ReportedPhase, ...] = (*PHASES, "step")
_TITLES = {
    "train": "Predicted time, one optimizer step per objective",
    "precompute": "Predicted time, item side",
    "infer": "Predicted time, answering the last turn incrementally",
    "step": "Predicted time, one call of a function",
}
_STANDING = "place: against the fastest of the same work; tie: the interval overlaps the fastest's."


def time_tables(document: Comparison) -> list[TextTable]:
    """Training, item side, the last turn, energy and price; their basis is given once, below the last."""
    rows = document.counted
    tables = [table for phase in _PHASES for table in _table(rows, phase)] + _costs(rows)
    if tables:
        tables[-1] = replace(tables[-1], note="\n".join(time_notes(document)))
    return tables


def _table(rows: Sequence[ComparedRow], phase: ReportedPhase) -> list[TextTable]:
    shown = [(row, p) for row in rows for p in row.programs if p.phase == phase and _is_shown(p)]
    if not shown:
        return []
    turns = phase == "infer"
    places = any(p.time.standing for _, p in shown)
    columns: list[tuple[str, Callable[[ComparedRow, ComparedProgram], str]]] = [("row", lambda row, p: row.name)]
    if phase == "train":
        columns += [("objective", lambda row, p: p.objective or "-"), ("batch", lambda row, p: str(p.batch))]
    elif turns:
        columns += [("t", lambda row, p: str(p.t)), ("users", lambda row, p: f"{p.turns_per_step:g}")]
    columns += [
        ("time", lambda row, p: time_text(p.time.seconds)),
        ("interval", lambda row, p: interval(p.time.low_s, p.time.high_s)),
        ("bound by", lambda row, p: p.time.bound or "-"),
    ]
    if phase not in ("precompute", "step"):
        columns.append(("time/turn", lambda row, p: time_text(p.time.seconds_per_turn)))
    if places:
        columns.append(("place", lambda row, p: _place(p.time)))
    left = (0, *(n for n, (name, _) in enumerate(columns) if name in ("objective", "bound by", "place")))
    lines = tuple(tuple(make(row, p) for _, make in columns) for row, p in shown)
    return [TextTable(_TITLES[phase], tuple(name for name, _ in columns), lines, left)]


def _is_shown(program: ComparedProgram) -> bool:
    return program.phase != "infer" or program.program == "infer/incremental/last"


def _costs(rows: Sequence[ComparedRow]) -> list[TextTable]:
    """Energy, price and carbon of the programs that have one."""
    kinds = ("energy_j", "price_usd_per_unit", "carbon_g_per_unit")
    shown = [
        (row.name, p)
        for row in rows
        for p in row.programs
        if _is_shown(p) and any(getattr(p.time, kind) is not None for kind in kinds)
    ]
    if not shown:
        return []
    energy, price, carbon = (any(getattr(p.time, kind) is not None for _, p in shown) for kind in kinds)
    turns = _have_turns(rows)
    columns = (
        "row",
        "program",
        *(("energy/step", *(("energy/turn",) if turns else ())) if energy else ()),
        *(("for",) if price or carbon else ()),
        *(("USD",) if price else ()),
        *(("g CO2e",) if carbon else ()),
    )
    lines = []
    for name, program in shown:
        time = program.time
        cells = [name, program.program]
        cells += [small(time.energy_j, "J"), *([small(time.energy_j_per_turn, "J")] if turns else [])] if energy else []
        cells += ["1 M turns" if time.unit == "million turns" else time.unit] if price or carbon else []
        cells += [
            plain_number(getattr(time, kind)) for kind, is_there in zip(kinds[1:], (price, carbon), strict=True) if is_there
        ]
        lines.append(tuple(cells))
    return [TextTable("Predicted energy and price", columns, tuple(lines), (0, 1))]


def _have_turns(rows: Sequence[ComparedRow]) -> bool:
    """Whether any row is of a model; functions have no turns."""
    return any(p.phase != "step" for row in rows for p in row.programs)


def _place(time: ProgramTime) -> str:
    if time.standing in (None, "fastest", "tie"):
        return time.standing or "-"
    return f"{time.times_fastest:.3g}x"


def time_notes(document: Comparison) -> list[str]:
    """The basis of times, energies and prices, each given once."""
    grounds, rows = document.grounds, document.counted
    notes = []
    if any(p.time.standing for row in rows for p in row.programs):
        notes.append(_STANDING)
    costs = [p.time for row in rows for p in row.programs if p.phase != "step"]
    if any(time.price_usd_per_unit is not None or time.carbon_g_per_unit is not None for time in costs):
        notes.append("1 M turns: a million turns, answered or learnt from.")
    notes += _grouped("times of", [(one.device, _basis(one)) for one in grounds])
    notes += [f"! {one.profile_error}." for one in grounds if one.profile_error]
    notes += _grouped("energy of", [(one.device, energy_text(one.energy)) for one in grounds if one.energy])
    notes += _grouped(
        "price of",
        [
            (one.device, f"{one.per_hour_usd:g} USD an hour, {one.price_source}")
            for one in grounds
            if one.per_hour_usd is not None
        ],
    )
    notes += [f"no energy: {reason}." for reason in dict.fromkeys(one.energy_reason for one in grounds) if reason]
    notes += [f"no price: {reason}." for reason in dict.fromkeys(one.price_reason for one in grounds) if reason]
    reasons: dict[str, list[str]] = {}
    for row in rows:
        for program in row.programs:
            if program.time.reason and _is_shown(program):
                reasons.setdefault(program.time.reason, []).append(row.name)
    return notes + [f"no time for {', '.join(dict.fromkeys(names))}: {reason}." for reason, names in reasons.items()]


def _basis(one: PredictionGrounds) -> str:
    width = "an assumption" if one.coverage is None else f"{one.coverage:.0%} of past comparisons"
    return f"by {method_text(one.method)}; {validated(one.validated_on)}; the interval is {width}"


def _grouped(head: str, pairs: Sequence[tuple[str, str]]) -> list[str]:
    rows_by_text: dict[str, list[str]] = {}
    for device, text in pairs:
        if device not in rows_by_text.setdefault(text, []):
            rows_by_text[text].append(device)
    return [f"{head} {', '.join(devices)}: {text}." for text, devices in rows_by_text.items()]


def capacity_tables(document: Comparison) -> list[TextTable]:
    """Devices that answer a rate of turns in time, with the assumptions below."""
    capacity = document.capacity
    if capacity is None:
        return []
    rows = capacity.rows
    priced = any(row.price_usd_per_month is not None for row in rows)
    columns = (
        "row",
        "target met",
        "devices",
        "users at once",
        "mean batch",
        "service",
        "p95",
        "busy",
        "peak memory",
        *(("USD/month",) if priced else ()),
    )
    lines = []
    for row in rows:
        numbers = ["-"] * 7
        if row.status == "met":
            numbers = [
                count(row.devices),
                str(row.users),
                f"{row.mean_batch:.3g}",
                time_text(row.service_s),
                time_text(row.p95_s),
                f"{row.busy_share:.1%}",
                scaled(row.peak_bytes, "B"),
            ]
        price = [plain_number(row.price_usd_per_month)] if priced else []
        lines.append((row.name, {"met": "yes", "not met": "no", "unknown": "unknown"}[row.status], *numbers, *price))
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row.reason:
            reasons.setdefault(row.reason, []).append(row.name)
    unpriced = dict.fromkeys(row.price_reason for row in rows if row.price_reason)
    notes = [f"{', '.join(names)}: {reason}." for reason, names in reasons.items()]
    notes += [f"no price: {reason}; legal: --price-per-hour." for reason in unpriced]
    notes += [f"{line}." for line in capacity.assumptions]
    title = f"Answering {capacity.turns_per_second:g} turns/s, 95% within {time_text(capacity.p95_s)}"
    return [TextTable(title, columns, tuple(lines), (0, 1), "\n".join(notes))]
