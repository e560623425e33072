"""Bytes moved between main memory and the chip, at fusion boundaries.

An instruction reads each operand once and writes its result. Slices, gathers, scatters and in-place
updates count the bytes they touch, inside a fusion too: the elements that a fusion's result demands
are followed back to its parameters. Buffers in a scratchpad count apart from main memory.
"""

from collections.abc import Iterable

from cr_jax.cost.cost import Cost
from cr_jax.cost.rules import collective_rules, opcode_rules
from cr_jax.cost.rules.custom_calls import call_target
from cr_jax.hlo.module import Computation, HloModule, Instruction
from cr_jax.hlo.shapes import Shape

#: An element of the result needs at most one element of each operand.
_ONE_FOR_ONE = opcode_rules.ELEMENTWISE | {"bitcast", "copy", "convert", "reshape", "transpose", "reverse", "pad", "broadcast"}
#: Opcodes of an update in place, or between it and the result.
_UPDATING = frozenset({"dynamic-update-slice", "scatter", "fusion", "bitcast"})
#: Operations that may read part of an operand.
_IN_PART = frozenset({"dynamic-slice", "slice", "gather", "dynamic-update-slice", "scatter", "fusion"})
#: Libraries that return their workspace beside the result.
_WITH_WORKSPACE = ("__cublas$", "__cudnn$")


def _place(cost: Cost, shape: Shape, read: int = 0, written: int = 0) -> None:
    """Book the bytes of a buffer in the memory space of its layout."""
    if shape.on_chip:
        cost.onchip_bytes += read + written
    else:
        cost.read_bytes += read
        cost.written_bytes += written


def results_of(instruction: Instruction) -> tuple[Shape, ...]:
    """The arrays that an instruction returns, without a library's workspace."""
    results = instruction.shape.leaves
    if instruction.opcode == "custom-call" and call_target(instruction).startswith(_WITH_WORKSPACE):
        return tuple(leaf for n, leaf in enumerate(results) if n == 0 or leaf.dtype not in ("s8", "u8"))
    return results


