"""Dependencies between the operations of a computation; a runtime with several threads may run independent ones together."""

import re
from dataclasses import dataclass, field

from cr_jax.cost.rules import opcode_rules
from cr_jax.hlo.module import Instruction

_NAME = re.compile(r"[^\s{},%]+")


@dataclass(frozen=True)
class Node:
    """One entry of a computation, in the order of its text."""

    after: tuple[int, ...]
    """Indices of the entries of the same computation that have to end first."""
    operation: int | None = None
    """Index in ``Program.operations``."""
    loop: int | None = None
    """Index in ``Program.loops``."""
    inner: tuple[tuple[int, tuple["Node", ...]], ...] = ()
    """Computations that it runs one after the other, each with its number of times in one execution."""
    beside: int = 0
    """How many of the next entries may run until the collective ends that it begins."""


@dataclass
class Places:
    """The entries of one computation so far. Tuples, their elements and reinterpretations are followed to their operands;
    parameters and constants wait for nothing.
    """

    names: dict[str, int] = field(default_factory=dict[str, int])
    _behind: dict[int, frozenset[int]] = field(default_factory=dict[int, frozenset[int]])

    def after(self, instruction: Instruction) -> tuple[int, ...]:
        """The entries that ``instruction`` waits for: producers of its operands, and its control predecessors."""
        behind, waits = self._behind, set[int]()
        for operand in instruction.operands:
            places = behind.get(id(operand))
            waits.update(self._made(operand) if places is None else places)
        if "control-predecessors=" in instruction.attributes:
            named = _NAME.findall(instruction.attribute("control-predecessors") or "")
            waits.update(self.names[name] for name in named if name in self.names)
        return tuple(sorted(waits))

    def add(self, instruction: Instruction) -> None:
        """Add ``instruction`` as the next entry."""
        self._behind[id(instruction)] = frozenset((len(self.names),))
        self.names[instruction.name] = len(self.names)

    def _made(self, value: Instruction) -> frozenset[int]:
        waiting = [value]
        while waiting:  # no recursion: chains of reinterpretations can be long
            last = waiting[-1]
            if id(last) in self._behind:
                waiting.pop()
                continue
            unknown = [o for o in last.operands if id(o) not in self._behind] if last.opcode in opcode_rules.FREE else []
            if unknown:
                waiting += unknown
                continue
            parts = (self._behind[id(o)] for o in last.operands) if last.opcode in opcode_rules.FREE else ()
            self._behind[id(last)] = frozenset[int]().union(*parts)
            waiting.pop()
        return self._behind[id(value)]
