"""The operations a program executes, one by one, with how often and what decides their time.

The same walk as the counter's, kept flat: one entry per top-level operation of every executed
computation, so that the costs times the executions add up to the counter's totals.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod

from cr_jax.cost import rules, table, traffic
from cr_jax.cost.attribute import Attribution
from cr_jax.cost.branches import branch_names, passes
from cr_jax.cost.facts import Convolution, Facts, Product, look, slices
from cr_jax.cost.graph import Node, Places
from cr_jax.cost.reuse import Reads, Trace, sources
from cr_jax.cost.value import Cost
from cr_jax.cost.walk import RANK, Walk, call_family, collector_paused
from cr_jax.errors import BadHlo
from cr_jax.hlo.loops import Frame, TripCount, trip_count
from cr_jax.hlo.module import Computation, HloModule, Instruction
from cr_jax.hlo.parse import parse

_PARTITIONS = re.compile(r'"outer_dimension_partitions":\[([^\]]*)\]')
#: Operations listed one by one.
_MOST = 2_000_000
_ALIASES = re.compile(r"\{([\d, ]*)\}: \((\d+),")


@dataclass(frozen=True)
class Operation:
    """One operation. ``cost`` is one execution's; ``times`` is how often it runs in all.

    elements: of the result (of the largest one). reads: by buffer. written_distance: as for reads,
    of the result's buffer. output_bytes: whole result; fresh: it is no in-place update.
    cut: two or more slices of one dynamic-slice, and joined: computed parts are joined within a row; both
    lose vector code on CPU. scalarised: cut, and a transcendental. argmax_elements: read by a reduction over
    several arrays; reduced_elements: read by any reduction, minor_elements: those whose fastest axis is folded,
    single_elements: those of the others whose slowest axis has one place (which the CPU's library folds slowly).
    roots, powers: of the transcendentals, those that are square roots, and powers; divisions: of the other FLOPs, those
    that are divisions. convolutions: each of them is among the products too. cycles: the TPU compiler's own estimate.
    sorted_elements, sorted_keys: of sorts, in all and in a row. narrow_tanhs: tanhs in short rows. transposed:
    elements whose order in memory changes. rows, row_bytes: of gathers and scatters. partitions: tasks the CPU
    compiler cuts a loop into (1: one thread). loop: name of the innermost loop, empty outside. library: a fusion
    that a library runs (kCustom).
    """

    name: str
    opcode: str
    family: str
    computation: str
    times: int
    cost: Cost
    dtype: str
    elements: int
    reads: tuple[Reads, ...]
    written_distance: int
    output_bytes: int
    fresh: bool
    products: tuple[Product, ...]
    convolutions: tuple[Convolution, ...]
    scalarised: bool
    argmax_elements: int
    reduced_elements: int
    minor_elements: int
    single_elements: int
    roots: int
    divisions: int
    powers: int
    narrow_tanhs: int
    transposed: int
    rows: int
    row_bytes: int
    partitions: int
    loop: str
    library: bool
    cut: bool
    joined: bool
    cycles: int
    sorted_elements: int
    sorted_keys: int


@dataclass(frozen=True)
class LoopRun:
    """One ``while``: entries and iterations in all, bytes that one iteration touches, and whether
    its body is a chain of loop fusions only (compiled as one piece on CPU). counted: the compiler
    knows the trip count."""

    name: str
    entries: int
    iterations: int
    body_bytes: int
    known: bool
    counted: bool = True


@dataclass(frozen=True)
class Program:
    """Executed operations, loops, and the facts of one call. nodes: the entry computation's, with what
    waits for what. fresh_outputs: bytes of each result that has no argument's buffer. touched_bytes: of
    distinct buffers, all in all. uncounted: operations whose arithmetic is not known from their shapes. varies:
    branches or early ends of loops make some runs do less."""

    operations: tuple[Operation, ...]
    loops: tuple[LoopRun, ...]
    nodes: tuple[Node, ...]
    arguments: int
    donated: int
    argument_bytes: int
    output_bytes: int
    fresh_outputs: tuple[int, ...]
    touched_bytes: int
    uncounted: tuple[str, ...] = ()
    varies: bool = False

    def total(self) -> Cost:
        """The counter's totals."""
        cost = Cost()
        for operation in self.operations:
            cost.add(operation.cost, operation.times)
        return cost


def operations(text: str, trip_counts: Mapping[str, int] | None = None, cheapest: bool = False) -> Program:
    """The executed operations of one HLO module. Raises ``BadHlo`` as ``count_hlo`` does.

    A loop of unknown trip count runs never and is marked ``known=False``. cheapest: of branches the cheapest, and
    the earliest ends of loops, instead of the dearest and the latest.
    """
    with collector_paused():
        try:
            return _List(text, trip_counts or {}, cheapest).program()
        except RecursionError:
            raise BadHlo(1, "computations or values are nested too deep") from None


class _List:
    def __init__(self, text: str, given: Mapping[str, int], cheapest: bool):
        self.module: HloModule = parse(text)
        self.cheapest, self.varies = cheapest, False
        self.uncounted: set[str] = set(self.module.doubts)
        self.walk = Walk(self.module, Attribution(), given)
        self.given = given
        self.partitions = _partitions(text)
        told = _ALIASES.findall(self.module.attribute("input_output_alias") or "")
        self.aliased = {int(o.split(",")[0]) if o.strip() else 0: int(a) for o, a in told}
        self._facts: dict[str, Facts] = {}
        self._costs: dict[int, tuple[Cost, str]] = {}
        self._footprints: dict[str, int] = {}

    def program(self) -> Program:
        entry = self.module.entry
        found: list[Operation] = []
        loops: list[LoopRun] = []
        nodes = self.computation(entry, Frame(entry), 1, "", found, loops)
        results = entry.result.operands if entry.result.opcode == "tuple" else (entry.result,)
        sizes = [sum(leaf.bytes for leaf in r.shape.leaves) for r in results]
        fresh = tuple(size for n, size in enumerate(sizes) if n not in self.aliased)
        arguments = list(entry.parameters.values())
        return Program(
            tuple(found),
            tuple(loops),
            nodes,
            len(arguments),
            len(self.aliased),
            sum(a.shape.bytes for a in arguments),
            sum(sizes),
            fresh,
            self.footprint(entry),
            tuple(sorted(self.uncounted)),
            self.varies,
        )

    def computation(
        self, computation: Computation, frame: Frame, times: int, loop: str, found: list[Operation], loops: list[LoopRun]
    ) -> tuple[Node, ...]:
        """Its operations and loops, added to ``found`` and ``loops``, and the nodes that point there."""
        trace = Trace(self.footprint(computation))
        nodes: list[Node] = []
        places = Places()
        if len(found) > _MOST:
            raise BadHlo(1, f"calls multiply the program to more than {_MOST} operations")
        for instruction in computation.instructions:
            opcode = instruction.opcode
            if opcode in table.FREE:
                continue
            after = places.after(instruction)
            places.add(instruction)
            if opcode == "while":
                nodes.append(self.loop(after, instruction, frame, times, found, loops))
            elif opcode == "conditional":
                inner = self.conditional(instruction, frame, times, loop, found, loops)
                nodes.append(Node(after, inner=((1, inner),)))
            elif opcode in ("call", "async-start") or rules.body_of_call(instruction):
                called = self.walk.called(instruction)
                inner = self.computation(called, frame.inside(called, instruction), times, loop, found, loops)
                nodes.append(Node(after, inner=((1, inner),)))
            else:
                nodes.append(Node(after, operation=len(found)))
                found.append(self.operation(instruction, computation.name, times, loop, trace))
                continue
            trace.skip(self.inner_bytes(instruction), instruction)
        return tuple(nodes)

    def loop(
        self, after: tuple[int, ...], loop: Instruction, frame: Frame, times: int, found: list[Operation], loops: list[LoopRun]
    ) -> Node:
        body = self.module.find(loop.called("body"), loop)
        condition = self.module.find(loop.called("condition"), loop)
        count = trip_count(self.module, loop, frame)
        if count.count is None and loop.name in self.given:
            count = TripCount(self.given[loop.name], "given")
        least, most = passes(count)
        self.varies = self.varies or least < most
        turns = least if self.cheapest else most
        turn = self.computation(body, frame.inside(body, loop), times * turns, loop.name, found, loops)
        test = self.computation(condition, frame.inside(condition, loop), times * (turns + 1), loop.name, found, loops)
        loops.append(
            LoopRun(loop.name, times, times * turns, self.footprint(body), count.count is not None, count.source == "annotated")
        )
        return Node(after, loop=len(loops) - 1, inner=((turns, turn), (turns + 1, test)))

    def conditional(
        self, switch: Instruction, frame: Frame, times: int, loop: str, found: list[Operation], loops: list[LoopRun]
    ) -> tuple[Node, ...]:
        """The dearest branch or the cheapest, chosen as the counter does."""

        def weight(branch: Computation) -> tuple[int, int]:
            taken: list[Operation] = []
            self.computation(branch, frame.inside(branch, switch), 1, loop, taken, [])
            total = Cost()
            for operation in taken:
                total.add(operation.cost, operation.times)
            return total.operations, total.hbm_bytes

        weighed = {branch.name: weight(branch) for branch in self.branches(switch)}
        self.varies = self.varies or len(set(weighed.values())) > 1
        branch = (min if self.cheapest else max)(self.branches(switch), key=lambda b: weighed[b.name])
        return self.computation(branch, frame.inside(branch, switch), times, loop, found, loops)

    def branches(self, switch: Instruction) -> Iterator[Computation]:
        return (self.module.find(name, switch) for name in branch_names(switch))

    def cost(self, instruction: Instruction) -> tuple[Cost, str]:
        """One execution's cost and its family, as the counter books them."""
        known = self._costs.get(id(instruction))
        if known is None:
            known = self._costs[id(instruction)] = self._cost(instruction)
        return known

    def _cost(self, instruction: Instruction) -> tuple[Cost, str]:
        if instruction.opcode == "fusion":
            rows, missing = self.walk.fused(self.module.find(instruction.called("calls"), instruction), instruction)
            self.uncounted.update(missing)
            cost = Cost().add(self.walk.fusions.cost(instruction))
            for _, _, part in rows:
                cost.add(part)
            family = max({f for _, f, _ in rows} or {"movement"}, key=lambda f: RANK.get(f, -1))
            return cost, family
        family = call_family(instruction, table.FAMILY.get(instruction.opcode, "unknown"))
        cost = Cost()
        try:
            cost.add(traffic.plain(instruction))
            cost.add(rules.arithmetic(instruction, self.walk.applied))
        except rules.Uncounted as unknown:
            self.uncounted.add(str(unknown))  # its bytes count
        except (IndexError, ValueError) as error:
            raise BadHlo(instruction.line, f"{instruction.opcode} {instruction.name} is malformed: {error}") from None
        self.uncounted.update(self.walk.unruled(instruction))
        return cost, family

    def footprint(self, computation: Computation) -> int:
        """Bytes of distinct buffers that one run of a computation touches, nested ones included."""
        known = self._footprints.get(computation.name)
        if known is not None:
            return known
        touched: dict[int, int] = {}
        inner = 0
        for instruction in computation.instructions:
            opcode = instruction.opcode
            if opcode in table.FREE:
                continue
            if opcode in ("while", "conditional", "call", "async-start") or rules.body_of_call(instruction):
                inner += self.inner_bytes(instruction)
                continue
            cost, _ = self.cost(instruction)
            for source, size in sources(instruction, cost):
                touched[id(source)] = max(touched.get(id(source), 0), size)
            written = min(instruction.shape.bytes, cost.written_bytes)
            touched[id(instruction)] = max(touched.get(id(instruction), 0), written)
        self._footprints[computation.name] = total = inner + sum(touched.values())
        return total

    def inner_bytes(self, instruction: Instruction) -> int:
        """Bytes that one iteration, the dearest branch or the call touches."""
        if instruction.opcode == "while":
            return self.footprint(self.module.find(instruction.called("body"), instruction))
        if instruction.opcode == "conditional":
            return max(self.footprint(branch) for branch in self.branches(instruction))
        return self.footprint(self.walk.called(instruction))

    def operation(self, instruction: Instruction, where: str, times: int, loop: str, trace: Trace) -> Operation:
        cost, family = self.cost(instruction)
        fused = instruction.opcode == "fusion"
        inside = self.inside(self.module.find(instruction.called("calls"), instruction)) if fused else Facts()
        if not fused:
            look(inside, instruction)
        largest = max(instruction.shape.leaves, key=lambda leaf: leaf.elements)
        reads = tuple(trace.read(source, size) for source, size in sources(instruction, cost))
        output = sum(leaf.bytes for leaf in instruction.shape.leaves if not leaf.on_chip)
        distance = trace.write(instruction, min(output, cost.written_bytes))
        return Operation(
            name=instruction.name,
            opcode=instruction.opcode,
            family=family,
            computation=where,
            times=times,
            cost=cost,
            dtype=largest.dtype,
            elements=largest.elements,
            reads=reads,
            written_distance=distance,
            output_bytes=output,
            fresh=cost.written_bytes >= output > 0,
            products=tuple(inside.products),
            convolutions=tuple(inside.convolutions),
            divisions=inside.divisions,
            powers=inside.powers,
            cycles=instruction.cycles,
            sorted_elements=inside.sorted_elements,
            sorted_keys=inside.sorted_keys,
            scalarised=inside.scalarised,
            argmax_elements=inside.argmax,
            reduced_elements=inside.reduced,
            minor_elements=inside.minor,
            single_elements=inside.single,
            roots=inside.roots,
            narrow_tanhs=inside.narrow_tanhs,
            transposed=inside.transposed,
            rows=inside.rows,
            row_bytes=inside.row_bytes,
            partitions=self.partitions.get(instruction.line, 1),
            loop=loop,
            library=fused and "kind=kCustom" in instruction.attributes,
            cut=inside.cut,
            joined=fused and inside.joined,
        )

    def inside(self, computation: Computation) -> Facts:
        """What a fused computation holds, nested ones included."""
        known = self._facts.get(computation.name)
        if known is None:
            known = Facts()
            for instruction in computation.instructions:
                if instruction.opcode in ("fusion", "call"):
                    name = instruction.called("calls") or instruction.called("to_apply")
                    known.include(self.inside(self.module.find(name, instruction)))
                else:
                    look(known, instruction)
            known.slices = max(known.slices, slices(computation))
            self._facts[computation.name] = known
        return known


def _partitions(text: str) -> dict[int, int]:
    """Tasks per operation by its line, where the CPU compiler cut it."""
    if "outer_dimension_partitions" not in text:
        return {}
    found = {}
    for number, line in enumerate(text.split("\n"), 1):
        match = _PARTITIONS.search(line) if "outer_dimension_partitions" in line else None
        if match:
            found[number] = prod(int(n) for n in re.findall(r"\d+", match[1]))
    return found
