"""Fit of the constants of collectives, on openxla/xla's table of 8 x H100.

    python -m bench.accelerator_fits.collectives [../shared/measured]

One card was measured: arrays of every other size are fitted, the others judged. Nothing says how it is on other cards. How
many devices a row had is guessed from its rank (see ``cr_jax.predict.accelerator.measured.collectives``), so that what the
guess hides of the repeatability of small ones, which differ by a factor of two, is not in the errors.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bench.accelerator_fits.entries import constant, measured_card, residual, times
from bench.accelerator_fits.fitting import Fitted, errors, search
from bench.accelerator_fits.table import HEAD, line
from cr_jax.catalog.times import Times
from cr_jax.predict.accelerator.card import Card
from cr_jax.predict.accelerator.collectives import OPCODES
from cr_jax.predict.accelerator.measured.collectives import Collectives
from cr_jax.predict.accelerator.measured.rows import taken
from cr_jax.predict.accelerator.measured_rows import predict, read_rows

SOURCE = (
    "fitted on openxla/xla's table of measured collectives (8 x H100 SXM5, groups of 2, 4 and 8, 1 KB to 2 GB, F32; "
    "collective_perf_table_gen.cc)"
)
THEN = "bench/accelerators.py --collectives with rows of several devices"
#: Where the search begins.
BEGUN = {"start_s": 2e-5, "share": 0.7, "sharpness": 0.7}
DEVICE_START = 0.1
#: Weight of a constant's distance from where the search begins, in logarithms.
PULL = 1e-3


def read(measured: Path) -> list[Collectives]:
    """The rows, by opcode."""
    return read_rows(measured / "collectives.csv", "collectives")  # type: ignore[return-value]


def halves(rows: Collectives) -> tuple[Collectives, Collectives]:
    """Arrays of every other size, and the others."""
    even = np.round(np.log2(rows.size)) % 2 == 0
    return taken(rows, np.flatnonzero(even)), taken(rows, np.flatnonzero(~even))


def fitted_on(on: Card, rows: Sequence[Collectives]) -> dict[str, float]:
    """The constants, by name. The growth with devices is common to all opcodes."""
    names = [(r.opcode.replace("-", "_"), name) for r in rows for name in BEGUN]
    begun = np.array([BEGUN[name] for _, name in names])

    def loss(values: np.ndarray, which: Sequence[Collectives], keys: Sequence[str], device_start: float) -> float:
        tried = on.with_constants("collectives", dict(zip(keys, values, strict=True)) | {"device_start": device_start})
        return float(np.mean([np.abs(np.log(predict(tried, r) / r.seconds)).mean() for r in which]))

    def pulled(
        values: np.ndarray, which: Sequence[Collectives], keys: Sequence[str], start: np.ndarray, device_start: float
    ) -> float:
        return loss(values, which, keys, device_start) + PULL * float(np.sum(np.log(values / start) ** 2))

    best: tuple[float, dict[str, float]] = (np.inf, {})
    for device_start in (0.0, 0.04, 0.08, 0.12, 0.16, 0.2):
        found: dict[str, float] = {"device_start": device_start}
        total = 0.0
        for place, one in enumerate(rows):
            part = slice(3 * place, 3 * place + 3)
            keys = [f"{opcode}_{name}" for opcode, name in names[part]]

            off = partial(pulled, which=[one], keys=keys, start=begun[part], device_start=device_start)
            values = search(off, list(begun[part]))
            found |= {key: float(f"{v:.4g}") for key, v in zip(keys, values, strict=True)}
            total += off(values)
        best = min(best, (total, found), key=lambda one: one[0])
    return best[1]


def entries(values: Mapping[str, float]) -> dict[str, dict[str, Any]]:
    """As the file has them."""
    found = {
        "collectives.device_start": constant(
            values["device_start"], "1", "share of a collective's start that each device after the second adds", "fitted", SOURCE
        )
    }
    for opcode in OPCODES:
        name = opcode.replace("-", "_")
        for key, unit, meaning in (
            ("start_s", "seconds", f"{opcode} of next to nothing between two devices"),
            ("share", "1", f"share of one direction of the links that a long {opcode} reaches"),
            ("sharpness", "1", f"{opcode}: exponent by which start and bytes add up; below 1, middle sizes take longer"),
        ):
            found[f"collectives.{name}_{key}"] = constant(values[f"{name}_{key}"], unit, meaning, "fitted", SOURCE)
    return {name: entry | {"would_give": THEN} for name, entry in sorted(found.items())}


def blank(on: Card) -> Card:
    """The card with these constants' names, their values to be replaced."""
    begun = {f"{opcode.replace('-', '_')}_{key}": value for opcode in OPCODES for key, value in BEGUN.items()}
    known = times(entries({"device_start": DEVICE_START} | begun)).constants
    return replace(on, times=Times({**on.times.constants, **known}, {}), replaced={}, _known={})


def judged(on: Card, rows: Sequence[Collectives]) -> list[tuple[Collectives, np.ndarray]]:
    """Each half of the rows, and what was predicted of it with the constants fitted on the other."""
    found = []
    for fitted, other in ((0, 1), (1, 0)):
        seen = on.with_constants("collectives", fitted_on(on, [halves(r)[fitted] for r in rows]))
        found += [(halves(r)[other], predict(seen, halves(r)[other])) for r in rows]
    return found


def fit(measured: Path, card_of: Callable[[str], Card]) -> Fitted:
    """The constants, and what was left of the errors on arrays of sizes that were not fitted."""
    rows = read(measured)
    on = blank(card_of(rows[0].card))
    said = judged(on, rows)
    left = errors(np.concatenate([p for _, p in said]), np.concatenate([r.seconds for r, _ in said]), [on.name])
    entry = {"meaning": "collectives among the devices of a node, by openxla/xla's table", "same_card": residual(left)}
    return Fitted(entries(fitted_on(on, rows)), {"collectives": entry})


def table(measured: Path, card_of: Callable[[str], Card]) -> list[str]:
    """Lines of errors in percent, per opcode, small arrays and large ones."""
    rows = read(measured)
    lines = [HEAD]
    for part, predicted in judged(blank(card_of(rows[0].card)), rows):
        for name, which in (("to 1 MB", part.size <= 2**20), ("over 1 MB", part.size > 2**20)):
            lines.append(line(part.opcode[:15], name, "own rows", predicted[which], part.seconds[which]))
    return lines


def main() -> None:
    measured = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("../shared/measured")
    print("\n".join(table(measured, measured_card)))


if __name__ == "__main__":
    main()
