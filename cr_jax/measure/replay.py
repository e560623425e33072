"""Time a compiled program's own operations, one by one, on the attached CPU.

Each distinct hot operation is cut out of the program's HLO text, put into a loop of its own, compiled
alone and timed at two lengths of the loop; the difference is one execution. Layouts are left out (a
piece that is compiled again chooses its own, so ``bitcast`` becomes ``reshape``), a fusion becomes a
call that the compiler fuses again, and an in-place update gets its own result back. A loop keeps operands in
the caches, so that no time is taken below what the model says of fetching cold ones; and it copies what it
carries, so that large results of operations that memory bounds keep the model's time.
"""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import jax
import numpy as np
from jaxlib import xla_client

from cr_jax.catalog.accelerator import Accelerator
from cr_jax.cost.operations import Operation, Program
from cr_jax.hlo.module import HloModule, Instruction
from cr_jax.hlo.parse import parse
from cr_jax.hlo.shapes import Shape
from cr_jax.predict.host import Parts
from cr_jax.predict.roofline import Prediction, Timed, assemble

#: Operations are replayed from the dearest down to this share of the predicted time, and no more than so many.
SHARE, MOST = 0.97, 40
_TAIL = re.compile(r", (?:metadata|backend_config|frontend_attributes|sharding)=\{.*$")
_LAYOUT = re.compile(r"(\[[\d,]*\])\{[^}]*\}")
_COMMENT = re.compile(r"/\*.*?\*/")
_CALLED = re.compile(r"(?:calls|to_apply|body|condition|select|scatter|called_computations)=\{?%?([^\s,}]+)")
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
_HEAD = re.compile(r"^(?:ENTRY\s+)?%?([^\s(]+)\s.*\{\s*$")
_TYPES = {
    "pred": np.bool_,
    "f32": np.float32,
    "s32": np.int32,
    "u32": np.uint32,
    "bf16": "bfloat16",
    "f16": np.float16,
    "u8": np.uint8,
    "s8": np.int8,
    "f64": np.float64,
    "s64": np.int64,
    "u64": np.uint64,
}
#: Seconds of one measurement, and the most iterations.
_LONG_S, _MOST_TURNS = 4e-3, 4000
#: Measurements of both lengths, in turn, and the seconds they may take once there are three; an operation
#: of ``_SLOW_S`` and more is measured once.
_MOST_PAIRS, _PAIRS_S, _SLOW_S = 25, 0.2, 0.1
_TINY = "f32[8,8]"
#: Results of this size and more are not replayed where memory bounds the operation.
_LARGE_RESULT = 4 << 20


@dataclass(frozen=True)
class Replayed:
    """One distinct operation: executions it stands for, seconds of one by the model and by the clock.

    replay_s is ``None``, with the reason, where the piece could not be compiled alone.
    """

    name: str
    family: str
    times: int
    analytic_s: float
    replay_s: float | None
    reason: str | None


def replay(
    text: str,
    program: Program,
    prediction: Prediction,
    accelerator: Accelerator,
    statistic: Callable[[list[float]], float] = median,
) -> tuple[Prediction, tuple[Replayed, ...]]:
    """``prediction`` with its hot operations' times replaced by measured ones, and what was found.

    text: the compiled HLO that ``program`` was read from. statistic: of the few runs of each piece.
    """
    pieces = _Pieces(text)
    base = _seconds(pieces.base(), 1e-6, statistic)
    groups: dict[str, list[Timed]] = {}
    for timed in prediction.operations:
        groups.setdefault(pieces.key(timed.operation), []).append(timed)
    ranked = sorted(groups.values(), key=lambda g: -sum(t.seconds for t in g))
    wanted = SHARE * sum(t.seconds for t in prediction.operations)
    found: list[Replayed] = []
    measured: dict[int, Parts] = {}
    covered = 0.0
    for number, group in enumerate(ranked):
        if covered >= wanted or number >= MOST:
            break
        covered += sum(t.seconds for t in group)
        first = group[0]
        times = sum(t.operation.times for t in group)
        analytic = sum(t.seconds for t in group) / max(1, times)
        seconds, reason = None, None
        try:
            if first.parts.bound == "memory" and first.operation.output_bytes >= _LARGE_RESULT:
                raise ValueError("the loop around it would copy its large result")
            each = _seconds(pieces.looped(first.operation), analytic, statistic)
            seconds = max(each - base, 0.02 * each)
        except (RuntimeError, ValueError, KeyError, TypeError) as error:  # XLA's refusals come as these
            reason = " ".join(str(error).split())[:160]
        found.append(Replayed(first.operation.name, first.operation.family, times, analytic, seconds, reason))
        if seconds is not None:
            for timed in group:
                measured[id(timed)] = _scaled(timed.parts, seconds)
    operations = tuple(Timed(t.operation, measured.get(id(t), t.parts)) for t in prediction.operations)
    return assemble(operations, prediction.extras, accelerator, "replay", program), tuple(found)


