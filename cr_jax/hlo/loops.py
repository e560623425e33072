"""Trip counts of ``while`` loops: annotated by the compiler, inferred from the text, or unknown.

Inference evaluates scalars symbolically: the initial value, the step and the limit of the induction
variable, through copies, conversions, fusions, calls and tuple elements that a surrounding loop
carries unchanged. What cannot be evaluated is unknown; it is never taken to be one.
"""

import re
from dataclasses import dataclass

from cr_jax.hlo.parse import Computation, HloModule, Instruction

_KNOWN = re.compile(r'"?known_trip_count"?\s*:\s*\{\s*"?n"?\s*:\s*"?(\d+)')
_TRANSPARENT = frozenset({
    "copy", "bitcast", "convert", "reshape", "copy-start", "copy-done", "optimization-barrier", "broadcast",
    "bitcast-convert",
})  # fmt: skip
_FLIPPED = {"LT": "GT", "LE": "GE", "GT": "LT", "GE": "LE", "NE": "NE"}
_DEPTH = 200


@dataclass(frozen=True)
class TripCount:
    """``count`` is ``None`` when unknown; source: annotated | inferred | given | unknown."""

    count: int | None
    source: str


@dataclass(frozen=True, eq=False)
class Frame:
    """Where a computation is called from: binds its parameters to the caller's operands."""

    computation: Computation
    caller: Instruction | None = None
    outer: "Frame | None" = None


@dataclass(frozen=True)
class _Linear:
    """``base + step`` where base is the value of tuple element ``index`` at the iteration's start."""

    index: int
    step: int


def trip_count(module: HloModule, loop: Instruction, frame: Frame) -> TripCount:
    """How often ``loop``, an instruction of ``frame.computation``, runs its body."""
    known = _KNOWN.search(loop.config)
    if known:
        return TripCount(int(known[1]), "annotated")
    count = _infer(module, loop, frame)
    return TripCount(count, "unknown" if count is None else "inferred")


def _infer(module: HloModule, loop: Instruction, frame: Frame) -> int | None:
    condition = module.find(loop.called("condition"), loop)
    body = module.find(loop.called("body"), loop)
    inner = Frame(condition, loop, frame)
    compared = _comparison(module, condition.result, inner)
    if compared is None:
        return None
    left, right, direction, where = compared
    for variable, limit, sense in ((left, right, direction), (right, left, _FLIPPED.get(direction, ""))):
        place = _element(module, variable, where)
        if place is None:
            continue
        bound = _constant(module, limit, where, _DEPTH)
        start = _tuple_element(module, loop.operands[0], place[0], frame, _DEPTH)
        step = _step(module, body, place[0], Frame(body, loop, frame))
        if bound is None or start is None or not step:
            continue
        return _iterations(start + place[1], bound, step, sense)
    return None


