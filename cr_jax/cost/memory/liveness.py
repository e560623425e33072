"""Live ranges of the buffers of a scheduled program.

The order of a scheduled text is the order of execution. The entry computation is followed once, with the bodies of loops,
branches and calls in their place. Values that the compiler keeps in one buffer (a loop's state, an in-place update, a donated
argument and the result that takes its place) are one buffer here. An argument lives for the whole run; a donated one is free
between its last use and the making of the result. Time is counted in operations that compute or move data, each body once.
"""

from dataclasses import dataclass, field

from cr_jax.cost.attribution import Scope, roots_of
from cr_jax.cost.memory.aliasing import Aliasing, leaf_at, pairs
from cr_jax.hlo.module import Computation, HloModule, Instruction
from cr_jax.hlo.shapes import Shape

#: Rename their operands; tuples and selections from them are followed leaf by leaf.
_SAME_VALUE = frozenset({"bitcast", "optimization-barrier", "domain", "add-dependency", "async-update", "get-dimension-size"})
_WAIT = "-done"
_START = "-start"


@dataclass(slots=True, eq=False)
class Value:
    """One array and the time from its making to its last use. ``size``: bytes in main memory."""

    instruction: Instruction
    shape: Shape
    size: int
    start: int
    end: int
    role: str = "temporary"
    same: "Value | None" = None  # another value of the same buffer, towards the buffer's first


@dataclass(slots=True, eq=False)
class Buffer:
    """Values in one place of memory. spans: its live ranges, in order, without overlap."""

    values: list[Value]
    role: str
    size: int
    spans: list[tuple[int, int]]

    def at(self, time: int) -> Value:
        """The value in it at a time."""
        return max((v for v in self.values if v.start <= time), key=lambda v: v.start, default=self.values[0])


@dataclass(slots=True, eq=False)
class Liveness:
    """The live ranges of a program."""

    buffers: list[Buffer] = field(default_factory=list[Buffer])
    """Buffers with bytes in main memory, without constants."""
    steps: list[tuple[Instruction, Scope]] = field(default_factory=list[tuple[Instruction, Scope]])
    """The operation at each time, and the scope of its names."""


def liveness(module: HloModule) -> Liveness:
    """The buffers of a scheduled program."""
    flow = _Flow(module)
    entry = module.entry
    given = {number: flow.made(p, "argument") for number, p in entry.parameters.items()}
    results = flow.run(entry, given, Scope(roots_of(module)))
    told = module.attribute("input_output_alias") or ""
    for leaf, number, index in pairs(told, entry.result.shape):
        _join(given[number][leaf_at(entry.parameters[number].shape, index)], results[leaf])
    for value in results:
        value.end = flow.time
        if value.role == "temporary":
            value.role = "output"
    return Liveness(flow.buffers(), flow.steps)


