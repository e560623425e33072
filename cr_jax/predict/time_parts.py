"""The time of one execution of an operation, in parts."""

from dataclasses import dataclass

from cr_jax.documents.prediction import Bottleneck


@dataclass(frozen=True)
class TimeParts:
    """Seconds of one execution, by cause."""

    compute_s: float = 0.0
    memory_s: float = 0.0
    overhead_s: float = 0.0
    collective_s: float = 0.0
    """Exposed seconds of its collectives."""

    @property
    def seconds(self) -> float:
        """Arithmetic and traffic overlap; overhead and exposed collectives do not."""
        return max(self.compute_s, self.memory_s) + self.overhead_s + self.collective_s

    @property
    def bound(self) -> Bottleneck:
        """The largest part: ``collectives``, ``overhead``, ``compute`` or ``memory``."""
        if self.collective_s > max(self.overhead_s, self.compute_s, self.memory_s):
            return "collectives"
        if self.overhead_s >= max(self.compute_s, self.memory_s):
            return "overhead"
        return "compute" if self.compute_s >= self.memory_s else "memory"
