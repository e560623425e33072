"""The count of a program: costs by module, pass and family, with loops, conditionals and operations that are not counted."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from cr_jax.cost.assumptions import Openings
from cr_jax.cost.attribution import Products
from cr_jax.cost.collectives import Collective
from cr_jax.cost.cost import Cost, Key, Owner
from cr_jax.cost.counting.merged_products import Made, Merged, Table

#: The relation of a figure to the program: exact, a lower or an upper bound, the upper end of a range, or exact if what was
#: assumed is right. A bound of another kind may rest on assumptions too.
Bound = Literal["exact", "lower", "upper", "range", "assumed"]


@dataclass(frozen=True)
class Loop:
    """One ``while``: iterations per entry, the source of that number, and entries in all.

    A loop of unknown trip count adds nothing to the totals, for it may never run. at_most: it may end earlier. disputed: another,
    smaller trip count by the compiler or by inference. source: annotated | inferred | assumed | unknown. path: its scopes, where
    the text does not say its count.
    """

    name: str
    module: str
    trip_count: int | None
    source: str
    executions: int
    matmul_flops_per_iteration: int
    at_most: bool = False
    disputed: int | None = None
    path: str = ""


@dataclass(frozen=True)
class Missing:
    """An operation without a rule: its bytes are counted, its arithmetic is not."""

    operation: str
    count: int
    hbm_bytes: int


@dataclass(frozen=True)
class Declared:
    """Calls whose arithmetic is not counted from their shapes alone.

    source: ``declared`` by the call itself, a textbook ``formula``, or ``assumed`` by the user. The costs are of all ``count``
    executions.
    """

    operation: str
    source: str
    count: int
    flops: int
    transcendentals: int
    hbm_bytes: int


@dataclass(frozen=True)
class Branch:
    """The largest cost of one run of a conditional's branch."""

    computation: str
    flops: int
    transcendentals: int
    hbm_bytes: int


@dataclass(frozen=True)
class Conditional:
    """A conditional whose branches cost differently; ``executions`` in all."""

    name: str
    module: str
    executions: int
    branches: tuple[Branch, ...]


@dataclass(frozen=True)
class HloCount:
    """The count of one run of a program, in whole operations and bytes."""

    name: str
    total: Cost
    #: By module, pass and family.
    rows: Mapping[Key, Cost]
    loops: tuple[Loop, ...]
    #: Operations without a rule; with any of them the figures are lower bounds.
    uncounted: tuple[Missing, ...]
    instructions: int
    #: Owners of the matrix products of each size. Given with the traced program's, ``count_hlo`` can name the products of
    #: the compiled program that the compiler left without a name.
    products: Products
    #: The matrix products by size and owner, and those found to be several traced ones merged by the compiler.
    made: Table
    merged: Merged
    #: The TPU compiler's own estimate, loops multiplied; a hint, never a prediction.
    estimated_cycles: int | None = None
    #: The least cost of the program; equal to the total where that is exact or a lower bound.
    least: Cost = field(default_factory=Cost)
    conditionals: tuple[Conditional, ...] = ()
    declared: tuple[Declared, ...] = ()
    collectives: tuple[Collective, ...] = ()
    #: What the text leaves open, and what assumptions supplied.
    openings: Openings = field(default_factory=Openings)

    @property
    def complete(self) -> bool:
        """Whether every operation has a rule, every trip count is known, and the whole text is understood.

        Otherwise the figures are lower bounds: an unknown loop is listed, and adds nothing.
        """
        return not self.uncounted and all(loop.trip_count is not None for loop in self.loops)

    @property
    def bound(self) -> Bound:
        """The relation of the figures to the program."""
        if not self.complete:
            return "lower"
        if any(loop.at_most for loop in self.loops):
            return "upper"
        if self.least != self.total:
            return "range"
        return "assumed" if self.openings.used else "exact"

    @property
    def matmul_flops(self) -> int:
        """FLOPs of products and convolutions."""
        return self.total.matmul_flops

    @property
    def other_flops(self) -> int:
        """FLOPs of other floating-point arithmetic."""
        return self.total.other_flops

    @property
    def integer_ops(self) -> int:
        """Integer and logical operations."""
        return self.total.integer_ops

    @property
    def transcendentals(self) -> int:
        """Calls of transcendental functions."""
        return self.total.transcendentals

    @property
    def hbm_bytes(self) -> int:
        """Bytes read from and written to main memory."""
        return self.total.hbm_bytes

    def by(self, *axes: str) -> dict[str, dict[str, int]]:
        """Costs along ``module``, ``pass``, ``family`` or several; keys joined with ``|``, sorted."""
        places = [("module", "pass", "family").index(a) for a in axes]
        sums: dict[str, Cost] = {}
        for key, cost in self.rows.items():
            sums.setdefault("|".join(key[p] for p in places), Cost()).add(cost)
        return {name: sums[name].as_dict() for name in sorted(sums)}

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready, keys in a fixed order."""
        return self.total.as_dict() | {
            "complete": self.complete,
            "bound": self.bound,
            "least": self.least.as_dict(),
            "module_name": self.name,
            "instructions": self.instructions,
            "families": self.by("family"),
            "modules": self.by("module"),
            "passes": self.by("pass"),
            "module_passes": self.by("module", "pass"),
            "loops": [asdict(loop) for loop in self.loops],
            "conditionals": [asdict(one) for one in self.conditionals],
            "declared": [asdict(one) for one in self.declared],
            "uncounted": [asdict(one) for one in self.uncounted],
            **({"collectives": [asdict(one) for one in self.collectives]} if self.collectives else {}),
        }


def each_of(traced: HloCount, devices: int) -> HloCount:
    """A traced count whose products are known by the sizes that each of ``devices`` carries them out in, for ``count_walk``.

    The owners of a product are known whole (replicated) and divided evenly, with the result or with what is summed; the figures
    stay those of all devices.
    """
    products: dict[tuple[int, int], frozenset[Owner]] = {}
    for (elements, flops), owners in traced.products.items():
        sizes = {(elements, flops)}
        if flops % devices == 0:
            sizes |= {(elements, flops // devices)} | ({(elements // devices, flops // devices)} - {(0, 0)})
        for size in sizes:
            products[size] = products.get(size, frozenset()) | owners
    made: dict[tuple[int, Key], Made] = {}
    for (flops, key), one in traced.made.items():
        size, part = (flops // devices, one.cost.part(1, devices)) if flops % devices == 0 else (flops, one.cost)
        made.setdefault((size, key), Made()).add(part, one.executions)
    return replace(traced, products=products, made=made)
