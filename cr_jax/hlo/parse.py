"""HLO text -> computations of instructions.

Reads what XLA writes: optimised and unoptimised modules, with or without ``%`` and operand shapes,
from ``Compiled.as_text()``, ``Lowered.as_text("hlo")`` or a dump directory. One pass, linear in the
text; attributes are kept as text and read when a rule asks for one.
"""

import re
from dataclasses import dataclass, field

from cr_jax.errors import BadHlo
from cr_jax.hlo.shapes import Shape, parse_shape, split_top

#: Up to the operands, and their end where they hold no parenthesis of their own.
_INSTRUCTION = re.compile(r"[ \t]+(ROOT )?%?([^\s=]+) = (\(.*?\)|\S+) ([a-z][\w\-]*)\((?:([^()]*)\))?")
_HEADER = re.compile(r"(ENTRY\s+)?%?([^\s(]+)(?:\s*\(.*\)\s*->.*|\s*)\{\s*$")
_NAME = re.compile(r"%([^\s,()]+)")
_BRACKETS = {"(": re.compile(r"[()]"), "[": re.compile(r"[\[\]]"), "{": re.compile(r"[{}]")}
_TABLES = ("FileNames", "FunctionNames", "FileLocations", "StackFrames")
#: Opcodes whose backend configuration a rule reads.
_CONFIGURED = frozenset({"while", "custom-call"})
_CYCLES = '"estimated_cycles":"'
#: Opcodes whose operands are no instructions; a scalar's literal is kept, a table's is not.
_LITERAL = frozenset({"parameter", "constant", "iota"})
_SCALAR = 32


@dataclass(slots=True, eq=False)
class Instruction:
    """One line: ``name = shape opcode(operands), attributes, metadata={op_name=...}``.

    literal: a parameter's number, a constant's value where that is a scalar. config: the backend
    configuration, of the opcodes that need it. cycles: the TPU compiler's own estimate, 0 elsewhere.
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

    def attribute(self, key: str) -> str | None:
        """The text of one attribute: a bracketed value whole, else up to the next comma."""
        return _attribute(self.attributes, key)

    def numbers(self, key: str) -> tuple[int, ...]:
        """An attribute such as ``dimensions={0,1}`` as integers; empty where it is missing."""
        return tuple(int(n) for n in re.findall(r"-?\d+", self.attribute(key) or ""))

    def called(self, key: str) -> str | None:
        """The computation an attribute names, without ``%``."""
        value = self.attribute(key)
        return value.lstrip("%") if value else None


@dataclass(slots=True, eq=False)
class Computation:
    name: str
    instructions: list[Instruction] = field(default_factory=list)
    root: Instruction | None = None
    parameters: dict[int, Instruction] = field(default_factory=dict)

    @property
    def result(self) -> Instruction:
        """The root, or the last instruction where none is marked."""
        return self.root or self.instructions[-1]


@dataclass(slots=True, eq=False)
class HloModule:
    """header: the attributes of the module, such as its aliases and whether it is scheduled."""

    name: str
    computations: dict[str, Computation]
    entry: Computation
    instruction_count: int
    header: str = ""

    def attribute(self, key: str) -> str | None:
        """The text of one of the module's attributes."""
        return _attribute(self.header, key)

    def find(self, name: str | None, user: Instruction) -> Computation:
        """A called computation; ``BadHlo`` when the text does not define it."""
        found = self.computations.get(name or "")
        if found is None:
            raise BadHlo(user.line, f"{user.opcode} {user.name} calls {name!r}, which the text does not define")
        return found


def parse(text: str) -> HloModule:
    """Read a whole module. Raises ``BadHlo`` with the line and the reason."""
    if not text.strip():
        raise BadHlo(1, "the text is empty; legal: an HLO module as XLA prints it")
    name, attributes = "", ""
    computations: dict[str, Computation] = {}
    entry: Computation | None = None
    count, number, position, size = 0, 0, 0, len(text)
    in_table = False
    while position < size:
        line, position = _line(text, position)
        number += 1
        if not line.strip():
            in_table = False
        elif in_table:
            continue
        elif line.startswith("HloModule"):
            if name:
                raise BadHlo(number, "a second HloModule begins; legal: one module a file")
            name, attributes = line[9:].split(",", 1)[0].strip() or "module", line
        elif line.strip() in _TABLES:
            in_table = True
        else:
            header = _HEADER.match(line)
            if header is None:
                what = "is no HLO module header, computation or instruction"
                raise BadHlo(number, f"{line.strip()[:60]!r} {what}")
            if header[2] in computations:
                raise BadHlo(number, f"computation {header[2]} is defined twice")
            current = computations[header[2]] = Computation(header[2])
            position, number = _read(current, text, position, number)
            count += len(current.instructions)
            if header[1]:
                entry = current
    if not computations:
        raise BadHlo(number, "no computation found; legal: an HLO module as XLA prints it")
    if entry is None:
        if len(computations) > 1:
            raise BadHlo(number, "no ENTRY computation; is the file cut?")
        entry = next(iter(computations.values()))
    return HloModule(name or "module", computations, entry, count, attributes)


