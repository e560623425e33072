"""Costs of calls that do not follow from their shapes: stated by the user, else by the call itself or a formula, else by the
traced program.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from cr_jax.cost.assumptions import Assumptions, Openings, named
from cr_jax.cost.cost import Cost
from cr_jax.cost.kernels import KernelCost, ask, kernel_call
from cr_jax.cost.rules import custom_calls
from cr_jax.cost.rules.attention_calls import ATTENTION
from cr_jax.hlo.module import Instruction
from cr_jax.hlo.shapes import Shape
from cr_jax.traced_program import TracedKernel

Source = Literal["declared", "formula", "assumed"]


@dataclass(frozen=True)
class Kernel:
    """What the time of a call follows from, beside its cost. name: as tables of calls have it. source: as for ``Declaration``.
    dtype: of the largest array of floating-point numbers that it reads, or else writes, as HLO names it; "" where it has none.
    """

    name: str
    source: Source
    dtype: str


@dataclass(frozen=True)
class Declaration:
    """Cost of a call that does not follow from its shapes. source: ``declared`` by the call, a textbook ``formula``, or
    ``assumed``. extra: what it adds to the cost that follows from the shapes; for an assumed one, which the cost is, nothing.
    kernel: ``None`` for a routine whose time does not follow from its FLOPs.
    """

    operation: str
    source: Source
    extra: Cost
    kernel: Kernel | None


class StatedCosts:
    """The stated costs of a module's calls; ``openings`` notes what was asked for and used."""

    def __init__(self, assumptions: Assumptions, openings: Openings) -> None:
        self._assumptions, self._openings = assumptions, openings

    def of(self, instruction: Instruction, cost: Cost) -> tuple[Cost, Declaration | None]:
        """The cost of an operation without a rule that moves ``cost`` by its shapes, and what is stated beyond that.

        Raises ``BadConfig`` where a user's function fails.
        """
        target = custom_calls.call_target(instruction)
        assumed = self._assumed(instruction, target, cost) if instruction.opcode == "custom-call" else None
        return assumed or self._stated(instruction, target, cost)

    def doubt(self, call: Instruction) -> str:
        """Why the traced program's declarations are not used for a call that it has kernels of this name for; "" where it has
        none.
        """
        target = custom_calls.call_target(call)
        same = self._named(call, target)
        if not any(one.declared for one in same):
            return ""
        fits = [one for one in same if _fits(one, call)]
        return " (traced kernels of its name and shapes declare different costs)" if fits else " (traced with other shapes)"

    def _assumed(self, call: Instruction, target: str, cost: Cost) -> tuple[Cost, Declaration] | None:
        """The cost that the user supplies for a custom call, else ``None``."""
        kernel, hook = custom_calls.kernel_name(call, target), self._assumptions.hook
        self._openings.kernels.add(kernel)
        name = named(self._assumptions.kernels, (call.name, kernel, target), custom_calls.kernel_path(call))
        if name is not None:
            self._openings.asked.add(name)
        given = hook if name is None else self._assumptions.kernels[name]
        made = given if given is None or isinstance(given, KernelCost) else ask(given, kernel_call(call, kernel, target))
        if made is None:
            return None
        self._openings.used.add(name or kernel)
        written = min(made.bytes, cost.written_bytes)
        whole = Cost(
            other_flops=made.flops, transcendentals=made.transcendentals, read_bytes=made.bytes - written, written_bytes=written
        )
        return whole, Declaration(kernel, "assumed", Cost(), Kernel(kernel, "assumed", _float_type(call)))

    def _stated(self, instruction: Instruction, target: str, cost: Cost) -> tuple[Cost, Declaration | None]:
        stated = custom_calls.stated(instruction, target) or self._traced(instruction, target)
        if stated is None:
            return cost, None
        extra = Cost().add(stated.cost)
        extra.read_bytes = max(0, stated.moved_bytes - cost.hbm_bytes)
        title = custom_calls.title(instruction, target)
        timed = stated.source == "declared" or target.startswith(ATTENTION)
        kernel = Kernel(title, stated.source, _float_type(instruction)) if timed else None
        return cost + stated.least, Declaration(title, stated.source, extra, kernel)

    def _traced(self, call: Instruction, target: str) -> custom_calls.Stated | None:
        """What the traced program's kernel of this name and these shapes declares; ``None`` where several differ."""
        costs = {one.declared for one in self._named(call, target) if _fits(one, call)}
        declared = next(iter(costs), None)
        if len(costs) != 1 or declared is None:
            return None
        flops, moved, transcendentals = declared
        return custom_calls.Stated("declared", Cost(other_flops=flops, transcendentals=transcendentals), moved)

    def _named(self, call: Instruction, target: str) -> Sequence[TracedKernel]:
        if not self._assumptions.traced or not target.startswith(custom_calls.KERNELS):
            return ()
        name = custom_calls.kernel_name(call, target)
        return [one for one in self._assumptions.traced if name in one.names]


def _fits(kernel: TracedKernel, call: Instruction) -> bool:
    """Whether a call has a kernel's results, in order, and its operands; a compiler may add some."""
    operands = Counter(leaf.plain for operand in call.operands for leaf in operand.shape.leaves)
    results = tuple(leaf.plain for leaf in call.shape.leaves)
    return results[: len(kernel.results)] == kernel.results and Counter(kernel.operands) <= operands


def _float_type(call: Instruction) -> str:
    """The type of the largest array of floating-point numbers among the operands, else among the results."""
    for leaves in ([leaf for operand in call.operands for leaf in operand.shape.leaves], call.shape.leaves):
        floats: list[Shape] = [leaf for leaf in leaves if leaf.is_float]
        if floats:
            return max(floats, key=lambda leaf: leaf.elements).dtype
    return ""
