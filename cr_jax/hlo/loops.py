"""Trip counts of ``while`` loops: annotated by the compiler, inferred from the text, or unknown.

Inference evaluates scalars symbolically: the initial value, the step and the limit of the induction variable, through copies,
conversions, fusions, calls and tuple elements that a surrounding loop carries unchanged. Arithmetic wraps as the scalar's type
does; only a limit that is an unknown start plus a constant (``fori_loop(n, n + 7, ...)``) is assumed not to overflow. A scalar
that cannot be evaluated makes the count unknown; it is never assumed to be one.
"""

import re
from dataclasses import dataclass

from cr_jax.hlo.iterations import Counter, wrap
from cr_jax.hlo.module import Computation, HloModule, Instruction
from cr_jax.hlo.shapes import BITS, Shape

_KNOWN = re.compile(r'"?known_trip_count"?\s*:\s*\{\s*"?n"?\s*:\s*"?(\d{1,18})(?!\d)', re.ASCII)
_TRANSPARENT = frozenset(
    {
        "copy",
        "bitcast",
        "convert",
        "reshape",
        "copy-start",
        "copy-done",
        "optimization-barrier",
        "opt-barrier",
        "broadcast",
        "bitcast-convert",
    }
)
_FLIPPED = {"LT": "GT", "LE": "GE", "GT": "LT", "GE": "LE", "NE": "NE", "EQ": "EQ"}
_CALLS = ("fusion", "call")
_DEPTH = 150


@dataclass(frozen=True)
class TripCount:
    """``count`` is ``None`` when unknown; source: annotated | inferred | given | unknown.

    at_most: the loop may end earlier, for another condition beside its counter's. disputed: where the compiler's
    annotation and inference come to different counts, the smaller; ``count`` is the larger.
    """

    count: int | None
    source: str
    at_most: bool = False
    disputed: int | None = None

    @property
    def most(self) -> int:
        """Iterations at most; 0 of a loop of unknown trip count, for it may never run."""
        return self.count or 0

    @property
    def least(self) -> int:
        """Iterations at least."""
        if self.at_most:
            return 0
        return self.most if self.disputed is None else min(self.disputed, self.most)


class Frame:
    """The call of a computation: binds its parameters to the caller's operands.

    escaped: whether anything was looked up outside of the computation, so that another caller might
    come to another result.
    """

    __slots__ = ("_inner", "caller", "computation", "escaped", "outer")

    def __init__(self, computation: Computation, caller: Instruction | None = None, outer: "Frame | None" = None) -> None:
        self.computation, self.caller, self.outer = computation, caller, outer
        self.escaped = False
        self._inner: dict[tuple[str, str], Frame] = {}

    def inside(self, computation: Computation, caller: Instruction) -> "Frame":
        """The frame of a computation that an instruction of this one calls."""
        key = computation.name, caller.name
        if key not in self._inner:
            self._inner[key] = Frame(computation, caller, self)
        return self._inner[key]

    def bound(self, number: int) -> "tuple[Instruction, Frame] | None":
        """The operand that a fusion or call gives to a parameter, with the caller's frame."""
        caller, outer = self.caller, self.outer
        self.escaped = True
        if caller is None or outer is None or caller.opcode not in _CALLS or number >= len(caller.operands):
            return None
        return caller.operands[number], outer


@dataclass(frozen=True)
class _Form:
    """A scalar: ``base + offset``, where the base is an unknown value; without a base, a constant."""

    base: tuple[int, int, int] | None
    offset: int


@dataclass(frozen=True)
class _Linear:
    """``base + step`` where base is the value of tuple element ``index`` at the iteration's start."""

    index: int
    step: int


def trip_count(module: HloModule, loop: Instruction, frame: Frame) -> TripCount:
    """Iterations of ``loop``, an instruction of ``frame.computation``."""
    known = _KNOWN.search(loop.config)
    inferred = _Inference(module).count(loop, frame)
    count, at_most = inferred or (None, False)
    if known is None:
        return TripCount(count, "unknown" if count is None else "inferred", at_most)
    annotated = int(known[1])
    if count is None or at_most or count == annotated:
        return TripCount(annotated, "annotated")
    source = "inferred" if count > annotated else "annotated"
    return TripCount(max(count, annotated), source, disputed=min(count, annotated))


