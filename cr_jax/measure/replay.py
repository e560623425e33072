"""Time a compiled program's own operations, one by one, on the attached CPU.

Each distinct hot operation is cut out of the program's HLO text, put into a loop of its own, compiled alone and timed at two
lengths of the loop; the difference is one execution. Layouts are left out (a piece that is compiled again chooses its own, so
``bitcast`` becomes ``reshape``), a fusion becomes a call that the compiler fuses again, and an in-place update gets its own
result back. A loop keeps operands in the caches, so no time is taken below the model's time for fetching cold operands. It also
copies its state, so large results of memory-bound operations keep the model's time.
"""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

import jax
import numpy as np
from jaxlib import xla_client
from msgspec import convert

from cr_jax.catalog.accelerator import Accelerator
from cr_jax.cost.operations.program import Operation, Program
from cr_jax.documents.prediction import ReplayedOperation
from cr_jax.hlo.module import Computation, HloModule, Instruction
from cr_jax.hlo.opcodes import CALLING
from cr_jax.hlo.shapes import Shape
from cr_jax.measure.replay_loop import TYPES, loop_module
from cr_jax.predict.program_time import Prediction, Timed, assemble
from cr_jax.predict.time_parts import TimeParts
from cr_jax.printable import one_line
from cr_jax.targets.device_protocol import Device

#: Operations are replayed from the longest down, to this share of the predicted time and at most this number.
SHARE, MOST = 0.97, 40
_TAIL = re.compile(r", (?:metadata|backend_config|frontend_attributes|sharding)=\{.*$")
_LAYOUT = re.compile(r"(\[[\d,]*\])\{[^}]*\}")
_COMMENT = re.compile(r"/\*.*?\*/")
#: Seconds of one measurement, and the most iterations.
_LONG_S, _MOST_TURNS = 4e-3, 4000
#: Measurements of both lengths, in turn, and their seconds at most once there are three; an operation
#: of ``_SLOW_S`` and more is measured once.
_MOST_PAIRS, _PAIRS_S, _SLOW_S = 25, 0.2, 0.1
#: Results of this size and more are not replayed where memory bounds the operation.
_LARGE_RESULT = 4 << 20


