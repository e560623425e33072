"""The operations that a program executes, one by one, with their executions and the features that decide their time.

A fold over the walk, kept flat: one entry per operation and call of its computation, so that the costs times the executions add
up to the counter's totals.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import prod

from cr_jax.cost.assumptions import Assumptions
from cr_jax.cost.attribution import Scope
from cr_jax.cost.cost import Cost
from cr_jax.cost.exchanges import Exchanges
from cr_jax.cost.instruction_cost import InstructionCost
from cr_jax.cost.operations.buffer_reuse import Trace, sources
from cr_jax.cost.operations.dependencies import Node, Places
from cr_jax.cost.operations.operation_features import FeatureTable
from cr_jax.cost.operations.owners import NOBODY, Owners, OwnerTable
from cr_jax.cost.operations.program import LoopRun, Operation, Program, Transfer
from cr_jax.cost.rules.traffic import results_of
from cr_jax.cost.totals import Totals
from cr_jax.cost.walk import Branching, Called, Executed, Repeated, Run, Walk, collector_paused, nesting_checked
from cr_jax.errors import BadHlo
from cr_jax.hlo.module import Instruction
from cr_jax.hlo.parse import parse

_PARTITIONS = re.compile(r'"outer_dimension_partitions":\[([^\]]*)\]')
_NUMBER = re.compile(r"\d+")
_ALIASES = re.compile(r"\{([\d, ]*)\}: \((\d+),")
#: The most operations listed one by one.
_MOST = 2_000_000


def operations(text: str, assumptions: Assumptions = Assumptions()) -> Program:
    """The executed operations of one HLO module from its text. Raises ``BadHlo`` as ``count_hlo`` does.

    assumptions: as for ``count_hlo``.
    """
    with collector_paused():
        return list_operations(Walk(parse(text), assumptions))


def list_operations(walk: Walk, owners: OwnerTable | None = None) -> Program:
    """The executed operations of a walked module. owners: their modules; without it nobody owns them.

    Of branches the most expensive is listed, of a loop the latest end. A loop of unknown trip count never runs and is marked
    ``known=False``.
    """
    with collector_paused(), nesting_checked():
        most = Totals()
        varies = walk.open_ended and most.vary(walk.entry)
        return _List(walk, most, owners).program(_List(walk, Totals(cheapest=True)).program() if varies else None)


@dataclass(slots=True, eq=False)
class _Block:
    """The part that all calls of a computation share.

    footprint: bytes of distinct buffers that one run touches, nested runs included. reads, writes: of each operation. operations:
    as of the first call. after, beside: of each entry, as for :class:`Node`.
    """

    footprint: int
    reads: list[list[tuple[Instruction, int]]]
    operations: list[Operation] = field(default_factory=list[Operation])
    after: list[tuple[int, ...]] = field(default_factory=list[tuple[int, ...]])
    beside: list[int] = field(default_factory=list[int])


class _List:
    """operations, loops: found so far."""

    def __init__(self, walk: Walk, totals: Totals, owners: OwnerTable | None = None) -> None:
        self.walk, self.totals, self._owners = walk, totals, owners
        self.operations: list[Operation] = []
        self.loops: list[LoopRun] = []
        self._features, self._exchanges = FeatureTable(walk.module), Exchanges(walk)
        self._blocks: dict[int, _Block] = {}

    def program(self, cheapest: Program | None = None) -> Program:
        module = self.walk.module
        entry = module.entry
        nodes = self.run(self.walk.entry, 1, "", Scope(self.walk.roots))
        told = _ALIASES.findall(module.attribute("input_output_alias") or "")
        aliased = {int(o.split(",")[0]) if o.strip() else 0: int(a) for o, a in told}
        results = entry.result.operands if entry.result.opcode == "tuple" else (entry.result,)
        sizes = [sum(leaf.bytes for leaf in r.shape.leaves) for r in results]
        arguments = list(entry.parameters.values())
        return Program(
            tuple(self.operations),
            tuple(self.loops),
            nodes,
            len(arguments),
            len(aliased),
            sum(a.shape.bytes for a in arguments),
            sum(sizes),
            tuple(size for n, size in enumerate(sizes) if n not in aliased),
            self._block(self.walk.entry).footprint,
            tuple(sorted(self.walk.uncounted)),
            cheapest,
            prod(self._exchanges.devices),
        )

    def run(self, run: Run, times: int, loop: str, scope: Scope) -> tuple[Node, ...]:
        """Add the operations and loops of a run and return their nodes."""
        if len(self.operations) > _MOST:
            raise BadHlo(1, f"calls multiply the program to more than {_MOST} operations")
        owners = self._owners.of(run, scope) if self._owners else (NOBODY,) * len(run.entries)
        block = self._described(run, times, loop, owners)
        known, owned, nodes = iter(block.operations), iter(owners), list[Node]()
        for entry, after, beside in zip(run.entries, block.after, block.beside, strict=True):
            if isinstance(entry, Executed):
                nodes.append(Node(after, operation=len(self.operations), beside=beside))
                one, its = next(known), next(owned)
                same = one.times == times and one.loop == loop and one.owners is its
                self.operations.append(one if same else replace(one, times=times, loop=loop, owners=its))
            elif isinstance(entry, Repeated):
                nodes.append(self.loop(after, entry, times, scope))
            else:
                inner = entry.run if isinstance(entry, Called) else self.branch(entry)
                called = self.run(inner, times, loop, scope.inside(entry.instruction.op_name))
                nodes.append(Node(after, inner=((1, called),), beside=beside))
        return tuple(nodes)

    def loop(self, after: tuple[int, ...], entry: Repeated, times: int, scope: Scope) -> Node:
        name, count, turns = entry.instruction.name, entry.count, self.totals.turns(entry)
        inner = scope.loop(scope.full(entry.instruction.op_name), (i.op_name for i in entry.body.computation.instructions))
        turn = self.run(entry.body, times * turns, name, inner)
        test = self.run(entry.condition, times * (turns + 1), name, inner)
        touched = self._block(entry.body).footprint
        self.loops.append(LoopRun(name, times, times * turns, touched, count.count is not None, count.source == "annotated"))
        return Node(after, loop=len(self.loops) - 1, inner=((turns, turn), (turns + 1, test)))

    def branch(self, switch: Branching) -> Run:
        """The most expensive branch or the cheapest, as the counter chooses."""
        return switch.branches[self.totals.chosen(switch)]

    def _block(self, run: Run) -> _Block:
        known = self._blocks.get(id(run))
        if known is None:
            known = self._blocks[id(run)] = self._touched(run)
        return known

    def _touched(self, run: Run) -> _Block:
        touched: dict[int, int] = {}
        inner, reads = 0, list[list[tuple[Instruction, int]]]()
        for entry in run.entries:
            if not isinstance(entry, Executed):
                inner += self._inner_bytes(entry)
                continue
            instruction, cost = entry.instruction, entry.cost.total
            read = sources(instruction, cost)
            reads.append(read)
            for source, size in read:
                if size > touched.get(id(source), 0):
                    touched[id(source)] = size
            touched[id(instruction)] = max(touched.get(id(instruction), 0), min(instruction.shape.bytes, cost.written_bytes))
        return _Block(inner + sum(touched.values()), reads)

    def _inner_bytes(self, entry: Repeated | Branching | Called) -> int:
        """Bytes that one iteration, the largest branch or the call touches."""
        if isinstance(entry, Repeated):
            return self._block(entry.body).footprint
        if isinstance(entry, Called):
            return self._block(entry.run).footprint
        return max(self._block(branch).footprint for branch in entry.branches)

    def _described(self, run: Run, times: int, loop: str, owners: Sequence[Owners]) -> _Block:
        """The block of a run with its operations, made at the first call."""
        block = self._block(run)
        if block.after or not run.entries:
            return block
        trace, places, reads, owned = Trace(block.footprint), Places(), iter(block.reads), iter(owners)
        for entry in run.entries:
            instruction = entry.instruction
            block.after.append(places.after(instruction))
            block.beside.append(len(self._exchanges.beside(run, instruction)))
            places.add(instruction)
            if isinstance(entry, Executed):
                computation, its = run.computation.name, next(owned)
                block.operations.append(self._operation(entry, next(reads), trace, computation, times, loop, its))
            else:
                trace.skip(self._inner_bytes(entry), instruction)
        return block

    def _operation(
        self,
        entry: Executed,
        read: list[tuple[Instruction, int]],
        trace: Trace,
        computation: str,
        times: int,
        loop: str,
        owners: Owners,
    ) -> Operation:
        instruction, cost = entry.instruction, self._cost(entry.cost)
        results, fused = results_of(instruction), entry.cost.fused is not None
        inside = self._features.of(instruction)
        largest = max(results, key=lambda leaf: leaf.elements, default=instruction.shape)
        reads = tuple([trace.read(source, size) for source, size in read])
        output = sum([leaf.bytes for leaf in results if not leaf.on_chip])
        distance = trace.write(instruction, min(output, cost.written_bytes))
        return Operation(
            name=instruction.name,
            opcode=instruction.opcode,
            family=entry.cost.family,
            computation=computation,
            cost=cost,
            dtype=largest.dtype,
            elements=largest.elements,
            reads=reads,
            written_distance=distance,
            output_bytes=output,
            fresh=cost.written_bytes >= output > 0,
            products=tuple(inside.products),
            convolutions=tuple(inside.convolutions),
            scalarised=inside.scalarised,
            argmax_elements=inside.argmax,
            reduced_elements=inside.reduced,
            minor_elements=inside.minor,
            single_elements=inside.single,
            roots=inside.roots,
            divisions=inside.divisions,
            powers=inside.powers,
            narrow_tanhs=inside.narrow_tanhs,
            transposed=inside.transposed,
            rows=inside.rows,
            row_bytes=inside.row_bytes,
            partitions=_partitions(instruction),
            library=fused and "kind=kCustom" in instruction.attributes,
            cut=inside.cut,
            joined=fused and inside.joined,
            cycles=instruction.cycles,
            sorted_elements=inside.sorted_elements,
            sorted_keys=inside.sorted_keys,
            transfers=self._transfers(instruction),
            kernel=entry.cost.declared and entry.cost.declared.kernel,
            times=times,
            loop=loop,
            owners=owners,
        )

    def _cost(self, cost: InstructionCost) -> Cost:
        """With what is stated; in the cheapest program, attention computes only the pairs that its mask allows."""
        if cost.declared is None:
            return cost.total
        extra = cost.declared.extra
        return cost.total + (replace(extra, matmul_flops=0) if self.totals.cheapest else extra)

    def _transfers(self, instruction: Instruction) -> tuple[Transfer, ...]:
        exchanges = self._exchanges
        return tuple(
            Transfer(one.kind, one.payload_bytes, exchanges.groups(one).members, one.asynchronous)
            for one in exchanges.of(instruction)
        )


def _partitions(instruction: Instruction) -> int:
    """Tasks that the CPU compiler cut an operation into."""
    match = _PARTITIONS.search(instruction.config) if instruction.config else None
    return prod(int(n) for n in _NUMBER.findall(match[1])) if match else 1
