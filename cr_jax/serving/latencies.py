"""Latencies of turns, counted as they come."""

from collections import Counter


class Latencies:
    """Latencies of turns, however many: how often each, to three digits."""

    def __init__(self) -> None:
        self.number, self._first, self._counted = 0, 0.0, Counter[float]()

    def add(self, seconds: float) -> None:
        """Count one turn's."""
        self._first = seconds if not self.number else self._first
        self.number += 1
        self._counted[float(f"{seconds:.2e}")] += 1

    def line(self) -> str:
        """In words: ``40 turns, 0.41 ms a turn (median; 95% within 0.6 ms, first 0.9 ms)``."""
        if not self.number:
            return "no turns"
        middle, late = self._at(self.number // 2), self._at(max(0, -(-self.number * 95 // 100) - 1))
        return (
            f"{self.number:,} turns, {1e3 * middle:.2f} ms a turn (median; 95% within {1e3 * late:.2f} ms, the first "
            f"{1e3 * self._first:.2f} ms)"
        )

    def _at(self, place: int) -> float:
        for seconds in sorted(self._counted):
            place -= self._counted[seconds]
            if place < 0:
                return seconds
        raise AssertionError("no latencies")
