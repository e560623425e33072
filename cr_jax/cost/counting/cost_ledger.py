"""Costs as the counter adds them up: by module, pass and family."""

from dataclasses import dataclass, field, fields, replace

from cr_jax.cost.cost import Cost, Key
from cr_jax.cost.counting.hlo_count import Conditional, Loop
from cr_jax.cost.counting.merged_products import Made, Merged


@dataclass
class Ledger:
    """Costs by module, pass and family, with their qualifications."""

    rows: dict[Key, Cost] = field(default_factory=dict[Key, Cost])
    """Costs by key."""
    loops: list[Loop] = field(default_factory=list[Loop])
    """Loops in the order of the program."""
    missing: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    """Number and bytes of operations without a rule, by name."""
    made: dict[tuple[int, Key], Made] = field(default_factory=dict[tuple[int, Key], Made])
    """The matrix products; their costs are in ``rows`` too."""
    cycles: int = 0
    """The TPU compiler's own estimate."""
    conditionals: list[Conditional] = field(default_factory=list[Conditional])
    declared: dict[tuple[str, str], tuple[int, Cost]] = field(default_factory=dict[tuple[str, str], tuple[int, Cost]])
    """Executions and costs of calls that declare them, by target and source."""

    def book(self, key: Key, cost: Cost, times: int = 1) -> None:
        """Add ``times`` times ``cost`` to the row of ``key``."""
        row = self.rows.get(key)
        if row is None:
            row = self.rows[key] = Cost()
        row.add(cost, times)

    def product(self, key: Key, cost: Cost) -> None:
        """Record a matrix product; its cost is booked separately."""
        made = self.made.get((cost.matmul_flops, key))
        if made is None:
            made = self.made[(cost.matmul_flops, key)] = Made()
        made.add(cost)

    def give(self, parts: Merged) -> None:
        """Move the cost of merged products to the modules they came from."""
        for move in parts.moves:
            self.book(move.source, move.cost, -1)
            self.book(move.target, move.cost)

    def miss(self, operation: str, count: int = 1, hbm_bytes: int = 0) -> None:
        """Record an operation whose arithmetic is not counted."""
        had = self.missing.get(operation, (0, 0))
        self.missing[operation] = (had[0] + count, had[1] + hbm_bytes)

    def declare(self, operation: str, source: str, cost: Cost, count: int = 1) -> None:
        """Record a call whose cost is declared or follows a formula; the cost is booked separately."""
        had, sum_ = self.declared.get((operation, source), (0, Cost()))
        self.declared[operation, source] = (had + count, Cost().add(sum_).add(cost))

    def include(self, other: "Ledger", times: int) -> None:
        """Add everything of ``other``, ``times`` times."""
        for key, cost in other.rows.items():
            self.book(key, cost, times)
        for place, made in other.made.items():
            self.made.setdefault(place, Made()).add(made.cost, made.executions, times)
        self.cycles += times * other.cycles
        self.list(other, times)

    def list(self, other: "Ledger", times: int) -> None:
        """Add everything of ``other`` but its costs. Operations without a rule are listed even where they never run."""
        for name, (count, size) in other.missing.items():
            self.miss(name, max(1, times) * count, times * size)
        for (name, source), (count, cost) in other.declared.items():
            self.declare(name, source, cost * times, count * times)
        self.loops += [replace(o, executions=o.executions * times) for o in other.loops]
        self.conditionals += [replace(o, executions=o.executions * times) for o in other.conditionals]

    def reduced_to(self, total: Cost) -> "Ledger":
        """A copy with its rows made smaller until they add up to ``total``, which is nowhere more than theirs."""
        made = Ledger()
        made.include(self, 1)
        excess = self.total() + total * -1
        for f in fields(excess):
            left = getattr(excess, f.name)
            for row in made.rows.values():
                taken = min(left, getattr(row, f.name))
                setattr(row, f.name, getattr(row, f.name) - taken)
                left -= taken
        return made

    def total(self) -> Cost:
        """The sum of all rows."""
        cost = Cost()
        for row in self.rows.values():
            cost.add(row)
        return cost