def _part(shape: Shape, elements: int) -> int:
    """Bytes of ``elements`` elements of a buffer, its tile padding in proportion."""
    if elements >= shape.elements:
        return shape.bytes
    return -(-shape.bytes * elements // max(1, shape.elements))


def plain(instruction: Instruction) -> Cost:
    """Traffic of one instruction that is neither fusion nor control flow."""
    opcode, cost, operands = instruction.opcode, Cost(), instruction.operands
    if opcode in opcode_rules.FREE or (opcode == "custom-call" and call_target(instruction) in opcode_rules.FREE_CALLS):
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
        moved = shape.parts[1 if opcode == "slice-start" and len(shape.parts) > 1 else 0]
        source = operands[0].shape
        _place(cost, source, read=_part(source, moved.elements))
        _place(cost, moved, written=moved.bytes)
        return cost
    for operand in operands if len(operands) < 2 else {id(o): o for o in operands}.values():
        for leaf in operand.shape.leaves:
            _place(cost, leaf, read=leaf.bytes)
    results = collective_rules.results(instruction) if opcode in opcode_rules.COLLECTIVE else results_of(instruction)
    for leaf in results:
        _place(cost, leaf, written=leaf.bytes)
    return cost


class Fusions:
    """Traffic of fusions; the demand of each fused computation is computed once."""

    def __init__(self, module: HloModule) -> None:
        self._module = module
        self._demands: dict[tuple[str, bool], dict[int, int]] = {}

    def cost(self, fusion: Instruction) -> Cost:
        """Parameters as far as they are demanded, results as far as they are written."""
        called = fusion.callee or self._module.find(fusion.called("calls"), fusion)
        demanded = self.demand(called)
        cost = Cost()
        operands = fusion.operands
        passed: frozenset[int] = frozenset()
        if "output_to_operand_aliasing" in fusion.attributes:
            passed, given = collective_rules.passed_on(fusion, called)
            demanded = {number: wanted for number, wanted in demanded.items() if number not in given}
        if len(operands) == len(set(map(id, operands))):
            read = [(operand.shape, demanded.get(number, 0)) for number, operand in enumerate(operands)]
        else:
            read = list(_together(operands, demanded))
        for shape, wanted in read:
            if not wanted:
                continue
            if shape.is_tuple:
                for leaf in shape.leaves:
                    _place(cost, leaf, read=leaf.bytes)
            elif shape.on_chip:
                cost.onchip_bytes += _part(shape, wanted)
            else:
                cost.read_bytes += shape.bytes if wanted >= shape.elements else _part(shape, wanted)
        roots = _roots(called)
        shapes = fusion.shape.parts if called.result.opcode == "tuple" else (fusion.shape,)
        for number, (value, shape) in enumerate(zip(roots, shapes, strict=False)):
            updated = self.updated(value) if value.opcode in _UPDATING else None
            if updated is None and not shape.is_tuple and not shape.on_chip and not passed:
                cost.written_bytes += shape.bytes
                continue
            for place, leaf in enumerate(shape.leaves, number):
                if place not in passed:
                    _place(cost, leaf, written=leaf.bytes if updated is None else _part(leaf, updated))
        return cost

    def updated(self, value: Instruction) -> int | None:
        """Elements written where a result updates part of a parameter in place, else ``None``.

        The buffer of an in-place update is the parameter's own, which the compiler has copied beforehand if another operation
        needs it.
        """
        value = _behind(value, ("bitcast",))
        update = self._update(value)
        if update is None:
            return None
        operand = 1 if update.opcode == "dynamic-update-slice" else len(update.operands) // 2 + 1
        return update.operands[operand].shape.elements

    def _update(self, value: Instruction) -> Instruction | None:
        """The update that ``value`` is, perhaps inside a nested fusion, if it changes a parameter."""
        if value.opcode == "fusion":
            inner = self._module.find(value.called("calls"), value)
            update = self._update(_behind(inner.result, ("bitcast",)))
            if update is None:
                return None
            # The innermost target is a parameter of its fusion, and must be bound to a parameter too.
            bound = self._bound(value, inner)
            return update if bound is not None and bound.opcode == "parameter" else None
        if value.opcode not in ("dynamic-update-slice", "scatter"):
            return None
        return value if _target(value).opcode == "parameter" else None

    def _bound(self, fusion: Instruction, inner: Computation) -> Instruction | None:
        """The value in the surrounding computation that a fusion updates through its parameter."""
        update = _behind(inner.result, ("bitcast",))
        if update.opcode == "fusion":
            parameter = self._bound(update, self._module.find(update.called("calls"), update))
        else:
            parameter = _target(update)
        if parameter is None or parameter.opcode != "parameter" or int(parameter.literal) >= len(fusion.operands):
            return None
        return _behind(fusion.operands[int(parameter.literal)], ("bitcast", "get-tuple-element"))

    def changed(self, computation: Computation) -> list[tuple[int, int]]:
        """(result, parameter) of a fused computation whose result is the parameter updated in place."""
        updates: list[tuple[int, int]] = []
        for number, value in enumerate(_roots(computation)):
            value = _behind(value, ("bitcast",))
            if self._update(value) is None:
                continue
            if value.opcode == "fusion":
                target = self._bound(value, self._module.find(value.called("calls"), value))
            else:
                target = _target(value)
            if target is not None and target.opcode == "parameter":
                updates.append((number, int(target.literal)))
        return updates

    def demand(self, computation: Computation, in_place: bool = True) -> dict[int, int]:
        """Elements read of each parameter, by its number.

        in_place: the computation's results are the fusion's, so that an update among them need not read the unchanged part.
        Inside a fusion an updated array is one more value to compute.
        """
        key = computation.name, in_place
        known = self._demands.get(key)
        if known is None:
            known = self._demands[key] = self._work_out(computation, in_place)
        return known

    def _work_out(self, computation: Computation, in_place: bool) -> dict[int, int]:
        opcodes = {value.opcode for value in computation.instructions}
        if opcodes.isdisjoint(_IN_PART):
            used = {id(operand) for value in computation.instructions for operand in value.operands}
            used.add(id(computation.result))
            if len(used) == len(computation.instructions):  # all elements are needed
                return {number: p.shape.elements for number, p in computation.parameters.items()}
        wanted: dict[int, int] = {}  # elements by the value's id
        updates: set[int] = set()
        for value in _roots(computation):
            wanted[id(value)] = value.shape.elements
            if in_place and self.updated(value) is not None:
                updates.add(id(_behind(value, ("bitcast",))))

        def want(value: Instruction, elements: int) -> None:
            had = wanted.get(id(value), 0)
            wanted[id(value)] = min(value.shape.elements, had + elements)

        for value in reversed(computation.instructions):
            operands = value.operands
            elements = wanted.get(id(value), 0) if operands else 0
            if not elements:
                continue
            opcode, first = value.opcode, 0  # operands from ``first`` on are read whole
            if opcode in _ONE_FOR_ONE:
                for operand in operands:  # as ``want``; this is the loop's most frequent case
                    place = id(operand)
                    if place in wanted:
                        want(operand, elements)
                    else:
                        limit = operand.shape.elements
                        wanted[place] = elements if elements < limit else limit
                continue
            if opcode in ("dynamic-slice", "slice", "gather"):
                want(operands[0], min(elements, value.shape.elements))
                first = 1
            elif opcode == "dynamic-update-slice":
                want(operands[0], 0 if id(value) in updates else elements)
                first = 1
            elif opcode == "scatter":
                first = len(operands) // 2
                for target, update in zip(operands[:first], operands[first + 1 :], strict=False):
                    want(target, update.shape.elements if id(value) in updates else elements)
            elif opcode == "fusion":
                inner = self._module.find(value.called("calls"), value)
                demanded = self.demand(inner, id(value) in updates)
                for number, operand in enumerate(operands):
                    want(operand, demanded.get(number, operand.shape.elements))
                continue
            for operand in operands[first:]:
                want(operand, operand.shape.elements)
        return {number: wanted.get(id(p), 0) for number, p in computation.parameters.items()}


def _together(operands: tuple[Instruction, ...], demanded: dict[int, int]) -> Iterable[tuple[Shape, int]]:
    """Each operand with the elements read of it; one that is given twice is read once."""
    wanted: dict[int, tuple[Shape, int]] = {}
    for number, operand in enumerate(operands):
        _, before = wanted.get(id(operand), (operand.shape, 0))
        wanted[id(operand)] = operand.shape, min(operand.shape.elements, before + demanded.get(number, 0))
    return wanted.values()


def _roots(computation: Computation) -> tuple[Instruction, ...]:
    """The values that a fused computation writes: the parts of its tuple, or its one root."""
    root = computation.result
    return root.operands if root.opcode == "tuple" else (root,)


def _behind(value: Instruction, opcodes: tuple[str, ...]) -> Instruction:
    while value.opcode in opcodes and value.operands:
        value = value.operands[0]
    return value


def _target(update: Instruction) -> Instruction:
    """The array that an update changes, behind reinterpretations."""
    return _behind(update.operands[0], ("bitcast", "get-tuple-element"))
