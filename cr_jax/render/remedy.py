"""A remedy report as tables: quality and cost of every variant, devices, and what making them took."""

from rich.console import Group, RenderableType
from rich.text import Text

from cr_jax.documents.remedy_report import BreakEven, MeanDifferenceOverSeeds, RemedyReport, RemedyVariant
from cr_jax.render.cost import grid
from cr_jax.render.escape import shown
from cr_jax.units import count, plain_number, scaled, time_text


def render_remedy(document: RemedyReport) -> RenderableType:
    """Quality beside cost, then predictions by device, then costs of making with their break-even, and comparisons in words."""
    document = shown(document)
    parts: list[RenderableType] = [_quality(document)]
    if any(one.predicted for one in document.variants):
        parts.append(_predictions(document))
    if any(one.making for one in document.variants):
        parts.append(_making(document))
    parts.append(Text("\n".join(["", *_lines(document)]) + "\n", style="dim"))
    return Group(*parts)


def _quality(document: RemedyReport) -> RenderableType:
    data, seeds = document.dataset, len(document.seeds)
    title = (
        f"{document.model} on {data.name}: {count(data.items)} items, {seeds} seed{'s' if seeds > 1 else ''}, after the last turn"
    )
    columns = ("MRR", "less the teacher", "95% interval", "of it, at least", "within the margin", "Recall@10")
    table = grid(title, "variant", *columns, "parameters", "FLOP/turn", "of the teacher", "us here", "front")
    for one in document.variants:
        table.add_row(one.name, *_figures(one), *_turn(one), "" if one.on_front is None else "*" if one.on_front else "")
    return table


def _figures(one: RemedyVariant) -> list[str]:
    if not one.quality:
        return ["-"] * 6
    last, test = one.quality[-1], one.noninferiority
    if test is None:
        return [f"{last.mrr:.4f}", "-", "-", "-", "-", f"{last.recall_10:.4f}"]
    difference = last.mrr_difference
    least = "-" if test.low is None else f"{test.low:.1%}"
    return [f"{last.mrr:.4f}", f"{difference.mean:+.4f}", _interval(difference), least, test.verdict, f"{last.recall_10:.4f}"]


def _interval(difference: MeanDifferenceOverSeeds) -> str:
    if difference.low is None or difference.high is None:
        return "-"
    return f"{difference.low:+.3f}..{difference.high:+.3f}"


def _turn(one: RemedyVariant) -> list[str]:
    counted, clock = one.counted, one.measured
    if counted is None:
        return ["-"] * 4
    share = "-" if counted.share_of_teacher is None else f"{counted.share_of_teacher:.1%}"
    parameters = "-" if counted.parameters is None else count(counted.parameters)
    return [parameters, scaled(counted.flops), share, "-" if clock is None else f"{clock.median_us:.1f}"]


def _predictions(document: RemedyReport) -> RenderableType:
    table = grid("predicted, a turn", "variant", "device", "memory traffic", "time", "J/M turns", "USD/M turns")
    for one in document.variants:
        for row in one.predicted:
            joules = "-" if row.joules_per_million_turns is None else scaled(row.joules_per_million_turns, "J")
            time = "-" if row.seconds is None else time_text(row.seconds)
            traffic = "-" if row.hbm_bytes is None else scaled(row.hbm_bytes, "B")
            table.add_row(one.name, row.device, traffic, time, joules, plain_number(row.usd_per_million_turns))
    return table


def _making(document: RemedyReport) -> RenderableType:
    columns = (
        "training",
        "teacher's scores",
        "tuning",
        "pays after, FLOP",
        "with the teacher",
        "pays after, s",
        "with the teacher",
    )
    table = grid("what it took to make, and the turns after which that has paid", "variant", *columns)
    for one in document.variants:
        if (made := one.making) is None:
            continue
        scores = "-" if made.teacher_inference_s is None else time_text(made.teacher_inference_s)
        tuning = time_text(made.tuning_s) if made.tuning_runs else "-"
        turns = [_pays(one.break_even, unit, teacher) for unit in ("flop", "seconds") for teacher in (False, True)]
        table.add_row(one.name, time_text(made.training_s), scores, tuning, *turns)
    return table


def _pays(rows: tuple[BreakEven, ...], unit: str, with_teacher: bool) -> str:
    found = [row for row in rows if (row.unit, row.with_teacher) == (unit, with_teacher)]
    if not found:
        return "-"
    (row,) = found
    if row.turns is not None:
        return count(row.turns)
    return "never" if (row.reason or "").startswith("never") else "unknown"


def _lines(document: RemedyReport) -> list[str]:
    lines = []
    for one in document.comparisons:
        said = "above" if one.above else "not shown to be above"
        difference = one.mrr_difference
        lines.append(f"{one.variant}: {said} {one.against}: MRR {difference.mean:+.4f} ({_interval(difference)})")
    lines += [f"{one.name}: {note}" for one in document.variants for note in one.notes]
    reasons = {row.device: row.reason for one in document.variants for row in one.predicted if row.reason}
    lines += [f"{device}: no prediction: {reason}" for device, reason in reasons.items()]
    for one in document.variants:
        for run in one.runs:
            for name, figures in run.figures.items():
                told = ", ".join(f"{key} {value:.4f}" for key, value in figures.items() if isinstance(value, float))
                lines.append(f"{one.name}, seed {run.seed}: {name}: {told}")
    lines.append(
        f"within the margin: not more than {document.margin:.0%} of the teacher's MRR below it, shown at 95% (one-sided)"
    )
    lines.append("front (*): no other variant is as good for fewer FLOPs a turn")
    return [*lines, *document.notes]
