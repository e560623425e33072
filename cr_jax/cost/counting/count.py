"""The counter: the walk's costs added up by module, pass and family, loops multiplied by their trip counts."""

from dataclasses import fields

from cr_jax.cost.assumptions import Assumptions
from cr_jax.cost.attribution import Products, Scope
from cr_jax.cost.booking import Booking
from cr_jax.cost.collectives import collectives
from cr_jax.cost.cost import Cost
from cr_jax.cost.counting.cost_ledger import Ledger
from cr_jax.cost.counting.hlo_count import Branch, Conditional, Declared, HloCount, Loop, Missing
from cr_jax.cost.counting.merged_products import Merged, merged
from cr_jax.cost.instruction_cost import InstructionCost
from cr_jax.cost.totals import Totals
from cr_jax.cost.walk import Branching, Called, Executed, Repeated, Run, Walk, collector_paused, nesting_checked, within_limit
from cr_jax.errors import BadHlo
from cr_jax.hlo.device_groups import Mesh
from cr_jax.hlo.module import Instruction
from cr_jax.hlo.parse import parse

#: The largest figure of a count.
_MOST = 10**30


def count_hlo(
    text: str,
    modules: tuple[str, ...] = (),
    assumptions: Assumptions = Assumptions(),
    products: Products | None = None,
    traced: HloCount | None = None,
    mesh: Mesh = (),
) -> HloCount:
    """Count one HLO module from its text, optimised or not, of any backend.

    modules: known module paths, innermost wins; without them every scope name is a module. assumptions: trip counts and costs of
    kernels that the text does not say; ``HloCount.openings`` says which were used. Other unknown loops add nothing, for they may
    never run. Of a conditional's branches the most expensive counts, figure by figure; where an operation is not counted, so that
    the totals are lower bounds, the cheapest counts. products: ``HloCount.products`` of the same step before the compiler.
    traced: that count as a whole, which also tells the owners of the matrix products that the compiler merged. mesh: axes and
    sizes of the devices that the program is compiled for, in the order of their numbers; names the axes of its collectives.
    Raises ``BadHlo`` with line and reason for text that is not a whole HLO module, and ``BadConfig`` for a mesh of another number
    of devices or more assumed iterations than a loop can have.
    """
    with collector_paused():
        return count_walk(Walk(parse(text), assumptions, traced.products if traced else products), modules, traced, mesh)


def count_walk(walk: Walk, modules: tuple[str, ...] = (), traced: HloCount | None = None, mesh: Mesh = ()) -> HloCount:
    """Count a module that was walked; modules, traced and mesh as for :func:`count_hlo`."""
    module = walk.module
    with collector_paused(), nesting_checked():
        counter = _Counter(walk, modules, cheapest=False)
        ledger = counter.program()
        total = ledger.total()
        least = Totals(cheapest=True, declared=False).of(walk.entry) if walk.open_ended else total
        if least != total and (ledger.missing or module.doubts or any(loop.trip_count is None for loop in ledger.loops)):
            counter = _Counter(walk, modules, cheapest=True)
            ledger = counter.program()
            total = ledger.total()
        exchanged = collectives(walk, modules, mesh, counter.cheapest)
    for doubt, number in module.doubts.items():
        if doubt not in ledger.missing:  # an unknown operation may stand where the walk does not go
            ledger.miss(doubt, number)
    parts = merged(traced.made, ledger.made) if traced else Merged()
    ledger.give(parts)
    if max(getattr(total, f.name) for f in fields(total)) > _MOST:
        raise BadHlo(1, f"the program does more than {_MOST:.0e} operations: no device could finish it")
    return HloCount(
        module.name,
        total,
        ledger.rows,
        tuple(ledger.loops),
        tuple(Missing(name, *ledger.missing[name]) for name in sorted(ledger.missing)),
        module.instruction_count,
        {size: frozenset(owners) for size, owners in counter.products.items()},
        ledger.made,
        parts,
        ledger.cycles or None,
        least,
        tuple(ledger.conditionals),
        tuple(
            Declared(name, source, number, cost.flops, cost.transcendentals, cost.hbm_bytes)
            for (name, source), (number, cost) in sorted(ledger.declared.items(), key=lambda item: item[0])
        ),
        exchanged,
        walk.openings,
    )


