"""Checks that HLO text is a consistent program, after XLA's own ``HloVerifier``.

A text that was cut or damaged, and whose parts contradict each other, is refused. A part that this version does not know (an
attribute of a later XLA) is no contradiction: it is noted as a doubt, and the count is then not called exact. Layouts and the
precision of floats may differ between an operation and its operands, as they do after a compiler's own passes.
"""

import re

from cr_jax.errors import BadHlo
from cr_jax.hlo import grammar, opcodes
from cr_jax.hlo.module import DEEPEST, Computation, HloModule, Instruction
from cr_jax.hlo.shape_checks import Mismatch
from cr_jax.hlo.shape_rules import RULES
from cr_jax.hlo.shapes import COMMENT, Shape, parse_shape, split_top

_FUSION = re.compile(r", kind=k(?:Loop|Input|Output|Custom), calls=%?([\w.\-]+)\Z", re.ASCII)
_CALLED = re.compile(r"%?([\w.\-]+)", re.ASCII)
_ALIAS = re.compile(r"\{([\d, ]*+)\}: \((\d{1,9}), \{([\d, ]*+)\}(?:, (?:may|must)-alias)?\)", re.ASCII)
_LAYOUT = re.compile(r"\{\((.*)\)->(.*)\}\Z")


#: The doubts about an instruction, and the depth of the computations that it calls.
_Checked = tuple[tuple[str, ...], int]


