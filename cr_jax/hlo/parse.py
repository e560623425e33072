"""HLO text -> computations of instructions.

Reads text as XLA writes it: optimised and unoptimised modules, with or without ``%`` and operand shapes, from
``Compiled.as_text()``, ``Lowered.as_text("hlo")`` or a dump directory. One pass, linear in the text; attributes are kept as text
and read when a rule needs one. As in XLA's own parser, every name in a line must be defined above it, so that neither values nor
computations can be circular. ``cr_jax.hlo.verify`` checks each computation at its end.
"""

import re
from typing import NoReturn

from cr_jax.errors import BadHlo
from cr_jax.hlo import async_fusions, grammar, literals
from cr_jax.hlo.module import Computation, HloModule, Instruction, closing
from cr_jax.hlo.opcodes import RESERVED
from cr_jax.hlo.shapes import COMMENT, KNOWN_SHAPES, Shape, parse_shape, split_top
from cr_jax.hlo.verify import Verifier

#: Opcodes whose backend configuration a rule reads, and keys of it that are read of any opcode.
_CONFIGURED = frozenset({"while", "custom-call"})
_PARTITIONED = '"outer_dimension_partitions":'
#: Of a collective's start that ends at once.
_SYNCHRONOUS = '"is_sync":true'
_CYCLES = re.compile(r'"estimated_cycles":"(\d{1,18})"', re.ASCII)
#: Opcodes whose operands are no instructions; a scalar's literal is kept, an array's is not.
_LITERAL = frozenset({"constant", "iota"})
#: Parameters are numbered so; a longer number is read apart.
_NUMBERS = {str(number): number for number in range(1000)}


def parse(text: str) -> HloModule:
    """Read and verify a whole module. Raises ``BadHlo`` with the line and the reason."""
    return _Parser(text).module()


