"""Collectives among GPUs of several hosts: over the links of each host and the network between hosts.

Each GPU exchanges its part with the GPUs of the same rank on the other hosts, through an adapter of its own, while the parts move
within the hosts: the slower of the two counts (NCCL's rings over all adapters of a host move the same bytes). Messages pass from
host to host along a ring or, of an all-reduce, up and down a tree, whichever is faster (NCCL's src/graph/tuning.cc). Starts add
up; start and bytes are put together as within a host. Nothing here was compared with measurements of several hosts.
"""

from math import ceil, log2
from typing import NamedTuple

from cr_jax.catalog.times import MissingConstant
from cr_jax.predict.accelerator import collectives
from cr_jax.predict.accelerator.card import Card
from cr_jax.predict.accelerator.numbers_or_arrays import Parts, together

#: Collectives without measurements, and those whose links they use alike.
LIKE = {"collective-broadcast": "all-gather", "ragged-all-to-all": "all-to-all"}


class Network(NamedTuple):
    """Bytes that one device sends through its adapter, and the messages that wait for one another."""

    bytes: float
    hops: float


def profile_link(card: Card, key: str, what: str) -> float:
    """One of the links of a card's profile. Raises ``MissingConstant``."""
    value = card.accelerator.links.get(key)
    if value is None:
        raise MissingConstant(f"{card.name}: {what} is not known (links.{key} in its profile)")
    return value


def within(card: Card, kind: str, payload: float, devices: int) -> Parts:
    """Seconds to start a collective among devices of one host, and to move its bytes. payload: as nccl-tests count it."""
    if kind in LIKE and devices > 1:  # the whole payload leaves each device
        payload *= devices / (devices - 1)
    return collectives.parts(card, LIKE.get(kind, kind), payload, devices)


def alike(card: Card, kind: str, payload: float, devices: int) -> float:
    """Time within one host of a collective that was not measured, by another that uses the links alike."""
    sharpness = card.constants("collectives")[f"{LIKE[kind].replace('-', '_')}_sharpness"]
    return float(together(within(card, kind, payload, devices), sharpness))


def seconds(card: Card, kind: str, payload: float, hosts: int, per_host: int) -> float:
    """Time of one collective over ``per_host`` devices on each of ``hosts``. Raises ``MissingConstant``."""
    known = card.constants("collectives")
    rate = card.constants("network")["share"] * profile_link(card, "network_bytes_per_s", "the rate of its network between hosts")
    hop = profile_link(card, "network_hop_s", "the time of a message between hosts")
    inside = within(card, kind, _inside(kind, payload, hosts, per_host), per_host)
    name = LIKE.get(kind, kind).replace("-", "_")
    start, sharpness = max(float(inside.compute_s), known[f"{name}_start_s"]), known[f"{name}_sharpness"]
    ways = _ways(card, kind, payload, hosts, per_host)
    times = [Parts(start + way.hops * hop, max(float(inside.memory_s), way.bytes / rate)) for way in ways]
    return min(float(together(time, sharpness)) for time in times)


def _inside(kind: str, payload: float, hosts: int, per_host: int) -> float:
    """The payload of the part within each host."""
    if kind in ("all-to-all", "ragged-all-to-all"):
        return payload / hosts
    return 0.0 if kind == "collective-permute" else payload


def _ways(card: Card, kind: str, payload: float, hosts: int, per_host: int) -> list[Network]:
    """What the network may carry, along a ring and up and down a tree."""
    share, others = payload / per_host, hosts - 1
    if kind == "all-reduce":
        slower = card.constants("network")["tree_hop"]
        return [Network(2 * share * others / hosts, 2 * others), Network(2 * share, 2 * slower * ceil(log2(hosts)))]
    if kind in ("all-gather", "reduce-scatter"):
        return [Network(share * others / hosts, others)]
    if kind == "all-to-all":
        return [Network(payload * others / hosts, 1)]
    if kind == "collective-broadcast":
        return [Network(share, others)]
    return [Network(payload, 1)]
