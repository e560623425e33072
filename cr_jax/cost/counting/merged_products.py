"""Matrix products that the compiler carries out as one.

XLA for GPUs merges products that share an operand (the input projections of a GRU's two directions) into
one, which carries the name of one of them. The traced program shows the others: products of the
same pass, of an equal part of its size, that the compiled program nowhere carries out on their own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cr_jax.cost.cost import Cost, Key, Owner

#: The most products searched in one.
_MOST = 16


@dataclass(slots=True)
class Made:
    """Matrix products of one size and owner: number of executions, and the cost of all of them."""

    executions: int = 0
    cost: Cost = field(default_factory=Cost)

    def add(self, cost: Cost, executions: int = 1, times: int = 1) -> None:
        """Add ``times`` times ``executions`` products, which cost ``cost`` together."""
        self.executions += executions * times
        self.cost.add(cost, times)


#: By FLOPs of one execution and owner.
Table = Mapping[tuple[int, Key], Made]


@dataclass(frozen=True)
class Move:
    """Cost of products of ``flops`` each that stands under one key and belongs under another."""

    flops: int
    source: Key
    target: Key
    cost: Cost


@dataclass(frozen=True)
class Merged:
    """Merged products and their original owners."""

    moves: tuple[Move, ...] = ()
    """Costs of merged products, moved to the modules they came from."""
    flops: int = 0
    """FLOPs of all merged products of several modules that could be told apart."""
    left_flops: int = 0
    """FLOPs of those that could not, which stay with the module whose name they carry."""


def merged(traced: Table, compiled: Table) -> Merged:
    """The owners of products that the traced program has only in parts.

    A product of F FLOPs under a module that traced none of F, but some of f = F / r, may be r of those. It is, if the compiled
    program lacks as many products of f, over all modules of that pass, as the candidates of that part can hold, and if the move
    brings every module nearer to its traced cost; otherwise nothing is moved.
    """
    had, has = _executions(traced), _executions(compiled)
    left = 0
    groups: dict[tuple[int, str], list[tuple[tuple[int, Key], int]]] = {}
    for place in sorted(compiled):
        flops, (module, which, _) = place
        if had.get((flops, (module, which))):
            continue  # a product as traced
        own = [(r, (flops // r, (module, which))) for r in range(2, _MOST + 1) if flops % r == 0]
        parts = [r for r, part in own if had.get(part, 0) > has.get(part, 0)]
        if len(parts) == 1:
            groups.setdefault((flops // parts[0], which), []).append((place, parts[0]))
        elif parts:
            left += compiled[place].cost.matmul_flops
    excess = _totals(compiled)
    for owner, flops in _totals(traced).items():
        excess[owner] = excess.get(owner, 0) - flops
    moves: list[Move] = []
    known = 0
    for (flops, which), places in sorted(groups.items()):
        absent = {
            owner: n - has.get((size, owner), 0)
            for (size, owner), n in had.items()
            if size == flops and n > has.get((size, owner), 0)
        }
        missing = {owner: n for owner, n in absent.items() if owner[1] == which}
        named = {(key[0], key[1]) for (_, key), _ in places}
        if len(named) == 1 and set(absent) <= named:
            continue  # all of one module
        held = sum(parts * compiled[place].executions for place, parts in places)
        total = sum(compiled[place].cost.matmul_flops for place, _ in places)
        if held != sum(missing.values()) or not named <= set(missing):
            left += total
            continue
        shared = _shared(places, compiled, missing)
        after = _balance(excess, shared)
        # A giver must have more than it traced, and a receiver less: else it was a coincidence.
        if any(abs(after[owner]) > abs(excess.get(owner, 0)) or after[owner] * excess.get(owner, 0) < 0 for owner in after):
            left += total
            continue
        excess |= after
        known += total
        moves += shared
    return Merged(tuple(moves), known, left)


def _totals(table: Table) -> dict[Owner, int]:
    """FLOPs of all matrix products of each owner."""
    flops: dict[Owner, int] = {}
    for (_, (module, which, _)), made in table.items():
        flops[module, which] = flops.get((module, which), 0) + made.cost.matmul_flops
    return flops


def _balance(excess: Mapping[Owner, int], moves: list[Move]) -> dict[Owner, int]:
    """The surplus or shortage that remains with the owners in ``moves`` after them."""
    after: dict[Owner, int] = {}
    for move in moves:
        for owner, sign in ((move.source[:2], -1), (move.target[:2], 1)):
            after[owner] = after.get(owner, excess.get(owner, 0)) + sign * move.cost.matmul_flops
    return after


def _executions(table: Table) -> dict[tuple[int, Owner], int]:
    """Executions of each owner's products of each size, in whatever family the compiler put them."""
    executions: dict[tuple[int, Owner], int] = {}
    for (flops, (module, which, _)), made in table.items():
        place = flops, (module, which)
        executions[place] = executions.get(place, 0) + made.executions
    return executions


def _shared(places: list[tuple[tuple[int, Key], int]], compiled: Table, missing: Mapping[Owner, int]) -> list[Move]:
    """Missing products of modules, taken from the candidates: first each module's own, then the others in turn."""
    needed, room = dict(missing), dict[tuple[int, Key], int]()
    for place, parts in places:
        own = place[1][:2]
        room[place] = parts * compiled[place].executions
        taken = min(room[place], needed[own])
        room[place], needed[own] = room[place] - taken, needed[own] - taken
    moves: list[Move] = []
    for place, parts in places:
        made = compiled[place]
        for owner in sorted(needed):
            taken = min(room[place], needed[owner])
            if taken:
                room[place], needed[owner] = room[place] - taken, needed[owner] - taken
                part = made.cost.part(taken, parts * made.executions)
                moves.append(Move(*place, (*owner, place[1][2]), part))
    return moves
