"""How the entries of ``profiles/accelerator_times.json`` are written, and its cards while one is fitted or left out."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.accelerator_fits.fitting import Fitted, rounded
from cr_jax.catalog.load import accelerator
from cr_jax.catalog.times import Constant, Times
from cr_jax.predict.accelerator.card import Card, card


def measured_card(name: str, times: Times | None = None) -> Card:
    """The card of a profile, as rows name theirs."""
    return card(accelerator(name), times)


def constant(
    value: float | None, unit: str, meaning: str, kind: str, source: str, by: Mapping[str, Mapping[str, float]] | None = None
) -> dict[str, Any]:
    """One constant as the file has it; four digits."""
    entry: dict[str, Any] = {
        "value": None if value is None else rounded({"": value})[""],
        "unit": unit,
        "meaning": meaning,
        "kind": kind,
        "source": source,
    }
    if by:
        entry["by"] = {what: rounded(values) for what, values in by.items()}
    return entry


def times(entries: Mapping[str, Mapping[str, Any]]) -> Times:
    """The constants of entries."""
    made = {
        n: Constant(n, e["value"], e["unit"], e["meaning"], e["kind"], e["source"], e.get("by", {}), "")
        for n, e in entries.items()
    }
    return Times(made, {})


def residual(errors: Mapping[str, Any]) -> dict[str, Any]:
    return {name: float(f"{value:.4g}") if isinstance(value, float) else value for name, value in errors.items()}


def write(path: Path, *fitted: Fitted) -> None:
    """Put what was fitted into the file, in place of what it had of the same mechanisms and classes."""
    document = json.loads(path.read_text())
    for one in fitted:
        gone = {name.partition(".")[0] for name in one.constants}
        kept = {name: entry for name, entry in document["constants"].items() if name.partition(".")[0] not in gone}
        document["constants"] = dict(sorted({**kept, **one.constants}.items()))
        document["residuals"] = dict(sorted({**document["residuals"], **one.residuals}.items()))
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
