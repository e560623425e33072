"""The estimate of a whole training run as a terminal table."""

from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from cr_jax.render.cost import grid
from cr_jax.units import count, scaled


def render_estimate(document: dict[str, Any]) -> RenderableType:
    """A row per objective and the total; what is unknown says so."""
    target = document["target"]
    table = grid(
        f"Training {document['model']['name']} on {document['dataset']['name']}: {target['name']}, "
        f"schedule {document['schedule']}",
        "objective", "batch", "optimizer steps", "epochs", "FLOP", "bytes moved", "peak memory", "time", "energy", "price",
    )  # fmt: skip
    for row in document["objectives"]:
        epochs = "-" if row["epochs"] is None else f"{row['epochs']:.3g}"
        if row["patience"]:
            epochs = f"up to {epochs}"
        table.add_row(row["objective"], str(row["batch"]), count(row["optimizer_steps"]), epochs, *_figures(row))
    if len(document["objectives"]) > 1:
        total = document["total"]
        table.add_row("total", "", count(total["optimizer_steps"]), "", *_figures(total | {"peak_bytes": False}), style="bold")
    reasons = sorted({row["reason"] for row in document["objectives"] if row["reason"]})
    lines = [f"no time: {reason}" for reason in reasons] + [document["note"]]
    return Group(table, Text("\n".join(lines), style="dim"))


def _figures(row: dict[str, Any]) -> list[str]:
    time = duration(row["seconds"])
    if row["seconds"] is not None and row["low_s"] is not None and row["high_s"] is not None:
        time += f" ({duration(row['low_s'])} to {duration(row['high_s'])})"
    return [
        scaled(row["flops"]), scaled(row["hbm_bytes"], "B"), "" if row["peak_bytes"] is False else scaled(row["peak_bytes"], "B"),
        time, scaled(row["energy_j"], "J"), "unknown" if row["price_usd"] is None else f"{row['price_usd']:.2f} USD",
    ]  # fmt: skip


def duration(seconds: float | None) -> str:
    """``5400`` -> ``1.5 h``; ``None`` -> ``unknown``."""
    if seconds is None:
        return "unknown"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"
