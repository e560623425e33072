"""Bytes moved between main memory and the chip, at fusion boundaries.

An instruction reads each operand once and writes its result. Slices, gathers, scatters and in-place
updates count the bytes they touch, inside a fusion too: the elements that a fusion's result demands
are followed back to its parameters. Buffers in a scratchpad count apart from main memory.
"""

from cr_jax.cost import table
from cr_jax.cost.rules import call_target
from cr_jax.cost.value import Cost
from cr_jax.hlo.parse import Computation, HloModule, Instruction
from cr_jax.hlo.shapes import Shape

_PASS_THROUGH = frozenset({"bitcast", "copy", "convert", "reshape", "transpose", "reverse"})


def _place(cost: Cost, shape: Shape, read: int = 0, written: int = 0) -> None:
    """Book bytes of a buffer where its layout says it lies."""
    if shape.on_chip:
        cost.onchip_bytes += read + written
    else:
        cost.read_bytes += read
        cost.written_bytes += written


def _part(shape: Shape, elements: int) -> int:
    """Bytes of ``elements`` elements of a buffer, its tile padding in proportion."""
    if elements >= shape.elements:
        return shape.bytes
    return -(-shape.bytes * elements // max(1, shape.elements))


def plain(instruction: Instruction) -> Cost:
    """Traffic of one instruction that is neither fusion nor control flow."""
    opcode, cost, operands = instruction.opcode, Cost(), instruction.operands
    if opcode in table.FREE or (opcode == "custom-call" and call_target(instruction) in table.FREE_CALLS):
        return cost
    shape = instruction.shape
    if opcode in ("dynamic-slice", "slice", "gather"):
        _place(cost, operands[0].shape, read=_part(operands[0].shape, shape.elements))
        for index in operands[1:]:
            _place(cost, index.shape, read=index.shape.bytes)
        _place(cost, shape, written=shape.bytes)
        return cost
    if opcode == "dynamic-update-slice":
        update = operands[1].shape
        for operand in operands[1:]:
            _place(cost, operand.shape, read=operand.shape.bytes)
        _place(cost, shape, written=_part(shape, update.elements))
        return cost
    if opcode == "scatter":
        half = len(operands) // 2
        for operand in operands[half:]:
            _place(cost, operand.shape, read=operand.shape.bytes)
        for target, update in zip(operands[:half], operands[half + 1 :], strict=False):
            touched = _part(target.shape, update.shape.elements)
            _place(cost, target.shape, read=touched, written=touched)
        return cost
    if opcode in ("copy-start", "slice-start"):
        moved = shape.parts[1] if opcode == "slice-start" and len(shape.parts) > 1 else shape.parts[0]
        source = operands[0].shape
        _place(cost, source, read=_part(source, moved.elements))
        _place(cost, moved, written=moved.bytes)
        return cost
    for operand in {id(o): o for o in operands}.values():
        for leaf in operand.shape.leaves:
            _place(cost, leaf, read=leaf.bytes)
    results = shape.leaves
    if opcode.endswith("-start") and opcode in table.COLLECTIVE and shape.parts:
        results = shape.parts[-1].leaves  # (operands, results): the operands are aliased
    for leaf in results:
        _place(cost, leaf, written=leaf.bytes)
    return cost


class Fusions:
    """Traffic of fusions; what a fused computation demands is worked out once."""

    def __init__(self, module: HloModule):
        self._module = module
        self._demands: dict[str, dict[int, int]] = {}

    def cost(self, fusion: Instruction) -> Cost:
        """Parameters as far as they are demanded, results as far as they are written."""
        called = self._module.find(fusion.called("calls"), fusion)
        demanded = self.demand(called)
        cost = Cost()
        seen: dict[int, tuple[Shape, int]] = {}
        for number, operand in enumerate(fusion.operands):
            shape = operand.shape
            wanted = demanded.get(number, shape.elements)
            _, before = seen.get(id(operand), (shape, 0))
            seen[id(operand)] = (shape, min(shape.elements, before + wanted))
        for shape, wanted in seen.values():
            if shape.parts:
                for leaf in shape.leaves:
                    _place(cost, leaf, read=leaf.bytes)
            elif wanted:
                _place(cost, shape, read=_part(shape, wanted))
        root = called.result
        roots = root.operands if root.opcode == "tuple" and fusion.shape.parts else (root,)
        shapes = fusion.shape.parts or (fusion.shape,)
        for value, shape in zip(roots, shapes, strict=False):
            self._written(cost, value, shape)
        return cost

    def _written(self, cost: Cost, value: Instruction, shape: Shape) -> None:
        updated = in_place_update(value, self._module)
        if updated is None:
            for leaf in shape.leaves:
                _place(cost, leaf, written=leaf.bytes)
        else:
            _place(cost, shape, written=_part(shape, updated))

    def demand(self, computation: Computation) -> dict[int, int]:
        """Elements read of each parameter, by its number."""
        known = self._demands.get(computation.name)
        if known is None:
            known = self._demands[computation.name] = self._work_out(computation)
        return known

    def _work_out(self, computation: Computation) -> dict[int, int]:
        wanted: dict[int, int] = {}

        def want(value: Instruction, elements: int) -> None:
            whole = value.shape.elements
            wanted[id(value)] = min(whole, wanted.get(id(value), 0) + elements)

        root = computation.result
        want(root, root.shape.elements)
        if root.opcode == "tuple":
            for part in root.operands:
                want(part, part.shape.elements)
        for value in reversed(computation.instructions):
            elements = wanted.get(id(value), 0)
            if not elements or not value.operands:
                continue
            opcode, operands = value.opcode, value.operands
            if opcode in ("dynamic-slice", "slice", "gather"):
                want(operands[0], min(elements, value.shape.elements))
                for index in operands[1:]:
                    want(index, index.shape.elements)
            elif opcode == "dynamic-update-slice":
                update = operands[1]
                if in_place_update(value, self._module) is None:
                    want(operands[0], elements)
                for operand in operands[1:]:
                    want(operand, operand.shape.elements)
                want(update, min(elements, update.shape.elements))
            elif opcode == "scatter":
                half = len(operands) // 2
                for target, update in zip(operands[:half], operands[half + 1 :], strict=False):
                    want(target, update.shape.elements)
                for operand in operands[half:]:
                    want(operand, operand.shape.elements)
            elif opcode in table.ELEMENTWISE or opcode in _PASS_THROUGH or opcode in ("pad", "broadcast"):
                for operand in operands:
                    want(operand, elements)
            elif opcode == "fusion":
                inner = self.demand(self._module.find(value.called("calls"), value))
                for number, operand in enumerate(operands):
                    want(operand, inner.get(number, operand.shape.elements))
            elif opcode == "get-tuple-element" or opcode == "tuple":
                for operand in operands:
                    want(operand, operand.shape.elements)
            else:
                for operand in operands:
                    want(operand, operand.shape.elements)
        return {number: wanted.get(id(p), 0) for number, p in computation.parameters.items()}


def in_place_update(value: Instruction, module: HloModule) -> int | None:
    """Elements written when ``value`` updates a slice of a parameter in place, else ``None``."""
    for _ in range(20):
        if value.opcode == "bitcast":
            value = value.operands[0]
        elif value.opcode == "fusion":
            inner = module.find(value.called("calls"), value).result
            if inner.opcode != "dynamic-update-slice":
                return None
            value = inner
        else:
            break
    if value.opcode == "scatter":
        return value.operands[len(value.operands) // 2 + 1].shape.elements
    if value.opcode != "dynamic-update-slice":
        return None
    target = value.operands[0]
    while target.opcode in ("bitcast", "get-tuple-element") and target.operands:
        target = target.operands[0]
    return value.operands[1].shape.elements if target.opcode == "parameter" else None
