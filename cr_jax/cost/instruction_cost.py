"""Cost of one execution of one instruction, fused or not: the only place where rules and traffic come together."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from cr_jax.cost.assumptions import Assumptions, Openings
from cr_jax.cost.attribution import Origins
from cr_jax.cost.cost import Cost
from cr_jax.cost.rules import collective_rules, custom_calls, instruction_rules, opcode_rules, traffic
from cr_jax.cost.stated_costs import Declaration, StatedCosts
from cr_jax.errors import BadHlo
from cr_jax.hlo.module import Computation, HloModule, Instruction

_RANK = {family: rank for rank, family in enumerate(opcode_rules.RANK)}


class Row(NamedTuple):
    """Arithmetic of the operations in one fusion that share a name and a family."""

    op_name: str
    family: str
    cost: Cost


@dataclass(slots=True, eq=False)
class Fused:
    """Arithmetic inside a fused or applied computation, and its operations without a rule, with their numbers."""

    rows: list[Row]
    missing: dict[str, int]

    @property
    def family(self) -> str:
        """The most expensive family inside."""
        return max((_RANK.get(row.family, -1), row.family) for row in self.rows)[1] if self.rows else "movement"

    def total(self) -> Cost:
        """Everything except the declared cost. Not to be changed by the caller."""
        cost = Cost()
        for row in self.rows:
            cost.add(row.cost)
        return cost


@dataclass(slots=True, eq=False)
class InstructionCost:
    """Cost of one execution of an instruction.

    own: traffic of a fusion; arithmetic and traffic of any other instruction. fused: the arithmetic inside a fusion,
    ``None`` for any other instruction. missing: operations without a rule, each with its number and the bytes counted
    for it. declared: cost of a custom call that is not in ``own``.
    """

    family: str
    own: Cost
    fused: Fused | None = None
    missing: Mapping[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    declared: Declaration | None = None
    _total: Cost | None = None

    @property
    def total(self) -> Cost:
        """Everything but what is declared. Not to be changed by the caller."""
        if self._total is None:
            self._total = self.own if self.fused is None else self.fused.total().add(self.own)
        return self._total


class InstructionCosts:
    """Costs of a module's instructions. Each fused or applied computation is computed once."""

    def __init__(self, module: HloModule, names: Origins, assumptions: Assumptions, openings: Openings) -> None:
        self._module, self._names, self._stated = module, names, StatedCosts(assumptions, openings)
        self._fusions = traffic.Fusions(module)
        self._fused: dict[str, Fused] = {}
        self._applied: dict[str, tuple[Cost, tuple[str, ...]]] = {}

    def of(self, instruction: Instruction) -> InstructionCost:
        """Cost of an instruction that runs no other computation but a fused one. Raises ``BadHlo``."""
        if instruction.opcode == "fusion":
            called = instruction.callee or self._module.find(instruction.called("calls"), instruction)
            fused = self.fused(called)
            missing = {name: (count, 0) for name, count in fused.missing.items()} if fused.missing else {}
            return InstructionCost(fused.family, self._fusions.cost(instruction), fused, missing)
        return self._plain(instruction)

    def _plain(self, instruction: Instruction) -> InstructionCost:
        missing: dict[str, tuple[int, int]] = {}
        declared = None
        cost = Cost()
        try:
            cost = traffic.plain(instruction)
            cost.add(instruction_rules.arithmetic(instruction, self._application))
        except instruction_rules.Uncounted as unknown:  # raised by the arithmetic: the bytes are known
            cost, declared = self._stated.of(instruction, cost)
            if declared is None:
                missing[f"{unknown}{self._stated.doubt(instruction)}"] = 1, cost.hbm_bytes
        except (IndexError, ValueError) as error:
            raise _malformed(instruction, error) from None
        for operation in self._unruled(instruction):
            count, size = missing.get(operation, (0, 0))
            missing[operation] = count + 1, size
        return InstructionCost(_family(instruction), cost, None, missing, declared)

    def fused(self, computation: Computation) -> Fused:
        """Arithmetic inside a fused computation, nested ones included."""
        known = self._fused.get(computation.name)
        if known is None:
            known = self._fused[computation.name] = self._work_out(computation)
        return known

    def _work_out(self, computation: Computation) -> Fused:
        sums: dict[tuple[str, str], Cost] = {}
        missing: dict[str, int] = {}
        simple = opcode_rules.SIMPLE
        for instruction in computation.instructions:
            opcode = instruction.opcode
            rule = simple.get(opcode)
            if rule is None:
                if not collective_rules.continued(computation, instruction):
                    self._add_special(sums, missing, instruction)
                continue
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
            if kind == "other_flops" and opcode != "multiply" and shape.is_float:  # as ``per_element``, without a Cost
                row.other_flops += shape.elements
            elif kind == "transcendentals":
                row.transcendentals += shape.elements
            elif kind == "integer_ops":
                row.integer_ops += shape.elements
            else:
                row.add(instruction_rules.per_element(instruction, kind))
        return Fused([Row(name, family, cost) for (name, family), cost in sums.items()], missing)

    def _add_special(self, sums: dict[tuple[str, str], Cost], missing: dict[str, int], instruction: Instruction) -> None:
        """Add an instruction with a rule of its own, or a nested fusion."""
        if instruction.opcode in ("fusion", "call"):
            name = instruction.called("calls") or instruction.called("to_apply")
            inner = self.fused(self._module.find(name, instruction))
            for op_name, family, cost in inner.rows:
                _add(sums, (op_name or instruction.op_name, family), cost)
            for operation, count in inner.missing.items():
                missing[operation] = missing.get(operation, 0) + count
            return
        try:
            cost = instruction_rules.arithmetic(instruction, self._application)
        except instruction_rules.Uncounted as unknown:
            missing[str(unknown)] = missing.get(str(unknown), 0) + 1
            cost = Cost()
        except (IndexError, ValueError) as error:
            raise _malformed(instruction, error) from None
        for operation in self._unruled(instruction):
            missing[operation] = missing.get(operation, 0) + 1
        name = self._names.name(instruction, cost.matmul_flops) if cost.matmul_flops else instruction.op_name
        _add(sums, (name, _family(instruction)), cost)

    def _application(self, name: str | None, user: Instruction) -> Cost:
        """One application of the computation that a reduce, scatter, map or window names."""
        return self._applied_by(name, user)[0]

    def _unruled(self, instruction: Instruction) -> tuple[str, ...]:
        """Operations without a rule in the computations that an instruction applies."""
        if "to_apply=" not in instruction.attributes and instruction.opcode != "select-and-scatter":
            return ()
        names = (instruction.called(key) for key in ("to_apply", "select", "scatter"))
        return tuple(operation for name in names if name for operation in self._applied_by(name, instruction)[1])

    def _applied_by(self, name: str | None, user: Instruction) -> tuple[Cost, tuple[str, ...]]:
        computation = self._module.find(name, user)
        known = self._applied.get(computation.name)
        if known is None:
            inside = self.fused(computation)
            known = self._applied[computation.name] = inside.total(), tuple(inside.missing)
        return known


def _add(sums: dict[tuple[str, str], Cost], place: tuple[str, str], cost: Cost) -> None:
    row = sums.get(place)
    if row is None:
        row = sums[place] = Cost()
    row.add(cost)


def _malformed(instruction: Instruction, error: Exception) -> BadHlo:
    return BadHlo(instruction.line, f"{instruction.opcode} {instruction.name} is malformed: {error}")


def _family(instruction: Instruction) -> str:
    """The family of an instruction that is no fusion; library calls belong to that of their operation."""
    family = opcode_rules.FAMILY.get(instruction.opcode, "unknown")
    if family != "custom-call":
        return family
    target = custom_calls.call_target(instruction)
    if target.startswith("__cudnn$conv"):
        return "convolution"
    if target.startswith("__cublas$"):
        return "matmul"
    return "sort" if target in opcode_rules.TOP_K_CALLS else family
