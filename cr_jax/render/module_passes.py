"""The modules of a model's step as a flat table with the FLOPs of each pass; input is the document alone."""

from collections.abc import Callable

from rich.table import Table

from cr_jax.documents.reported_step import ReportedStep
from cr_jax.render.modules import module_seconds, outside_modules, time_cells
from cr_jax.units import scaled

_SHOWN = 12
_PASSES = ("forward", "backward", "recompute", "optimizer")


def module_passes(step: ReportedStep, grid: Callable[..., Table]) -> Table:
    """A row per module, the most FLOPs first, with its predicted time. grid: makes a table of a title and columns."""
    total = step.best.flops or 1
    modules: dict[str, dict[str, int]] = {}
    passes: set[str] = set()
    for row in step.modules:
        sums = modules.setdefault(row.module, {"flops": 0, "matmul": 0, "bytes": 0})
        flops = row.matmul_flops + row.other_flops
        sums["flops"] += flops
        sums["matmul"] += row.matmul_flops
        sums["bytes"] += row.hbm_bytes
        sums[row.pass_] = sums.get(row.pass_, 0) + flops
        passes.add(row.pass_)
    order = [p for p in _PASSES if p in passes]
    rows, whole = module_seconds(step)
    seconds: dict[str, float] = {}
    for one in rows:
        seconds[one.module] = seconds.get(one.module, 0.0) + one.seconds
    times = ["time", "of time"] if seconds else []
    flop_columns = (f"{p} FLOP" for p in order)
    table = grid(f"Modules of {step.name}", "module", "share", "matmul FLOP", *flop_columns, "bytes", *times)
    ranked = sorted(modules.items(), key=lambda item: -item[1]["flops"])
    for name, sums in ranked[:_SHOWN]:
        table.add_row(
            name,
            f"{sums['flops'] / total:.1%}",
            scaled(sums["matmul"]),
            *(scaled(sums.get(p, 0)) for p in order),
            scaled(sums["bytes"], "B"),
            *(time_cells(seconds.get(name, 0.0), whole) if times else ()),
        )
    if len(ranked) > _SHOWN:
        names = [name for name, _ in ranked[_SHOWN:]]
        rest = sum(modules[name]["flops"] for name in names)
        its = time_cells(sum(seconds.get(name, 0.0) for name in names), whole) if times else ()
        table.add_row(f"{len(names)} more", f"{rest / total:.1%}", *[""] * (len(order) + 2), *its)
    for name, outside_s in outside_modules(step).items():
        table.add_row(name, *[""] * (len(order) + 3), *time_cells(outside_s, whole))
    return table
