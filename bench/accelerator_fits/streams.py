"""Fit of the constants of streams and reductions, on torch's elementwise, softmax and layer norm kernels.

    python -m bench.accelerator_fits.streams [--write] [../shared/measured]

What is a habit of torch's kernels stands beside the rows (``cr_jax.predict.accelerator.measured.streams``), not here.
"""

import csv
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.accelerator_fits.entries import constant, measured_card, residual, times, write
from bench.accelerator_fits.fitting import Fitted, errors, search
from bench.accelerator_fits.table import HEAD, line
from cr_jax.predict.accelerator.card import Card
from cr_jax.predict.accelerator.measured.rows import clear, taken
from cr_jax.predict.accelerator.measured.streams import Streams
from cr_jax.predict.accelerator.measured_rows import predict, read_rows

#: Today's predictor and the roofline: share of the memory's peak.
TODAY = 0.9
#: What an RTX A5000 reads and writes of its 768 GB/s, as printed (userz.net: 659.5 GB/s).
PRINTED_GDDR = 0.859
CLASSES = ("streams_hbm", "streams_gddr", "reductions")
SOURCE = "fitted on sitar-lab/NeuSight's measurements at 6945927d (torch 2.1, PCIe cards)"
SWITCHES = ("cache_reach", "cache_sharpness", "row_share")


def read(measured: Path) -> dict[tuple[str, str], Streams]:
    """The rows three times above the offset, by card and class ("streams" or "reductions")."""
    found = {}
    for rows in map(clear, read_rows(measured / "streams_f32.fit.csv", "streams")):
        for kind, which in (("streams", rows.reduced == 0), ("reductions", rows.reduced > 0)):
            found[rows.card, kind] = taken(rows, which)
    return found


def today(card: Card, rows: Streams, share: float) -> np.ndarray:
    """What a predictor says that knows bytes and a share of the peak only."""
    once = np.where(rows.reduced > 0, rows.written, rows.read)
    return (once + rows.written) / (share * card.bandwidth) + rows.offset


def cycles(measured: Path) -> dict[str, dict[str, float]]:
    """Instructions per element: clocks of a dependent chain, which the table has in half clocks, over those of one
    addition (4 clocks since Volta, 6 before).
    """
    table: dict[tuple[str, str], float] = {}
    with (measured / "op_cycles.csv").open(newline="") as lines:
        for row in csv.DictReader(lines):
            if row["type"] == "F32":
                table[row["target"], row["opcode"]] = float(row["clock_cycles"])
    usual = ("exponential", "log", "tanh", "logistic")
    new, old = "sm_103", "sm_60"
    return {
        "transcendental_cycles": {
            "": float(np.mean([table[new, op] for op in usual])) / 8,
            "pascal": float(np.mean([table[old, op] for op in usual if (old, op) in table])) / 12,
        },
        "root_cycles": {"": table[new, "rsqrt"] / 8, "pascal": table[old, "rsqrt"] / 12},
        "division_cycles": {"": table[new, "divide"] / 8, "pascal": table[old, "divide"] / 12},
        "power_cycles": {"": table["sm_90", "power"] / 8, "pascal": table[old, "power"] / 12},
    }


_CYCLES = "openxla/xla, hlo_op_profiles: dependent chains of one thread, over those of additions (hlo_op_profiler.cc)"
#: Constants of other sources, and where the search for others begins.
_GIVEN = {
    "bandwidth_share": constant(
        0.9,
        "1",
        "share of the memory's peak that a long stream reaches",
        "fitted",
        SOURCE + "; HBM: the mean of V100 and "
        "A100; GDDR: that of T4 and 660 GB/s printed of RTX A5000 (userz.net); RTX 4090: 918 to 924 GB/s "
        "(tinygrad/open-gpu-kernel-modules, issue 6)",
        {"card": {"rtx4090": 0.913}, "memory_kind": {"gddr": PRINTED_GDDR}, "generation": {}},
    ),
    "core_bytes_per_clock": constant(
        32,
        "bytes",
        "most that one core moves to or from memory in a clock",
        "printed",
        "openxla/xla, gpu_performance_model_base.cc: one transaction of 32 bytes per clock and core",
    ),
    "cache_bytes_per_clock": constant(
        25.6,
        "bytes",
        "what one core reads from the last-level cache in a clock",
        "printed",
        "NVIDIA A100 whitepaper: 2,048 bytes a clock of V100's cache, for 80 cores",
    ),
    "cache_speedup": constant(
        2.5,
        "1",
        "rate of the last-level cache over that of memory, at least",
        "printed",
        "openxla/xla, gpu_performance_model_base.h: kL2CacheSpeedup",
    ),
    "cache_reach": constant(
        1.0, "1", "distance over the cache's size at which half of a buffer is still in it", "fitted", SOURCE
    ),
    "cache_sharpness": constant(4.0, "1", "how sharply a buffer leaves the cache with distance", "fitted", SOURCE),
    "row_share": constant(
        0.97, "1", "share of a stream's rate at which a reduction over the fastest axis reads", "fitted", SOURCE
    ),
    "column_share": constant(
        0.8,
        "1",
        "the same for a reduction over another axis",
        "assumed",
        "no measurement known: tiles of 32 columns move whole lines, but one partial result per block is added to the rest",
    ),
    "overlap": constant(
        5.0, "1", "sharpness of the larger of arithmetic and memory", "assumed", "that of products on plain lanes"
    ),
    "flop_cycles": constant(
        1.0,
        "clocks",
        "of a lane for one addition or product",
        "printed",
        "NVIDIA's CUDA programming guide: one result per lane and clock",
    ),
}


