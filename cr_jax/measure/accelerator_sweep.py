"""One sweep over an attached GPU or TPU: the points of ``accelerator_cases``, compiled, checked, timed and turned into anchors.

A point's time is that of one more call in a row of calls, of which only the last is waited for. The difference between two
lengths of the row cancels the start of the first call and the wait for the last. Within a call the device repeats the operation.
"""

import re
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import jax
import numpy as np

from cr_jax.catalog.accelerator import Accelerator
from cr_jax.cost.assumptions import Assumptions
from cr_jax.cost.operations.operation_list import operations
from cr_jax.cost.operations.program import Program
from cr_jax.errors import CrJaxError
from cr_jax.measure.accelerator_cases import UNKNOWN_TURNS, Array, Point, that_fit
from cr_jax.measure.clock import Clock, timed
from cr_jax.predict.accelerator import step
from cr_jax.predict.accelerator.anchors import Anchors, Measured, derive, judging
from cr_jax.predict.accelerator.card import Card, card
from cr_jax.printable import one_line
from cr_jax.targets.device_protocol import Device

Say = Callable[[str], None]


@dataclass(frozen=True)
class Tuning:
    """Limits of a sweep."""

    limit_s: float = 90.0
    """Seconds for everything."""
    compiling: float = 0.6
    """Share of ``limit_s`` after which no further point is compiled."""
    call_s: float = 2e-3
    """Seconds that a call should take."""
    calls: int = 5
    """Calls in the longer row."""
    most_turns: int = 1000
    passes: int = 9
    workers: int = 4
    """Threads that compile."""
    memory_bytes: float | None = None
    """Memory of the device; ``None``: as the device reports it."""


@dataclass
class Ready:
    """A compiled point."""

    point: Point
    turns: int
    """Iterations of its loop in one call."""
    executable: jax.stages.Compiled
    program: Program
    kind: str
    times: list[float] = field(default_factory=list)
    """Seconds of one call, by pass."""

    def predicted(self, at: Card) -> float:
        """Predicted seconds of one call in a row of calls, or of one that is waited for."""
        seconds = step.on_card(self.program, at, self.point.precision).seconds
        return seconds if self.point.called else seconds - at.constants("tpu" if at.platform == "tpu" else "launches")["call_s"]


@dataclass(frozen=True)
class Swept:
    """The result of a sweep."""

    ready: tuple[Ready, ...]
    """The measured points."""
    skipped: tuple[tuple[str, str], ...]
    """(point, reason)."""
    passes: int
    """Passes over all points."""
    took_s: float
    spread: float
    """Median over the points of (highest - lowest) / median of a point's passes."""

    def measured(self) -> list[Measured]:
        """The points as input of the anchors; half of each group tests the other half."""
        groups: dict[str, list[Ready]] = defaultdict(list)
        for one in self.ready:
            groups[one.point.group].append(one)
        measured_groups = []
        for group, some in groups.items():
            some.sort(key=lambda one: median(one.times) / one.turns)
            for one, judged in zip(some, judging(len(some)), strict=True):
                seconds = median(one.times)
                measured_groups.append(
                    Measured(
                        group,
                        (one.point.name,),
                        (one.kind,),
                        (seconds,),
                        lambda at, one=one: (one.predicted(at),),
                        judged or group == "launches",
                    )
                )
        return measured_groups


