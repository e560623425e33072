"""Where a program's collectives stand: in instructions and fusions, over which devices, and what runs until they end."""

from collections.abc import Sequence

from cr_jax.cost.rules import collective_rules, opcode_rules
from cr_jax.cost.rules.collective_rules import Exchange
from cr_jax.cost.walk import Entry, Run, Walk
from cr_jax.errors import BadHlo
from cr_jax.hlo.device_groups import DeviceGroups, device_groups, devices
from cr_jax.hlo.module import Computation, Instruction

#: Between the start and the end of an asynchronous collective.
_PASSED_ON = ("get-tuple-element", "bitcast", "tuple")


class Exchanges:
    """The collectives of a walked module. any: whether it has some. devices: replicas and partitions."""

    def __init__(self, walk: Walk) -> None:
        self._module = walk.module
        self.devices = devices(walk.module)
        self.any = any(i.opcode in opcode_rules.COLLECTIVE for c in walk.module.computations.values() for i in c.instructions)
        self._groups: dict[int, DeviceGroups] = {}
        self._places: dict[int, dict[int, int]] = {}

    def of(self, instruction: Instruction) -> list[Exchange]:
        """The collectives that an instruction begins: one, or those in a fusion."""
        if not self.any:
            return []
        if instruction.opcode == "fusion":
            found = collective_rules.fused(self._callee(instruction), self._callee)
            return [exchange for exchange in found if not exchange.continued]
        exchange = collective_rules.plain(instruction)
        return [exchange] if exchange else []

    def groups(self, exchange: Exchange) -> DeviceGroups:
        """The devices that exchange data. Raises ``BadHlo`` where they cannot be read."""
        instruction = exchange.instruction
        known = self._groups.get(id(instruction))
        if known is None:
            try:
                known = self._groups[id(instruction)] = device_groups(instruction, *self.devices)
            except ValueError as error:
                raise BadHlo(instruction.line, f"{instruction.opcode} {instruction.name[:60]}: {error}") from None
        return known

    def beside(self, run: Run, start: Instruction) -> list[Entry]:
        """The entries of a run between ``start`` and the end of the collective that it begins; none where the run has no end."""
        if not self.any:
            return []
        if start.opcode != "async-start" and not any(exchange.asynchronous for exchange in self.of(start)):
            return []
        places = self._places.get(id(run))
        if places is None:
            places = self._places[id(run)] = {id(one): place for place, one in enumerate(run.computation.instructions)}
        begun = places[id(start)]
        end = self._end(run.computation.instructions[begun + 1 :], start)
        if end is None:
            return []
        return [entry for entry in run.entries if begun < places[id(entry.instruction)] < places[id(end)]]

    def combined(self, collective: Instruction) -> bool:
        """Whether a collective has several arrays, one after the other or joined to one."""
        if len(collective.operands) != 1:
            return True
        (operand,) = collective.operands
        joined = self._callee(operand).result if operand.opcode == "fusion" else operand
        return joined.opcode == "concatenate" and not collective.op_name

    def _callee(self, fusion: Instruction) -> Computation:
        return fusion.callee or self._module.find(fusion.called("calls"), fusion)

    def _end(self, later: Sequence[Instruction], start: Instruction) -> Instruction | None:
        """The operation that waits for what ``start`` began."""
        if start.opcode == "fusion":
            channels = {exchange.instruction.attribute("channel_id") for exchange in self.of(start)}
            for one in later:
                ended = collective_rules.ended(self._callee(one)) if one.opcode == "fusion" else []
                if any(other.attribute("channel_id") in channels for other in ended):
                    return one
            return None
        begun = {id(start)}
        for one in later:
            if any(id(operand) in begun for operand in one.operands):
                if one.opcode.endswith("-done"):
                    return one
                if one.opcode.endswith("-update") or one.opcode in _PASSED_ON:
                    begun.add(id(one))
        return None