def _iterations(start: int, bound: int, step: int, sense: str) -> int | None:
    if sense in ("LT", "LE") and step > 0:
        return max(0, -(-(bound + (sense == "LE") - start) // step))
    if sense in ("GT", "GE") and step < 0:
        return max(0, -(-(start - bound + (sense == "GE")) // -step))
    if sense == "NE" and (bound - start) % step == 0 and (bound - start) // step >= 0:
        return (bound - start) // step
    return None


def _comparison(module: HloModule, root: Instruction, frame: Frame):
    """The compare at the root of a condition, with the frame its operands live in."""
    for _ in range(_DEPTH):
        if root.opcode == "compare":
            direction = root.attribute("direction") or ""
            return root.operands[0], root.operands[1], direction, frame
        if root.opcode in ("fusion", "call"):
            called = module.find(root.called("calls") or root.called("to_apply"), root)
            root, frame = called.result, Frame(called, root, frame)
        elif root.opcode in _TRANSPARENT and root.operands:
            root = root.operands[0]
        else:
            return None
    return None


def _parameter(instruction: Instruction, frame: Frame) -> tuple[Instruction, Frame] | None:
    """What a fusion's or call's parameter is bound to, one frame out."""
    caller, outer = frame.caller, frame.outer
    if caller is None or outer is None or caller.opcode not in ("fusion", "call"):
        return None
    number = int(instruction.literal)
    return (caller.operands[number], outer) if number < len(caller.operands) else None


def _element(module: HloModule, value: Instruction, frame: Frame) -> tuple[int, int] | None:
    """``value`` as (element of the loop's tuple, offset added to it), seen from the condition."""
    offset = 0
    for _ in range(_DEPTH):
        if value.opcode == "get-tuple-element" and value.operands[0].opcode == "parameter":
            return value.numbers("index")[0], offset
        if value.opcode in ("add", "subtract"):
            constant = _constant(module, value.operands[1], frame, _DEPTH)
            if constant is None:
                return None
            offset += constant if value.opcode == "add" else -constant
            value = value.operands[0]
        elif value.opcode in _TRANSPARENT and value.operands:
            value = value.operands[0]
        elif value.opcode == "parameter":
            bound = _parameter(value, frame)
            if bound is None:
                return None
            value, frame = bound
        else:
            return None
    return None


def _step(module: HloModule, body: Computation, index: int, frame: Frame) -> int | None:
    """What one iteration adds to tuple element ``index``; ``None`` if that is no constant."""
    linear = _linear(module, _part(body.result, index), frame, _DEPTH)
    return linear.step if linear and linear.index == index else None


def _part(result: Instruction, index: int) -> Instruction:
    return result.operands[index] if result.opcode == "tuple" and index < len(result.operands) else result


def _linear(module: HloModule, value: Instruction, frame: Frame, depth: int) -> _Linear | None:
    if depth == 0:
        return None
    opcode = value.opcode
    if opcode == "get-tuple-element":
        source, index = value.operands[0], value.numbers("index")[0]
        if source.opcode == "parameter":
            bound = _parameter(source, frame)
            return _Linear(index, 0) if bound is None else None
        if source.opcode in ("fusion", "call"):
            called = module.find(source.called("calls") or source.called("to_apply"), source)
            return _linear(module, _part(called.result, index), Frame(called, source, frame), depth - 1)
        if source.opcode == "tuple":
            return _linear(module, source.operands[index], frame, depth - 1)
        return None
    if opcode in ("fusion", "call"):
        called = module.find(value.called("calls") or value.called("to_apply"), value)
        return _linear(module, called.result, Frame(called, value, frame), depth - 1)
    if opcode == "parameter":
        bound = _parameter(value, frame)
        return _linear(module, bound[0], bound[1], depth - 1) if bound else None
    if opcode in _TRANSPARENT and value.operands:
        return _linear(module, value.operands[0], frame, depth - 1)
    if opcode in ("add", "subtract"):
        for base, other in ((0, 1), (1, 0)) if opcode == "add" else ((0, 1),):
            amount = _constant(module, value.operands[other], frame, depth - 1)
            if amount is not None:
                linear = _linear(module, value.operands[base], frame, depth - 1)
                if linear:
                    return _Linear(linear.index, linear.step + (amount if opcode == "add" else -amount))
    return None


def _constant(module: HloModule, value: Instruction, frame: Frame, depth: int) -> int | None:
    """The integer a scalar always has, or ``None``."""
    if depth == 0:
        return None
    opcode = value.opcode
    if opcode == "constant":
        text = value.literal.strip()
        return int(text) if re.fullmatch(r"-?\d+", text) else None
    if opcode in _TRANSPARENT and value.operands:
        return _constant(module, value.operands[0], frame, depth - 1)
    if opcode in ("add", "subtract", "multiply", "minimum", "maximum"):
        left = _constant(module, value.operands[0], frame, depth - 1)
        right = None if left is None else _constant(module, value.operands[1], frame, depth - 1)
        if left is None or right is None:
            return None
        return {"add": left + right, "subtract": left - right, "multiply": left * right,
                "minimum": min(left, right), "maximum": max(left, right)}[opcode]  # fmt: skip
    if opcode == "negate":
        inner = _constant(module, value.operands[0], frame, depth - 1)
        return None if inner is None else -inner
    if opcode in ("fusion", "call"):
        called = module.find(value.called("calls") or value.called("to_apply"), value)
        return _constant(module, called.result, Frame(called, value, frame), depth - 1)
    if opcode == "parameter":
        bound = _parameter(value, frame)
        return _constant(module, bound[0], bound[1], depth - 1) if bound else None
    if opcode == "get-tuple-element":
        return _tuple_element(module, value.operands[0], value.numbers("index")[0], frame, depth - 1)
    return None


def _tuple_element(module: HloModule, source: Instruction, index: int, frame: Frame, depth: int) -> int | None:
    """The constant in one element of a tuple value."""
    if depth == 0:
        return None
    if source.opcode == "tuple":
        return _constant(module, source.operands[index], frame, depth - 1)
    if source.opcode in ("copy", "optimization-barrier"):
        return _tuple_element(module, source.operands[0], index, frame, depth - 1)
    if source.opcode in ("fusion", "call"):
        called = module.find(source.called("calls") or source.called("to_apply"), source)
        part = _part(called.result, index)
        return _constant(module, part, Frame(called, source, frame), depth - 1)
    if source.opcode == "while":  # the loop's result: known where the loop carries it unchanged
        return _carried(module, source, index, frame, depth)
    if source.opcode == "parameter":
        caller, outer = frame.caller, frame.outer
        if caller is None or outer is None:
            return None
        if caller.opcode == "while":
            return _carried(module, caller, index, outer, depth)
        number = int(source.literal)
        if caller.opcode in ("fusion", "call") and number < len(caller.operands):
            return _tuple_element(module, caller.operands[number], index, outer, depth - 1)
    return None


def _carried(module: HloModule, loop: Instruction, index: int, frame: Frame, depth: int) -> int | None:
    body = module.find(loop.called("body"), loop)
    linear = _linear(module, _part(body.result, index), Frame(body, loop, frame), depth - 1)
    if linear is not None and linear.index == index and linear.step == 0:
        return _tuple_element(module, loop.operands[0], index, frame, depth - 1)
    start = _tuple_element(module, loop.operands[0], index, frame, depth - 1)
    again = _constant(module, _part(body.result, index), Frame(body, None, None), depth - 1)
    return start if start is not None and again == start else None
