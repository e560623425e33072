"""The collectives of a program: what devices send each other, by kind, groups of devices, and module."""

from dataclasses import dataclass, field, replace
from math import prod

from cr_jax.cost.attribution import Attribution, Scope
from cr_jax.cost.cost import Cost
from cr_jax.cost.exchanges import Exchanges
from cr_jax.cost.rules.collective_rules import Exchange
from cr_jax.cost.totals import Totals
from cr_jax.cost.walk import Called, Executed, Repeated, Run, Walk, inner_runs, within_limit
from cr_jax.errors import BadConfig, BadHlo
from cr_jax.hlo.device_groups import Mesh
from cr_jax.hlo.module import Instruction

#: The module of a collective that the compiler combined from several.
SEVERAL = "(several)"


@dataclass(frozen=True)
class Collective:
    """One collective of a program; bytes are of one execution on one device, with the padding of layouts.

    kind: such as ``all-reduce``. module: ``SEVERAL`` where the compiler combined several. groups, group_size: number of groups of
    devices that exchange data, and devices in the largest. axes: of the mesh, along which devices of a group lie; () without a
    mesh. executions: 0 in a branch that is not counted and in a loop of unknown trip count. payload_bytes: the size as nccl-tests
    count it, the result of an all-gather, the operands of any other. sent_bytes: that a device sends in a ring. at_most: what is
    sent depends on the data, these bytes are the most. asynchronous: other operations may run until it ends: between_operations,
    between_flops and between_hbm_bytes.
    """

    kind: str
    name: str
    module: str
    groups: int
    group_size: int
    axes: tuple[str, ...]
    executions: int
    operand_bytes: int
    result_bytes: int
    payload_bytes: int
    sent_bytes: int
    at_most: bool
    asynchronous: bool
    between_operations: int = 0
    between_flops: int = 0
    between_hbm_bytes: int = 0


@dataclass(frozen=True)
class Work:
    """Operations of a computation and their cost."""

    operations: int = 0
    cost: Cost = field(default_factory=Cost)


def collectives(walk: Walk, modules: tuple[str, ...] = (), mesh: Mesh = (), cheapest: bool = False) -> tuple[Collective, ...]:
    """The collectives of a walked module, in the order in which they first run.

    modules and mesh: as for ``count_hlo``; cheapest: as for :class:`Totals`. Raises ``BadHlo`` for groups of devices that cannot
    be read, and ``BadConfig`` for a mesh that is not the program's.
    """
    exchanges = Exchanges(walk)
    if not exchanges.any:
        return ()
    collector = _Collector(walk, modules, mesh, cheapest, exchanges)
    collector.run(walk.entry, Scope(walk.roots), 1)
    return tuple(collector.found.values())


class _Collector:
    def __init__(self, walk: Walk, modules: tuple[str, ...], mesh: Mesh, cheapest: bool, exchanges: Exchanges) -> None:
        self._walk, self._attribution, self._totals = walk, Attribution(modules), Totals(cheapest)
        self._exchanges, self._mesh = exchanges, mesh
        wanted, there = prod(size for _, size in mesh), prod(exchanges.devices)
        if mesh and wanted != there:
            shown = ",".join(f"{name}={size}" for name, size in mesh)
            raise BadConfig(f"the mesh {shown} has {wanted} devices; legal: one of {there}, as the program has")
        #: By instruction, computation and module.
        self.found: dict[tuple[str, str, str], Collective] = {}
        self._any: dict[int, bool] = {}
        self._work = 0

    def run(self, run: Run, scope: Scope, times: int, beside: Work | None = None) -> None:
        """Add the collectives of ``times`` runs. beside: what runs at the same time as the whole run."""
        if not self._has(run):
            return
        self._work = within_limit(self._work + len(run.entries))
        for entry in run.entries:
            instruction = entry.instruction
            if isinstance(entry, Executed):
                for exchange in self._exchanges.of(instruction):
                    work = beside or (self._beside(run, instruction) if exchange.asynchronous else None)
                    self._add(run, instruction, exchange, scope, times, work)
            elif isinstance(entry, Repeated):
                inner = scope.loop(scope.full(instruction.op_name), (i.op_name for i in entry.body.computation.instructions))
                turns = self._totals.turns(entry)
                self.run(entry.body, inner, times * turns)
                self.run(entry.condition, inner, times * (turns + 1))
            elif isinstance(entry, Called):
                work = self._beside(run, instruction) if instruction.opcode == "async-start" else beside
                self.run(entry.run, scope.inside(instruction.op_name), times, work)
            else:
                chosen = self._totals.chosen(entry)
                for number, branch in enumerate(entry.branches):
                    self.run(branch, scope.inside(instruction.op_name), times if number == chosen else 0)

    def _has(self, run: Run) -> bool:
        """Whether a run has collectives."""
        known = self._any.get(id(run))
        if known is None:
            known = self._any[id(run)] = any(
                bool(self._exchanges.of(entry.instruction))
                if isinstance(entry, Executed)
                else any(self._has(inner) for inner in inner_runs(entry))
                for entry in run.entries
            )
        return known

    def _beside(self, run: Run, start: Instruction) -> Work:
        entries, cost = self._exchanges.beside(run, start), Cost()
        for entry in entries:
            cost.add(self._totals.of_entry(entry))
        return Work(len(entries), cost)

    def _add(self, run: Run, instruction: Instruction, exchange: Exchange, scope: Scope, times: int, beside: Work | None) -> None:
        named = exchange.instruction
        module, _ = self._attribution.of(scope.full(named.op_name or self._walk.names.name(instruction)))
        module = SEVERAL if exchange.kind != "ragged-all-to-all" and self._exchanges.combined(named) else module
        place = named.name, run.computation.name, module
        known = self.found.get(place)
        if known is not None:
            self.found[place] = replace(known, executions=known.executions + times)
            return
        groups, work = self._exchanges.groups(exchange), beside or Work()
        try:
            axes = groups.axes(self._mesh)
        except ValueError as error:
            raise BadHlo(named.line, f"{named.opcode} {named.name[:60]}: {error}") from None
        self.found[place] = Collective(
            kind=exchange.kind,
            name=named.name,
            module=module,
            groups=groups.number,
            group_size=groups.size,
            axes=axes,
            executions=times,
            operand_bytes=exchange.operand_bytes,
            result_bytes=exchange.result_bytes,
            payload_bytes=exchange.payload_bytes,
            sent_bytes=exchange.sent_bytes(groups.size),
            at_most=exchange.at_most,
            asynchronous=beside is not None,
            between_operations=work.operations,
            between_flops=work.cost.flops,
            between_hbm_bytes=work.cost.hbm_bytes,
        )
