"""The count of one HLO text as terminal tables."""

from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from cr_jax.render.cost import grid
from cr_jax.render.escape import shown
from cr_jax.units import count, scaled

_SHOWN = 20


def render_hlo(document: dict[str, Any]) -> RenderableType:
    """Totals, then families, modules, passes, loops and what is not counted."""
    document = shown(document)
    totals = grid(f"HLO module {document['module_name']}", "figure", "value", "")
    for key in ("matmul_flops", "other_flops", "integer_ops", "transcendentals"):
        totals.add_row(key, count(document[key]), scaled(document[key]))
    for key in ("hbm_bytes", "onchip_bytes", "collective_bytes"):
        totals.add_row(key, count(document[key]), scaled(document[key], "B"))
    exact = document["complete"]
    bound = "exact" if exact else "lower bound: see loops and operations below"
    parts: list[RenderableType] = [totals, Text(bound + "\n", style="green" if exact else "bold red")]
    for axis in ("families", "modules", "passes"):
        rows = sorted(document[axis].items(), key=lambda item: -item[1]["matmul_flops"] - item[1]["other_flops"])
        table = grid(axis.capitalize(), "name", "matmul FLOP", "other FLOP", "transcendentals", "integer", "HBM bytes")
        for name, cost in rows[:_SHOWN]:
            table.add_row(name, scaled(cost["matmul_flops"]), scaled(cost["other_flops"]), scaled(cost["transcendentals"]),
                          scaled(cost["integer_ops"]), scaled(cost["hbm_bytes"], "B"))  # fmt: skip
        if len(rows) > _SHOWN:
            table.add_row(f"{len(rows) - _SHOWN} more (see --json)")
        parts += [table, Text("")]
    if document["loops"]:
        table = grid("Loops", "loop", "trip count", "known by", "entered", "matmul FLOP per iteration", "module")
        for loop in document["loops"]:
            trips = "unknown (counted once)" if loop["trip_count"] is None else str(loop["trip_count"])
            table.add_row(loop["name"], trips, loop["source"], str(loop["executions"]),
                          scaled(loop["matmul_flops_per_iteration"]), loop["module"])  # fmt: skip
        parts += [table, Text("")]
        if any(loop["trip_count"] is None for loop in document["loops"]):
            parts.append(Text("give an unknown trip count with --trip-count LOOP=N\n", style="yellow"))
    if document["uncounted"]:
        table = grid("Not counted (bytes are)", "operation", "times", "HBM bytes")
        for missing in document["uncounted"]:
            table.add_row(missing["operation"], str(missing["count"]), scaled(missing["hbm_bytes"], "B"))
        parts.append(table)
    return Group(*parts)