def _attribute(text: str, key: str) -> str | None:
    """One attribute's text: a bracketed value whole, else up to the next comma."""
    start = text.find(f" {key}=")
    if start < 0:
        return None
    start += len(key) + 2
    if text[start : start + 1] in "{[(":
        return text[start : _closing(text, start) + 1]
    end = text.find(", ", start)
    return text[start : end if end >= 0 else len(text)]


def _line(text: str, position: int) -> tuple[str, int]:
    """The line at ``position``, and where the next begins."""
    end = text.find("\n", position)
    return (text[position:], len(text)) if end < 0 else (text[position:end], end + 1)


def _read(computation: Computation, text: str, position: int, number: int) -> tuple[int, int]:
    """Fill in a computation up to its closing brace; returns the next place and the line's number."""
    instructions, operands = computation.instructions, []
    size, match_instruction = len(text), _INSTRUCTION.match
    while position < size:
        number += 1
        match = match_instruction(text, position)
        if match is None:
            line, position = _line(text, position)
            if line.startswith("}"):
                if not instructions:
                    raise BadHlo(number, f"computation {computation.name} is empty")
                _link(computation, operands)
                return position, number
            if line.strip() and not line.lstrip().startswith("//"):
                raise BadHlo(number, f"{line.strip()[:60]!r} is no HLO instruction")
            continue
        root, name, shape_text, opcode, inner = match.groups()
        start = match.start(5) if inner is not None else match.end()
        close = match.end() - 1 if inner is not None else _closing(text, start - 1)
        if close < 0:
            raise BadHlo(_last_line(text), f"the text ends inside {name}; is the file cut?")
        end = text.find("\n", close)
        if end < 0:
            end = size
        try:
            shape = parse_shape(shape_text)
        except ValueError as error:
            raise BadHlo(number, str(error)) from None
        if inner is None:
            inner = text[start:close]
        op_name, config, stop, cycles = "", "", end, 0
        metadata = text.find(", metadata={", close, end)
        if metadata >= 0:
            stop = metadata
            begin = text.find('op_name="', metadata, end)
            if begin >= 0:
                quote = text.find('"', begin + 9, end)
                op_name = text[begin + 9 : quote if quote >= 0 else end]
        configured = text.find(", backend_config=", close, end)
        if configured >= 0:
            stop = min(stop, configured)
            if opcode in _CONFIGURED:
                config = text[configured:end]
            estimate = text.find(_CYCLES, configured, end)
            if estimate >= 0:
                digits = text[estimate + len(_CYCLES) : text.find('"', estimate + len(_CYCLES), end)]
                cycles = int(digits) if digits.isdigit() else 0
        literal = ""
        if opcode in _LITERAL:
            literal = inner if len(inner) <= _SCALAR else ""
            operands.append("")
        else:
            operands.append(inner)
        instruction = Instruction(name, opcode, shape, literal, text[close + 1 : stop], op_name, number, config, cycles)
        instructions.append(instruction)
        if root:
            computation.root = instruction
        position = end + 1
        if "\n" in inner:  # a literal printed over several lines
            number += inner.count("\n")
    raise BadHlo(number, f"the text ends inside computation {computation.name}; is the file cut?")


def _last_line(text: str) -> int:
    return text.count("\n") + (not text.endswith("\n"))


def _closing(text: str, start: int) -> int:
    """The place where the bracket at ``start`` closes; -1 if it does not."""
    opening, depth = text[start], 0
    for found in _BRACKETS[opening].finditer(text, start):
        depth += 1 if found[0] == opening else -1
        if depth == 0:
            return found.start()
    return -1


def _link(computation: Computation, operands: list[str]) -> None:
    """Resolve the names that each instruction's operand text holds."""
    by_name = {instruction.name: instruction for instruction in computation.instructions}
    for instruction, text in zip(computation.instructions, operands, strict=True):
        if text:
            try:
                instruction.operands = tuple([by_name[name] for name in _names(text)])
            except KeyError as error:
                raise BadHlo(instruction.line, f"{instruction.name} uses {error.args[0]!r}, which {computation.name} "
                             "does not define") from None  # fmt: skip
        elif instruction.opcode == "parameter":
            number = instruction.literal.strip()
            if not number.isdigit():
                raise BadHlo(instruction.line, f"parameter({number}) has no number")
            computation.parameters[int(number)] = instruction


def _names(text: str) -> list[str]:
    """Operand names, with or without ``%`` and shapes before them."""
    if "%" in text:
        return _NAME.findall(text)
    if "[" in text or "*" in text or "\n" in text:
        return [part.rsplit(" ", 1)[-1] for part in split_top(text)]
    return text.split(", ")
