"""The seconds that JAX spends on tracing and compiling in this process, by JAX's own events.

JAX takes them from the wall clock, which may be set while it compiles. They are converted to the monotonic clock here.
"""

import time
from collections.abc import Callable
from functools import cache

import jax

_EVENTS = (
    "/jax/core/compile/jaxpr_trace_duration",
    "/jax/core/compile/jaxpr_to_mlir_module_duration",
    "/jax/core/compile/backend_compile_duration",
)
#: A clock that is only corrected slowly drifts by less between two readings.
_DRIFT_S = 0.05


class Spans:
    """Spans of time, added at their ends; one inside another counts once."""

    def __init__(self) -> None:
        self._spans: list[tuple[float, float]] = []
        self._closed = 0.0

    def add(self, end: float, seconds: float) -> None:
        """Add a span that ended at ``end``. Spans are added in the order of their ends; one that would end before it begins is
        ignored.
        """
        begin = end - max(0.0, seconds)
        while self._spans and self._spans[-1][0] >= begin:
            self._spans.pop()
        if self._spans and self._spans[-1][1] > begin:  # overlaps: only the rest of it counts
            begin = self._spans[-1][1]
        self._spans.append((begin, end))
        if len(self._spans) > 1000:
            self._closed += sum(b - a for a, b in self._spans[:500])
            del self._spans[:500]

    def total(self) -> float:
        """Seconds of all spans."""
        return self._closed + sum(b - a for a, b in self._spans)


class Day:
    """Conversion of seconds by the wall clock into seconds by the monotonic clock."""

    def __init__(self) -> None:
        self._looked, self._ahead = time.perf_counter(), time.time() - time.perf_counter()
        # When the clock was set: after, at the latest at, and by how much.
        self._set: list[tuple[float, float, float]] = []

    def look(self) -> float:
        """Notice whether the wall clock was set since the last reading; the monotonic time now."""
        now = time.perf_counter()
        ahead = time.time() - now
        if abs(ahead - self._ahead) > _DRIFT_S:
            self._set.append((self._looked, now, ahead - self._ahead))
        self._looked, self._ahead = now, ahead
        return now

    def seconds(self, told: float) -> float:
        """Seconds of a span that has just ended and took ``told`` seconds by the wall clock."""
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

    def hear(event: str, duration_secs: float, **_: object) -> None:
        if event in _EVENTS:
            spans.add(time.perf_counter(), day.seconds(duration_secs))

    def total() -> float:
        day.look()
        return spans.total()

    jax.monitoring.register_event_duration_secs_listener(hear)
    return total
