"""The counter: a fold over a module's computations, loops multiplied by their trip counts."""

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from cr_jax.cost import attribute, rules, table, traffic
from cr_jax.cost.attribute import Attribution, Origins, Products, Scope
from cr_jax.cost.value import Cost
from cr_jax.errors import BadHlo
from cr_jax.hlo.loops import Frame, TripCount, trip_count
from cr_jax.hlo.parse import Computation, HloModule, Instruction, parse

Key = tuple[str, str, str]  # module, pass, family
_RANK = {family: rank for rank, family in enumerate(table.RANK)}


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
    cycles: int = 0

    def book(self, key: Key, cost: Cost, times: int = 1) -> None:
        row = self.rows.get(key)
        if row is None:
            row = self.rows[key] = Cost()
        row.add(cost, times)

    def include(self, other: "Ledger", times: int) -> None:
        for key, cost in other.rows.items():
            self.book(key, cost, times)
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
    compiled program whose names the compiler dropped. ``estimated_cycles``: the TPU compiler's own
    estimate, loops multiplied; a hint, never a prediction.
    """

    name: str
    total: Cost
    rows: Mapping[Key, Cost]
    loops: tuple[Loop, ...]
    uncounted: tuple[Missing, ...]
    instructions: int
    products: Products
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


def count_hlo(
    text: str,
    modules: tuple[str, ...] = (),
    trip_counts: Mapping[str, int] | None = None,
    products: Products | None = None,
) -> HloCount:
    """Count one HLO module from its text, optimised or not, of any backend.

    modules: known module paths, innermost wins; without them every scope name is a module.
    trip_counts: iterations for loops whose count the text does not tell, by the loop's name.
    products: ``HloCount.products`` of the same step before the compiler.
    Raises ``BadHlo`` with line and reason for text that is not a whole HLO module.
    """
    with _collector_paused():
        return _count(parse(text), Attribution(modules), trip_counts or {}, products)


def _count(
    module: HloModule, attribution: Attribution, trip_counts: Mapping[str, int], products: Products | None
) -> HloCount:
    walk = _Walk(module, attribution, trip_counts, products)
    try:
        ledger = walk.computation(module.entry, Frame(module.entry), Scope(walk.root))
    except RecursionError:
        raise BadHlo(1, "computations call each other without end") from None
    missing = tuple(Missing(name, *ledger.missing[name]) for name in sorted(ledger.missing))
    return HloCount(
        module.name, ledger.total(), ledger.rows, tuple(ledger.loops), missing, module.instruction_count,
        {size: frozenset(owners) for size, owners in walk.products.items()}, ledger.cycles or None,
    )  # fmt: skip


@contextmanager
def _collector_paused() -> Iterator[None]:
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
        ledger.book(key, cost)

    def _fusion(self, ledger: Ledger, fusion: Instruction, scope: Scope) -> None:
        called = self.module.find(fusion.called("calls"), fusion)
        rows, missing = self.fused(called, fusion)
        families = {family for _, family, _ in rows} or {"movement"}
        dearest = max(families, key=lambda f: _RANK.get(f, -1))
        own = self._name(fusion)
        inside = scope.fusion(own, (name for name, _, _ in rows))
        for op_name, family, cost in rows:
            ledger.book(self._key(op_name, family, inside), cost)
        for name, count in missing.items():
            had = ledger.missing.get(name, (0, 0))
            ledger.missing[name] = (had[0] + count, had[1])
        if not own:  # named by what it computes
            own = next((name for name, _, _ in reversed(rows) if name), "")
        ledger.book(self._key(own, dearest, scope), self.fusions.cost(fusion))

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
