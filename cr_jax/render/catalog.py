"""Tables of the registered models, data sets and accelerators."""

from collections.abc import Sequence
from typing import Any

from msgspec import structs
from rich.console import Group, RenderableType
from rich.table import Table

from cr_jax.printable import visible
from cr_jax.render.cost import grid
from cr_jax.units import count, scaled


def models(specs: Sequence[Any]) -> Table:
    """A row per model."""
    table = grid("Models", "name", "title", "public code", "paper")
    for column in table.columns[1:]:
        column.justify = "left"
    for spec in specs:
        table.add_row(*map(visible, (spec.name, spec.title, spec.code, spec.paper)))
    return table


def datasets(profiles: Sequence[Any]) -> Table:
    """A row per data set, with its sizes."""
    table = grid("Data sets", "name", "users", "items", "aspects", "values", "turns", "conversations", "words", "T (95%)")
    for data in profiles:
        sizes = (data.users, data.items, data.aspects, data.values, data.turns, data.conversations, data.words)
        table.add_row(visible(data.name), *map(count, sizes), str(data.last_turn))
    return table


def accelerators(profiles: Sequence[Any]) -> RenderableType:
    """Peak rates and hourly rent of each device."""
    peaks = grid(
        "Accelerators (peak FLOP/s as sourced; unknown stays unknown)",
        "name",
        "device",
        "platform",
        "memory",
        "bandwidth",
        "float32",
        "tf32",
        "bfloat16",
    )
    prices = grid(
        "\nPrices of one device (with its share of the host where the kind does not say otherwise)",
        "name",
        "USD/hour",
        "provider",
        "region",
        "kind",
        "date",
    )
    for column in (*peaks.columns[1:3], *prices.columns[2:]):
        column.justify = "left"
    for a in profiles:
        rates = (a.matmul_flops_per_s.get(kind) for kind in ("float32", "tf32", "bfloat16"))
        peaks.add_row(
            visible(a.name),
            visible(a.title),
            a.platform,
            scaled(a.memory_bytes, "B"),
            scaled(a.memory_bandwidth_bytes_per_s, "B/s"),
            *(scaled(r) for r in rates),
        )
        if a.price_usd_per_hour is not None:
            about = {"date": a.origins["price_usd_per_hour"].date, **(structs.asdict(a.price) if a.price else {})}
            said = (visible(about.get(key) or "not said") for key in ("provider", "region", "kind", "date"))
            prices.add_row(visible(a.name), f"{a.price_usd_per_hour:.2f}", *said)
    unpriced = [a.name for a in profiles if a.price_usd_per_hour is None]
    if unpriced:
        prices.caption = f"no price known: {', '.join(map(visible, unpriced))}"
    return Group(peaks, prices) if prices.row_count else Group(peaks, prices.caption or "")


def lengths(data: Any) -> Table:
    """Words per text, with the source of each distribution."""
    table = grid(f"Text lengths of {visible(data.name)}, in words", "text", "mean", "median", "95%", "longest", "known by")
    table.columns[-1].justify = "left"
    for name in ("request", "question", "answer", "item", "item_sentences"):
        length, origin = getattr(data.lengths, name), data.origins.get(f"lengths.{name}")
        label = "sentences of an item" if name == "item_sentences" else name
        table.add_row(
            label, f"{length.mean:.1f}", str(length.p50), str(length.p95), str(length.max), origin.kind if origin else "unknown"
        )
    return table