class _Flow:
    def __init__(self, module: HloModule) -> None:
        self.module, self.time = module, -1
        self.steps: list[tuple[Instruction, Scope]] = []
        self._values: list[Value] = []
        self._aliasing = Aliasing(module)
        self._reused: list[tuple[Value, list[Value]]] = []

    def made(self, instruction: Instruction, role: str = "temporary", shape: Shape | None = None) -> list[Value]:
        """New values for the leaves of a result."""
        time, values = self.time, list[Value]()  # an argument exists before the first operation
        for leaf in (shape or instruction.shape).leaves:
            held = 0 if role == "constant" or leaf.space else leaf.bytes
            values.append(Value(instruction, leaf, held, time, time, role))
        self._values += values
        return values

    def run(self, computation: Computation, given: dict[int, list[Value]], scope: Scope) -> list[Value]:
        """Follow a computation whose parameters are ``given``; the leaves of its result."""
        known: dict[int, list[Value]] = {}
        for instruction in computation.instructions:
            opcode, operands = instruction.opcode, instruction.operands
            if opcode == "parameter":
                values = given[int(instruction.literal)]
            elif opcode == "constant":
                values = self.made(instruction, "constant")
            elif opcode == "tuple":
                values = [leaf for o in operands for leaf in known[id(o)]]
            elif opcode == "get-tuple-element":
                first = leaf_at(operands[0].shape, instruction.numbers("index"))
                values = known[id(operands[0])][first : first + len(instruction.shape.leaves)]
            elif opcode in _SAME_VALUE:
                values = known[id(operands[0])]
            else:
                values = self._step(instruction, [known[id(o)] for o in operands], scope)
            known[id(instruction)] = values
        return known[id(computation.result)]

    def _step(self, instruction: Instruction, operands: list[list[Value]], scope: Scope) -> list[Value]:
        opcode = instruction.opcode
        if opcode == "while":
            return self._while(instruction, operands[0], scope)
        if opcode == "conditional":
            return self._conditional(instruction, operands, scope)
        if opcode == "call":
            called = self.module.find(instruction.called("to_apply"), instruction)
            return self.run(called, dict(enumerate(operands)), scope.inside(instruction.op_name))
        self._next(instruction, scope)
        for values in operands:
            self._read(values)
        if opcode.endswith(_WAIT):
            return _waited(instruction, operands[0])
        if opcode.endswith(_START):
            return self._start(instruction, operands)
        results = self.made(instruction)
        certain = self._aliasing.certain(instruction)
        for leaf, (operand, place) in certain.items():
            _join(operands[operand][place], results[leaf])
        candidates: dict[int, list[Value]] = {}
        for leaf, operand in self._aliasing.possible(instruction):
            if leaf not in certain:
                candidates.setdefault(leaf, []).append(operands[operand][0])
        self._reused += [(results[leaf], reused) for leaf, reused in candidates.items() if results[leaf].size]
        return results

    def _next(self, instruction: Instruction, scope: Scope) -> None:
        self.time += 1
        self.steps.append((instruction, scope))

    def _read(self, values: list[Value]) -> None:
        for value in values:
            value.end = self.time

    def _start(self, instruction: Instruction, operands: list[list[Value]]) -> list[Value]:
        """``((operands), result, contexts)``, or ``(result, operand, context)`` of a copy, or the result."""
        shape, leaves = instruction.shape, [leaf for values in operands for leaf in values]
        if instruction.opcode == "copy-start":
            return [*self.made(instruction, shape=shape.parts[0]), *leaves, *self.made(instruction, "constant", shape.parts[2])]
        if len(shape.leaves) > len(leaves) and _starts_with(shape, leaves):
            rest = Shape("tuple", (), "", shape.parts[1:] if shape.parts[0].parts else shape.parts[len(leaves) :])
            return [*leaves, *self.made(instruction, shape=rest)]
        return self.made(instruction)

    def _while(self, loop: Instruction, state: list[Value], scope: Scope) -> list[Value]:
        """One run of condition and body. A part of the state that the body passes on unchanged is one value."""
        body = self.module.find(loop.called("body"), loop)
        condition = self.module.find(loop.called("condition"), loop)
        inner = scope.loop(scope.full(loop.op_name), (i.op_name for i in body.instructions))
        self._next(loop, scope)
        self._read(state)
        carried = [Value(v.instruction, v.shape, v.size, self.time, self.time) for v in state]
        self._values += carried
        self.run(condition, {0: carried}, inner)
        after = self.run(body, {0: carried}, inner)
        results: list[Value] = []
        for before, during, last in zip(state, carried, after, strict=True):
            _join(before, during)
            last.end = self.time
            if last is during:
                result = before
                before.end = self.time
                during.size = 0 if before.role == "constant" else during.size
            else:
                _join(before, last)
                result = Value(last.instruction, last.shape, last.size, self.time, self.time)
                self._values.append(result)
                _join(before, result)
            results.append(result)
        return results

    def _conditional(self, switch: Instruction, operands: list[list[Value]], scope: Scope) -> list[Value]:
        """Every branch in its turn; their results share the conditional's buffers."""
        self._next(switch, scope)
        self._read(operands[0])
        ended: list[list[Value]] = []
        for called, values in zip(self.module.branches(switch), operands[1:], strict=True):
            ended.append(self.run(called, {0: values}, scope.inside(switch.op_name)))
            self._read(ended[-1])
        results = self.made(switch)
        for branch_results in ended:
            for result, last in zip(results, branch_results, strict=True):
                _join(last, result)
        return results

    def buffers(self) -> list[Buffer]:
        """Values grouped by their buffer."""
        fixed = {id(_first(v)) for v in self._values if v.role == "argument"}
        for value, candidates in self._reused:
            first = _first(value)
            if any(_first(c) is first for c in candidates) or id(first) in fixed:
                continue  # the same buffer already, or the place of a donated argument
            # The operand that dies here makes room for the result.
            dying = next((c for c in candidates if c.end == value.start and c.start < c.end and c.size), None)
            if dying is not None:
                dying.end -= 1
        groups: dict[int, list[Value]] = {}
        for value in self._values:
            if value.size:
                groups.setdefault(id(_first(value)), []).append(value)
        return [self._buffer(values) for values in groups.values()]

    def _buffer(self, values: list[Value]) -> Buffer:
        roles = {v.role for v in values}
        role = next((r for r in ("argument", "output") if r in roles), "temporary")
        size = max(v.size for v in values)
        if role == "argument" and "output" not in roles:
            return Buffer(values, role, size, [(0, max(0, self.time))])
        spans: list[tuple[int, int]] = []
        for value in sorted(values, key=lambda v: v.start):
            if spans and value.start <= spans[-1][1] + 1:
                spans[-1] = spans[-1][0], max(spans[-1][1], value.end)
            else:
                spans.append((value.start, value.end))
        return Buffer(values, role, size, [(max(0, first), last) for first, last in spans if last >= 0])


def _starts_with(shape: Shape, leaves: list[Value]) -> bool:
    """Whether the result of a start begins with its operands."""
    return [(s.dtype, s.dims) for s in shape.leaves[: len(leaves)]] == [(v.shape.dtype, v.shape.dims) for v in leaves]


def _waited(done: Instruction, started: list[Value]) -> list[Value]:
    """The results of an asynchronous start, without the operands and contexts beside them."""
    start, wanted = done.operands[0], len(done.shape.leaves)
    if start.opcode == "copy-start":
        return started[:1]
    if len(started) == wanted:
        return started
    while start.opcode in ("async-update",):
        start = start.operands[0]
    before = sum(len(o.shape.leaves) for o in start.operands)
    return started[before : before + wanted]


def _first(value: Value) -> Value:
    """The value that represents a buffer."""
    while value.same is not None:
        if value.same.same is not None:
            value.same = value.same.same
        value = value.same
    return value


def _join(one: Value, other: Value) -> None:
    """Put both into one buffer."""
    one, other = _first(one), _first(other)
    if one is not other:
        other.same = one