def _scaled(parts: Parts, seconds: float) -> Parts:
    """The measured seconds, not below fetching its operands, bound by what the model says bounds them."""
    seconds = max(seconds, parts.memory_s)
    if parts.bound == "overhead":
        return Parts(overhead_s=seconds)
    return Parts(compute_s=seconds) if parts.bound == "compute" else Parts(memory_s=seconds)


def _seconds(hlo: tuple[str, list[Shape]], guess: float, statistic: Callable[[list[float]], float]) -> float:
    """Seconds of one turn of the loop: two lengths, their difference."""
    text, shapes = hlo
    executable, device = _compile(text)
    arguments = [jax.device_put(_values(shape), device) for shape in shapes]
    turns = int(min(_MOST_TURNS, max(1, _LONG_S / max(guess, 1e-7))))

    def run(count: int) -> float:
        given = [jax.device_put(np.int32(count), device), *arguments]
        started = time.perf_counter()
        results = executable.execute_sharded(given)
        jax.block_until_ready(results.disassemble_into_single_device_arrays())
        return time.perf_counter() - started

    run(1)
    pairs: list[tuple[float, float]] = []
    begun = time.perf_counter()
    while len(pairs) < (3 if guess < _SLOW_S else 1) or (len(pairs) < _MOST_PAIRS and time.perf_counter() - begun < _PAIRS_S):
        pairs.append((run(1), run(1 + turns)))
    return max(statistic([b for _, b in pairs]) - statistic([a for a, _ in pairs]), 1e-9) / turns


def _compile(text: str) -> tuple[Any, Any]:
    from jaxlib import _hlo, _jax

    module = _hlo.hlo_module_from_text(text)
    program = _jax.mlir.hlo_to_stablehlo(module.as_serialized_hlo_module_proto())
    device = jax.devices()[0]
    devices = xla_client.DeviceList((device,))
    return device.client.compile_and_load(program, devices, xla_client.CompileOptions()), device


def _values(shape: Shape) -> Any:
    kind = np.dtype(jax.numpy.bfloat16) if shape.dtype == "bf16" else np.dtype(_TYPES[shape.dtype])
    if shape.is_float:
        return np.full(shape.dims, 0.01, kind)
    return np.zeros(shape.dims, kind)


def _plain(shape: Shape) -> str:
    """A shape's text without layout."""
    if shape.parts:
        return f"({', '.join(_plain(p) for p in shape.parts)})"
    return f"{shape.dtype}[{','.join(map(str, shape.dims))}]"