class _Parser:
    def __init__(self, text: str) -> None:
        self.text, self.size = text, len(text)
        self.position = self.number = self.count = 0
        self.computations: dict[str, Computation] = {}
        self.doubts: dict[str, int] = {}
        self.verifier = Verifier(self.computations, self.doubts)

    def module(self) -> HloModule:
        """The whole text."""
        if not self.text.strip():
            raise BadHlo(1, "the text is empty; legal: an HLO module as XLA prints it")
        name, attributes = "", ""
        entry: Computation | None = None
        in_table, table, tables = False, "", list[str]()
        while self.position < self.size:
            if self.text.startswith("\n", self.position):
                self.position, self.number, in_table = self.position + 1, self.number + 1, False
                continue
            line = self._line()
            if line[-1] == "{" and not in_table:
                entry = self._computation(line, entry)
                continue
            stripped = line.strip()
            if not stripped:
                in_table = False
            elif in_table:
                if grammar.TABLES[table].match(stripped) is None:
                    raise BadHlo(self.number, f"{stripped[:60]!r} is no row of a table of source positions")
            elif line.startswith("HloModule"):
                if name or self.computations:
                    raise BadHlo(self.number, "a second HloModule begins; legal: one module a file, its header first")
                header = grammar.MODULE.match(line)
                if header is None:
                    raise BadHlo(self.number, f"the header {stripped[:60]!r} cannot be read; is the line cut?")
                name, attributes = header[1], header[2]
            elif stripped in grammar.TABLES:
                tables.append(stripped)
                in_table, table = True, stripped
                if self.computations or tables != list(grammar.TABLES)[: len(tables)]:
                    raise BadHlo(self.number, f"the table {stripped} is out of order; legal: {', '.join(grammar.TABLES)}")
            elif not stripped.startswith("//"):
                entry = self._computation(line, entry)
        if tables and len(tables) < len(grammar.TABLES):
            raise BadHlo(1, f"a table of source positions is missing: {', '.join(set(grammar.TABLES) - set(tables))}")
        if entry is None or not name:
            self._incomplete(bool(name))
        module = HloModule(name, self.computations, entry, self.count, attributes, self.doubts)
        self.verifier.module(module)
        if " fusion-start(" in self.text:
            async_fusions.write_out(module)
        return module

    def _incomplete(self, headed: bool) -> NoReturn:
        """Say what a module lacks."""
        if not self.computations:
            raise BadHlo(self.number, "no computation found; legal: an HLO module as XLA prints it")
        lacks = "ENTRY computation" if headed else "HloModule header"
        raise BadHlo(self.number, f"no {lacks}; is the file cut?")

    def _line(self) -> str:
        """The next line; ``position`` and ``number`` go on to it."""
        end = self.text.find("\n", self.position)
        end = self.size if end < 0 else end
        line = self.text[self.position : end]
        self.position, self.number = end + 1, self.number + 1
        return line

    def _computation(self, line: str, entry: Computation | None) -> Computation | None:
        """Read the computation that ``line`` opens; returns the module's entry so far."""
        begun = self.number
        opening = grammar.OPENING.match(line)
        if opening is None:
            raise BadHlo(begun, f"{line.strip()[:60]!r} is no HLO module header, computation or instruction")
        is_entry, name, signature = opening.groups()
        name = name.removeprefix("%")
        if name in self.computations:
            raise BadHlo(begun, f"computation {name} is defined twice")
        if is_entry and entry is not None:
            raise BadHlo(begun, f"{name} is a second ENTRY computation, after {entry.name}; legal: one")
        computation = Computation(name)
        self._read(computation)
        self.verifier.computation(computation, signature.rstrip(), begun)
        self.computations[name] = computation
        self.count += len(computation.instructions)
        return computation if is_entry else entry

    def _read(self, computation: Computation) -> None:
        """Fill in a computation up to its closing brace."""
        text, size, number, position = self.text, self.size, self.number, self.position
        match_line, shapes = grammar.LINE.match, KNOWN_SHAPES
        verified, clean = self.verifier.known, self.verifier.clean
        instructions, by_name = computation.instructions, dict[str, Instruction]()
        while position < size:
            number += 1
            match = match_line(text, position)
            if match is not None:
                root, name, shape_text, opcode, inner, attributes, op_name, facts, configured, after = match.groups("")
                position = match.end()
            elif text.startswith("}\n", position):
                self.position, self.number = position + 2, number
                self._closed(computation, "}", number)
                return
            else:
                head = grammar.HEAD.match(text, position)
                if head is None:
                    self.position, self.number = position, number - 1
                    if self._ended(computation):
                        return
                    position = self.position
                    continue
                inner, tail = self._bracketed(head, number)
                root, name, shape_text, opcode = head.groups()
                attributes, op_name, facts, configured, after = tail.groups("")
                position = tail.end()
            if name[0] == "%":
                name = name[1:]
            elif name in RESERVED:
                raise BadHlo(number, f"{name} is a word of HLO's own and no name; legal: %{name}")
            shape = shapes.get(shape_text) or self._shape(shape_text, number)
            if after:
                attributes += after
            instruction = Instruction(name, opcode, shape, "", attributes, op_name, number)
            if configured:
                _configure(instruction, configured)
            if facts:
                self.verifier.metadata(facts, number)
            key = self._complete(computation, instruction, inner, by_name)
            if "\n" in inner:  # a literal printed over several lines
                number += inner.count("\n")
            if key is not None and verified.get(key) is not clean:
                self.verifier.instruction(computation, instruction, key)
            if attributes and "control-predecessors=" in attributes:
                self._predecessors(instruction, by_name)
            if by_name.setdefault(name, instruction) is not instruction:
                raise BadHlo(number, f"{name[:60]} is defined twice in {computation.name[:60]}")
            instructions.append(instruction)
            if root:
                if computation.root is not None:
                    raise BadHlo(number, f"{name[:60]} is a second ROOT in {computation.name[:60]}; legal: one")
                computation.root = instruction
        raise BadHlo(_last_line(text), f"the text ends inside computation {computation.name[:60]}; is the file cut?")

    def _complete(
        self, computation: Computation, instruction: Instruction, inner: str, by_name: dict[str, Instruction]
    ) -> tuple[object, ...] | None:
        """Fill in what stands in the instruction's brackets: number, literal or operands.

        Returns a key that equal instructions of the module share, ``None`` where there is nothing to verify.
        """
        opcode, attributes, shape = instruction.opcode, instruction.attributes, instruction.shape
        if opcode == "parameter":
            instruction.literal = inner
            place = _NUMBERS.get(inner)
            if place is not None and place not in computation.parameters:
                computation.parameters[place] = instruction
            else:
                self._parameter(computation, instruction)
            return (opcode, attributes) if attributes else None
        if opcode in _LITERAL:
            instruction.literal = self._literal(instruction, inner)
            return (opcode, attributes, id(shape)) if attributes or opcode != "constant" else None
        if not inner:
            return opcode, attributes, id(shape)
        try:
            if inner[0] != "%":
                operands = tuple([by_name[part] for part in inner.split(", ")])
            elif "," in inner:
                operands = tuple([by_name[part] for part in inner[1:].split(", %")])
            else:
                operands = (by_name[inner[1:]],)
        except KeyError:  # shapes or comments are among the names, or a name is missing
            operands = _operands(instruction, inner, by_name, computation)
        instruction.operands = operands
        # Shapes are kept by the instructions: within a module, one identity is one shape.
        if len(operands) == 1:
            return opcode, attributes, id(shape), id(operands[0].shape)
        if len(operands) == 2:
            return opcode, attributes, id(shape), id(operands[0].shape), id(operands[1].shape)
        return opcode, attributes, id(shape), *[id(o.shape) for o in operands]

    def _shape(self, text: str, number: int) -> Shape:
        try:
            return parse_shape(text)
        except ValueError as error:
            raise BadHlo(number, str(error)) from None

    def _bracketed(self, head: re.Match[str], number: int) -> tuple[str, re.Match[str]]:
        """Operands that hold brackets, such as shapes and literals, and what follows them."""
        start, name = head.end(), head[2][:60]
        close = closing(self.text, start - 1)
        if close < 0:
            raise BadHlo(_last_line(self.text), f"the text ends inside {name}; is the file cut?")
        tail = grammar.TAIL.match(self.text, close + 1)
        if tail is None:
            raise BadHlo(number, f"what follows the operands of {name} cannot be read: is the line cut?")
        return self.text[start:close], tail

    def _ended(self, computation: Computation) -> bool:
        """Whether the next line, which is no instruction, closes the computation; otherwise it is empty."""
        line = self._line()
        if line[:1] == "}":
            self._closed(computation, line, self.number)
            return True
        if line.strip() and not line.lstrip().startswith("//"):
            raise BadHlo(self.number, f"{line.strip()[:60]!r} is no HLO instruction")
        return False

    def _closed(self, computation: Computation, line: str, number: int) -> None:
        if line != "}" and grammar.END.match(line) is None:
            raise BadHlo(number, f"{line[:60]!r} does not close computation {computation.name[:60]}")
        if not computation.instructions:
            raise BadHlo(number, f"computation {computation.name[:60]} is empty")
        if computation.root is None:
            raise BadHlo(number, f"computation {computation.name[:60]} has no ROOT; is the file cut?")
        count = len(computation.parameters)
        if count and max(computation.parameters) != count - 1:
            raise BadHlo(number, f"the parameters of {computation.name[:60]} are not numbered 0 to {count - 1}")

    def _literal(self, instruction: Instruction, text: str) -> str:
        """The part of a constant's literal that is kept; an iota has none."""
        if instruction.opcode == "constant":
            return literals.check(instruction.name, instruction.line, instruction.shape, text)
        if text.strip():
            raise BadHlo(instruction.line, f"{instruction.name[:60]}: an iota takes no operand")
        return ""

    def _parameter(self, computation: Computation, parameter: Instruction) -> None:
        """Read the number of a parameter that is long, or was there before."""
        number = parameter.literal.strip()
        if not (number.isdecimal() and number.isascii() and len(number) < 10):
            raise BadHlo(parameter.line, f"parameter({number[:60]}) has no number")
        if int(number) in computation.parameters:
            raise BadHlo(parameter.line, f"parameter {int(number)} is defined twice in {computation.name[:60]}")
        parameter.literal = str(int(number))
        computation.parameters[int(number)] = parameter

    def _predecessors(self, instruction: Instruction, by_name: dict[str, Instruction]) -> None:
        for name in split_top((instruction.attribute("control-predecessors") or "")[1:-1]):
            if name.removeprefix("%") not in by_name:
                raise BadHlo(instruction.line, f"{instruction.name[:60]} waits for {name[:60]!r}, which is not defined above it")