class Verifier:
    """Checks instructions as they are read; equal ones (operation, attributes, shapes) once."""

    def __init__(self, computations: dict[str, Computation], doubts: dict[str, int]) -> None:
        self._computations, self._doubts = computations, doubts
        #: Correct instructions without calls and without doubts.
        self.clean: _Checked = (), 0
        self.known: dict[tuple[object, ...], _Checked] = {}

    def instruction(self, computation: Computation, instruction: Instruction, key: tuple[object, ...]) -> None:
        """Raise ``BadHlo`` unless operands, attributes, called computations and shapes fit together.

        key: equal for equal instructions of the module.
        """
        checked = self.known.get(key)
        if checked is None:
            result = self._fusion(instruction) or self._check(instruction)
            checked = self.known[key] = self.clean if result == self.clean else result
        doubts, depth = checked
        for doubt in doubts:
            self._doubt(doubt)
        if depth >= computation.depth:
            computation.depth = depth + 1
            if depth >= DEEPEST:
                raise BadHlo(instruction.line, f"{computation.name[:60]} calls computations more than {DEEPEST} levels deep")

    def metadata(self, facts: str, line: int) -> None:
        """Note the facts in an instruction's metadata that are not known; ``facts`` begins with one that is unknown or wrong."""
        names = grammar.FACT_NAME.findall(facts)
        if names[0] in grammar.FACTS:
            raise BadHlo(line, f"the metadata has a value of {names[0]} that cannot be read")
        for name in set(names) - grammar.FACTS:
            self._doubt(f"metadata {name[:40]}")

    def computation(self, computation: Computation, signature: str, line: int) -> None:
        """Raise ``BadHlo`` unless a computation's signature fits its parameters and root."""
        if not signature:
            return
        parameters = [computation.parameters[n] for n in range(len(computation.parameters))]
        expected = f"({', '.join([f'{p.name}: {p.shape.plain}' for p in parameters])}) -> {computation.result.shape.plain}"
        if signature == expected or ("/*" in signature and COMMENT.sub("", signature) == expected):
            return
        given, arrow, result = signature.rpartition(" -> ")
        try:
            named = [part.partition(": ") for part in split_top(given[1:-1])]
            shapes = [parse_shape(shape.strip()) for _, _, shape in named]
            returned = parse_shape(result.strip())
        except ValueError as error:
            raise BadHlo(line, f"the signature of {computation.name[:60]} cannot be read: {error}") from None
        legal = all(colon and grammar.PARAMETER.match(name) for name, colon, _ in named)
        if not arrow or given[:1] != "(" or given[-1:] != ")" or not legal:
            raise BadHlo(line, f"the signature of {computation.name[:60]} cannot be read; legal: (NAME: SHAPE, ...) -> SHAPE")
        if [s.plain for s in shapes] != [p.shape.plain for p in parameters]:
            raise BadHlo(line, f"the parameters of {computation.name[:60]} are not those of its signature; is the file cut?")
        if returned.plain != computation.result.shape.plain:
            raise BadHlo(
                line,
                f"the ROOT of {computation.name[:60]} is {computation.result.shape.plain[:60]}, not "
                f"{returned.plain[:60]}; is the file cut?",
            )

    def module(self, module: HloModule) -> None:
        """Raise ``BadHlo`` unless the module's layout and aliases are those of its entry."""
        entry = module.entry
        layout = module.attribute("entry_computation_layout")
        if layout is not None:
            self._entry_layout(entry, layout)
        for result, number, index in _ALIAS.findall(module.attribute("input_output_alias") or ""):
            parameter = entry.parameters.get(int(number))
            if parameter is None or _part(parameter.shape, index) is None or _part(entry.result.shape, result) is None:
                raise BadHlo(
                    1,
                    f"input_output_alias names result {{{result}}} and part {{{index}}} of parameter {number}: the "
                    "entry has no such",
                )
        for name in grammar.ATTRIBUTE_NAME.findall(module.header):
            if name not in _MODULE_ATTRIBUTES:
                self._doubt(f"attribute {name[:40]} of the module")
            elif name in opcodes.VALUES and not opcodes.VALUES[name].match(module.attribute(name) or ""):
                raise BadHlo(1, f"the module has {name}={(module.attribute(name) or '')[:60]}, which cannot be read")

    def _entry_layout(self, entry: Computation, layout: str) -> None:
        match = _LAYOUT.match(COMMENT.sub("", layout))
        try:
            shapes = [parse_shape(part) for part in split_top(match[1])] if match else []
            result = parse_shape(match[2].strip()) if match else None
        except ValueError as error:
            raise BadHlo(1, f"entry_computation_layout cannot be read: {error}") from None
        if result is None:
            raise BadHlo(1, "entry_computation_layout cannot be read; legal: {(SHAPE, ...)->SHAPE}")
        parameters = [entry.parameters[n].shape.plain for n in range(len(entry.parameters))]
        if [s.plain for s in shapes] != parameters or result.plain != entry.result.shape.plain:
            raise BadHlo(1, f"entry_computation_layout is not that of the entry {entry.name[:60]}; is the file cut?")

    def _doubt(self, what: str) -> None:
        self._doubts[what] = self._doubts.get(what, 0) + 1

    def _fusion(self, instruction: Instruction) -> _Checked | None:
        """The result of :meth:`_check` for a correct plain fusion, the most frequent caller; else ``None``."""
        plain = _FUSION.match(instruction.attributes) if instruction.opcode == "fusion" else None
        callee = self._computations.get(plain[1]) if plain else None
        if callee is None or len(callee.parameters) != len(instruction.operands):
            return None
        for number, operand in enumerate(instruction.operands):
            if callee.parameters[number].shape.plain != operand.shape.plain:
                return None
        if callee.result.shape.plain != instruction.shape.plain:
            return None
        instruction.callee = callee
        return (), callee.depth

    def _check(self, instruction: Instruction) -> _Checked:
        """The doubts about an instruction, and the depth of the computations it calls. Raises ``BadHlo``."""
        opcode, operands = instruction.opcode, instruction.operands
        names = grammar.ATTRIBUTE_NAME.findall(instruction.attributes) if instruction.attributes else []
        if len(set(names)) < len(names):
            raise self._wrong(instruction, "an attribute stands twice")
        allowed = opcodes.attributes(opcode)
        if allowed is None:
            return (opcode[:80],), 0
        for name in opcodes.REQUIRED.get(opcode, ()):
            if name not in names:
                raise self._wrong(instruction, f"has no {name}")
        wanted = opcodes.OPERANDS.get(opcode)
        if wanted is not None and len(operands) != wanted:
            raise self._wrong(instruction, f"has {len(operands)} operands; legal: {wanted}")
        doubts = [
            f"attribute {name[:40]} of {opcode[:40]}"
            for name in names
            if (name not in allowed and name not in opcodes.COMMON) or not self._spelt(instruction, name)
        ]
        called = {name: self._called(instruction, name) for name in opcodes.CALLING if name in names}
        rule = RULES.get(opcode)
        if rule is not None:
            try:
                rule(instruction, called)
            except Mismatch as error:
                raise self._wrong(instruction, str(error)) from None
            except (IndexError, ValueError, KeyError) as error:
                raise self._wrong(instruction, f"is malformed: {error}") from None
        if opcode == "copy" and instruction.shape.is_tuple:
            doubts.append("copy of a tuple")
        return tuple(doubts), max((one.depth for many in called.values() for one in many), default=0)

    def _spelt(self, instruction: Instruction, name: str) -> bool:
        """Whether the value of an attribute is spelt as known; raises ``BadHlo`` where there is no other way."""
        pattern, value = opcodes.VALUES.get(name), instruction.attribute(name) or ""
        if name == "operand_layout_constraints":
            try:
                return bool([parse_shape(part) for part in split_top(value[1:-1])]) or value == "{}"
            except ValueError as error:
                raise self._wrong(instruction, f"has {name} that cannot be read: {error}") from None
        if pattern is None or pattern.match(value):
            return True
        if name in opcodes.OPEN:
            return False
        raise self._wrong(instruction, f"has {name}={value[:60]}, which cannot be read")

    def _called(self, instruction: Instruction, key: str) -> list[Computation]:
        names = _CALLED.findall(instruction.attribute(key) or "")
        missing = next((name for name in names if name not in self._computations), None)
        if missing is not None or not names:
            raise self._wrong(instruction, f"calls {(missing or '')[:60]!r}, which the text does not define above it")
        return [self._computations[name] for name in names]

    def _wrong(self, instruction: Instruction, reason: str) -> BadHlo:
        return BadHlo(instruction.line, f"{instruction.opcode[:40]} {instruction.name[:60]} {reason}")


def _part(shape: Shape, index: str) -> Shape | None:
    for place in (int(n) for n in index.split(",") if n.strip()):
        if place >= len(shape.parts):
            return None
        shape = shape.parts[place]
    return shape


#: Of the module's first line.
_MODULE_ATTRIBUTES = frozenset(
    {
        "is_scheduled",
        "replica_count",
        "num_partitions",
        "entry_computation_layout",
        "input_output_alias",
        "buffer_donor",
        "alias_passthrough_params",
        "frontend_attributes",
        "allow_spmd_sharding_propagation_to_parameters",
        "allow_spmd_sharding_propagation_to_output",
        "spmd_parameters_shardings",
        "spmd_output_sharding",
        "ar_crs_combiner",
        "use_auto_spmd_partitioning",
        "origin_recovery_table",
        "original_value_recovery_table",
        "profile_info",
        "stack_frame_index",
        "use_shardy_partitioner",
    }
)
