"""The time of what devices send each other: over NVLink, between hosts, or over the torus of a TPU slice."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from cr_jax.catalog.times import MissingConstant
from cr_jax.catalog.topologies import topology
from cr_jax.cost.operations.program import Transfer
from cr_jax.documents.prediction import Reach
from cr_jax.errors import BadConfig
from cr_jax.predict.accelerator import between_hosts, collectives, torus
from cr_jax.predict.accelerator.card import Card
from cr_jax.predict.accelerator.torus import Slice


@dataclass(frozen=True)
class TransferTime:
    """One execution of one collective. kind: its class of errors."""

    seconds: float
    reach: Reach
    kind: str


class Transfers:
    """Times of the collectives of a program on ``devices`` of a card; equal ones are computed once."""

    def __init__(self, card: Card, devices: int) -> None:
        self._card, self._devices = card, devices
        self._known: dict[Transfer, TransferTime] = {}

    def of(self, transfer: Transfer) -> TransferTime:
        """The time of one collective. Raises ``MissingConstant`` and, for a slice that there is not, ``BadConfig``."""
        known = self._known.get(transfer)
        if known is None:
            timed = self._torus if self._card.platform == "tpu" else self._hosts
            known = self._known[transfer] = timed(transfer)
        return known

    def _hosts(self, transfer: Transfer) -> TransferTime:
        """The slowest group of GPUs."""
        card, kind, payload = self._card, transfer.kind, transfer.payload_bytes
        joined = int(between_hosts.profile_link(card, "devices_per_host", "the number of devices that NVLink joins"))
        spread = {_spread(group, joined) for group in transfer.groups}
        if all(hosts == 1 for hosts, _ in spread):
            most = max((each for _, each in spread), default=1)
            if kind in between_hosts.LIKE:
                return TransferTime(between_hosts.alike(card, kind, payload, most), "host", "collectives_unmeasured")
            return TransferTime(float(collectives.seconds(card, kind, payload, most)), "host", "collectives")
        times = [between_hosts.seconds(card, kind, payload, *one) for one in spread]
        return TransferTime(max(times), "network", "collectives_between_hosts")

    def _torus(self, transfer: Transfer) -> TransferTime:
        """The slowest group of chips."""
        chips = self._slice()
        times = [torus.seconds(self._card, chips, transfer.kind, transfer.payload_bytes, group) for group in transfer.groups]
        return TransferTime(max(times, default=0.0), "torus", "collectives_torus")

    def _slice(self) -> Slice:
        """The chips that the compiler's topology joins, in its order."""
        try:
            joined = topology(self._card.accelerator, self._devices)
        except BadConfig as error:
            raise MissingConstant(str(error)) from None
        x, y, z = (*map(int, joined.name.partition(":")[2].split("x")), 1)[:3]
        if joined.chips_per_host is None or joined.devices_per_host != prod(joined.chips_per_host):
            raise MissingConstant(f"{self._card.name}: how the devices of one chip share its links is not known")
        return Slice((x, y, z), joined.chips_per_host)


def _spread(group: Sequence[int], joined: int) -> tuple[int, int]:
    """Hosts of a group, and the most of its devices on one of them."""
    hosts = Counter(device // joined for device in group)
    return len(hosts), max(hosts.values())