def sweep(
    device: Device,
    accelerator: Accelerator,
    points: Sequence[Point],
    tuning: Tuning = Tuning(),
    say: Say | None = None,
    clock: Clock = time.perf_counter,
) -> Swept:
    """Measure the points on the device that ``accelerator`` is the profile of. Ctrl-C passes through. Raises ``MissingConstant``
    for a profile without the constants of a prediction, and ``CrJaxError`` where nothing could be measured.
    """
    begun, at = clock(), card(accelerator)
    memory = tuning.memory_bytes or _memory(device) or accelerator.memory_bytes or 0
    fits, skipped = that_fit(points, memory)
    ready = _compiled(device, at, fits, tuning, skipped, say, lambda: clock() - begun)
    held = _Held(device, memory / 2)
    spent, passes = 0.0, 0
    while passes < tuning.passes and (not passes or clock() - begun + spent <= tuning.limit_s):
        started = clock()
        for one in list(ready):
            if say:
                say(f"pass {passes + 1} of {tuning.passes}: {one.point.name}")
            if not passes and clock() - begun > tuning.limit_s:
                ready.remove(one)
                skipped.append((one.point.name, "no time left to measure it"))
                continue
            try:
                times = _measure(one, held.arguments(one.point), tuning, clock)
            except jax.errors.JaxRuntimeError as error:
                ready.remove(one)
                skipped.append((one.point.name, _line(error)))
                continue
            if times is not None:
                one.times.append(times)
        passes, spent = passes + 1, clock() - started
    for one in [one for one in ready if not one.times]:
        ready.remove(one)
        skipped.append((one.point.name, "a longer row of calls took no longer"))
    if not ready:
        raise CrJaxError(
            f"nothing was measured in {tuning.limit_s:g} s ({'; '.join(f'{a}: {b}' for a, b in skipped[:2])}); "
            "legal: a larger --limit"
        )
    spreads = [(max(one.times) - min(one.times)) / median(one.times) for one in ready]
    return Swept(tuple(ready), tuple(skipped), passes, clock() - begun, median(spreads))


def anchors(swept: Swept, accelerator: Accelerator) -> Anchors:
    """The anchors of a device by a sweep, whatever anchors its profile has."""
    return derive(card(replace(accelerator, anchors=None)), swept.measured())


def about(device: Device, swept: Swept) -> dict[str, str | float | None]:
    """The description of the sweep in a profile."""
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": device.device_kind,
        "jax": jax.__version__,
        "driver": driver(device),
        "took_s": round(swept.took_s, 1),
        "passes": swept.passes,
    }


