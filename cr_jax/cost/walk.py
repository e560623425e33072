"""The counter: a fold over a module's computations, loops multiplied by their trip counts."""

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields

from cr_jax.cost import attribute, calls, rules, table, traffic
from cr_jax.cost.attribute import Attribution, Origins, Products, Scope
from cr_jax.cost.branches import branch_names, lowered, passes
from cr_jax.cost.ledger import Branch, Conditional, Declared, HloCount, Ledger, Loop, Missing
from cr_jax.cost.merged import Merged, merged
from cr_jax.cost.value import Cost, Key
from cr_jax.errors import BadHlo
from cr_jax.hlo.loops import Frame, TripCount, trip_count
from cr_jax.hlo.module import Computation, HloModule, Instruction
from cr_jax.hlo.parse import parse

#: Of any figure; and instructions walked through, where calls repeat them.
_MOST, _MOST_WORK = 10**30, 20_000_000
RANK = {family: rank for rank, family in enumerate(table.RANK)}


def count_hlo(
    text: str,
    modules: tuple[str, ...] = (),
    trip_counts: Mapping[str, int] | None = None,
    products: Products | None = None,
    traced: HloCount | None = None,
) -> HloCount:
    """Count one HLO module from its text, optimised or not, of any backend.

    modules: known module paths, innermost wins; without them every scope name is a module.
    trip_counts: iterations for loops whose count the text does not tell, by the loop's name. Other unknown loops
    add nothing, for they may never run. Of a conditional's branches the dearest counts, figure by figure; where
    something is not counted, so that the totals are lower bounds, the cheapest.
    products: ``HloCount.products`` of the same step before the compiler. traced: that count as a whole,
    which also tells whose the matrix products are that the compiler merged.
    Raises ``BadHlo`` with line and reason for text that is not a whole HLO module.
    """
    with collector_paused():
        return count_module(parse(text), modules, trip_counts, products, traced)


def count_module(
    module: HloModule,
    modules: tuple[str, ...] = (),
    trip_counts: Mapping[str, int] | None = None,
    products: Products | None = None,
    traced: HloCount | None = None,
) -> HloCount:
    """:func:`count_hlo` of a text already read."""
    known = traced.products if traced else products
    try:
        walk = Walk(module, Attribution(modules), trip_counts or {}, known)
        ledger = walk.entry()
        if ledger.slack != Cost() and (ledger.missing or module.doubts or any(o.trip_count is None for o in ledger.loops)):
            walk = Walk(module, Attribution(modules), trip_counts or {}, known, cheapest=True)
            ledger = walk.entry()
    except RecursionError:
        raise BadHlo(1, "computations or values are nested too deep") from None
    for doubt, count in module.doubts.items():
        if doubt not in ledger.missing:  # an unknown operation may stand where the walk does not come
            ledger.miss(doubt, count)
    parts = merged(traced.made, ledger.made) if traced else Merged()
    ledger.give(parts)
    total = ledger.total()
    if max(getattr(total, f.name) for f in fields(total)) > _MOST:
        raise BadHlo(1, f"the program does more than {_MOST:.0e} operations: no device ends it")
    missing = tuple(Missing(name, *ledger.missing[name]) for name in sorted(ledger.missing))
    declared = tuple(
        Declared(name, source, count, cost.flops, cost.transcendentals, cost.hbm_bytes)
        for (name, source), (count, cost) in sorted(ledger.declared.items(), key=lambda item: item[0])
    )
    return HloCount(
        module.name,
        total,
        ledger.rows,
        tuple(ledger.loops),
        missing,
        module.instruction_count,
        {size: frozenset(owners) for size, owners in walk.products.items()},
        ledger.made,
        parts,
        ledger.cycles or None,
        total + ledger.slack * -1,
        tuple(ledger.conditionals),
        declared,
    )


