"""The collectives of a step: their seconds, and what of them other operations hide."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from cr_jax.cost.operations.program import Program
from cr_jax.cost.rules import opcode_rules
from cr_jax.documents.prediction import CollectiveTime, CollectiveTimes
from cr_jax.predict.accelerator.card import Card
from cr_jax.predict.accelerator.execution import Execution
from cr_jax.predict.accelerator.overlap import Overlap
from cr_jax.predict.accelerator.transfers import Transfers, TransferTime


@dataclass(frozen=True)
class Exchanged:
    """Collectives by the place of their operation, of one execution. executed: every operation with its exposed collectives."""

    program: Program
    times: Mapping[int, tuple[TransferTime, ...]]
    hidden: Mapping[int, float]
    executed: list[Execution]

    def over(self, runs: Mapping[int, int]) -> CollectiveTimes:
        """Of the whole step. runs: executions of every operation."""
        rows: dict[tuple[object, ...], CollectiveTime] = {}
        for place, times in self.times.items():
            number, whole = runs.get(place, 0), sum(one.seconds for one in times)
            share = self.hidden.get(place, 0.0) / whole if whole else 0.0
            for transfer, one in zip(self.program.operations[place].transfers, times, strict=True):
                devices = max(map(len, transfer.groups), default=1)
                key = transfer.kind, devices, one.reach
                had = rows.get(key)
                rows[key] = CollectiveTime(
                    kind=transfer.kind,
                    devices=devices,
                    reach=one.reach,
                    times=number + (had.times if had else 0),
                    payload_bytes=number * transfer.payload_bytes + (had.payload_bytes if had else 0),
                    seconds=number * one.seconds + (had.seconds if had else 0.0),
                    overlapped_s=number * one.seconds * share + (had.overlapped_s if had else 0.0),
                )
        seconds, hidden = sum(row.seconds for row in rows.values()), sum(row.overlapped_s for row in rows.values())
        ranked = tuple(sorted(rows.values(), key=lambda row: -row.seconds))
        return CollectiveTimes(seconds=seconds, overlapped_s=hidden, exposed_s=max(0.0, seconds - hidden), rows=ranked)


def exchanges(program: Program, card: Card, executed: list[Execution]) -> Exchanged | None:
    """The collectives of a program; ``None`` where it has none. Raises ``MissingConstant``.

    executed: every operation without its collectives. What a collective reads and writes is part of its time, so that its own
    operation takes no other; what a fusion around it does runs beside it. The device's gap after a kernel hides them too.
    """
    transfers = Transfers(card, program.devices)
    times = {
        place: tuple(transfers.of(transfer) for transfer in operation.transfers)
        for place, operation in enumerate(program.operations)
        if operation.transfers
    }
    if not times:
        return None
    alone = {place: program.operations[place].opcode in opcode_rules.COLLECTIVE for place in times}

    gap = card.constants("launches")["gap_s"] if card.platform == "cuda" else 0.0

    def busy(place: int) -> float:
        return 0.0 if alone.get(place) else executed[place].seconds + gap

    overlap = Overlap(busy, {place: sum(one.seconds for one in several) for place, several in times.items()})
    overlap.add(program.nodes)
    changed, hidden = list(executed), dict(overlap.hidden)
    for place, several in times.items():
        own, kind = executed[place], several[0].kind
        exposed = sum(one.seconds for one in several) - hidden.get(place, 0.0)
        if alone[place]:
            changed[place] = Execution(exposed, 0.0, 0.0, kind, exposed, kind)
            continue
        beside = min(exposed, own.seconds)  # what the fusion does itself
        hidden[place] = hidden.get(place, 0.0) + beside
        changed[place] = replace(own, seconds=own.seconds + exposed - beside, collective_s=exposed - beside, collective_kind=kind)
    return Exchanged(program, times, hidden, changed)
