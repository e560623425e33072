"""The walk over a module: the tree of its executed computations, with trip counts, branches and costs.

The counter (``cost.counting``) and the list of operations (``cost.operations``) are folds over this tree. Opcodes that run other
computations are handled here and nowhere else.
"""

import gc
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from cr_jax.cost import attribution
from cr_jax.cost.assumptions import Assumptions, Openings, named
from cr_jax.cost.attribution import Origins, Products
from cr_jax.cost.instruction_cost import InstructionCost, InstructionCosts
from cr_jax.cost.rules import instruction_rules, opcode_rules
from cr_jax.errors import BadConfig, BadHlo
from cr_jax.hlo.loops import Frame, TripCount, trip_count
from cr_jax.hlo.manual_axes import devices_of_call
from cr_jax.hlo.module import Computation, HloModule, Instruction

#: The most instructions walked, where calls repeat them.
MOST_INSTRUCTIONS = 20_000_000


@dataclass(slots=True, eq=False)
class Executed:
    """An instruction that runs no other computation but a fused one, with the cost of one execution."""

    instruction: Instruction
    cost: InstructionCost


@dataclass(slots=True, eq=False)
class Repeated:
    """A ``while``: its body runs ``count.most`` times, its condition once more."""

    instruction: Instruction
    count: TripCount
    body: "Run"
    condition: "Run"


@dataclass(slots=True, eq=False)
class Branching:
    """A ``conditional``: one of the branches runs."""

    instruction: Instruction
    branches: tuple["Run", ...]


@dataclass(slots=True, eq=False)
class Called:
    """A call, an asynchronous start, or a custom call with a body: ``run`` runs once on each of so many devices.

    There are several in a program before partitioning, for the parts that are written for one device.
    """

    instruction: Instruction
    run: "Run"
    devices: int = 1


Entry = Executed | Repeated | Branching | Called


@dataclass(slots=True, eq=False)
class Run:
    """One run of a computation: its instructions that compute or move data, in order.

    Calls of one computation share a ``Run`` unless its trip counts follow from the caller.
    """

    computation: Computation
    entries: list[Entry]


def inner_runs(entry: Repeated | Branching | Called) -> tuple[Run, ...]:
    """The runs of the computations that an entry runs."""
    if isinstance(entry, Repeated):
        return entry.body, entry.condition
    return entry.branches if isinstance(entry, Branching) else (entry.run,)


class Walk:
    """A module walked once.

    products: ``HloCount.products`` of the same step before the compiler, to name matrix products without a name. entry: the run
    of the entry computation. open_ended: whether the program may cost less than the totals, by a cheaper branch, an earlier end
    of a loop, or a call that does less than it declares. uncounted: operations whose time does not follow from their shapes or
    from a stated cost. openings: what assumptions may supply, and what they did.

    Raises ``BadHlo`` for a program that is malformed, nested too deep, or multiplied by calls beyond ``MOST_INSTRUCTIONS``,
    ``BadConfig`` for more assumed iterations than a loop can have.
    """

    def __init__(self, module: HloModule, assumptions: Assumptions = Assumptions(), products: Products | None = None) -> None:
        self.module, self._trips, self.openings = module, assumptions.trips, Openings()
        self.roots = attribution.roots_of(module)
        self.names = Origins(module, products)
        self.open_ended, self.uncounted = False, set(module.doubts)
        self._costs = InstructionCosts(module, self.names, assumptions, self.openings)
        self._runs: dict[str, Run] = {}
        self._work = 0
        with nesting_checked():
            self.entry = self._run(module.entry, Frame(module.entry))

    def _run(self, computation: Computation, frame: Frame) -> Run:
        known = self._runs.get(computation.name)
        if known is None:
            self._work = within_limit(self._work + len(computation.instructions))
            free, entry = opcode_rules.FREE, self._entry
            known = Run(computation, [entry(i, frame) for i in computation.instructions if i.opcode not in free])
            if not frame.escaped:  # no trip count follows from the caller
                self._runs[computation.name] = known
        return known

    def _entry(self, instruction: Instruction, frame: Frame) -> Entry:
        opcode = instruction.opcode
        if opcode == "while":
            return self._loop(instruction, frame)
        if opcode == "conditional":
            self.open_ended = True
            branches = self.module.branches(instruction)
            return Branching(instruction, tuple(self._inner(one, instruction, frame) for one in branches))
        name = instruction_rules.body_of_call(instruction)
        if name is not None or opcode in ("call", "async-start"):
            name = instruction.called("to_apply") or instruction.called("calls") or name
            devices = devices_of_call(self.module, instruction) if opcode == "call" else 1
            return Called(instruction, self._inner(self.module.find(name, instruction), instruction, frame), devices)
        cost = self._costs.of(instruction)
        if cost.missing or cost.declared is not None:
            self.uncounted.update(cost.missing)
            if cost.declared is not None and cost.declared.source != "assumed":
                self.open_ended = True
                if cost.declared.kernel is None:
                    self.uncounted.add(f"{opcode} {cost.declared.operation}")
        return Executed(instruction, cost)

    def _loop(self, loop: Instruction, frame: Frame) -> Repeated:
        body = self.module.find(loop.called("body"), loop)
        condition = self.module.find(loop.called("condition"), loop)
        count = trip_count(self.module, loop, frame)
        if count.count is None or count.at_most:
            count = self._assumed(loop, frame, count)
        self.open_ended = self.open_ended or count.least < count.most
        return Repeated(loop, count, self._inner(body, loop, frame), self._inner(condition, loop, frame))

    def _assumed(self, loop: Instruction, frame: Frame, count: TripCount) -> TripCount:
        """The trip count supplied for a loop, else ``count``."""
        path = self._path(loop, frame)
        self.openings.loops[loop.name] = path
        name = named(self._trips, (loop.name,), path, path.removesuffix("/while"))
        if name is None:
            return count
        if count.at_most and self._trips[name] > count.most:
            raise BadConfig(f"trips of {name}: {self._trips[name]} is more than {count.most}, after which it ends")
        self.openings.used.add(name)
        return TripCount(self._trips[name], "assumed")

    def _path(self, loop: Instruction, frame: Frame) -> str:
        """The scopes of a loop. Where its callers complete them, its trip count depends on the caller."""
        name, inner = loop.op_name, frame
        while not self.names.rooted(name) and inner.caller is not None and inner.outer is not None:
            inner.escaped = True
            name = f"{inner.caller.op_name}/{name}".strip("/")
            inner = inner.outer
        return attribution.plain_path(name, self.roots)

    def _inner(self, computation: Computation, caller: Instruction, frame: Frame) -> Run:
        return self._run(computation, frame.inside(computation, caller))


def within_limit(instructions: int) -> int:
    """``instructions`` walked so far. Raises ``BadHlo`` for more than ``MOST_INSTRUCTIONS``."""
    if instructions > MOST_INSTRUCTIONS:
        raise BadHlo(1, f"calls multiply the program to more than {MOST_INSTRUCTIONS} operations")
    return instructions


@contextmanager
def nesting_checked() -> Generator[None, None, None]:
    """Turn Python's limit on recursion into a ``BadHlo``."""
    try:
        yield
    except RecursionError:
        raise BadHlo(1, "computations or values are nested too deep") from None


@contextmanager
def collector_paused() -> Generator[None, None, None]:
    """Pause the search for reference cycles: a module is a million small values without one."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()