class _Counter:
    """A fold over the walk. cheapest: as for :class:`Totals`. products: owners of the matrix products by size."""

    def __init__(self, walk: Walk, modules: tuple[str, ...], cheapest: bool) -> None:
        self._walk, self._booking, self._totals = walk, Booking(walk, modules), Totals(cheapest)
        self.cheapest = cheapest
        self.products: dict[tuple[int, int], set[tuple[str, str]]] = {}
        self._counted: dict[tuple[int, Scope], Ledger] = {}
        self._work = 0

    def program(self) -> Ledger:
        """The cost of one run of the program."""
        return self._run(self._walk.entry, Scope(self._walk.roots))

    def _run(self, run: Run, scope: Scope) -> Ledger:
        """The cost of one run of a computation. Not to be changed by the caller."""
        known = self._counted.get((id(run), scope))
        if known is None:
            known = self._counted[id(run), scope] = self._count(run, scope)
        return known

    def _count(self, run: Run, scope: Scope) -> Ledger:
        self._work = within_limit(self._work + len(run.computation.instructions))
        ledger = Ledger()
        for entry in run.entries:
            instruction = entry.instruction
            ledger.cycles += instruction.cycles
            if isinstance(entry, Executed):
                if entry.cost.fused is None:
                    self._plain(ledger, instruction, entry.cost, scope)
                else:
                    self._fusion(ledger, instruction, entry.cost, scope)
            elif isinstance(entry, Repeated):
                self._loop(ledger, entry, scope)
            elif isinstance(entry, Called):
                ledger.include(self._run(entry.run, scope.inside(instruction.op_name)), entry.devices)
            else:
                self._conditional(ledger, entry, scope)
        return ledger

    def _plain(self, ledger: Ledger, instruction: Instruction, instruction_cost: InstructionCost, scope: Scope) -> None:
        cost = instruction_cost.own
        declared = instruction_cost.declared
        if declared is not None:
            cost = cost + declared.extra
            ledger.declare(declared.operation, declared.source, cost)
        for operation, (number, size) in instruction_cost.missing.items():
            ledger.miss(operation, number, size)
        key = self._booking.plain(instruction, instruction_cost.family, cost.matmul_flops, scope)
        if cost.matmul_flops:
            size = (instruction.shape.leaves[0].elements, cost.matmul_flops)
            self.products.setdefault(size, set()).add(key[:2])
            ledger.product(key, cost)
        ledger.book(key, cost)

    def _fusion(self, ledger: Ledger, fusion: Instruction, instruction_cost: InstructionCost, scope: Scope) -> None:
        """Every operation inside is booked for its own module, the traffic for the fusion's."""
        assert instruction_cost.fused is not None
        rows, moved, key_of = instruction_cost.fused.rows, instruction_cost.own, self._booking.key
        whole, inside = self._booking.fusion(fusion, instruction_cost, scope)
        products = [(key_of(name, family, inside), cost) for name, family, cost in rows if cost.matmul_flops]
        for key, cost in products:  # the bytes are a product's if it is the only one
            ledger.product(key, cost + moved if len(products) == 1 and key == whole else cost)
        for op_name, family, cost in rows:
            ledger.book(key_of(op_name, family, inside), cost)
        for operation, (number, size) in instruction_cost.missing.items():
            ledger.miss(operation, number, size)
        ledger.book(whole, moved)

    def _loop(self, ledger: Ledger, entry: Repeated, scope: Scope) -> None:
        loop, count = entry.instruction, entry.count
        own = scope.full(loop.op_name)
        inner = scope.loop(own, (i.op_name for i in entry.body.computation.instructions))
        once, tested = self._run(entry.body, inner), self._run(entry.condition, inner)
        turns = self._totals.turns(entry)
        ledger.include(once, turns)
        ledger.include(tested, turns + 1)
        module, _ = self._booking.owner(own)
        flops = sum(cost.matmul_flops for cost in once.rows.values())
        path = self._walk.openings.loops.get(loop.name, "")
        ledger.loops.append(Loop(loop.name, module, count.count, count.source, 1, flops, count.at_most, count.disputed, path))

    def _conditional(self, ledger: Ledger, entry: Branching, scope: Scope) -> None:
        switch = entry.instruction
        inner = scope.inside(switch.op_name)
        branches = [self._run(branch, inner) for branch in entry.branches]
        totals, chosen = self._totals.branches(entry), self._totals.chosen(entry)
        for number, branch in enumerate(branches):
            if number != chosen:
                ledger.list(branch, 0)
        module, which = self._booking.owner(scope.full(switch.op_name))
        if self._totals.cheapest:
            ledger.include(branches[chosen].reduced_to(Cost.smallest(totals)), 1)
        else:
            ledger.include(branches[chosen], 1)
            most = Cost.largest(totals)
            if most != totals[chosen]:  # another branch has more of something, such as bytes
                ledger.book((module, which, "conditional"), most + totals[chosen] * -1)
        if any(total != totals[0] for total in totals):
            rows = tuple(
                Branch(one.computation.name, total.flops, total.transcendentals, total.hbm_bytes)
                for one, total in zip(entry.branches, totals, strict=True)
            )
            ledger.conditionals.append(Conditional(switch.name, module, 1, rows))