class _Inference:
    def __init__(self, module: HloModule) -> None:
        self._module = module
        self._known: dict[tuple[int, int], _Form | None] = {}

    def count(self, loop: Instruction, frame: Frame) -> tuple[int, bool] | None:
        """Iterations, and whether they are only a limit."""
        condition = self._module.find(loop.called("condition"), loop)
        inner = frame.inside(condition, loop)
        return self._condition(condition.result, inner, loop, frame, _DEPTH)

    def _condition(self, root: Instruction, where: Frame, loop: Instruction, frame: Frame, depth: int) -> tuple[int, bool] | None:
        """Iterations until a condition fails; of two that must both hold, the earlier."""
        if depth == 0:
            return None
        if root.opcode == "compare":
            count = self._compared(root, where, loop, frame)
            return None if count is None else (count, False)
        if root.opcode == "and":
            left, right = (self._condition(o, where, loop, frame, depth - 1) for o in root.operands)
            if left is None or right is None:
                one = left or right
                return None if one is None else (one[0], True)
            return min(left[0], right[0]), left[1] or right[1]
        if root.opcode in _CALLS:
            called = self._called(root)
            return self._condition(called.result, where.inside(called, root), loop, frame, depth - 1)
        if root.opcode in _TRANSPARENT and root.operands:
            return self._condition(root.operands[0], where, loop, frame, depth - 1)
        if root.opcode == "parameter":
            bound = where.bound(int(root.literal))
            return self._condition(bound[0], bound[1], loop, frame, depth - 1) if bound else None
        return None

    def _compared(self, compare: Instruction, where: Frame, loop: Instruction, frame: Frame) -> int | None:
        body = self._module.find(loop.called("body"), loop)
        left, right = compare.operands
        direction = compare.attribute("direction") or ""
        if not left.shape.is_integer:
            return None
        for variable, limit, sense in ((left, right, direction), (right, left, _FLIPPED.get(direction, ""))):
            place = self._element(variable, where)
            if place is None:
                continue
            index, offset = place
            bound = self._value(limit, where, _DEPTH)
            start = self._part(loop.operands[0], index, frame, _DEPTH)
            step = self._step(body, index, frame.inside(body, loop))
            if bound is None or start is None or step is None or index >= len(loop.operands[0].shape.parts):
                continue
            counter = loop.operands[0].shape.parts[index]
            if counter.dtype != variable.shape.dtype:
                continue  # compared as another type: it would wrap elsewhere
            if start.base is not None or bound.base is not None:
                if start.base != bound.base:
                    continue
                return Counter(start.offset + offset, step, None, True).iterations(bound.offset, sense)
            signed = not counter.dtype.startswith(("u", "pred"))
            first = wrap(start.offset + offset, BITS[counter.dtype], signed)
            return Counter(first, step, BITS[counter.dtype], signed).iterations(bound.offset, sense)
        return None

    def _called(self, user: Instruction) -> Computation:
        return self._module.find(user.called("calls") or user.called("to_apply"), user)

    def _element(self, value: Instruction, frame: Frame) -> tuple[int, int] | None:
        """``value`` as (element of the loop's tuple, offset added to it), seen from the condition."""
        offset = 0
        for _ in range(_DEPTH):
            if value.opcode == "get-tuple-element" and value.operands[0].opcode == "parameter":
                return value.numbers("index")[0], offset
            if value.opcode in ("add", "subtract"):
                constant = self._constant(value.operands[1], frame, _DEPTH)
                if constant is None:
                    return None
                offset += constant if value.opcode == "add" else -constant
                value = value.operands[0]
            elif value.opcode in ("copy", "bitcast", "reshape") and value.operands:
                value = value.operands[0]
            elif value.opcode == "parameter":
                bound = frame.bound(int(value.literal))
                if bound is None:
                    return None
                value, frame = bound
            else:
                return None
        return None

    def _step(self, body: Computation, index: int, frame: Frame) -> int | None:
        """The constant that one iteration adds to tuple element ``index``, else ``None``."""
        linear = self._linear_part(body.result, index, frame, _DEPTH)
        return linear.step if linear and linear.index == index else None

    def _linear(self, value: Instruction, frame: Frame, depth: int) -> _Linear | None:
        if depth == 0:
            return None
        opcode = value.opcode
        if opcode == "get-tuple-element":
            return self._linear_part(value.operands[0], value.numbers("index")[0], frame, depth - 1)
        if opcode in _CALLS:
            called = self._called(value)
            return self._linear(called.result, frame.inside(called, value), depth - 1)
        if opcode == "parameter":
            bound = frame.bound(int(value.literal))
            return self._linear(bound[0], bound[1], depth - 1) if bound else None
        if opcode in ("copy", "bitcast", "reshape", "copy-start", "copy-done", "optimization-barrier", "opt-barrier"):
            return self._linear(value.operands[0], frame, depth - 1) if value.operands else None
        if opcode in ("add", "subtract"):
            for base, other in ((0, 1), (1, 0)) if opcode == "add" else ((0, 1),):
                amount = self._constant(value.operands[other], frame, depth - 1)
                if amount is not None:
                    linear = self._linear(value.operands[base], frame, depth - 1)
                    if linear:
                        return _Linear(linear.index, linear.step + (amount if opcode == "add" else -amount))
        return None

    def _linear_part(self, source: Instruction, index: int, frame: Frame, depth: int) -> _Linear | None:
        """One element of a tuple value in a loop's body; of the body's parameter, the element itself."""
        if depth == 0:
            return None
        if source.opcode == "parameter":
            if frame.caller is None or frame.caller.opcode not in _CALLS:
                return _Linear(index, 0)
            bound = frame.bound(int(source.literal))
            return self._linear_part(bound[0], index, bound[1], depth - 1) if bound else None
        if source.opcode == "tuple":
            return self._linear(source.operands[index], frame, depth - 1)
        if source.opcode in _CALLS:
            called = self._called(source)
            return self._linear_part(called.result, index, frame.inside(called, source), depth - 1)
        if source.opcode in ("copy", "optimization-barrier", "opt-barrier"):
            return self._linear_part(source.operands[0], index, frame, depth - 1)
        return None

    def _constant(self, value: Instruction, frame: Frame, depth: int) -> int | None:
        """The integer a scalar always has, or ``None``."""
        form = self._value(value, frame, depth)
        return form.offset if form is not None and form.base is None else None

    def _value(self, value: Instruction, frame: Frame, depth: int) -> _Form | None:
        """A scalar as far as it can be followed."""
        if depth == 0 or not value.shape.is_integer:
            return None
        key = id(value), id(frame)
        if key not in self._known:
            self._known[key] = self._evaluate(value, frame, depth)
        return self._known[key]

    def _evaluate(self, value: Instruction, frame: Frame, depth: int) -> _Form | None:
        opcode, operands = value.opcode, value.operands
        opaque = _Form((id(value), id(frame), 0), 0)
        if opcode == "constant":
            text = value.literal.strip()
            return _form(int(text), value.shape) if re.fullmatch(r"-?\d{1,20}", text, re.ASCII) else None
        if opcode in _TRANSPARENT and operands:
            inner = self._value(operands[0], frame, depth - 1)
            if inner is None or (inner.base is not None and operands[0].shape.dtype != value.shape.dtype):
                return None
            return inner if inner.base is not None else _form(inner.offset, value.shape)
        if opcode in ("add", "subtract", "multiply", "minimum", "maximum"):
            return self._arithmetic(value, frame, depth) or opaque
        if opcode == "negate":
            inner = self._constant(operands[0], frame, depth - 1)
            return opaque if inner is None else _form(-inner, value.shape)
        if opcode in _CALLS:
            called = self._called(value)
            return self._value(called.result, frame.inside(called, value), depth - 1)
        if opcode == "parameter":
            bound = frame.bound(int(value.literal))
            return self._value(bound[0], bound[1], depth - 1) if bound else opaque
        if opcode == "get-tuple-element":
            return self._part(operands[0], value.numbers("index")[0], frame, depth - 1)
        return opaque

    def _arithmetic(self, value: Instruction, frame: Frame, depth: int) -> _Form | None:
        left, right = (self._value(o, frame, depth - 1) for o in value.operands)
        if left is None or right is None:
            return None
        opcode, a, b = value.opcode, left.offset, right.offset
        if left.base is None and right.base is None:
            result = {"add": a + b, "subtract": a - b, "multiply": a * b, "minimum": min(a, b), "maximum": max(a, b)}[opcode]
            return _form(result, value.shape)
        if opcode == "add" and (left.base is None or right.base is None):
            return _Form(left.base or right.base, a + b)
        return _Form(left.base, a - b) if opcode == "subtract" and right.base is None else None

    def _part(self, source: Instruction, index: int, frame: Frame, depth: int) -> _Form | None:
        """One element of a tuple value."""
        if depth == 0:
            return None
        opaque = _Form((id(source), id(frame), index + 1), 0)
        if source.opcode == "tuple":
            return self._value(source.operands[index], frame, depth - 1)
        if source.opcode in ("copy", "optimization-barrier", "opt-barrier"):
            return self._part(source.operands[0], index, frame, depth - 1)
        if source.opcode in _CALLS:
            called = self._called(source)
            return self._part(called.result, index, frame.inside(called, source), depth - 1)
        if source.opcode == "while":  # the loop's result: known where the loop carries it unchanged
            return self._carried(source, index, frame, depth)
        if source.opcode == "parameter":
            frame.escaped = True
            caller, outer = frame.caller, frame.outer
            if caller is None or outer is None:
                return opaque
            if caller.opcode == "while":
                return self._carried(caller, index, outer, depth)
            number = int(source.literal)
            if caller.opcode in _CALLS and number < len(caller.operands):
                return self._part(caller.operands[number], index, outer, depth - 1)
            return None
        return opaque

    def _carried(self, loop: Instruction, index: int, frame: Frame, depth: int) -> _Form | None:
        body = self._module.find(loop.called("body"), loop)
        linear = self._linear_part(body.result, index, frame.inside(body, loop), depth - 1)
        if linear is not None and linear.index == index and linear.step == 0:
            return self._part(loop.operands[0], index, frame, depth - 1)
        start = self._part(loop.operands[0], index, frame, depth - 1)
        again = self._part(body.result, index, Frame(body), depth - 1)
        return start if start is not None and start.base is None and again == start else None


def _form(value: int, shape: Shape) -> _Form:
    return _Form(None, wrap(value, BITS[shape.dtype], not shape.dtype.startswith(("u", "pred"))))
