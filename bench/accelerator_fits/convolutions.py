"""Fit of the constants of convolutions, on torch's calls of cuDNN with its autotuner.

    python -m bench.accelerator_fits.convolutions [--write] [../shared/measured]

All rows have windows of 3 x 3 that move by one, float32 without tf32. The inputs were zeros: a card at its power limit then
does more than it would with other numbers. The constants of streams must be in the file.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.accelerator_fits.entries import constant, measured_card, residual, times, write
from bench.accelerator_fits.fitting import Fitted, errors, search
from bench.accelerator_fits.table import HEAD, line
from cr_jax.catalog.times import Times, shipped
from cr_jax.predict.accelerator.card import Card
from cr_jax.predict.accelerator.measured.convolutions import Convolutions
from cr_jax.predict.accelerator.measured.rows import clear, taken
from cr_jax.predict.accelerator.measured_rows import predict, read_rows

#: Today's predictor: shares of the peaks of products and of memory, and the side of its tiles.
TODAY_PRODUCTS, TODAY_MEMORY, TILE = 0.8, 0.9, 128
#: Weight of a constant's distance from where the search begins, in logarithms: three cards do not tell them all apart.
PULL = 0.01
FITTED: tuple[str, ...] = (
    "direct_share",
    "fused_share",
    "product_share",
    "transform_share",
    "weights_share",
    "tile_loss",
    "depth",
    "fused_depth",
    "kernel_s",
)
CLASS = "convolutions"
SOURCE = "fitted on sitar-lab/NeuSight's measurements at 6945927d (torch 2.1, cuDNN 8.9, PCIe cards, windows of 3 x 3)"


def read(measured: Path) -> dict[str, Convolutions]:
    """The rows three times above the offset, by card."""
    return {rows.card: clear(rows) for rows in read_rows(measured / "convolutions_f32.fit.csv", "convolutions")}


def today(card: Card, rows: Convolutions, products: float, memory: float, tile: int) -> np.ndarray:
    """What a predictor says that knows the peaks, shares of them and whole waves of tiles (of side 0: none)."""
    pixels, channels, depth = rows.batch * rows.size**2, rows.channels_out, 9 * rows.channels_in
    work = pixels * channels
    if tile:
        tiles = np.ceil(pixels / tile) * np.ceil(channels / tile)
        work = np.ceil(tiles / card.cores) * card.cores * tile * tile
    compute = work * depth / (products * card.cores * card.lanes * card.clock_hz)
    return np.maximum(compute, sum(rows.moved) / (memory * card.bandwidth)) + rows.offset


def start() -> dict[str, dict[str, Any]]:
    """The constants before any fit: assumed ones, and where the search begins."""
    share = "share of the lanes' clock that {} reaches"
    entries = {
        "direct_share": constant(0.9, "1", share.format("the direct way"), "fitted", SOURCE),
        "fused_share": constant(0.8, "1", share.format("Winograd in one kernel"), "fitted", SOURCE),
        "product_share": constant(0.9, "1", share.format("the product of Winograd in four kernels"), "fitted", SOURCE),
        "transform_share": constant(
            0.5, "1", "share of a stream's rate that transforming images to and from Winograd's form reaches", "fitted", SOURCE
        ),
        "weights_share": constant(0.3, "1", "share of a stream's rate that transforming the weights reaches", "fitted", SOURCE),
        "tile_loss": constant(
            9.1, "1", "what a smaller tile loses: 1 + this x (1/tm + 1/tn), over that of 128 x 128", "fitted", SOURCE
        ),
        "depth": constant(8.0, "1", "depth of a product that beginning and ending a tile costs", "fitted", SOURCE),
        "fused_depth": constant(
            16.0, "1", "channels in that beginning and ending a block costs, Winograd in one kernel", "fitted", SOURCE
        ),
        "kernel_s": constant(5e-6, "seconds", "for each kernel after the first", "fitted", SOURCE),
        "overlap": constant(4.0, "1", "sharpness of the larger of lanes and memory", "assumed", "as products on plain lanes"),
        "joule_products": constant(
            6.81e10,
            "1/J",
            "multiply-adds that a joule of the board's power buys",
            "assumed",
            "0.892 / (2 x 1.31 pJ x nm), fitted on products on plain lanes: 16 nm (Pascal), 12 (Volta, Turing), 7 (A100), else 5",
            {
                "generation": {
                    "pascal": 2.128e10,
                    "volta": 2.837e10,
                    "turing": 2.837e10,
                    "ampere-datacenter": 4.863e10,
                    "ampere": 4.256e10,
                }
            },
        ),
        "tensor_share": constant(
            0.6, "1", "share of the tensor cores' peak that the direct way reaches", "assumed", "no measurement known"
        ),
    }
    return {f"convolutions.{name}": entry for name, entry in entries.items()}


def fitted_on(cards: Mapping[str, Card], rows: Mapping[str, Convolutions]) -> dict[str, dict[str, Any]]:
    """The constants fitted on these cards alone."""
    entries = start()
    begun = np.array([entries[f"convolutions.{name}"]["value"] for name in FITTED])
    held = {name: with_entries(card, entries) for name, card in cards.items()}

    def loss(values: np.ndarray) -> float:
        tried = dict(zip(FITTED, values, strict=True))
        # A card's rows weigh alike, however many they are.
        seen = [
            np.abs(np.log(predict(card.with_constants("convolutions", tried), rows[name]) / rows[name].seconds)).mean()
            for name, card in held.items()
        ]
        return float(np.mean(seen) + PULL * np.sum(np.log(values / begun) ** 2))

    for name, value in zip(FITTED, search(loss, list(begun), rounds=2), strict=True):
        entries[f"convolutions.{name}"]["value"] = float(f"{value:.4g}")
    return entries


def with_entries(card: Card, entries: Mapping[str, Mapping[str, Any]]) -> Card:
    """The card with these constants, and its other ones."""
    return replace(card, times=Times({**card.times.constants, **times(entries).constants}, {}), replaced={}, _known={})


@dataclass
class Judged:
    """Measured seconds of one card, what was predicted without it, and with one half of its rows for the other."""

    seconds: np.ndarray
    unseen: np.ndarray
    half: np.ndarray
    seen: np.ndarray


def judged(cards: Mapping[str, Card], rows: Mapping[str, Convolutions]) -> dict[str, Judged]:
    found = {}
    for name, card in cards.items():
        unseen = with_entries(card, fitted_on({other: cards[other] for other in cards if other != name}, rows))
        half = np.arange(len(rows[name].seconds)) % 2 == 0
        seen = with_entries(card, fitted_on(cards, {**rows, name: taken(rows[name], ~half)}))
        found[name] = Judged(rows[name].seconds, predict(unseen, rows[name]), half, predict(seen, rows[name]))
    return found


def fit(measured: Path, card_of: Callable[[str], Card]) -> Fitted:
    """The constants, and what was left of the errors where a card was unseen or only its other rows were seen."""
    rows = read(measured)
    cards = {name: card_of(name) for name in rows}
    results = judged(cards, rows)
    names = [card.name for card in cards.values()]
    entry: dict[str, Any] = {"meaning": "convolutions, windows of 3 x 3 that move by one, on plain lanes"}
    for kinship, take in (
        ("same_card", lambda j: (j.seen[j.half], j.seconds[j.half])),
        ("other_generation", lambda j: (j.unseen, j.seconds)),
    ):
        both = [take(j) for j in results.values()]
        entry[kinship] = residual(errors(np.concatenate([b[0] for b in both]), np.concatenate([b[1] for b in both]), names))
    return Fitted(fitted_on(cards, rows), {CLASS: entry})


def table(measured: Path, card_of: Callable[[str], Card]) -> list[str]:
    """Lines of errors in percent, per card."""
    rows = read(measured)
    cards = {name: card_of(name) for name in rows}
    lines = [HEAD]
    for name, j in judged(cards, rows).items():
        lines += [
            line(name, CLASS, "left out", j.unseen, j.seconds),
            line(name, CLASS, "own rows", j.seen[j.half], j.seconds[j.half]),
            line(name, CLASS, "today", today(cards[name], rows[name], TODAY_PRODUCTS, TODAY_MEMORY, TILE), j.seconds),
            line(name, CLASS, "roofline", today(cards[name], rows[name], 1.0, 1.0, 0), j.seconds),
        ]
    return lines


def main() -> None:
    paths = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
    measured = Path(paths[0]) if paths else Path("../shared/measured")
    print("\n".join(table(measured, lambda name: measured_card(name, shipped()))))
    if "--write" in sys.argv:
        write(Path("profiles/accelerator_times.json"), fit(measured, measured_card))


if __name__ == "__main__":
    main()
