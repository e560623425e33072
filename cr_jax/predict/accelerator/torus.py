"""Collectives among TPU chips of one slice, over links to the neighbours along each axis of a torus.

Formulas of the scaling book (jax-ml.github.io/scaling-book, sharding): a gather or scatter moves payload x (n - 1) / n over the
links of each axis that its group lies along, in both directions where the ends of an axis are joined to a ring, in one of them
otherwise; an all-reduce does so twice; an all-to-all is bound by the links across the middle of its longest axis. A group that is
no whole box of chips shares the links of its box with others. A share of the links is reached; each message to a neighbour takes
a hop, and every collective a start.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from cr_jax.predict.accelerator.between_hosts import profile_link
from cr_jax.predict.accelerator.card import Card


@dataclass(frozen=True)
class Slice:
    """Chips of a slice along x, y and z; those of one host, which are numbered together, x first."""

    sides: tuple[int, int, int]
    host: tuple[int, int, int]

    def place(self, device: int) -> tuple[int, ...]:
        """The coordinates of a device by its number."""
        host, chip = divmod(device, prod(self.host))
        place: list[int] = []
        for side, length in zip(self.sides, self.host, strict=True):
            host, at = divmod(host, side // length)
            chip, inside = divmod(chip, length)
            place.append(at * length + inside)
        return tuple(place)

    def box(self, group: Sequence[int]) -> tuple[int, ...]:
        """Lengths of the smallest box that holds a group."""
        places = [self.place(device) for device in group]
        return tuple(1 + max(along) - min(along) for along in zip(*places, strict=True))


def seconds(card: Card, slice_: Slice, kind: str, payload: float, group: Sequence[int]) -> float:
    """Time of one collective over a group of devices. Raises ``MissingConstant``."""
    known = card.constants("torus")
    rate = known["share"] * profile_link(card, "neighbour_bytes_per_s", "the rate of its link to a neighbour")
    hop = profile_link(card, "neighbour_hop_s", "the time of a message to a neighbour")
    box, devices = slice_.box(group), len(group)
    if devices < 2:
        return 0.0
    ways = [_ways(card, slice_, axis) if length == slice_.sides[axis] else 1 for axis, length in enumerate(box)]
    shared = prod(box) / devices
    longest = [length // ways[axis] if ways[axis] > 1 else length - 1 for axis, length in enumerate(box)]
    start, hops = known["start_s"], sum(longest)
    if kind == "collective-permute":
        return start + hop + shared * payload / rate
    if kind in ("all-to-all", "ragged-all-to-all"):
        across = max(length * payload / (4 * ways[axis]) for axis, length in enumerate(box) if length > 1)
        return start + hops * hop + shared * across / rate
    both = sum(ways[axis] for axis, length in enumerate(box) if length > 1)
    moved = payload if kind == "collective-broadcast" else payload * (devices - 1) / devices
    passes = 2 if kind == "all-reduce" else 1
    return start + passes * (hops * hop + shared * moved / (both * rate))


def _ways(card: Card, slice_: Slice, axis: int) -> int:
    """Directions in which data goes around a whole axis: 2 where its ends are joined."""
    wraps = int(profile_link(card, "wraps_at", "the length of an axis whose ends are joined"))
    axes = int(profile_link(card, "torus_axes", "the number of axes of its torus"))
    lengths = slice_.sides if axes == 3 else (slice_.sides[axis],)
    return 2 if all(length % wraps == 0 for length in lengths) else 1