def start(measured: Path) -> dict[str, dict[str, Any]]:
    """The constants before any fit: those of other sources, and where the search begins."""
    counted = cycles(measured)
    entries = dict(_GIVEN)
    meanings = {
        "division_cycles": "one division",
        "transcendental_cycles": "one exponential, logarithm, tanh or logistic function, their mean",
        "root_cycles": "one square root",
        "power_cycles": "one power",
    }
    for name, meaning in meanings.items():
        entries[name] = constant(
            counted[name][""],
            "clocks",
            f"of a lane for {meaning}",
            "printed",
            _CYCLES,
            {"generation": {"pascal": counted[name]["pascal"]}},
        )
    return {f"streams.{name}": entry for name, entry in entries.items()}


def off(card: Card, rows: Streams) -> np.ndarray:
    return np.abs(np.log(predict(card, rows) / rows.seconds))


def share_of(card: Card, rows: Streams) -> float:
    """The share of the peak that leaves the least error on one card's streams, whatever its host added to the clock."""
    plain = taken(rows, rows.powers == 0)

    def least(share: float) -> float:
        rest = predict(card.with_constants("streams", {"bandwidth_share": share}), plain)
        more = np.arange(-12e-6, 6.1e-6, 1e-6)[:, None]
        return float(np.abs(np.log((rest + more) / plain.seconds)).mean(1).min())

    tried = np.arange(0.5, 1.0, 0.0025)
    return float(tried[np.argmin([least(s) for s in tried])])


def fitted_on(cards: Mapping[str, Card], rows: Mapping[tuple[str, str], Streams], measured: Path) -> dict[str, dict[str, Any]]:
    """The constants fitted on these cards alone."""
    entries = start(measured)
    known = times(entries)
    held = {name: replace(card, times=known, replaced={}, _known={}) for name, card in cards.items()}
    shares = {name: share_of(card, rows[name, "streams"]) for name, card in held.items()}
    held = {name: card.with_constants("streams", {"bandwidth_share": shares[name]}) for name, card in held.items()}

    def loss(values: np.ndarray) -> float:
        tried = dict(zip(SWITCHES, values, strict=True)) | {"row_share": min(values[2], 1.0)}
        # A card's rows weigh alike; the logarithms keep the search near where it began.
        seen = [off(card.with_constants("streams", tried), rows[name, "reductions"]).mean() for name, card in held.items()]
        return float(np.mean(seen) + 1e-3 * np.sum(np.log(values / begun) ** 2))

    begun = np.array([entries[f"streams.{name}"]["value"] for name in SWITCHES])
    found = search(loss, list(begun))
    for name, value in zip(SWITCHES, found, strict=True):
        entries[f"streams.{name}"]["value"] = float(f"{min(value, 1.0) if name == 'row_share' else value:.4g}")
    held = {name: card.with_constants("streams", dict(zip(SWITCHES, found, strict=True))) for name, card in held.items()}
    entry = entries["streams.bandwidth_share"]
    modern = [shares[name] for name, card in held.items() if card.memory_kind == "hbm" and card.generation != "pascal"]
    entry["value"] = float(f"{np.mean(modern or [0.9]):.4g}")
    gddr = [shares[name] for name, card in held.items() if card.memory_kind == "gddr"]
    entry["by"]["memory_kind"]["gddr"] = float(f"{np.mean([*gddr, PRINTED_GDDR]):.4g}")
    entry["by"]["generation"] = {card.generation: float(f"{shares[name]:.4g}") for name, card in held.items()}
    for name, card in held.items():
        if card.generation == "pascal":
            powers = taken(rows[name, "streams"], rows[name, "streams"].op == "powu")
            tried = np.arange(40, 200, 1.0)
            least = [off(card.with_constants("streams", {"power_cycles": c}), powers).mean() for c in tried]
            entry = entries["streams.power_cycles"]
            entry["by"]["generation"]["pascal"] = float(tried[np.argmin(least)])
            entry["source"] += "; Pascal: fitted on P100"
    return entries


