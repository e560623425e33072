"""Buffers that results share with operands: always, or where the operand is not read again.

The rules are XLA's own (``HloDataflowAnalysis``): an in-place update changes its target's buffer, which the compiler has copied
beforehand if another operation needs it; an element-wise operation may write over an operand of the same size that is not read
again.
"""

import re

from cr_jax.cost.rules import opcode_rules
from cr_jax.cost.rules.traffic import Fusions
from cr_jax.hlo.module import HloModule, Instruction
from cr_jax.hlo.shapes import Shape

_PAIR = re.compile(r"\{([\d, ]*)\}: \((\d+), \{([\d, ]*)\}")
#: Kinds of fusions whose threads read and write the same places.
_KINDS = frozenset({"kLoop", "kInput", "kOutput"})
_SAME_PLACE = opcode_rules.ELEMENTWISE | {"bitcast", "copy", "bitcast-convert"}

#: Leaf of the result -> (operand, leaf of the operand).
Pairs = dict[int, tuple[int, int]]


def pairs(text: str, shape: Shape) -> list[tuple[int, int, tuple[int, ...]]]:
    """``{ {0}: (2, {}, may-alias), ... }`` as (leaf of ``shape``, operand or parameter, its index)."""
    aliases: list[tuple[int, int, tuple[int, ...]]] = []
    for result, operand, index in _PAIR.findall(text):
        leaf = leaf_at(shape, tuple(int(n) for n in result.split(",") if n.strip()))
        aliases.append((leaf, int(operand), tuple(int(n) for n in index.split(",") if n.strip())))
    return aliases


def leaf_at(shape: Shape, index: tuple[int, ...]) -> int:
    """The number, among the leaves of ``shape``, of the first leaf under ``index``."""
    before = 0
    for place in index:
        before += sum(len(part.leaves) for part in shape.parts[:place])
        shape = shape.parts[place]
    return before


class Aliasing:
    """In-place results and reusable operands; each fused computation is read once."""

    def __init__(self, module: HloModule) -> None:
        self._module, self._fusions = module, Fusions(module)
        self._places: dict[str, list[tuple[int, int]]] = {}
        self._changed: dict[str, list[tuple[int, int]]] = {}

    def certain(self, instruction: Instruction) -> Pairs:
        """Results that always lie in an operand's buffer."""
        opcode = instruction.opcode
        if opcode == "dynamic-update-slice":
            return {0: (0, 0)}
        if opcode == "scatter":
            return {n: (n, 0) for n in range(len(instruction.operands) // 2)}
        aliases: Pairs = {}
        if opcode == "fusion":
            for leaf, operand in self._updates(instruction):
                aliases[leaf] = (operand, 0)
        told = instruction.attribute("output_to_operand_aliasing") if opcode in ("fusion", "custom-call") else None
        for leaf, operand, index in pairs(told or "", instruction.shape):
            aliases[leaf] = (operand, leaf_at(instruction.operands[operand].shape, index))
        return aliases

    def possible(self, instruction: Instruction) -> list[tuple[int, int]]:
        """(leaf of the result, operand) that may share a buffer if the operand is not read again."""
        opcode, operands = instruction.opcode, instruction.operands
        if opcode == "fusion":
            if instruction.attribute("kind") not in _KINDS:
                return []
            candidates = self._same_places(instruction)
        elif opcode == "sort":
            candidates = [(n, n) for n in range(len(operands))]
        elif opcode in _SAME_PLACE:
            candidates = [(0, n) for n in range(len(operands))]
        else:
            return []
        leaves = instruction.shape.leaves
        return [
            (leaf, operand)
            for leaf, operand in candidates
            if not operands[operand].shape.parts and _alike(leaves[leaf], operands[operand].shape)
        ]

    def _updates(self, fusion: Instruction) -> list[tuple[int, int]]:
        called = self._module.find(fusion.called("calls"), fusion)
        known = self._changed.get(called.name)
        if known is None:
            known = self._changed[called.name] = self._fusions.changed(called)
        return known

    def _same_places(self, fusion: Instruction) -> list[tuple[int, int]]:
        """Outputs and parameters of a fused computation with only element-wise operations between them."""
        called = self._module.find(fusion.called("calls"), fusion)
        known = self._places.get(called.name)
        if known is not None:
            return known
        reach: dict[int, frozenset[int]] = {}  # parameters from which a value is made
        moved: set[int] = set()  # parameters that are also read at other places than the result's
        for value in called.instructions:
            if value.opcode == "parameter":
                reach[id(value)] = frozenset((int(value.literal),))
                continue
            made = frozenset[int]().union(*(reach[id(o)] for o in value.operands))
            still = value.opcode in _SAME_PLACE or value.opcode in ("tuple", "get-tuple-element")
            if not still or (value.opcode == "copy" and value.shape.order != value.operands[0].shape.order):
                moved |= made
            reach[id(value)] = made
        root = called.result
        results = root.operands if root.opcode == "tuple" else (root,)
        known = [(leaf, n) for leaf, value in enumerate(results) for n in sorted(reach[id(value)] - moved)]
        self._places[called.name] = known
        return known


def _alike(result: Shape, operand: Shape) -> bool:
    """Whether one buffer holds either: as many bytes, in the same place."""
    return result.bytes == operand.bytes and result.space == operand.space and result.order == operand.order