def driver(device: Device, proc: Path = Path("/proc/driver/nvidia/version")) -> str | None:
    """The version of the driver: that of NVIDIA's kernel module, else the plugin's own."""
    try:
        match = re.search(r"Kernel Module.*?\s(\d+\.[\d.]+)", proc.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        match = None
    said = match[1] if match else one_line(getattr(device.client, "platform_version", ""), 80)
    return said or None


def _compiled(
    device: Device,
    at: Card,
    points: Sequence[Point],
    tuning: Tuning,
    skipped: list[tuple[str, str]],
    say: Say | None,
    spent: Callable[[], float],
) -> list[Ready]:
    """The points that compile in time and have the expected operations."""
    waiting: list[tuple[Point, Future[Ready | str]]] = []
    ready, until = [], tuning.compiling * tuning.limit_s

    def prepare(point: Point) -> Ready | str:
        if spent() > until:
            return "no time left to compile it"
        try:
            return _prepare(point, device, at, tuning)
        except (jax.errors.JaxRuntimeError, CrJaxError) as error:
            return _line(error)

    with ThreadPoolExecutor(tuning.workers) as pool:
        try:
            waiting += [(point, pool.submit(prepare, point)) for point in points]
            for number, (point, future) in enumerate(waiting, 1):
                if say:
                    say(f"compiling {number} of {len(waiting)}")
                one = future.result()
                if isinstance(one, str):
                    skipped.append((point.name, one))
                else:
                    ready.append(one)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return ready


def _prepare(point: Point, device: Device, at: Card, tuning: Tuning) -> Ready | str:
    """The compiled point, or the reason why there is none."""
    turns = 1 if point.called else _turns(point, at, tuning)
    shapes = [jax.ShapeDtypeStruct(one.shape, one.dtype) for one in point.arguments]
    with jax.default_device(device):
        executable = jax.jit(point.make(turns)).lower(*shapes).compile()
    text = executable.as_text() or ""
    program = operations(text)
    unknown = {one.name: UNKNOWN_TURNS for one in program.loops if not one.known}
    if unknown:
        program, turns = operations(text, Assumptions(unknown)), UNKNOWN_TURNS
    if program.uncounted:
        return f"what it does in {', '.join(program.uncounted)} is not counted"
    step_time = step.on_card(program, at, point.precision)
    wrong = None if device.platform == "cpu" else _wrong(point, turns, program, step_time, at)
    if wrong is not None:
        return wrong
    kinds = [one.kind for one in step_time.classes if one.kind not in ("launches",)]
    return Ready(point, turns, executable, program, point.kind or (kinds or ["launches"])[0])


def _wrong(point: Point, turns: int, program: Program, step_time: step.StepTime, at: Card) -> str | None:
    """The reason why a compiled point does not measure its operation; ``None``: it does."""
    total = program.total()
    if total.matmul_flops < 0.9 * turns * point.flops or (at.platform == "cuda" and total.hbm_bytes < 0.3 * turns * point.bytes):
        return "the compiler took the operation out of the loop"
    if point.graph is not None and any((one.graphs > 0) != point.graph for one in step_time.loops):
        return f"the compiler made {'no' if point.graph else 'a'} CUDA graph of it"
    return None


def _turns(point: Point, at: Card, tuning: Tuning) -> int:
    """Iterations that take about ``tuning.call_s``."""
    peak = max((one for one in at.peaks.values() if one), default=1e12)
    least = max(point.flops / peak, point.bytes / at.bandwidth, 5e-6)
    return max(2, min(tuning.most_turns, round(tuning.call_s / least)))


def _measure(one: Ready, arguments: Sequence[jax.Array], tuning: Tuning, clock: Clock) -> float | None:
    """Seconds of one more call in a row, or of one call that is waited for if the point asks for it; ``None``: not above 0."""
    call = one.executable

    def row(length: int) -> Callable[[], None]:
        def run() -> None:
            result = None
            for _ in range(length):
                result = call(*arguments)
            jax.block_until_ready(result)

        return run

    short, long = row(1), row(tuning.calls)
    short()
    if one.point.called:
        times = [seconds for _ in range(4 * tuning.calls) if (seconds := timed(short, clock)) is not None]
        return median(times) if times else None
    pairs = [(timed(short, clock), timed(long, clock)) for _ in range(2)]
    differences = [(b - a) / (tuning.calls - 1) for a, b in pairs if a is not None and b is not None]
    return median(differences) if differences and median(differences) > 0 else None


class _Held:
    """Arguments on the device, shared by the points, up to a number of bytes."""

    def __init__(self, device: Device, most: float) -> None:
        self.device, self.most, self.bytes = device, most, 0
        self.known: dict[Array, jax.Array] = {}
        self.numbers = np.random.default_rng(0).standard_normal(1_000_003).astype("float32")

    def arguments(self, point: Point) -> list[jax.Array]:
        if self.bytes + point.memory_bytes > self.most:
            self.known.clear()
            self.bytes = 0
        return [self._one(one) for one in point.arguments]

    def _one(self, array: Array) -> jax.Array:
        array_on_device = self.known.get(array)
        if array_on_device is None:
            some = np.random.default_rng(1).integers(0, array.below, 1_000_003) if array.below else self.numbers
            array_on_host = np.resize(some, array.shape).astype(jax.numpy.dtype(array.dtype))
            array_on_device = self.known[array] = jax.block_until_ready(jax.device_put(array_on_host, self.device))
            self.bytes += array.bytes
        return array_on_device


def _memory(device: Device) -> int | None:
    statistics = device.memory_stats() or {}
    return statistics.get("bytes_limit")


def _line(error: Exception) -> str:
    return one_line(error, 160) or type(error).__name__
