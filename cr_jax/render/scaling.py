"""An amount of work on growing numbers of devices: as a table, and as bars; input is the document alone."""

from rich.console import Group, RenderableType
from rich.text import Text

from cr_jax.documents.scaling_estimate import ScalingEstimate, ScalingRow
from cr_jax.render.cost import grid
from cr_jax.render.escape import shown
from cr_jax.render.phrases import interval, on
from cr_jax.render.svg import Panel, bar_panels
from cr_jax.units import count, plain_number, scaled, small, time_text


def render_scaling(document: ScalingEstimate) -> RenderableType:
    """A row per device and number of devices, then the answers: the cheapest, and where communication takes over."""
    document = shown(document)
    several = any(row.devices > 1 for row in document.rows)
    growth = f", {document.growth} scaling" if several else ""
    columns = [
        "devices",
        *(["batch", "efficiency", "collectives alone"] if several else []),
        "FLOP/device",
        "peak memory",
        "fits",
        "step",
        "interval",
        document.work,
        "energy",
        "USD",
    ]
    table = grid(f"{document.subject}{on(document.dataset)}{growth}", *columns)
    for row in document.rows:
        table.add_row(*_cells(row, several))
    return Group(table, Text("\n".join(["", *notes(document)]) + "\n", style="dim"))


def _cells(row: ScalingRow, several: bool) -> list[str]:
    shares = ["-" if row.batch is None else count(row.batch), _percent(row.efficiency), _percent(row.alone_share)]
    return [
        name(row),
        *(shares if several else []),
        scaled(row.flops_per_device),
        scaled(row.peak_bytes, "B"),
        "unknown" if row.fits is None else "yes" if row.fits else "no",
        time_text(row.step_seconds),
        interval(row.step_low_s, row.step_high_s),
        time_text(row.seconds),
        small(row.energy_j, "J"),
        plain_number(row.price_usd),
    ]


def name(row: ScalingRow) -> str:
    """``8 x h100``."""
    return f"{row.devices} x {row.device}"


def notes(document: ScalingEstimate) -> list[str]:
    """The answers in words, and the reasons of what is not known."""
    lines = []
    if document.cheapest is not None:
        row = document.rows[document.cheapest]
        within = f" that take at most {time_text(document.deadline_s)}" if document.deadline_s else ""
        lines.append(f"cheapest{within}: {name(row)}, {plain_number(row.price_usd)} USD in {time_text(row.seconds)}")
    elif document.deadline_s:
        lines.append(f"none is known to take at most {time_text(document.deadline_s)} and to fit")
    if document.communication is not None:
        row = document.rows[document.communication]
        lines.append(f"communication takes over at {name(row)}: nothing but collectives runs in {row.alone_share:.0%} of a step")
    lines += [f"no figures for {name(row)}: {row.reason}" for row in document.rows if row.reason]
    return lines


def scaling_bars(document: ScalingEstimate) -> str | None:
    """An SVG of step time by number of devices, a panel per device; ``None``: no time is known."""
    document = shown(document)
    panels = []
    for device in dict.fromkeys(row.device for row in document.rows):
        rows = [row for row in document.rows if row.device == device and row.step_seconds]
        if rows:
            groups = tuple(str(row.devices) for row in rows)
            panels.append(Panel(device, groups, tuple((1e3 * (row.step_seconds or 0),) for row in rows)))
    if not panels:
        return None
    title = f"{document.subject}{on(document.dataset)}: step time, {document.growth} scaling"
    return bar_panels(title, "milliseconds", ["predicted step"], panels, "devices below the bars")


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.0%}"
