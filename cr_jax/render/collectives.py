"""The collectives of a program as a terminal table."""

from collections.abc import Callable, Sequence

from rich.table import Table

from cr_jax.documents.counts import CountedCollective
from cr_jax.units import count, scaled

_SHOWN = 12


def collectives_table(collectives: Sequence[CountedCollective], title: str, grid: Callable[..., Table]) -> Table:
    """What devices send each other, the most first. grid: makes an empty table of a title and columns."""
    sent = sum(one.sent_bytes * one.executions for one in collectives)
    most = "at most " if any(one.at_most for one in collectives) else ""
    table = grid(
        title,
        "collective",
        "over",
        "groups",
        "times",
        "bytes each",
        "sent in all",
        "beside it",
        "module",
        note=f"in a ring each device sends {most}{scaled(sent, 'B')} in all",
    )
    ranked = sorted(collectives, key=lambda one: -one.sent_bytes * one.executions)
    for one in ranked[:_SHOWN]:
        bound = "at most " if one.at_most else ""
        table.add_row(
            one.kind,
            ", ".join(one.axes) or "-",
            f"{one.groups} of {one.group_size}",
            count(one.executions),
            bound + scaled(one.payload_bytes, "B"),
            bound + scaled(one.sent_bytes * one.executions, "B"),
            _beside(one),
            one.module,
        )
    if len(ranked) > _SHOWN:
        rest = sum(one.sent_bytes * one.executions for one in ranked[_SHOWN:])
        table.add_row(f"{len(ranked) - _SHOWN} more", *[""] * 4, scaled(rest, "B"), "", "")
    return table


def _beside(one: CountedCollective) -> str:
    """What may run until it ends."""
    if not one.asynchronous:
        return "nothing: waits"
    if not one.between_operations:
        return "nothing"
    return f"{scaled(one.between_flops, 'FLOP')}, {scaled(one.between_hbm_bytes, 'B')}"
