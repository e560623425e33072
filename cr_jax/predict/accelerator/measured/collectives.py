"""Measured collectives: the table that openxla/xla carries for 8 x H100, by its ``collective_perf_table_gen.cc``.

Its rate is bytes of the whole array over the median of 20 runs, whatever the links carried: of an all-gather's result, a
reduce-scatter's input, and for collective-permute one of 100 in a loop. ``elements`` are the result's, so that a
reduce-scatter's array has ``devices`` times as many. The rows do not say how many devices were in a group: 2, 4 and 8, three
rows to an array (of a permute: three patterns of pairs). Where a file has no column ``devices``, of rows with the same number
of elements the fastest is taken to have the fewest devices, of reduce-scatters (whose arrays then differ) the most.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np

from cr_jax.predict.accelerator import collectives
from cr_jax.predict.accelerator.card import Card
from cr_jax.predict.accelerator.measured import cards
from cr_jax.predict.accelerator.measured.rows import taken
from cr_jax.predict.accelerator.measured.table import Table

TYPES = {"F64": 8, "F32": 4, "BF16": 2, "F16": 2, "S32": 4, "U32": 4, "S8": 1, "U8": 1}
GROUPS = (2, 4, 8)
#: Sizes of arrays in the table of openxla/xla; a reduce-scatter of as many elements over 8 or 4 devices only is outside.
_LEAST, _MOST = 1024, 2**31


@dataclass(frozen=True)
class Collectives:
    """Rows of one card and opcode. size: bytes of the whole array. devices: in one group."""

    card: str
    opcode: str
    size: np.ndarray
    devices: np.ndarray
    seconds: np.ndarray
    lines: np.ndarray

    def __len__(self) -> int:
        return len(self.seconds)

    @property
    def label(self) -> str:
        """Card and operation."""
        return f"{self.card} {self.opcode}"

    @property
    def offset(self) -> np.ndarray:
        """Seconds that the measuring clock adds to each row: none."""
        return np.zeros(len(self))

    def predicted(self, on: Card) -> np.ndarray:
        """Seconds by the product's own formula."""
        return np.asarray(collectives.seconds(on, self.opcode, self.size, self.devices))

    def classes(self, on: Card) -> np.ndarray:
        """The error class of each row."""
        return np.full(len(self), "collectives", dtype=object)

    def work(self, on: Card) -> tuple[np.ndarray, np.ndarray, float]:
        """No products; bytes over the links, as bytes of main memory would take as long."""
        sent = np.asarray(collectives.sent(self.opcode, self.size, self.devices))
        return np.zeros(len(self)), sent / collectives.link(on) * on.bandwidth, np.inf


def xla(table: Table, given: Collection[str]) -> list[Collectives]:
    """``network_bytes_per_s`` of an array of ``elements``."""
    profiles = cards.column(table, "target", "xla", given)
    opcode = table.words("opcode", collectives.OPCODES)
    items = np.array([TYPES[name] for name in table.words("type", TYPES)], float)
    elements, rate = table.sizes("elements"), table.rates("network_bytes_per_s")
    devices = table.sizes("devices", least=2) if "devices" in table.cells else _guessed(profiles, opcode, items * elements, rate)
    size = items * elements * np.where(opcode == "reduce-scatter", devices, 1)
    seconds = size / rate
    every = Collectives("", "", size, devices, seconds, np.array(table.lines))
    keys = sorted(set(zip(profiles, opcode, strict=True)))
    return [replace(taken(every, np.flatnonzero((profiles == card) & (opcode == op))), card=card, opcode=op) for card, op in keys]


def _guessed(names: np.ndarray, opcode: np.ndarray, size: np.ndarray, rate: np.ndarray) -> np.ndarray:
    """Devices of each row, by its rank in speed among those of the same card, opcode and size."""
    groups: dict[tuple[str, str, float], list[int]] = {}
    for place, key in enumerate(zip(names, opcode, size, strict=True)):
        groups.setdefault(key, []).append(place)
    devices = np.full(len(rate), GROUPS[-1], float)
    for (_, op, bytes_), places in groups.items():
        scattered = op == "reduce-scatter"
        possible = [n for n in GROUPS if not scattered or _LEAST <= bytes_ * n <= _MOST] or list(GROUPS)
        order = sorted(places, key=lambda place: rate[place], reverse=not scattered)
        for place, n in zip(order, possible, strict=False):
            devices[place] = n
    return devices
