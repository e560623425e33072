"""The counter: a fold over a module's computations, loops multiplied by their trip counts."""

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from cr_jax.cost import attribute, rules, table, traffic
from cr_jax.cost.attribute import Attribution, Origins, Products, Scope
from cr_jax.cost.ledger import HloCount, Ledger, Loop, Missing
from cr_jax.cost.merged import Merged, merged
from cr_jax.cost.value import Cost, Key
from cr_jax.errors import BadHlo
from cr_jax.hlo.loops import Frame, TripCount, trip_count
from cr_jax.hlo.parse import Computation, HloModule, Instruction, parse

_RANK = {family: rank for rank, family in enumerate(table.RANK)}


def count_hlo(
    text: str,
    modules: tuple[str, ...] = (),
    trip_counts: Mapping[str, int] | None = None,
    products: Products | None = None,
    traced: HloCount | None = None,
) -> HloCount:
    """Count one HLO module from its text, optimised or not, of any backend.

    modules: known module paths, innermost wins; without them every scope name is a module.
    trip_counts: iterations for loops whose count the text does not tell, by the loop's name.
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
    walk = _Walk(module, Attribution(modules), trip_counts or {}, traced.products if traced else products)
    try:
        ledger = walk.computation(module.entry, Frame(module.entry), Scope(walk.root))
    except RecursionError:
        raise BadHlo(1, "computations call each other without end") from None
    parts = merged(traced.made, ledger.made) if traced else Merged()
    ledger.give(parts)
    missing = tuple(Missing(name, *ledger.missing[name]) for name in sorted(ledger.missing))
    return HloCount(
        module.name, ledger.total(), ledger.rows, tuple(ledger.loops), missing, module.instruction_count,
        {size: frozenset(owners) for size, owners in walk.products.items()}, ledger.made, parts, ledger.cycles or None,
    )  # fmt: skip


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


class _Walk:
    def __init__(
        self, module: HloModule, attribution: Attribution, given: Mapping[str, int], products: Products | None = None
    ):
        self.module, self.attribution, self.given = module, attribution, given
        self.root = attribute.root_of(i.op_name for i in module.entry.instructions)
        self.products: dict[tuple[int, int], set[tuple[str, str]]] = {}
        self._origins = Origins(self.root, products)
        self.fusions = traffic.Fusions(module)
        self._fused: dict[str, tuple[list[tuple[str, str, Cost]], dict[str, int]]] = {}
        self._applied: dict[str, Cost] = {}

    def computation(self, computation: Computation, frame: Frame, scope: Scope) -> Ledger:
        """Everything one run of a computation costs."""
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
                ledger.include(self.computation(called, Frame(called, instruction, frame), inner), 1)
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
        module, which = self.attribution.of(scope.full(op_name))
        return module, which, family

    def _plain(self, ledger: Ledger, instruction: Instruction, scope: Scope) -> None:
        family = table.FAMILY.get(instruction.opcode, "unknown")
        try:
            cost = traffic.plain(instruction)
            cost.add(rules.arithmetic(instruction, self.applied))
        except rules.Uncounted as unknown:  # raised by the arithmetic: the bytes are known
            had = ledger.missing.get(str(unknown), (0, 0))
            ledger.missing[str(unknown)] = (had[0] + 1, had[1] + cost.hbm_bytes)
        except (IndexError, ValueError) as error:
            raise BadHlo(instruction.line, f"{instruction.opcode} {instruction.name} is malformed: {error}") from None
        key = self._key(self._name(instruction, cost.matmul_flops), _call_family(instruction, family), scope)
        if cost.matmul_flops:
            size = (instruction.shape.leaves[0].elements, cost.matmul_flops)
            self.products.setdefault(size, set()).add(key[:2])
            ledger.product(key, cost)
        ledger.book(key, cost)

    def _fusion(self, ledger: Ledger, fusion: Instruction, scope: Scope) -> None:
        called = self.module.find(fusion.called("calls"), fusion)
        rows, missing = self.fused(called, fusion)
        families = {family for _, family, _ in rows} or {"movement"}
        dearest = max(families, key=lambda f: _RANK.get(f, -1))
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
            had = ledger.missing.get(name, (0, 0))
            ledger.missing[name] = (had[0] + count, had[1])
        ledger.book(whole, moved)

    def fused(self, computation: Computation, user: Instruction):
        """Arithmetic inside a fused computation as (op_name, family, cost), and what has no rule."""
        known = self._fused.get(computation.name)
        if known is not None:
            return known
        sums: dict[tuple[str, str], Cost] = {}
        missing: dict[str, int] = {}
        for instruction in computation.instructions:
            opcode = instruction.opcode
            if opcode in table.FREE:
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
                raise BadHlo(
                    instruction.line, f"{opcode} {instruction.name} is malformed: {error}"
                ) from None
            family = _call_family(instruction, table.FAMILY.get(opcode, "unknown"))
            name = self._name(instruction, cost.matmul_flops) if cost.matmul_flops else instruction.op_name
            _sum(sums, (name, family), cost)
        known = ([(name, family, cost) for (name, family), cost in sums.items()], missing)
        self._fused[computation.name] = known
        return known

    def applied(self, name: str | None, user: Instruction) -> Cost:
        """One application of the computation a reduce, scatter, map or window names."""
        computation = self.module.find(name, user)
        known = self._applied.get(computation.name)
        if known is None:
            rows, _ = self.fused(computation, user)
            known = Cost()
            for _, _, cost in rows:
                known.add(cost)
            self._applied[computation.name] = known
        return known

    def _while(self, ledger: Ledger, loop: Instruction, frame: Frame, scope: Scope) -> None:
        body = self.module.find(loop.called("body"), loop)
        condition = self.module.find(loop.called("condition"), loop)
        count = trip_count(self.module, loop, frame)
        if count.count is None and loop.name in self.given:
            count = TripCount(self.given[loop.name], "given")
        own = scope.full(loop.op_name)
        inner = scope.loop(own, (i.op_name for i in body.instructions))
        once = self.computation(body, Frame(body, loop, frame), inner)
        tested = self.computation(condition, Frame(condition, loop, frame), inner)
        times = 1 if count.count is None else count.count
        ledger.include(once, times)
        ledger.include(tested, times + 1)
        module, _ = self.attribution.of(own)
        flops = sum(cost.matmul_flops for cost in once.rows.values())
        ledger.loops.append(Loop(loop.name, module, count.count, count.source, 1, flops))

    def _conditional(self, ledger: Ledger, switch: Instruction, frame: Frame, scope: Scope) -> None:
        names = [n.strip().lstrip("%") for n in (switch.attribute("branch_computations") or "").strip("{}").split(",")]
        if names == [""]:
            names = [switch.called("true_computation") or "", switch.called("false_computation") or ""]
        branches = []
        for name in names:
            called = self.module.find(name, switch)
            branches.append(self.computation(called, Frame(called, switch, frame), scope.inside(switch.op_name)))
        totals = [branch.total() for branch in branches]
        dearest = max(range(len(branches)), key=lambda n: (totals[n].operations, totals[n].hbm_bytes))
        ledger.include(branches[dearest], 1)


def _sum(sums: dict[tuple[str, str], Cost], key: tuple[str, str], cost: Cost) -> None:
    row = sums.get(key)
    if row is None:
        row = sums[key] = Cost()
    row.add(cost)


def _call_family(instruction: Instruction, family: str) -> str:
    if family != "custom-call":
        return family
    target = rules.call_target(instruction)
    if target.startswith("__cudnn$conv"):
        return "convolution"
    if target.startswith("__cublas$"):
        return "matmul"
    return "sort" if target in table.TOP_K_CALLS else family
