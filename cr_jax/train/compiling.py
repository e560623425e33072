"""The seconds that JAX spends on tracing and compiling in this process, as JAX itself reports them.

JAX takes them from the clock of the day, which may be set while it compiles; they are brought back to the
monotonic clock here.
"""

import time
from collections.abc import Callable
from functools import cache
from typing import Any

import jax

_EVENTS = (
    "/jax/core/compile/jaxpr_trace_duration",
    "/jax/core/compile/jaxpr_to_mlir_module_duration",
    "/jax/core/compile/backend_compile_duration",
)
#: A clock that is only corrected slowly drifts by less between two looks at it.
_DRIFT_S = 0.05


class Spans:
    """Spans of time told at their ends; one within another counts once."""

    def __init__(self) -> None:
        self._spans: list[tuple[float, float]] = []
        self._closed = 0.0

    def add(self, end: float, seconds: float) -> None:
        """A span that ended at ``end``; ends are told in order. One that would end before it begins is none."""
        begin = end - max(0.0, seconds)
        while self._spans and self._spans[-1][0] >= begin:
            self._spans.pop()
        if self._spans and self._spans[-1][1] > begin:  # overlaps: what is left of it
            begin = self._spans[-1][1]
        self._spans.append((begin, end))
        if len(self._spans) > 1000:
            self._closed += sum(b - a for a, b in self._spans[:500])
            del self._spans[:500]

    def total(self) -> float:
        """Seconds of all spans."""
        return self._closed + sum(b - a for a, b in self._spans)


class Day:
    """Turns seconds by the clock of the day into seconds by the monotonic one."""

    def __init__(self) -> None:
        self._looked, self._ahead = time.perf_counter(), time.time() - time.perf_counter()
        # When the clock was set: after, at the latest at, and by how much.
        self._set: list[tuple[float, float, float]] = []

    def look(self) -> float:
        """Notice whether the clock of the day was set since the last look; the monotonic time now."""
        now = time.perf_counter()
        ahead = time.time() - now
        if abs(ahead - self._ahead) > _DRIFT_S:
            self._set.append((self._looked, now, ahead - self._ahead))
        self._looked, self._ahead = now, ahead
        return now

    def seconds(self, told: float) -> float:
        """Of a span that has just ended and took ``told`` seconds by the clock of the day."""
        now = self.look()
        for after, at, by in reversed(self._set):
            if 0 <= told <= now - at:  # the span began later
                break
            if told - by >= now - at and (told < 0 or told > now - after):
                told -= by
        return max(0.0, told)


@cache
def clock() -> Callable[[], float]:
    """Seconds spent compiling since the first call."""
    spans, day = Spans(), Day()

    def hear(event: str, duration_secs: float, **_: Any) -> None:
        if event in _EVENTS:
            spans.add(time.perf_counter(), day.seconds(duration_secs))

    def total() -> float:
        day.look()
        return spans.total()

    jax.monitoring.register_event_duration_secs_listener(hear)
    return total