@dataclass(frozen=True)
class Replayed:
    """One distinct operation: the executions it represents, and seconds of one by the model and by the clock.

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
    module: HloModule,
    program: Program,
    prediction: Prediction,
    accelerator: Accelerator,
    statistic: Callable[[list[float]], float] = median,
) -> tuple[Prediction, tuple[Replayed, ...]]:
    """``prediction`` with measured times of its hot operations, and those operations.

    text: the compiled HLO of ``program``; module: the same parsed. statistic: of the few runs of each piece.
    """
    pieces = Pieces(text, module)
    base = _seconds(pieces.base(), 1e-6, statistic)
    groups: dict[str, list[Timed]] = {}
    for timed in prediction.operations:
        groups.setdefault(pieces.key(timed.operation), []).append(timed)
    ranked = sorted(groups.values(), key=lambda g: -sum(t.seconds for t in g))
    wanted = SHARE * sum(t.seconds for t in prediction.operations)
    replayed: list[Replayed] = []
    measured: dict[int, TimeParts] = {}
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
            reason = one_line(error, 160)
        replayed.append(Replayed(first.operation.name, first.operation.family, times, analytic, seconds, reason))
        if seconds is not None:
            for timed in group:
                measured[id(timed)] = _scaled(timed.parts, seconds)
    operations = tuple(Timed(t.operation, measured.get(id(t), t.parts)) for t in prediction.operations)
    return assemble(operations, prediction.extras, accelerator, "replay", program), tuple(replayed)


def _scaled(parts: TimeParts, seconds: float) -> TimeParts:
    """The measured seconds, at least those of fetching the operands, all in the part that bounds the operation by the model."""
    seconds = max(seconds, parts.memory_s)
    if parts.bound == "overhead":
        return TimeParts(overhead_s=seconds)
    return TimeParts(compute_s=seconds) if parts.bound == "compute" else TimeParts(memory_s=seconds)


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


def _compile(text: str) -> tuple[Any, Device]:
    from jaxlib import _hlo, _jax  # pyright: ignore[reportAttributeAccessIssue] (extension modules)

    module = _hlo.hlo_module_from_text(text)
    program = _jax.mlir.hlo_to_stablehlo(module.as_serialized_hlo_module_proto())
    device = jax.devices()[0]
    devices = xla_client.DeviceList((device,))
    return device.client.compile_and_load(program, devices, xla_client.CompileOptions()), device


def _values(shape: Shape) -> np.ndarray:
    kind = np.dtype(jax.numpy.bfloat16) if shape.dtype == "bf16" else np.dtype(TYPES[shape.dtype])
    if shape.is_float:
        return np.full(shape.dims, 0.01, kind)
    return np.zeros(shape.dims, kind)


class Pieces:
    """A program's text by computation and instruction. Cuts out single operations."""

    def __init__(self, text: str, module: HloModule) -> None:
        self.lines = text.split("\n")
        self.bodies = {name: self._body(computation) for name, computation in module.computations.items()}
        self._by_name: Mapping[str, dict[str, Instruction]] = {
            c.name: {i.name: i for i in c.instructions} for c in module.computations.values()
        }

    def _body(self, computation: Computation) -> list[str]:
        """The lines between the braces of a computation."""
        first = end = computation.instructions[0].line - 1
        while not self.lines[end].startswith("}"):
            end += 1
        return self.lines[first:end]

    def instruction(self, operation: Operation) -> Instruction:
        """The instruction of an operation in the program's text."""
        return self._by_name[operation.computation][operation.name]

    def key(self, operation: Operation) -> str:
        """Equal for operations of the same time: opcode, shapes and fused text, without names."""
        instruction = self.instruction(operation)
        called = self.called(instruction)
        inside = "".join(self._clean(line) for name in called for line in self.bodies[name])
        shapes = ",".join(o.shape.plain for o in instruction.operands)
        numbered: dict[str, str] = {}
        renamed = re.sub(r"%[^\s,(){}]+", lambda m: numbered.setdefault(m[0], f"v{len(numbered)}"), inside)
        return f"{instruction.opcode}|{instruction.shape.plain}|{shapes}|{renamed}"

    def called(self, instruction: Instruction) -> list[str]:
        """Computations that an instruction needs, innermost first."""
        texts: list[str] = []
        for name in (name for key in CALLING for name in instruction.all_called(key)):
            if name not in texts:
                inner = [c for one in self._by_name[name].values() for c in self.called(one)]
                texts += [c for c in dict.fromkeys(inner) if c not in texts]
                texts.append(name)
        return texts

    def _clean(self, line: str) -> str:
        line = _COMMENT.sub("", _TAIL.sub("", line))
        line = _LAYOUT.sub(r"\1", line)
        line = re.sub(r" bitcast\(", " reshape(", line)
        if " fusion(" in line:
            line = line.replace(" fusion(", " call(").replace("calls=", "to_apply=")
            line = re.sub(r", kind=\w+", "", line)
        return line

    def base(self) -> tuple[str, list[Shape]]:
        """An HLO module whose loop has no work: the time of the loop itself."""
        vector = Shape("f32", (64,), "")
        return loop_module([], "%w = f32[64] negate(%p0)", Shape("f32", (64,), ""), [vector], None), [vector]

    def looped(self, operation: Operation) -> tuple[str, list[Shape]]:
        """An HLO module that runs the operation ``n`` times, and the shapes of its operands."""
        instruction = self.instruction(operation)
        line = self._clean(self.lines[instruction.line - 1])
        computations = []
        for name in self.called(instruction):
            body = self.bodies[name]
            lines = [self._clean(part) for part in body]
            computations.append(f"%{name} {{\n" + "\n".join(lines) + "\n}\n")
        if any("constant({...})" in c for c in computations):
            raise ValueError("a table of constants is not in the text")
        shapes = [o.shape for o in instruction.operands]
        if any(s.parts or s.dtype not in TYPES for s in shapes) or not shapes:
            raise ValueError("an operand is a tuple or of a type without values")
        tail = line.split(f" {instruction.opcode if instruction.opcode != 'fusion' else 'call'}(", 1)[1]
        attributes = tail[_end(tail) + 1 :]
        opcode = {"fusion": "call", "bitcast": "reshape"}.get(instruction.opcode, instruction.opcode)
        given = ", ".join(f"%p{n}" for n in range(len(shapes)))
        work = f"%w = {instruction.shape.plain} {opcode}({given}){attributes}"
        back = None
        if not operation.fresh:  # an update: its result is the next turn's operand
            back = next((n for n, s in enumerate(shapes) if s.plain == instruction.shape.plain), None)
        return loop_module(computations, work, instruction.shape, shapes, back), shapes


def _end(text: str) -> int:
    """The position of the bracket that closes the operand list in which ``text`` begins."""
    depth = 1
    for place, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if depth == 0:
            return place
    raise ValueError("the operand list does not end")


def refine(
    text: str, module: HloModule, program: Program, prediction: Prediction, accelerator: Accelerator
) -> tuple[Prediction, tuple[ReplayedOperation, ...]]:
    """:func:`replay` for a report: the refined prediction, and rows with the largest errors of the analytic model first."""
    refined, rows = replay(text, module, program, prediction, accelerator)
    ranked = sorted(rows, key=lambda r: -abs((r.replay_s or r.analytic_s) - r.analytic_s) * r.times)
    return refined, convert(ranked, tuple[ReplayedOperation, ...], from_attributes=True)
