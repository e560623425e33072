"""How memory goes over each program, and what fills it at its fullest, as terminal tables."""

from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cr_jax.units import scaled

_HEIGHTS = "▁▂▃▄▅▆▇█"


def memory_tables(steps: Sequence[dict[str, Any]]) -> RenderableType:
    """Per step: its timeline, and the largest buffers alive at the peak."""
    return Group(*(_step(step) for step in steps))


def _step(step: dict[str, Any]) -> RenderableType:
    found = step["memory"]["timeline"]
    if found is None:
        why = "not compiled" if step["compiled"] is None else "its text does not say in which order it runs"
        return Text(f"Memory of {step['name']}: unknown, {why}\n")
    head = Text(f"Memory of {step['name']}\n", style="bold")
    at = found["peak_position"] / max(1, found["positions"] - 1)
    line = (
        f"fullest: {scaled(found['peak_bytes'], 'B')} alive, {at:.0%} of the way, at {found['peak_instruction']} "
        f"({found['peak_module']}, {found['peak_pass']})"
    )
    if found["share_of_peak"] is not None:
        line += f" · {found['share_of_peak']:.0%} of the {scaled(step['memory']['peak_bytes'], 'B')} set aside"
    if found["peak_idle_bytes"] > found["peak_bytes"] / 100:
        line += f"; {scaled(found['peak_idle_bytes'], 'B')} idle"
    head.append(f"{bar([p['live_bytes'] for p in found['points']])}\n{line}", style="not bold")
    return Group(head, _alive(found))


def _alive(found: dict[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", caption="\n", caption_justify="left")
    for column in ("alive then", "module", "role", "shape", "bytes", "share"):
        table.add_column(column, justify="right" if column in ("bytes", "share") else "left")
    for row in found["alive"]:
        table.add_row(
            Text(row["name"]),
            Text(row["module"]),
            row["role"],
            Text(row["shape"]),
            scaled(row["bytes"], "B"),
            f"{row['bytes'] / found['peak_bytes']:.1%}",
        )
    if found["other_buffers"]:
        table.add_row(
            f"{found['other_buffers']} more",
            "",
            "",
            "",
            scaled(found["other_bytes"], "B"),
            f"{found['other_bytes'] / found['peak_bytes']:.1%}",
        )
    return table


def bar(values: Sequence[int]) -> str:
    """One letter a value, as high as its share of the largest."""
    top = max(values, default=0) or 1
    # Whole numbers may be written as 8.0 in a document.
    return "".join(_HEIGHTS[min(len(_HEIGHTS) - 1, int(value * len(_HEIGHTS) // top))] for value in values)
