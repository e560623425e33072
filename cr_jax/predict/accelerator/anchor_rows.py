"""Anchors from measurement files: their rows of one card as groups of operations, every other size of which is a test."""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from cr_jax.errors import BadConfig
from cr_jax.predict.accelerator.anchors import Measured
from cr_jax.predict.accelerator.card import Card
from cr_jax.predict.accelerator.measured.convolutions import Convolutions
from cr_jax.predict.accelerator.measured.products import Products
from cr_jax.predict.accelerator.measured.rows import Rows, clear, taken
from cr_jax.predict.accelerator.measured.streams import Streams
from cr_jax.predict.accelerator.measured_rows import predict, read_rows

#: Rows of a group that give its constants, and as many that test them; more change nothing.
_MOST = 300


def from_files(paths: Sequence[str | Path], card: Card, given: Collection[str] = ()) -> list[Measured]:
    """The rows of a card, without those that are dominated by their clock's offset. given: names of cards that the user
    describes.

    Raises ``BadInput`` for a file that is no measurement file, and ``BadConfig`` where no row is of the card.
    """
    measured: list[Measured] = []
    cards_in_files: set[str] = set()
    for path in paths:
        for rows in read_rows(path, given=given):
            cards_in_files.add(rows.card)
            if rows.card == card.name and isinstance(rows, Products | Streams | Convolutions):
                measured += _groups(clear(rows), card)
    if not measured:
        raise BadConfig(
            f"no row of {', '.join(map(str, paths))} is of {card.name}; there are rows of "
            f"{', '.join(sorted(cards_in_files)) or 'no card'}; legal: --profile with one of these, and rows of at least "
            "three times their clock's offset"
        )
    return measured


def _groups(rows: Rows, card: Card) -> list[Measured]:
    kinds = rows.classes(card)
    names = np.array([_group(rows, card, kind) for kind in kinds], dtype=object)
    if isinstance(rows, Products):
        units = "tensor" if rows.on_units(card) else "plain"
        names = np.where(rows.skinny(), f"{units}_skinny", names)
    groups: list[Measured] = []
    for group in dict.fromkeys(names):
        which = np.flatnonzero(names == group)
        which = which[np.argsort(rows.seconds[which], kind="stable")]
        halves = (which[1::2], False), (which[0::2], True)
        for half, judged in halves if len(which) > 1 else ((which, False),):
            part = taken(rows, half[:: max(1, len(half) // _MOST)])
            groups.append(
                Measured(
                    str(group),
                    tuple(f"{part.label}, line {line}" for line in part.lines),
                    tuple(map(str, part.classes(card))),
                    tuple(map(float, part.seconds)),
                    lambda at, part=part: predict(at, part).tolist(),
                    judged,
                )
            )
    return groups


def _group(rows: Rows, card: Card, kind: str) -> str:
    if isinstance(rows, Convolutions):
        return "convolutions"
    if isinstance(rows, Streams):
        return "rows" if kind == "reductions" else "streams"
    if not isinstance(rows, Products) or not rows.on_units(card):
        return "plain"
    return "tf32" if rows.computed_in == "tf32" else "tensor"
