"""How the entries of ``profiles/accelerator_times.json`` are written, and its cards while one is fitted or left out."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.accelerator_fits.fitting import Fitted, rounded
from cr_jax.catalog.load import accelerator, accelerator_names
from cr_jax.catalog.times import Constant, Times
from cr_jax.predict.accelerator.card import Card, card

#: The cards of the measurements, by their names there: the profile's name, else one that is near and what differs.
_NEAR: dict[str, tuple[str, str, dict[str, Any]]] = {
    "p100": ("p100-pcie", "p100", {"clock_hz": 1.303e9, "power_w": 250, "generation": "pascal", "memory_kind": "hbm",
                                   "lanes_per_core": 64, "memory_bandwidth_bytes_per_s": 732e9}),
    "v100": ("v100-pcie-32gb", "v100", {"clock_hz": 1.380e9, "power_w": 250, "generation": "volta", "memory_kind": "hbm",
                                        "lanes_per_core": 64, "memory_bandwidth_bytes_per_s": 900e9}),
    "t4": ("t4", "t4", {"generation": "turing", "memory_kind": "gddr", "lanes_per_core": 64}),
    "a100-40gb": ("a100-40gb-pcie", "a100-40gb", {"power_w": 250, "generation": "ampere-datacenter", "memory_kind": "hbm",
                                                  "lanes_per_core": 64}),
}  # fmt: skip


def measured_card(name: str, times: Times | None = None) -> Card:
    """The card that a row of ``../shared/measured`` was measured on (the PCIe model)."""
    exact, near, differs = _NEAR[name]
    if exact in accelerator_names() and accelerator(exact).generation:
        return card(accelerator(exact), times)
    return card(replace(accelerator(near), name=exact, **differs), times)


def constant(
    value: float | None, unit: str, meaning: str, kind: str, source: str, by: Mapping[str, Mapping[str, float]] | None = None
) -> dict[str, Any]:
    """One constant as the file has it; four digits."""
    entry: dict[str, Any] = {"value": None if value is None else rounded({"": value})[""], "unit": unit, "meaning": meaning,
                             "kind": kind, "source": source}  # fmt: skip
    if by:
        entry["by"] = {what: rounded(values) for what, values in by.items()}
    return entry


def times(entries: Mapping[str, Mapping[str, Any]]) -> Times:
    """The constants of entries."""
    made = {n: Constant(n, e["value"], e["unit"], e["meaning"], e["kind"], e["source"], e.get("by", {}), "")
            for n, e in entries.items()}  # fmt: skip
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
