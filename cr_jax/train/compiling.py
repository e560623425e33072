"""The seconds that JAX spends on tracing and compiling in this process, as JAX itself reports them."""

import time
from collections.abc import Callable
from functools import cache
from typing import Any

import jax

_EVENTS = ("/jax/core/compile/jaxpr_trace_duration", "/jax/core/compile/jaxpr_to_mlir_module_duration",
           "/jax/core/compile/backend_compile_duration")  # fmt: skip


class Spans:
    """Spans of time told at their ends; one within another counts once."""

    def __init__(self) -> None:
        self._spans: list[tuple[float, float]] = []
        self._closed = 0.0

    def add(self, end: float, seconds: float) -> None:
        """A span that ended at ``end``; ends are told in order."""
        begin = end - seconds
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


@cache
def clock() -> Callable[[], float]:
    """Seconds spent compiling since the first call."""
    spans = Spans()

    def hear(event: str, duration_secs: float, **_: Any) -> None:
        if event in _EVENTS:
            spans.add(time.perf_counter(), duration_secs)

    jax.monitoring.register_event_duration_secs_listener(hear)
    return spans.total