def _configure(instruction: Instruction, text: str) -> None:
    """Keep the parts of a backend configuration that a rule reads."""
    if instruction.opcode in _CONFIGURED or _PARTITIONED in text or _SYNCHRONOUS in text:
        instruction.config = text
    estimate = _CYCLES.search(text)
    if estimate is not None:
        instruction.cycles = int(estimate[1])


def _last_line(text: str) -> int:
    return text.count("\n") + (not text.endswith("\n"))


def _operands(
    instruction: Instruction, text: str, by_name: dict[str, Instruction], computation: Computation
) -> tuple[Instruction, ...]:
    """The instructions above that the operand text names, with or without ``%``, comments and shapes."""
    operands: list[Instruction] = []
    for part in split_top(text) if "[" in text else COMMENT.sub("", text).split(", "):
        shape, _, name = part.rpartition(" ")
        operand = by_name.get(name.removeprefix("%"))
        if operand is None:
            raise BadHlo(
                instruction.line,
                f"{instruction.name[:60]} uses {name[:60]!r}, which {computation.name[:60]} does not define above it",
            )
        if shape:
            try:
                agrees = parse_shape(shape).plain == operand.shape.plain
            except ValueError as error:
                raise BadHlo(instruction.line, str(error)) from None
            if not agrees:
                raise BadHlo(
                    instruction.line,
                    f"{instruction.name[:60]} takes {name[:60]} for {shape[:60]}, which is {operand.shape.plain[:60]}",
                )
        operands.append(operand)
    return tuple(operands)
