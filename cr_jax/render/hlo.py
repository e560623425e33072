"""The count of one HLO text as terminal tables."""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cr_jax.documents.counts import CountedConditional, CountedLoop, OperationCosts
from cr_jax.documents.hlo_count import HloCountDocument
from cr_jax.render.collectives import collectives_table
from cr_jax.render.cost import grid
from cr_jax.render.escape import shown
from cr_jax.units import count, scaled

_SHOWN = 20
_STYLES = {"exact": "green", "assumed": "yellow"}
_BOUNDS = {
    "exact": "exact",
    "lower": "lower bound: see loops and operations below",
    "upper": "upper bound: a loop may end earlier, see below",
    "assumed": "exact if the trip counts and kernel costs given are right: see below",
    "range": "upper bound of a range: see conditionals and calls below",
}


def render_hlo(document: HloCountDocument) -> RenderableType:
    """Totals, then families, modules, passes, loops and uncounted operations."""
    document = shown(document)
    parts = [*_totals(document), *_cost_tables(document), *_loops(document)]
    if document.conditionals:
        parts += [_conditionals(document.conditionals), Text("")]
    if document.collectives:
        parts += [collectives_table(document.collectives, "Collectives", grid), Text("")]
    if document.declared:
        table = grid("Cost declared by the call, or by a textbook formula", "call", "source", "times", "FLOP", "transcendentals")
        for call in document.declared:
            table.add_row(call.operation, call.source, str(call.count), scaled(call.flops), scaled(call.transcendentals))
        parts += [table, Text("")]
    if document.uncounted:
        table = grid("Not counted (bytes are)", "operation", "times", "HBM bytes")
        for missing in document.uncounted:
            table.add_row(missing.operation, str(missing.count), scaled(missing.hbm_bytes, "B"))
        parts.append(table)
    return Group(*parts)


def _totals(document: HloCountDocument) -> Iterator[RenderableType]:
    """The figures of the whole program and their bound."""
    totals = grid(f"HLO module {document.module_name}", "figure", "value", "")
    for key in ("matmul_flops", "other_flops", "integer_ops", "transcendentals"):
        totals.add_row(key, count(getattr(document, key)), scaled(getattr(document, key)))
    for key in ("hbm_bytes", "onchip_bytes", "collective_bytes"):
        totals.add_row(key, count(getattr(document, key)), scaled(getattr(document, key), "B"))
    bound = document.bound
    yield totals
    yield Text(_BOUNDS[bound] + "\n", style=_STYLES.get(bound, "bold red"))
    if bound in ("upper", "range") and document.least:
        least = document.least
        yield Text(
            f"at least {count(least.matmul_flops)} matmul FLOP, {count(least.other_flops)} other FLOP, "
            f"{scaled(least.hbm_bytes, 'B')}\n"
        )


def _loops(document: HloCountDocument) -> Iterator[RenderableType]:
    """The loops, and what to do about one of unknown trip count."""
    if not document.loops:
        return
    table = grid("Loops", "loop", "trip count", "known by", "entered", "matmul FLOP per iteration", "module")
    for loop in document.loops:
        per_iteration = scaled(loop.matmul_flops_per_iteration)
        table.add_row(loop.name, _trips(loop), loop.source, str(loop.executions), per_iteration, loop.module)
    yield table
    yield Text("")
    unknown = next((loop for loop in document.loops if loop.trip_count is None), None)
    if unknown is not None:
        yield Text(
            "a loop of unknown trip count may never run and adds nothing; give its count with --trips NAME=N, such as "
            f"--trips {unknown.path or unknown.name}=N\n",
            style="yellow",
        )


def _conditionals(conditionals: Sequence[CountedConditional]) -> Table:
    columns = ("conditional", "entered", "branch", "FLOP", "transcendentals", "HBM bytes")
    table = grid("Conditionals whose branches differ", *columns)
    for one in conditionals:
        for number, branch in enumerate(one.branches):
            place = ("", "") if number else (one.name, str(one.executions))
            costs = scaled(branch.flops), scaled(branch.transcendentals), scaled(branch.hbm_bytes, "B")
            table.add_row(*place, branch.computation, *costs)
    return table


def _cost_tables(document: HloCountDocument) -> Iterator[RenderableType]:
    """Costs by family, module and pass, the most expensive first."""
    for axis in ("families", "modules", "passes"):
        costs: dict[str, OperationCosts] = getattr(document, axis)
        rows = sorted(costs.items(), key=lambda item: -item[1].matmul_flops - item[1].other_flops)
        table = grid(axis.capitalize(), "name", "matmul FLOP", "other FLOP", "transcendentals", "integer", "HBM bytes")
        for name, cost in rows[:_SHOWN]:
            table.add_row(
                name,
                scaled(cost.matmul_flops),
                scaled(cost.other_flops),
                scaled(cost.transcendentals),
                scaled(cost.integer_ops),
                scaled(cost.hbm_bytes, "B"),
            )
        if len(rows) > _SHOWN:
            table.add_row(f"{len(rows) - _SHOWN} more (see --json)")
        yield table
        yield Text("")


def _trips(loop: CountedLoop) -> str:
    """The trip count of a loop, and contradictions to it."""
    if loop.trip_count is None:
        return "unknown (at least 0)"
    text = ("at most " if loop.at_most else "") + str(loop.trip_count)
    return text if loop.disputed is None else f"{text}, or {loop.disputed}: annotation and inference differ"
