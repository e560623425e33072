"""HLO text -> computations of instructions.

Reads what XLA writes: optimised and unoptimised modules, with or without ``%`` and operand shapes,
from ``Compiled.as_text()``, ``Lowered.as_text("hlo")`` or a dump directory. One pass, linear in the
text; attributes are kept as text and read when a rule asks for one.
"""

import re
from dataclasses import dataclass, field

from cr_jax.errors import BadHlo
from cr_jax.hlo.shapes import Shape, parse_shape, split_top

_INSTRUCTION = re.compile(r"\s+(ROOT )?%?([^\s=]+) = (\(.*?\)|\S+) ([a-z][\w\-]*)\(")
_HEADER = re.compile(r"(ENTRY\s+)?%?([^\s(]+)(?:\s*\(.*\)\s*->.*|\s*)\{\s*$")
_NAME = re.compile(r"%([^\s,()]+)")
_TABLES = ("FileNames", "FunctionNames", "FileLocations", "StackFrames")
#: Opcodes whose backend configuration a rule reads.
_CONFIGURED = frozenset({"while", "custom-call"})


@dataclass(slots=True, eq=False)
class Instruction:
    """One line: ``name = shape opcode(operands), attributes, metadata={op_name=...}``."""

    name: str
    opcode: str
    shape: Shape
    operand_text: str
    attributes: str
    op_name: str
    line: int
    operands: tuple["Instruction", ...] = ()
    config: str = ""

    def attribute(self, key: str) -> str | None:
        """The text of one attribute: a bracketed value whole, else up to the next comma."""
        text = self.attributes
        start = text.find(f" {key}=")
        if start < 0:
            return None
        start += len(key) + 2
        if text[start : start + 1] in "{[(":
            return text[start : _closing(text, start) + 1]
        end = text.find(", ", start)
        return text[start : end if end >= 0 else len(text)]

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
    name: str
    computations: dict[str, Computation]
    entry: Computation
    instruction_count: int

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
    name, current, by_name = "", None, {}
    computations: dict[str, Computation] = {}
    entry: Computation | None = None
    count, number, position, size = 0, 0, 0, len(text)
    in_table = False
    while position < size:
        end = text.find("\n", position)
        end = size if end < 0 else end
        line, position, number = text[position:end], end + 1, number + 1
        if current is None:
            if not line.strip():
                in_table = False
            elif in_table:
                continue
            elif line.startswith("HloModule"):
                if name:
                    raise BadHlo(number, "a second HloModule begins; legal: one module a file")
                name = line[9:].split(",", 1)[0].strip() or "module"
            elif line.strip() in _TABLES:
                in_table = True
            else:
                header = _HEADER.match(line)
                if header is None:
                    what = "is no HLO module header, computation or instruction"
                    raise BadHlo(number, f"{line.strip()[:60]!r} {what}")
                current, by_name = Computation(header[2]), {}
                if header[2] in computations:
                    raise BadHlo(number, f"computation {header[2]} is defined twice")
                computations[header[2]] = current
                if header[1]:
                    entry = current
            continue
        if line.startswith("}"):
            if not current.instructions:
                raise BadHlo(number, f"computation {current.name} is empty")
            _link(current, by_name)
            current = None
            continue
        if not line.strip() or line.lstrip().startswith("//"):
            continue
        match = _INSTRUCTION.match(line)
        if match is None:
            raise BadHlo(number, f"{line.strip()[:60]!r} is no HLO instruction")
        started = number
        close = _operands_end(line, match.end())
        while close < 0:  # a literal printed over several lines
            if position >= size:
                raise BadHlo(number, f"the text ends inside {match[2]}; is the file cut?")
            end = text.find("\n", position)
            end = size if end < 0 else end
            line, position, number = line + text[position:end], end + 1, number + 1
            close = _operands_end(line, match.end())
        instruction = _instruction(match, line, close, started)
        current.instructions.append(instruction)
        by_name[instruction.name] = instruction
        if match[1]:
            current.root = instruction
        count += 1
    if current is not None:
        raise BadHlo(number, f"the text ends inside computation {current.name}; is the file cut?")
    if not computations:
        raise BadHlo(number, "no computation found; legal: an HLO module as XLA prints it")
    if entry is None:
        if len(computations) > 1:
            raise BadHlo(number, "no ENTRY computation; is the file cut?")
        entry = next(iter(computations.values()))
    return HloModule(name or "module", computations, entry, count)


def _instruction(match: re.Match[str], line: str, close: int, number: int) -> Instruction:
    try:
        shape = parse_shape(match[3])
    except ValueError as error:
        raise BadHlo(number, str(error)) from None
    opcode = match[4]
    metadata = line.find(", metadata={", close)
    configured = line.find(", backend_config=", close)
    op_name = ""
    if metadata >= 0:
        start = line.find('op_name="', metadata)
        if start >= 0:
            stop = line.find('"', start + 9)
            op_name = line[start + 9 : stop if stop >= 0 else len(line)]
    ends = [e for e in (metadata, configured) if e >= 0]
    return Instruction(
        name=match[2],
        opcode=opcode,
        shape=shape,
        operand_text=line[match.end() : close],
        attributes=line[close + 1 : min(ends) if ends else len(line)],
        op_name=op_name,
        line=number,
        config=line[configured:] if configured >= 0 and opcode in _CONFIGURED else "",
    )


def _operands_end(line: str, start: int) -> int:
    """The place of the parenthesis that closes the operands; -1 when it is not on this line."""
    close = line.find(")", start)
    if close < 0 or line.find("(", start, close) < 0:
        return close
    return _closing(line, start - 1)


_PAIRS = {"(": ")", "[": "]", "{": "}"}


def _closing(text: str, start: int) -> int:
    """The place where the bracket at ``start`` closes; -1 if it does not."""
    opening, closing = text[start], _PAIRS[text[start]]
    depth = 0
    for place in range(start, len(text)):
        char = text[place]
        if char == opening:
            depth += 1
        elif char == closing:
            depth -= 1
            if depth == 0:
                return place
    return -1


def _link(computation: Computation, by_name: dict[str, Instruction]) -> None:
    for instruction in computation.instructions:
        opcode, text = instruction.opcode, instruction.operand_text
        if opcode == "parameter":
            if not text.strip().isdigit():
                raise BadHlo(instruction.line, f"parameter({text}) has no number")
            computation.parameters[int(text)] = instruction
            continue
        if opcode in ("constant", "iota") or not text:
            continue
        names = _NAME.findall(text) if "%" in text else [part.rsplit(" ", 1)[-1] for part in split_top(text)]
        try:
            instruction.operands = tuple([by_name[name] for name in names])
        except KeyError as error:
            raise BadHlo(instruction.line, f"{instruction.name} uses {error.args[0]!r}, which {computation.name} "
                         "does not define") from None  # fmt: skip
