"""Live memory over each program, and the buffers at its peak, as terminal tables."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cr_jax.documents.memory import MemoryTimeline
from cr_jax.documents.reported_step import ReportedStep
from cr_jax.units import scaled

_HEIGHTS = "▁▂▃▄▅▆▇█"


def memory_tables(steps: Sequence[ReportedStep]) -> RenderableType:
    """Per step: its timeline, and the largest buffers alive at the peak."""
    return Group(*(_step(step) for step in steps))


def _step(step: ReportedStep) -> RenderableType:
    timeline = step.memory.timeline
    if timeline is None:
        why = "not compiled" if step.compiled is None else "its text does not say in which order it runs"
        return Text(f"Memory of {step.name}: unknown, {why}\n")
    head = Text(f"Memory of {step.name}\n", style="bold")
    at = timeline.peak_position / max(1, timeline.positions - 1)
    line = (
        f"fullest: {scaled(timeline.peak_bytes, 'B')} alive, {at:.0%} of the way, at {timeline.peak_instruction} "
        f"({timeline.peak_module}, {timeline.peak_pass})"
    )
    if timeline.share_of_peak is not None:
        line += f" · {timeline.share_of_peak:.0%} of the {scaled(step.memory.peak_bytes, 'B')} set aside"
    if timeline.peak_idle_bytes > timeline.peak_bytes / 100:
        line += f"; {scaled(timeline.peak_idle_bytes, 'B')} idle"
    head.append(f"{bar([p.live_bytes for p in timeline.points])}\n{line}", style="not bold")
    return Group(head, _alive(timeline))


def _alive(timeline: MemoryTimeline) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", caption="\n", caption_justify="left")
    for column in ("alive then", "module", "role", "shape", "bytes", "share"):
        table.add_column(column, justify="right" if column in ("bytes", "share") else "left")
    for row in timeline.alive:
        table.add_row(
            Text(row.name),
            Text(row.module),
            row.role,
            Text(row.shape),
            scaled(row.bytes, "B"),
            f"{row.bytes / timeline.peak_bytes:.1%}",
        )
    if timeline.other_buffers:
        table.add_row(
            f"{timeline.other_buffers} more",
            "",
            "",
            "",
            scaled(timeline.other_bytes, "B"),
            f"{timeline.other_bytes / timeline.peak_bytes:.1%}",
        )
    return table


def bar(values: Sequence[int]) -> str:
    """One letter per value, as high as its share of the largest."""
    top = max(values, default=0) or 1
    # Whole numbers may be written as 8.0 in a document.
    return "".join(_HEIGHTS[min(len(_HEIGHTS) - 1, int(value * len(_HEIGHTS) // top))] for value in values)
