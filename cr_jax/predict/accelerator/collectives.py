"""Collectives among the devices of one node: all-reduce, all-gather, reduce-scatter, all-to-all, collective-permute.

Each device sends ``sent`` bytes over its links, in one direction: half of the profile's ``link_bytes_per_s``, of which a share is
reached. A message of middling length takes longer than the larger of start and bytes, as the library changes protocols and
channels by size: (start^p + bytes^p)^(1/p), p below 1. The start grows with the number of devices. Constants: ``collectives.*``
in ``profiles/accelerator_times.json``; scaled to other cards by the link. Programs on several devices are not predicted yet.
"""

from cr_jax.catalog.times import MissingConstant
from cr_jax.errors import UnknownName
from cr_jax.predict.accelerator.card import Card
from cr_jax.predict.accelerator.numbers_or_arrays import Numbers, Parts, together

OPCODES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")


def sent(opcode: str, size: Numbers, devices: Numbers) -> Numbers:
    """Bytes that each device sends. size: of the whole array, as nccl-tests and XLA's table count it: the result of an
    all-gather, the input of a reduce-scatter, either one of the others. Raises ``UnknownName``.
    """
    if opcode not in OPCODES:
        raise UnknownName("collective", opcode, OPCODES)
    if opcode == "collective-permute":
        return size * (devices > 1)
    return (2 if opcode == "all-reduce" else 1) * size * (devices - 1) / devices


def link(card: Card) -> float:
    """Bytes per second from one device to the others of its node. Raises ``MissingConstant``."""
    both = card.accelerator.link_bytes_per_s
    if both is None:
        raise MissingConstant(
            f"{card.name}: the rate of its links to other devices is not known (link_bytes_per_s in its "
            "profile); the maker's data sheet would give it"
        )
    return both / 2


def parts(card: Card, opcode: str, size: Numbers, devices: Numbers) -> Parts:
    """Seconds to start one collective, and to move its bytes (in the places of arithmetic and memory). size: see ``sent``.

    devices: in one group. Raises ``MissingConstant`` and ``UnknownName``.
    """
    moved, known, name = sent(opcode, size, devices), card.constants("collectives"), opcode.replace("-", "_")
    start = known[f"{name}_start_s"] * (1 + known["device_start"] * (devices - 2)) * (devices > 1)
    return Parts(start, moved / (known[f"{name}_share"] * link(card)))


def seconds(card: Card, opcode: str, size: Numbers, devices: Numbers) -> Numbers:
    """Time of one collective, its start included."""
    return together(parts(card, opcode, size, devices), card.constants("collectives")[f"{opcode.replace('-', '_')}_sharpness"])