class _Pieces:
    """A program's text, by computation and instruction, ready to be cut."""

    def __init__(self, text: str):
        self.module: HloModule = parse(text)
        self.lines = text.split("\n")
        self.bodies: dict[str, list[str]] = {}
        current: list[str] | None = None
        for line in self.lines:
            if current is None:
                head = _HEAD.match(line)
                if head and " = " not in line.split("(")[0]:
                    current = self.bodies[head[1]] = []
            elif line.startswith("}"):
                current = None
            else:
                current.append(line)
        self._by_name: Mapping[str, dict[str, Instruction]] = {
            c.name: {i.name: i for i in c.instructions} for c in self.module.computations.values()
        }

    def instruction(self, operation: Operation) -> Instruction:
        return self._by_name[operation.computation][operation.name]

    def key(self, operation: Operation) -> str:
        """What two operations must share to take the same time: the opcode, shapes and fused text, names aside."""
        instruction = self.instruction(operation)
        called = self.called(self.lines[instruction.line - 1])
        inside = "".join(self._clean(line) for name in called for line in self.bodies.get(name, ()))
        shapes = ",".join(_plain(o.shape) for o in instruction.operands)
        numbered: dict[str, str] = {}
        renamed = re.sub(r"%[^\s,(){}]+", lambda m: numbered.setdefault(m[0], f"v{len(numbered)}"), inside)
        return f"{instruction.opcode}|{_plain(instruction.shape)}|{shapes}|{renamed}"

    def called(self, line: str) -> list[str]:
        """Computations that a line needs, innermost first."""
        found: list[str] = []
        names = _CALLED.findall(line)
        for group in _BRANCHES.findall(line):
            names += [n.strip().lstrip("%") for n in group.split(",")]
        for name in names:
            if name not in found:
                inner = [c for body in self.bodies.get(name, ()) for c in self.called(body)]
                found += [c for c in inner if c not in found]
                found.append(name)
        return found

    def _clean(self, line: str) -> str:
        line = _COMMENT.sub("", _TAIL.sub("", line))
        line = _LAYOUT.sub(r"\1", line)
        line = re.sub(r" bitcast\(", " reshape(", line)
        if " fusion(" in line:
            line = line.replace(" fusion(", " call(").replace("calls=", "to_apply=")
            line = re.sub(r", kind=\w+", "", line)
        return line

    def base(self) -> tuple[str, list[Shape]]:
        """The loop around nothing."""
        vector = Shape("f32", (64,), "")
        return self._loop([], "%w = f32[64] negate(%p0)", Shape("f32", (64,), ""), [vector], None), [vector]

    def looped(self, operation: Operation) -> tuple[str, list[Shape]]:
        """An HLO module that runs the operation ``n`` times, and the shapes of its operands."""
        instruction = self.instruction(operation)
        line = self._clean(self.lines[instruction.line - 1])
        needed = self.called(self.lines[instruction.line - 1])
        computations = []
        for name in needed:
            body = self.bodies[name]
            lines = [self._clean(part) for part in body]
            computations.append(f"%{name} {{\n" + "\n".join(lines) + "\n}\n")
        if any("constant({...})" in c for c in computations):
            raise ValueError("a table of constants is not in the text")
        shapes = [o.shape for o in instruction.operands]
        if any(s.parts or s.dtype not in _TYPES for s in shapes) or not shapes:
            raise ValueError("an operand is a tuple or of a type without values")
        tail = line.split(f" {instruction.opcode if instruction.opcode != 'fusion' else 'call'}(", 1)[1]
        attributes = tail[_end(tail) + 1 :]
        opcode = {"fusion": "call", "bitcast": "reshape"}.get(instruction.opcode, instruction.opcode)
        given = ", ".join(f"%p{n}" for n in range(len(shapes)))
        work = f"%w = {_plain(instruction.shape)} {opcode}({given}){attributes}"
        back = None
        if not operation.fresh:  # an update: its result is the next turn's operand
            back = next((n for n, s in enumerate(shapes) if _plain(s) == _plain(instruction.shape)), None)
        return self._loop(computations, work, instruction.shape, shapes, back), shapes

    def _loop(self, computations: list[str], work: str, result: Shape, shapes: list[Shape], back: int | None) -> str:
        """The module: state is (turn, turns, tiny, result, operands...)."""
        poked = _poked(shapes, back, result)
        kinds = ["s32[]", "s32[]", _TINY, _plain(result), *map(_plain, shapes)]
        state = f"({', '.join(kinds)})"
        body = [f"%s = {state} parameter(0)"]
        names = ["turn", "turns", "tiny", "before", *(f"q{n}" for n in range(len(shapes)))]
        body += [f"%{n} = {k} get-tuple-element(%s), index={i}" for i, (n, k) in enumerate(zip(names, kinds, strict=True))]
        body += [
            "%one = s32[] constant(1)",
            "%next = s32[] add(%turn, %one)",
            f"%dot = {_TINY} dot(%tiny, %tiny), lhs_contracting_dims={{1}}, rhs_contracting_dims={{0}}",
        ]
        for n, shape in enumerate(shapes):
            if n == poked:
                rank = len(shape.dims)
                unit = f"{shape.dtype}[{','.join(['1'] * rank)}]"
                body += [
                    "%corner = f32[1,1] slice(%tiny), slice={[0:1], [0:1]}",
                    f"%cornered = f32[{','.join(['1'] * rank)}] reshape(%corner)",
                    f"%poke = {unit} convert(%cornered)",
                    "%zero = s32[] constant(0)",
                ]
                places = "".join(", %zero" for _ in range(rank))
                body.append(
                    f"%p{n} = {_plain(shape)} dynamic-update-slice(%q{n}, %poke{places})"
                    if rank
                    else f"%p{n} = {_plain(shape)} reshape(%poke)"
                )
            else:
                body.append(f"%p{n} = {_plain(shape)} reshape(%q{n})")
        body.append(work)
        carried = [("w" if n == back else f"p{n}") for n in range(len(shapes))]
        kept = "before" if back is not None else "w"
        last = ", ".join(f"%{n}" for n in ["next", "turns", "dot", kept, *carried])
        body.append(f"ROOT %out = {state} tuple({last})")
        entry = [
            "%n = s32[] parameter(0)",
            "%i = s32[] constant(0)",
            "%half = f32[] constant(0.01)",
            f"%t = {_TINY} broadcast(%half), dimensions={{}}",
            *_empty(result),
        ]
        entry += [f"%a{n} = {_plain(s)} parameter({n + 1})" for n, s in enumerate(shapes)]
        start = ", ".join(["%i", "%n", "%t", "%e", *(f"%a{n}" for n in range(len(shapes)))])
        entry += [
            f"%start = {state} tuple({start})",
            f"%end = {state} while(%start), condition=%crjax_test, body=%crjax_turn",
            f"ROOT %r = {_plain(result)} get-tuple-element(%end), index={3 if back is None else 4 + back}",
        ]
        test = [
            f"%s = {state} parameter(0)",
            "%turn = s32[] get-tuple-element(%s), index=0",
            "%turns = s32[] get-tuple-element(%s), index=1",
            "ROOT %more = pred[] compare(%turn, %turns), direction=LT",
        ]
        parts = ["HloModule replay\n", *computations]
        for head, lines in (("%crjax_turn", body), ("%crjax_test", test), ("ENTRY %main", entry)):
            parts.append(f"{head} {{\n  " + "\n  ".join(lines) + "\n}\n")
        return "\n".join(parts)


