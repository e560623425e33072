"""A parsed HLO module: computations of instructions, attributes as text."""

import re
from dataclasses import dataclass, field

from cr_jax.errors import BadHlo
from cr_jax.hlo.shapes import Shape

_BRACKETS = {"(": re.compile(r"[()]"), "[": re.compile(r"[\[\]]"), "{": re.compile(r"[{}]")}
_LARGEST = 2**63 - 1
#: Computations nested in computations; XLA's programs have some ten levels.
DEEPEST = 100


@dataclass(slots=True, eq=False)
class Instruction:
    """One line: ``name = shape opcode(operands), attributes, metadata={op_name=...}``.

    literal: a parameter's number, a constant's value where that is a scalar. config: the backend
    configuration, of the opcodes that need it. cycles: the TPU compiler's own estimate, 0 elsewhere. callee: the
    computation that a fusion or a call runs.
    """

    name: str
    opcode: str
    shape: Shape
    literal: str
    attributes: str
    op_name: str
    line: int
    config: str = ""
    cycles: int = 0
    operands: tuple["Instruction", ...] = ()
    callee: "Computation | None" = None

    def attribute(self, key: str) -> str | None:
        """The text of one attribute: a bracketed value whole, else up to the next comma."""
        return _attribute(self.attributes, key)

    def numbers(self, key: str) -> tuple[int, ...]:
        """An attribute such as ``dimensions={0,1}`` as integers; empty where it is missing.

        Raises ``ValueError`` for a number outside of 64 bits.
        """
        integers = tuple(int(n) for n in _INTEGERS.findall(self.attribute(key) or ""))
        if any(not -_LARGEST <= n <= _LARGEST for n in integers):
            raise ValueError(f"{key} has a number of more than 64 bits")
        return integers

    def called(self, key: str) -> str | None:
        """The computation an attribute names, without ``%``."""
        value = self.attribute(key)
        return value.lstrip("%") if value else None

    def all_called(self, key: str) -> list[str]:
        """The computations that an attribute names: one, or a list in braces."""
        names = [name.strip().lstrip("%") for name in (self.attribute(key) or "").strip("{}").split(",")]
        return [name for name in names if name]


_INTEGERS = re.compile(r"-?\d{1,30}", re.ASCII)


@dataclass(slots=True, eq=False)
class Computation:
    """depth: levels of computations it calls, itself included."""

    name: str
    instructions: list[Instruction] = field(default_factory=list[Instruction])
    root: Instruction | None = None
    parameters: dict[int, Instruction] = field(default_factory=dict[int, Instruction])
    depth: int = 1

    @property
    def result(self) -> Instruction:
        """The root."""
        assert self.root is not None, "the parser refuses a computation without a root"
        return self.root


@dataclass(slots=True, eq=False)
class HloModule:
    """A module. header: its attributes, such as aliases and whether it is scheduled. doubts: parts of the text that this version
    of cr_jax does not know, with their number; their effect on the cost is unknown too.
    """

    name: str
    computations: dict[str, Computation]
    entry: Computation
    instruction_count: int
    header: str = ""
    doubts: dict[str, int] = field(default_factory=dict[str, int])

    def attribute(self, key: str) -> str | None:
        """The text of one of the module's attributes."""
        return _attribute(self.header, key)

    def find(self, name: str | None, user: Instruction) -> Computation:
        """A called computation; ``BadHlo`` when the text does not define it."""
        computation = self.computations.get(name or "")
        if computation is None:
            raise BadHlo(user.line, f"{user.opcode} {user.name} calls {name!r}, which the text does not define above it")
        return computation

    def branches(self, switch: Instruction) -> list[Computation]:
        """The computations that a conditional chooses between."""
        names = switch.all_called("branch_computations")
        chosen = names or [switch.called("true_computation"), switch.called("false_computation")]
        return [self.find(name, switch) for name in chosen]


def _attribute(text: str, key: str) -> str | None:
    """One attribute's text: a bracketed value whole, else up to the next comma."""
    start = text.find(f" {key}=")
    if start < 0:
        return None
    start += len(key) + 2
    if text[start : start + 1] in "{[(":
        return text[start : closing(text, start) + 1]
    end = text.find(", ", start)
    return text[start : end if end >= 0 else len(text)]


def closing(text: str, start: int) -> int:
    """The position where the bracket at ``start`` closes; -1 if it does not."""
    opening, depth = text[start], 0
    for bracket in _BRACKETS[opening].finditer(text, start):
        depth += 1 if bracket[0] == opening else -1
        if depth == 0:
            return bracket.start()
    return -1
