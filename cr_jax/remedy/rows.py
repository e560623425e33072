"""The rows of a remedy report."""

from collections.abc import Sequence

from msgspec import structs

from cr_jax.documents.remedy_report import ComparedVariants, RemedyVariant, VariantRun
from cr_jax.remedy.answered import Answered
from cr_jax.remedy.making import break_even_rows, making_costs
from cr_jax.remedy.quality import final_pairs, noninferiority_test, over_seeds, quality_over_seeds, turn_quality
from cr_jax.remedy.request import RemedyRequest
from cr_jax.remedy.turn_costs import TurnCost


def variant_rows(
    request: RemedyRequest, answered: Sequence[Answered], costs: Sequence[TurnCost | None]
) -> tuple[RemedyVariant, ...]:
    """A row per variant, the teacher's first. costs: of a turn of each."""
    teacher, cost = answered[0], costs[0]
    assert cost is not None and teacher.variant.kind == "teacher"
    rows = [_row(request, one, teacher, mine, cost) for one, mine in zip(answered, costs, strict=True)]
    return tuple(structs.replace(row, on_front=_on_front(row, rows)) for row in rows)


def _row(request: RemedyRequest, one: Answered, teacher: Answered, cost: TurnCost | None, reference: TurnCost) -> RemedyVariant:
    first = one is teacher
    made = None if one.made is None else making_costs(one.made)
    counted = None
    if cost is not None:
        counted = structs.replace(cost.counted, share_of_teacher=cost.counted.flops / reference.counted.flops)
    clock = None
    if cost is not None and cost.measured is not None and reference.measured is not None:
        clock = (cost.measured.median_us / 1e6, reference.measured.median_us / 1e6)
    return RemedyVariant(
        name=one.variant.name,
        kind=one.variant.kind,
        settings=dict(one.variant.settings),
        options=dict(one.recipe),
        runs=_runs(request, one, None if first else teacher),
        quality=quality_over_seeds(one.ranks, teacher.ranks) if one.ranks else (),
        noninferiority=None if first or not one.ranks else noninferiority_test(one.ranks, teacher.ranks, request.margin),
        counted=counted,
        measured=None if cost is None else cost.measured,
        predicted=() if cost is None else cost.predicted,
        making=made,
        break_even=() if made is None or cost is None else break_even_rows(made, cost, reference, clock),
        on_front=None,
        notes=_notes(request, one, cost, reference),
    )


def _runs(request: RemedyRequest, one: Answered, teacher: Answered | None) -> tuple[VariantRun, ...]:
    rows = []
    for number, (seed, cell) in enumerate(zip(request.seeds, one.cells, strict=True)):
        mine = one.ranks[number] if one.ranks else None
        theirs = None if teacher is None or mine is None else teacher.ranks[number]
        rows.append(
            VariantRun(
                seed=seed,
                conversations=0 if mine is None else len(mine.lengths),
                by_turn=() if mine is None else turn_quality(mine, theirs, seed),
                figures=cell.figures,
            )
        )
    return tuple(rows)


def _notes(request: RemedyRequest, one: Answered, cost: TurnCost | None, reference: TurnCost) -> tuple[str, ...]:
    lines = []
    if cost is not None and one.made is not None and cost.counted.flops > reference.counted.flops:
        lines.append("a turn costs more than the teacher's")
    if one.variant.kind == "replayed":
        lines.append("the answers are the teacher's: only the cost differs")
    if one.made is not None and one.made.teachers and request.ensemble > 1:
        lines.append(f"of {request.ensemble} teachers on one split; the difference is to the first one")
    return tuple(lines)


def _on_front(row: RemedyVariant, rows: Sequence[RemedyVariant]) -> bool | None:
    """Whether no other variant is as good at fewer FLOPs, or better at as few."""
    mine = _point(row)
    if mine is None:
        return None
    others = [point for other in rows if other is not row and (point := _point(other)) is not None]
    return not any(mrr >= mine[0] and flops <= mine[1] and (mrr, flops) != mine for mrr, flops in others)


def _point(row: RemedyVariant) -> tuple[float, float] | None:
    return (row.quality[-1].mrr, row.counted.flops) if row.quality and row.counted is not None else None


def comparisons(answered: Sequence[Answered]) -> tuple[ComparedVariants, ...]:
    """Each distilled student less its rivals of the same size."""
    rows = []
    for one in answered:
        for other in answered:
            same = one.variant.settings == other.variant.settings and one.ranks and other.ranks
            if one.variant.kind == "distilled" and other.variant.kind in ("scratch", "smoothed") and same:
                found = over_seeds(final_pairs(one.ranks, other.ranks))
                above = found.low is not None and found.low > 0
                rows.append(
                    ComparedVariants(variant=one.variant.name, against=other.variant.name, mrr_difference=found, above=above)
                )
    return tuple(rows)


def notes(request: RemedyRequest) -> tuple[str, ...]:
    """Lines of the report."""
    lines = ["a seed draws the split, the first weights and the order of batches; a student shares its teacher's split"]
    if len(request.seeds) < 5:
        lines.append(f"non-inferiority is not decided by fewer than five seeds; here: {len(request.seeds)}")
    return tuple(lines)