def _poked(shapes: list[Shape], back: int | None, result: Shape) -> int | None:
    """The operand that changes every turn: the largest, or what it alone enters is taken out of the loop. Where a
    part of something larger than the result is picked, the place it is picked from: to change the whole would copy it."""
    if back is not None:
        return None
    places = [n for n, s in enumerate(shapes) if not s.dims and s.dtype in ("s32", "u32")]
    if places and max(s.bytes for s in shapes) > 2 * sum(leaf.bytes for leaf in result.leaves):
        return places[0]
    floats = [n for n, s in enumerate(shapes) if s.is_float]
    ranked = sorted(floats or range(len(shapes)), key=lambda n: (not shapes[n].dims, -shapes[n].elements))
    return ranked[0]


def _empty(result: Shape) -> list[str]:
    """A zero of the result's shape, named ``%e``."""
    if not result.parts:
        return [*_zeros("e", result)]
    lines: list[str] = []
    for n, part in enumerate(result.parts):
        if part.parts:
            raise ValueError("the result is a tuple of tuples")
        lines += _zeros(f"e{n}", part)
    names = ", ".join(f"%e{n}" for n in range(len(result.parts)))
    return [*lines, f"%e = {_plain(result)} tuple({names})"]


def _zeros(name: str, shape: Shape) -> list[str]:
    zero = "false" if shape.dtype == "pred" else "0"
    return [
        f"%{name}_zero = {shape.dtype}[] constant({zero})",
        f"%{name} = {_plain(shape)} broadcast(%{name}_zero), dimensions={{}}",
    ]


def _end(text: str) -> int:
    """The place of the bracket that closes the operand list that ``text`` begins inside of."""
    depth = 1
    for place, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if depth == 0:
            return place
    raise ValueError("the operand list does not end")


def refine(
    text: str, program: Program, prediction: Prediction, accelerator: Accelerator
) -> tuple[Prediction, tuple[dict[str, Any], ...]]:
    """:func:`replay` for a report: the refined prediction, and rows of where the analytic model errs most first."""
    found, rows = replay(text, program, prediction, accelerator)
    ranked = sorted(rows, key=lambda r: -abs((r.replay_s or r.analytic_s) - r.analytic_s) * r.times)
    return found, tuple(asdict(row) for row in ranked)