def classes(cards: Mapping[str, Card], rows: Mapping[tuple[str, str], Streams]) -> dict[str, list[tuple[str, str]]]:
    """The keys of ``rows`` that belong to each class."""
    found: dict[str, list[tuple[str, str]]] = {name: [] for name in CLASSES}
    for key in rows:
        found["reductions" if key[1] == "reductions" else f"streams_{cards[key[0]].memory_kind}"].append(key)
    return found


@dataclass
class Judged:
    """Per card and class: measured seconds, and what was predicted without the card, with its other rows, and today."""

    seconds: np.ndarray
    unseen: np.ndarray
    today: np.ndarray
    roofline: np.ndarray
    test: np.ndarray
    same: np.ndarray


def judged(cards: Mapping[str, Card], rows: Mapping[tuple[str, str], Streams], measured: Path) -> dict[tuple[str, str], Judged]:
    """Each card left out of the fit, and its own "test" rows left out of it."""
    found = {}
    for name, card in cards.items():
        others = {other: cards[other] for other in cards if other != name}
        unseen = replace(card, times=times(fitted_on(others, rows, measured)), replaced={}, _known={})
        half = {key: taken(part, ~part.test) if key[0] == name else part for key, part in rows.items()}
        seen = replace(card, times=times(fitted_on(cards, half, measured)), replaced={}, _known={})
        for kind in ("streams", "reductions"):
            part = rows[name, kind]
            found[name, kind] = Judged(
                part.seconds,
                predict(unseen, part),
                today(card, part, TODAY),
                today(card, part, 1.0),
                part.test,
                predict(seen, part),
            )
    return found


MEANING = {
    "streams_hbm": "elementwise kernels, memory HBM",
    "streams_gddr": "elementwise kernels, memory GDDR",
    "reductions": "softmax and layer norm",
}


def fit(measured: Path, card_of: Callable[[str], Card]) -> Fitted:
    """The constants, and what was left of the errors where a card was unseen or only its other rows were seen."""
    rows = read(measured)
    cards = {name: card_of(name) for name in sorted({key[0] for key in rows})}
    fitted = Fitted(fitted_on(cards, rows, measured))
    results = judged(cards, rows, measured)
    for kind, keys in classes(cards, rows).items():
        names = [cards[key[0]].name for key in keys]
        entry: dict[str, Any] = {"meaning": MEANING[kind]}
        for kinship, take in (
            ("same_card", lambda j: (j.same[j.test], j.seconds[j.test])),
            ("other_generation", lambda j: (j.unseen, j.seconds)),
        ):
            both = [take(results[key]) for key in keys]
            entry[kinship] = residual(errors(np.concatenate([b[0] for b in both]), np.concatenate([b[1] for b in both]), names))
        fitted.residuals[kind] = entry
    return fitted


def table(measured: Path, card_of: Callable[[str], Card]) -> list[str]:
    """Lines of errors in percent, per card and class."""
    rows = read(measured)
    cards = {name: card_of(name) for name in sorted({key[0] for key in rows})}
    lines = [HEAD]
    for (name, kind), j in sorted(judged(cards, rows, measured).items(), key=lambda item: (item[0][1], item[0][0])):
        for by, values in (("left out", j.unseen), ("today", j.today), ("roofline", j.roofline)):
            lines.append(line(name, kind, by, values, j.seconds))
        lines.append(line(name, kind, "own rows", j.same[j.test], j.seconds[j.test]))
    return lines


def main() -> None:
    paths = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
    measured = Path(paths[0]) if paths else Path("../shared/measured")
    print("\n".join(table(measured, measured_card)))
    if "--write" in sys.argv:
        write(Path("profiles/accelerator_times.json"), fit(measured, measured_card))


if __name__ == "__main__":
    main()
