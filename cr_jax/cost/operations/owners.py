"""The modules that an operation works for, with their shares of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cr_jax.cost.attribution import Scope
from cr_jax.cost.booking import Booking
from cr_jax.cost.cost import Key, Owner
from cr_jax.cost.counting.hlo_count import HloCount
from cr_jax.cost.instruction_cost import InstructionCost
from cr_jax.cost.walk import Executed, Run

#: Modules and passes with shares that add up to 1.
Shares = tuple[tuple[Owner, float], ...]


@dataclass(frozen=True)
class Owners:
    """computed: by operations of every kind. moved: by bytes; of a fusion all have the owner of its name. () is unknown."""

    computed: Shares = ()
    moved: Shares = ()


NOBODY = Owners()


class OwnerTable:
    """Owners of the operations of a walked module, as ``count`` has attributed its costs: merged products belong to the modules
    that they came from.
    """

    def __init__(self, booking: Booking, count: HloCount) -> None:
        self._booking, self._moved = booking, _moved(count)
        self._runs: dict[tuple[int, Scope], tuple[Owners, ...]] = {}
        self._equal: dict[Owners, Owners] = {}

    def of(self, run: Run, scope: Scope) -> tuple[Owners, ...]:
        """The owners of the operations of a run, in their order; equal ones are the same object."""
        known = self._runs.get((id(run), scope))
        if known is None:
            found = (self._of(entry, scope) for entry in run.entries if isinstance(entry, Executed))
            known = self._runs[id(run), scope] = tuple(self._equal.setdefault(owners, owners) for owners in found)
        return known

    def _of(self, entry: Executed, scope: Scope) -> Owners:
        cost = entry.cost
        if cost.fused is not None:
            return self._fusion(entry, cost, scope)
        flops = cost.own.matmul_flops + (cost.declared.extra.matmul_flops if cost.declared else 0)
        key = self._booking.plain(entry.instruction, cost.family, flops, scope)
        shares = self._product(flops, key)
        return Owners(shares, shares)

    def _fusion(self, entry: Executed, cost: InstructionCost, scope: Scope) -> Owners:
        assert cost.fused is not None
        whole, inside = self._booking.fusion(entry.instruction, cost, scope)
        work: dict[Owner, float] = {}
        products: list[tuple[int, Key]] = []
        for name, family, own in cost.fused.rows:
            key, flops = self._booking.key(name, family, inside), own.matmul_flops
            if flops:
                products.append((flops, key))
            for owner, share in self._product(flops, key):
                work[owner] = work.get(owner, 0.0) + share * flops
            if own.operations > flops:
                work[key[:2]] = work.get(key[:2], 0.0) + own.operations - flops
        # As the counter has it: the bytes are a product's if it is the only one.
        moved = self._product(*products[0]) if len(products) == 1 and products[0][1] == whole else ((whole[:2], 1.0),)
        total = sum(work.values())
        return Owners(tuple((owner, part / total) for owner, part in work.items() if part) if total else moved, moved)

    def _product(self, flops: int, key: Key) -> Shares:
        return self._moved.get((flops, key), ((key[:2], 1.0),))


def _moved(count: HloCount) -> Mapping[tuple[int, Key], Shares]:
    """Owners of the products that were merged, by FLOPs of one and key."""
    targets: dict[tuple[int, Key], dict[Owner, float]] = {}
    for move in count.merged.moves:
        parts = targets.setdefault((move.flops, move.source), {})
        owner = move.target[:2]
        parts[owner] = parts.get(owner, 0.0) + move.cost.matmul_flops
    return {place: _shares(place[1], count.made[place].cost.matmul_flops, parts) for place, parts in targets.items()}


def _shares(key: Key, whole: int, parts: Mapping[Owner, float]) -> Shares:
    left: Sequence[tuple[Owner, float]] = [(key[:2], whole - sum(parts.values()))]
    return tuple((owner, part / whole) for owner, part in [*left, *parts.items()] if part)
