"""The memory in use over a compiled program, and the buffers alive at its peak."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from cr_jax.cost.attribution import NONE, Attribution, Origins, Scope
from cr_jax.cost.memory.liveness import Buffer, Liveness, liveness
from cr_jax.hlo.module import HloModule, Instruction
from cr_jax.records import Pass

#: The most points of a timeline, and the most buffers listed at its peak.
POINTS = 64
LISTED = 12
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Point:
    """Bytes alive at one operation of the schedule, with the operation's module and pass (``which``)."""

    position: int
    live_bytes: int
    module: str
    which: Pass


@dataclass(frozen=True)
class Alive:
    """A buffer alive at the peak. role: argument | output | temporary."""

    name: str
    module: str
    shape: str
    bytes: int
    role: str


@dataclass(frozen=True)
class Timeline:
    """Memory in use over a program of ``positions`` operations, the bodies of loops once.

    points: the fullest moment of each stretch of equal length, at most ``POINTS``. peak: the fullest of
    them, at ``instruction``. alive: the largest buffers then, at most ``LISTED``; ``others`` more hold
    ``other_bytes``. role_bytes: what is alive at the peak, by role. idle_bytes: of arguments given up and
    results not made yet, reserved but not alive then. Constants and on-chip memory are not included.
    """

    positions: int
    points: tuple[Point, ...]
    peak: Point
    instruction: str
    alive: tuple[Alive, ...]
    others: int
    other_bytes: int
    role_bytes: dict[str, int]
    idle_bytes: int


def timeline(module: HloModule, modules: Iterable[str] = ()) -> Timeline | None:
    """The timeline of a compiled program; ``None`` where the text does not say the order it runs in.

    modules: known module paths, as for ``count_hlo``.
    """
    if module.attribute("is_scheduled") != "true":
        return None
    live_ranges = liveness(module)
    if not live_ranges.steps:
        return None
    live = _live(live_ranges)
    names = _Names(module, tuple(modules))
    count = len(live_ranges.steps)
    stretches = min(POINTS, count)
    edges = [n * count // stretches for n in range(stretches + 1)]
    fullest = [max(range(a, b), key=live.__getitem__) for a, b in pairwise(edges)]
    points = tuple(Point(t, live[t], *names.of(*live_ranges.steps[t])) for t in fullest)
    peak = max(points, key=lambda p: p.live_bytes)
    alive = [b for b in live_ranges.buffers if any(a <= peak.position <= z for a, z in b.spans)]
    alive.sort(key=lambda b: -b.size)  # stable: the same text gives the same order
    roles = {role: sum(b.size for b in alive if b.role == role) for role in ("argument", "output", "temporary")}
    aside = sum(b.size for b in live_ranges.buffers if b.role != "temporary")
    rest = alive[LISTED:]
    return Timeline(
        count,
        points,
        peak,
        live_ranges.steps[peak.position][0].name,
        tuple(names.alive(b, peak.position, live_ranges) for b in alive[:LISTED]),
        len(rest),
        sum(b.size for b in rest),
        roles,
        aside - roles["argument"] - roles["output"],
    )


def _live(live_ranges: Liveness) -> list[int]:
    """Live bytes at each operation."""
    changes = [0] * (len(live_ranges.steps) + 1)
    for buffer in live_ranges.buffers:
        for first, last in buffer.spans:
            if first <= last:
                changes[first] += buffer.size
                changes[last + 1] -= buffer.size
    live, now = list[int](), 0
    for change in changes[:-1]:
        now += change
        live.append(now)
    return live


class _Names:
    """Owners of operations and buffers."""

    def __init__(self, module: HloModule, modules: tuple[str, ...]) -> None:
        self._module, self._attribution, self._origins = module, Attribution(modules), Origins(module)
        self._known = frozenset(modules)

    def of(self, instruction: Instruction, scope: Scope) -> tuple[str, Pass]:
        """``(module, pass)``."""
        name = self._origins.of(instruction)
        if not name and instruction.opcode == "fusion":  # named by its computation
            called = self._module.find(instruction.called("calls"), instruction)
            name = next((i.op_name for i in reversed(called.instructions) if i.op_name), "")
        return self._attribution.of(scope.full(name))

    def alive(self, buffer: Buffer, time: int, live_ranges: Liveness) -> Alive:
        value = next((v for v in buffer.values if v.role == "argument"), None) or buffer.at(time)
        made, shape = value.instruction, value.shape
        if made.opcode == "parameter" and value.role == "argument":
            path = _WORD.findall(made.op_name)
            path = path[:-1] if path[-1:] == ["value"] else path
            name, module = ".".join(path) or made.name, self._owner(path)
        else:
            name, module = made.name, self.of(made, live_ranges.steps[max(0, value.start)][1])[0]
        return Alive(name, module, f"{shape.dtype}[{','.join(map(str, shape.dims))}]", buffer.size, buffer.role)

    def _owner(self, path: list[str]) -> str:
        """The longest known module in an argument's path, such as ``answer`` in ``moments.mu.answer.kernel``."""
        ends = range(1, len(path) + 1)
        names = (".".join(path[a:b]) for b in ends for a in range(b))
        return max((n for n in names if n in self._known), key=len, default=NONE)
