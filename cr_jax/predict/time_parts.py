"""The time of one execution of an operation, in parts."""

from dataclasses import dataclass

from cr_jax.documents.prediction import Bottleneck


@dataclass(frozen=True)
class TimeParts:
    """Seconds of one execution, by cause."""

    compute_s: float = 0.0
    memory_s: float = 0.0
    overhead_s: float = 0.0

    @property
    def seconds(self) -> float:
        """Arithmetic and traffic overlap; the overhead does not."""
        return max(self.compute_s, self.memory_s) + self.overhead_s

    @property
    def bound(self) -> Bottleneck:
        """The largest part: ``overhead``, ``compute`` or ``memory``."""
        if self.overhead_s >= max(self.compute_s, self.memory_s):
            return "overhead"
        return "compute" if self.compute_s >= self.memory_s else "memory"
