"""What the counter books: costs by module, pass and family, with what qualifies them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cr_jax.cost.attribute import Products
from cr_jax.cost.merged import Made, Merged, Table
from cr_jax.cost.value import Cost, Key


@dataclass(frozen=True)
class Loop:
    """One ``while``: how often its body runs per entry, how that is known, and how often in all."""

    name: str
    module: str
    trip_count: int | None
    source: str
    executions: int
    matmul_flops_per_iteration: int


@dataclass(frozen=True)
class Missing:
    """An operation without a rule: its bytes are counted, its arithmetic is not."""

    operation: str
    count: int
    hbm_bytes: int


@dataclass
class Ledger:
    """Costs by module, pass and family, with what qualifies them."""

    rows: dict[Key, Cost] = field(default_factory=dict)
    loops: list[Loop] = field(default_factory=list)
    missing: dict[str, tuple[int, int]] = field(default_factory=dict)
    made: dict[tuple[int, Key], Made] = field(default_factory=dict)
    cycles: int = 0

    def book(self, key: Key, cost: Cost, times: int = 1) -> None:
        row = self.rows.get(key)
        if row is None:
            row = self.rows[key] = Cost()
        row.add(cost, times)

    def product(self, key: Key, cost: Cost) -> None:
        """Remember a matrix product, which is booked apart."""
        made = self.made.get((cost.matmul_flops, key))
        if made is None:
            made = self.made[(cost.matmul_flops, key)] = Made()
        made.add(cost)

    def give(self, parts: Merged) -> None:
        """Move what merged products cost to the modules they came from."""
        for move in parts.moves:
            self.book(move.source, move.cost, -1)
            self.book(move.target, move.cost)

    def include(self, other: "Ledger", times: int) -> None:
        for key, cost in other.rows.items():
            self.book(key, cost, times)
        for place, made in other.made.items():
            self.made.setdefault(place, Made()).add(made.cost, made.executions, times)
        for name, (count, size) in other.missing.items():
            had = self.missing.get(name, (0, 0))
            self.missing[name] = (had[0] + times * count, had[1] + times * size)
        self.cycles += times * other.cycles
        self.loops += [
            Loop(o.name, o.module, o.trip_count, o.source, o.executions * times, o.matmul_flops_per_iteration)
            for o in other.loops
        ]

    def total(self) -> Cost:
        cost = Cost()
        for row in self.rows.values():
            cost.add(row)
        return cost


@dataclass(frozen=True)
class HloCount:
    """What ``count_hlo`` found. Numbers are whole operations and bytes of one run of the program.

    ``complete``: every operation has a rule and every trip count is known; otherwise the figures are
    lower bounds (an unknown loop is counted once, and listed). ``products``: who owns the matrix
    products of each size; given with the traced program's, ``count_hlo`` can name those of the
    compiled program whose names the compiler dropped. ``made``: the matrix products by size and owner,
    with which ``count_hlo`` finds merged ones; ``merged``: what it found. ``estimated_cycles``: the TPU compiler's own
    estimate, loops multiplied; a hint, never a prediction.
    """

    name: str
    total: Cost
    rows: Mapping[Key, Cost]
    loops: tuple[Loop, ...]
    uncounted: tuple[Missing, ...]
    instructions: int
    products: Products
    made: Table
    merged: Merged
    estimated_cycles: int | None = None

    @property
    def complete(self) -> bool:
        return not self.uncounted and all(loop.trip_count is not None for loop in self.loops)

    @property
    def matmul_flops(self) -> int:
        return self.total.matmul_flops

    @property
    def other_flops(self) -> int:
        return self.total.other_flops

    @property
    def integer_ops(self) -> int:
        return self.total.integer_ops

    @property
    def transcendentals(self) -> int:
        return self.total.transcendentals

    @property
    def hbm_bytes(self) -> int:
        return self.total.hbm_bytes

    def by(self, *axes: str) -> dict[str, dict[str, int]]:
        """Costs along ``module``, ``pass``, ``family`` or several; keys joined with ``|``, sorted."""
        places = [("module", "pass", "family").index(a) for a in axes]
        sums: dict[str, Cost] = {}
        for key, cost in self.rows.items():
            sums.setdefault("|".join(key[p] for p in places), Cost()).add(cost)
        return {name: sums[name].as_dict() for name in sorted(sums)}

    def as_dict(self) -> dict:
        """JSON-ready, keys in a fixed order."""
        return self.total.as_dict() | {
            "complete": self.complete,
            "bound": "exact" if self.complete else "lower",
            "module_name": self.name,
            "instructions": self.instructions,
            "families": self.by("family"),
            "modules": self.by("module"),
            "passes": self.by("pass"),
            "module_passes": self.by("module", "pass"),
            "loops": [{s: getattr(loop, s) for s in Loop.__dataclass_fields__} for loop in self.loops],
            "uncounted": [{s: getattr(m, s) for s in Missing.__dataclass_fields__} for m in self.uncounted],
        }
