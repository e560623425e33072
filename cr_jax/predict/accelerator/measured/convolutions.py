"""Measured convolutions: torch's calls of cuDNN with its autotuner, float32 without tf32 (NeuSight).

The inputs were zeros: a card at its power limit is then faster than with other numbers.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np

from cr_jax.cost.operations.buffer_reuse import Reads
from cr_jax.predict.accelerator import convolutions
from cr_jax.predict.accelerator.card import Card
from cr_jax.predict.accelerator.measured import cards
from cr_jax.predict.accelerator.measured.rows import taken
from cr_jax.predict.accelerator.measured.table import Table

#: Seconds that the clock and the launch of the first kernel add.
OFFSET = 58e-6
#: Products of zeros per joule over those of other numbers, by the ratio of T4 (70 W) to the other cards.
ZEROS = 1.2


@dataclass(frozen=True)
class Convolutions:
    """Rows of one card. side: of the window. size: of the square images read; out: of those written. winograd: where such
    an algorithm may be chosen.
    """

    card: str
    batch: np.ndarray
    channels_in: np.ndarray
    channels_out: np.ndarray
    side: np.ndarray
    size: np.ndarray
    out: np.ndarray
    winograd: np.ndarray
    seconds: np.ndarray
    lines: np.ndarray

    def __len__(self) -> int:
        return len(self.seconds)

    @property
    def label(self) -> str:
        """Card and kind of operation."""
        return f"{self.card} convolutions"

    @property
    def offset(self) -> np.ndarray:
        """Seconds that the measuring clock adds to each row."""
        return np.full(len(self), OFFSET)

    @property
    def moved(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Bytes of input, weights and result."""
        weights = 4 * self.side**2 * self.channels_in * self.channels_out
        return 4 * self.batch * self.size**2 * self.channels_in, weights, 4 * self.batch * self.out**2 * self.channels_out

    def predicted(self, on: Card) -> np.ndarray:
        """Seconds, without the clock's offset."""
        board = replace(on, watts=ZEROS * on.watts, _known={})
        seconds = np.empty(len(self))
        for winograd in (True, False):
            which = np.flatnonzero(self.winograd == winograd)
            if len(which):
                seconds[which] = taken(self, which)._seconds(board, winograd)
        return seconds

    def _seconds(self, board: Card, winograd: bool) -> np.ndarray:
        images, weights, result = self.moved
        call = images + weights + result
        reads = (Reads(images, call), Reads(weights, call))
        of = convolutions.parts(
            board,
            reads,
            result,
            call,
            convolutions.ImageBatch(self.batch, self.out, self.out, self.channels_in, self.channels_out, self.side**2),
            winograd=winograd,
        )
        return np.asarray(convolutions.seconds(board, of))

    def classes(self, on: Card) -> np.ndarray:
        """The error class of each row."""
        return np.full(len(self), "convolutions", dtype=object)

    def work(self, on: Card) -> tuple[np.ndarray, np.ndarray, float]:
        """Operations of the direct algorithm."""
        flops = 2 * self.batch * self.out**2 * self.channels_out * self.channels_in * self.side**2
        return flops, sum(self.moved), 2.0 * on.cores * on.lanes * on.clock_hz  # type: ignore[return-value]


def neusight(table: Table, given: Collection[str]) -> list[Convolutions]:
    """Square images and windows."""
    profiles = cards.column(table, "card", "neusight", given)
    side, size, stride = table.sizes("side"), table.sizes("size"), table.sizes("stride")
    padding = table.sizes("padding", least=0)
    out = (size + 2 * padding - side) // stride + 1
    for row in np.flatnonzero((size + 2 * padding < side) | (padding >= side)):
        raise table.fail(
            int(row),
            f"a window of {side[row]:.0f} over images of {size[row]:.0f} padded by {padding[row]:.0f}; "
            "legal: a window no larger than the padded image, padding less than the window",
        )
    every = Convolutions(
        "",
        table.sizes("batch"),
        table.sizes("channels_in"),
        table.sizes("channels_out"),
        side,
        size,
        out,
        (side == 3) & (stride == 1),
        table.seconds(),
        np.array(table.lines),
    )
    return [replace(taken(every, np.flatnonzero(profiles == name)), card=name) for name in dict.fromkeys(profiles)]
