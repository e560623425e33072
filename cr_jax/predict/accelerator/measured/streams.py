"""Measured elementwise kernels, softmax and layer norm of torch (NeuSight).

Habits of torch's kernels are here and not among the constants: arrays that they read again, blocks that they keep in flight. The
inputs were zeros, so a power leaves its branch early.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np

from cr_jax.cost.operations.buffer_reuse import Reads
from cr_jax.documents.accelerator_profile import CudaTarget
from cr_jax.predict.accelerator import streams
from cr_jax.predict.accelerator.card import Card
from cr_jax.predict.accelerator.measured import cards
from cr_jax.predict.accelerator.measured.rows import offsets, taken
from cr_jax.predict.accelerator.measured.table import Table

#: Seconds that the clock and the launch of the kernel add.
OFFSETS = {"softmax": 30e-6, "ln": 43e-6}
ELEMENTWISE_OFFSET = 23e-6
#: Operations of two arrays; the others read one (those on "u" take a number beside it).
BINARY = ("add", "mul", "div", "pow")
OPS = (*BINARY, "addu", "mulu", "divu", "powu", "tanh", "gelu", "relu", *OFFSETS)
#: Share of the work of a power that remains where the base is zero: on V100 and A100, where a power costs 36 clocks.
ZERO_BASE = 0.6
#: Columns up to which a warp keeps a row in registers and reads it once.
IN_REGISTERS = 1024
#: Share of the idle part of a block's last turn that costs torch's softmax and layer norm time.
EMPTY = 0.5


@dataclass(frozen=True)
class Streams:
    """Rows of one card, with habits of torch's kernels. repeats: bytes read again, at a distance for each thread in flight."""

    card: str
    op: np.ndarray
    elements: np.ndarray
    read: np.ndarray
    written: np.ndarray
    repeats: np.ndarray
    distance: np.ndarray
    reduced: np.ndarray
    powers: np.ndarray
    transcendentals: np.ndarray
    flops: np.ndarray
    offset: np.ndarray
    seconds: np.ndarray
    test: np.ndarray
    lines: np.ndarray

    def __len__(self) -> int:
        return len(self.seconds)

    @property
    def label(self) -> str:
        """Card and kind of operation."""
        return f"{self.card} streams"

    def predicted(self, on: Card) -> np.ndarray:
        """Seconds, without the clock's offset. Repeated calls find the rest of the arrays in the cache."""
        call = self.read + self.written
        target = on.accelerator.compiler_target
        told = target.config.gpu_device_info.get("threads_per_core_limit") if isinstance(target, CudaTarget) else None
        flight = on.cores * (told if isinstance(told, int | float) else 2048)
        reads = (Reads(self.read, call), Reads(self.repeats, self.distance * flight))
        of = streams.parts(
            on,
            reads,
            self.written,
            call,
            elements=self.elements,
            work=streams.LaneWork(self.flops, transcendentals=self.transcendentals, powers=self.powers),
            reduced=self.reduced,
            minor=self.reduced,
        )
        return np.asarray(streams.seconds(on, of))

    def classes(self, on: Card) -> np.ndarray:
        """Reductions, or streams by the kind of memory."""
        return np.where(self.reduced > 0, "reductions", f"streams_{on.memory_kind}").astype(object)

    def work(self, on: Card) -> tuple[np.ndarray, np.ndarray, float]:
        """No products; bytes of each array once."""
        once = np.where(self.reduced > 0, self.written, self.read)
        return np.zeros(len(self)), once + self.written, np.inf


def neusight(table: Table, given: Collection[str]) -> list[Streams]:
    """Arrays [rows, columns] of float32."""
    op = table.words("op", OPS)
    profiles = cards.column(table, "card", "neusight", given)
    height, width = table.sizes("rows"), table.sizes("columns")
    elements = height * width
    size = 4 * elements
    softmax, norm, binary = op == "softmax", op == "ln", np.isin(op, BINARY)
    again = np.where(softmax & (width > IN_REGISTERS), 2, np.where(norm, 1, 0))
    threads = np.where(norm, 128, np.maximum(2.0 ** np.ceil(np.log2(np.clip(width / 4, 64, 1024) / 2)), 32))
    # Four elements to a thread and turn; the last turn is partly empty, which costs part of the rate.
    turns = np.maximum(width / 4 / threads, 1)
    slow = np.where(again > 0, (np.ceil(turns) / turns) ** EMPTY, 1)
    # Bytes that a block reads and, one of two times, writes between two readings, for each thread of it.
    flight = width * 4 * 1.5 / threads
    every = Streams(
        card="",
        op=op,
        elements=elements,
        read=np.where(binary, 2, 1) * size * slow,
        written=size,
        repeats=again * size * slow,
        distance=flight,
        reduced=np.where(softmax | norm, elements, 0),
        powers=np.where(np.isin(op, ("pow", "powu")), ZERO_BASE, 0) * elements,
        transcendentals=np.where(np.isin(op, ("tanh", "gelu", "softmax")), 1, 0) * elements,
        flops=np.where(op == "gelu", 6, np.where(norm, 8, 2)) * elements,
        offset=offsets(OFFSETS, op, ELEMENTWISE_OFFSET),
        seconds=table.seconds(),
        test=table.words("split", ("train", "test"), "train") == "test",
        lines=np.array(table.lines),
    )
    return [replace(taken(every, np.flatnonzero(profiles == name)), card=name) for name in dict.fromkeys(profiles)]