@contextmanager
def collector_paused() -> Iterator[None]:
    """A module is a million small values without a cycle: looking for cycles only costs time."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


class Walk:
    """One fold over a module. cheapest: of branches the cheapest counts, of early ends of loops the earliest."""

    def __init__(
        self,
        module: HloModule,
        attribution: Attribution,
        given: Mapping[str, int],
        products: Products | None = None,
        cheapest: bool = False,
    ):
        self.module, self.attribution, self.given, self.cheapest = module, attribution, given, cheapest
        self.root = attribute.root_of(i.op_name for i in module.entry.instructions)
        self.products: dict[tuple[int, int], set[tuple[str, str]]] = {}
        self._origins = Origins(self.root, products)
        self.fusions = traffic.Fusions(module)
        self._fused: dict[str, tuple[list[tuple[str, str, Cost]], dict[str, int]]] = {}
        self._applied: dict[str, tuple[Cost, tuple[str, ...]]] = {}
        self._counted: dict[tuple[str, Scope], Ledger] = {}
        self._keys: dict[tuple[str, str], Key] = {}
        self._work = 0

    def entry(self) -> Ledger:
        """Everything one run of the program costs."""
        return self.computation(self.module.entry, Frame(self.module.entry), Scope(self.root))

    def computation(self, computation: Computation, frame: Frame, scope: Scope) -> Ledger:
        """Everything one run of a computation costs. Whoever calls it must not change the ledger."""
        key = computation.name, scope
        known = self._counted.get(key)
        if known is None:
            known = self._count(computation, frame, scope)
            if not frame.escaped:  # no trip count follows from who calls it
                self._counted[key] = known
        return known

    def _count(self, computation: Computation, frame: Frame, scope: Scope) -> Ledger:
        self._work += len(computation.instructions)
        if self._work > _MOST_WORK:
            raise BadHlo(1, f"calls multiply the program to more than {_MOST_WORK} operations")
        ledger = Ledger()
        for instruction in computation.instructions:
            opcode = instruction.opcode
            if opcode in table.FREE:
                continue
            ledger.cycles += instruction.cycles
            if opcode == "fusion":
                self._fusion(ledger, instruction, scope)
            elif opcode == "while":
                self._while(ledger, instruction, frame, scope)
            elif opcode == "conditional":
                self._conditional(ledger, instruction, frame, scope)
            elif opcode in ("call", "async-start") or (opcode == "custom-call" and rules.body_of_call(instruction)):
                called = self.called(instruction)
                inner = scope.inside(instruction.op_name)
                ledger.include(self.computation(called, frame.inside(called, instruction), inner), 1)
            else:
                self._plain(ledger, instruction, scope)
        return ledger

    def called(self, instruction: Instruction) -> Computation:
        """What a call, an asynchronous start or a custom call with a body runs."""
        name = instruction.called("to_apply") or instruction.called("calls") or rules.body_of_call(instruction)
        return self.module.find(name, instruction)

    def _name(self, instruction: Instruction, matmul_flops: int = 0) -> str:
        """The operation's name, or the best that can be said where the compiler gave it none."""
        name = instruction.op_name
        if self.root and name.startswith(self.root):
            return name
        product = self._origins.product(instruction.shape.leaves[0].elements, matmul_flops) if matmul_flops else ""
        return product or self._origins.of(instruction)

    def _key(self, op_name: str, family: str, scope: Scope) -> Key:
        if scope.shared or not self.root or not op_name.startswith(self.root):
            module, which = self.attribution.of(scope.full(op_name))
            return module, which, family
        key = self._keys.get((op_name, family))  # a full name, the same wherever it stands
        if key is None:
            key = self._keys[op_name, family] = (*self.attribution.of(op_name), family)
        return key

    def _plain(self, ledger: Ledger, instruction: Instruction, scope: Scope) -> None:
        family = table.FAMILY.get(instruction.opcode, "unknown")
        try:
            cost = traffic.plain(instruction)
            cost.add(rules.arithmetic(instruction, self.applied))
        except rules.Uncounted as unknown:  # raised by the arithmetic: the bytes are known
            self._uncounted(ledger, instruction, str(unknown), cost)
        except (IndexError, ValueError) as error:
            raise BadHlo(instruction.line, f"{instruction.opcode} {instruction.name} is malformed: {error}") from None
        for operation in self.unruled(instruction):
            ledger.miss(operation)
        key = self._key(self._name(instruction, cost.matmul_flops), call_family(instruction, family), scope)
        if cost.matmul_flops:
            size = (instruction.shape.leaves[0].elements, cost.matmul_flops)
            self.products.setdefault(size, set()).add(key[:2])
            ledger.product(key, cost)
        ledger.book(key, cost)

    def _uncounted(self, ledger: Ledger, instruction: Instruction, operation: str, cost: Cost) -> None:
        """Add to ``cost`` what is said of an operation without a rule, else note that it is missing."""
        target = rules.call_target(instruction) if instruction.opcode == "custom-call" else ""
        said = calls.stated(instruction, target) if target else None
        if said is None:
            ledger.miss(operation, 1, cost.hbm_bytes)
            return
        extra = Cost().add(said.cost)
        extra.read_bytes = max(0, said.moved_bytes - cost.hbm_bytes)
        ledger.declare(target[:80], said.source, extra + Cost(read_bytes=cost.read_bytes, written_bytes=cost.written_bytes))
        ledger.slack.add(extra)
        cost.add(extra)

    def _fusion(self, ledger: Ledger, fusion: Instruction, scope: Scope) -> None:
        called = fusion.callee or self.module.find(fusion.called("calls"), fusion)
        rows, missing = self.fused(called, fusion)
        dearest = max((RANK.get(family, -1), family) for _, family, _ in rows)[1] if rows else "movement"
        own = self._name(fusion)
        inside = scope.fusion(own, (name for name, _, _ in rows))
        moved = self.fusions.cost(fusion)
        if not own:  # named by what it computes
            own = next((name for name, _, _ in reversed(rows) if name), "")
        whole = self._key(own, dearest, scope)
        products = [(self._key(name, family, inside), cost) for name, family, cost in rows if cost.matmul_flops]
        for key, cost in products:  # the bytes are a product's if it is the only one
            ledger.product(key, cost + moved if len(products) == 1 and key == whole else cost)
        for op_name, family, cost in rows:
            ledger.book(self._key(op_name, family, inside), cost)
        for name, count in missing.items():
            ledger.miss(name, count)
        ledger.book(whole, moved)

    def fused(self, computation: Computation, user: Instruction):
        """Arithmetic inside a fused computation as (op_name, family, cost), and what has no rule."""
        known = self._fused.get(computation.name)
        if known is not None:
            return known
        sums: dict[tuple[str, str], Cost] = {}
        missing: dict[str, int] = {}
        simple = table.SIMPLE
        for instruction in computation.instructions:
            opcode = instruction.opcode
            rule = simple.get(opcode)
            if rule is not None:
                kind, family = rule
                if not family:
                    continue
                place = instruction.op_name, family
                row = sums.get(place)
                if row is None:
                    row = sums[place] = Cost()
                if not kind:
                    continue
                shape = instruction.shape
                if kind == "other_flops" and opcode != "multiply" and shape.is_float:
                    row.other_flops += shape.elements
                elif kind == "transcendentals":
                    row.transcendentals += shape.elements
                elif kind == "integer_ops":
                    row.integer_ops += shape.elements
                else:
                    row.add(rules.per_element(instruction, kind))
                continue
            if opcode in ("fusion", "call"):
                inner = self.module.find(instruction.called("calls") or instruction.called("to_apply"), instruction)
                rows, absent = self.fused(inner, instruction)
                for op_name, family, cost in rows:
                    _sum(sums, (op_name or instruction.op_name, family), cost)
                for name, count in absent.items():
                    missing[name] = missing.get(name, 0) + count
                continue
            try:
                cost = rules.arithmetic(instruction, self.applied)
            except rules.Uncounted as unknown:
                missing[str(unknown)] = missing.get(str(unknown), 0) + 1
                cost = Cost()
            except (IndexError, ValueError) as error:
                raise BadHlo(instruction.line, f"{opcode} {instruction.name} is malformed: {error}") from None
            for operation in self.unruled(instruction):
                missing[operation] = missing.get(operation, 0) + 1
            family = call_family(instruction, table.FAMILY.get(opcode, "unknown"))
            name = self._name(instruction, cost.matmul_flops) if cost.matmul_flops else instruction.op_name
            _sum(sums, (name, family), cost)
        known = ([(name, family, cost) for (name, family), cost in sums.items()], missing)
        self._fused[computation.name] = known
        return known

    def applied(self, name: str | None, user: Instruction) -> Cost:
        """One application of the computation a reduce, scatter, map or window names."""
        return self._application(name, user)[0]

    def unruled(self, instruction: Instruction) -> tuple[str, ...]:
        """Operations without a rule in the computations that an instruction applies."""
        if "to_apply=" not in instruction.attributes and instruction.opcode != "select-and-scatter":
            return ()
        names = (instruction.called(key) for key in ("to_apply", "select", "scatter"))
        return tuple(operation for name in names if name for operation in self._application(name, instruction)[1])

    def _application(self, name: str | None, user: Instruction) -> tuple[Cost, tuple[str, ...]]:
        computation = self.module.find(name, user)
        known = self._applied.get(computation.name)
        if known is None:
            rows, missing = self.fused(computation, user)
            cost = Cost()
            for _, _, part in rows:
                cost.add(part)
            known = self._applied[computation.name] = cost, tuple(missing)
        return known

    def _while(self, ledger: Ledger, loop: Instruction, frame: Frame, scope: Scope) -> None:
        body = self.module.find(loop.called("body"), loop)
        condition = self.module.find(loop.called("condition"), loop)
        count = trip_count(self.module, loop, frame)
        if count.count is None and loop.name in self.given:
            count = TripCount(self.given[loop.name], "given")
        own = scope.full(loop.op_name)
        inner = scope.loop(own, (i.op_name for i in body.instructions))
        once = self.computation(body, frame.inside(body, loop), inner)
        tested = self.computation(condition, frame.inside(condition, loop), inner)
        least, most = passes(count)
        times = least if self.cheapest else most
        ledger.include(once, times)
        ledger.include(tested, times + 1)
        if not self.cheapest and least < most:
            fewer = most - least
            for part in (once, tested):
                ledger.slack.add(part.total(), fewer).add(part.slack, -fewer)
        module, _ = self.attribution.of(own)
        flops = sum(cost.matmul_flops for cost in once.rows.values())
        ledger.loops.append(Loop(loop.name, module, count.count, count.source, 1, flops, count.at_most, count.disputed))

    def _conditional(self, ledger: Ledger, switch: Instruction, frame: Frame, scope: Scope) -> None:
        called = [self.module.find(name, switch) for name in branch_names(switch)]
        inner = scope.inside(switch.op_name)
        branches = [self.computation(one, frame.inside(one, switch), inner) for one in called]
        totals = [branch.total() for branch in branches]
        choose = min if self.cheapest else max
        chosen = choose(range(len(branches)), key=lambda n: (totals[n].operations, totals[n].hbm_bytes))
        for number, branch in enumerate(branches):
            if number != chosen:
                ledger.list(branch, 0)
        module, which = self.attribution.of(scope.full(switch.op_name))
        least = Cost.smallest(total + branch.slack * -1 for total, branch in zip(totals, branches, strict=True))
        most = Cost.largest(totals)
        if self.cheapest:
            ledger.include(lowered(branches[chosen], Cost.smallest(totals)), 1)
        else:
            ledger.include(branches[chosen], 1)
            if most != totals[chosen]:  # another branch has more of something, such as bytes
                ledger.book((module, which, "conditional"), most + totals[chosen] * -1)
            ledger.slack.add(most + least * -1).add(branches[chosen].slack, -1)
        if any(total != totals[0] for total in totals):
            rows = tuple(
                Branch(one.name, total.flops, total.transcendentals, total.hbm_bytes)
                for one, total in zip(called, totals, strict=True)
            )
            ledger.conditionals.append(Conditional(switch.name, module, 1, rows))


def _sum(sums: dict[tuple[str, str], Cost], key: tuple[str, str], cost: Cost) -> None:
    row = sums.get(key)
    if row is None:
        row = sums[key] = Cost()
    row.add(cost)


def call_family(instruction: Instruction, family: str) -> str:
    if family != "custom-call":
        return family
    target = rules.call_target(instruction)
    if target.startswith("__cudnn$conv"):
        return "convolution"
    if target.startswith("__cublas$"):
        return "matmul"
    return "sort" if target in table.TOP_K_CALLS else family
