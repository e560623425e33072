"""FLOPs of many runs of steps, counted from their traced programs."""

from collections.abc import Iterable

from cr_jax.profiling.pipeline import count_step
from cr_jax.steps.step import Step
from cr_jax.targets.compile import lower_step
from cr_jax.targets.resolve import resolve


def traced_flops(runs: Iterable[tuple[Step, int]], precision: str) -> int | None:
    """The FLOPs of each step as traced, times its number of runs, in all; ``None`` where a program does not say them exactly."""
    here, total = resolve("cpu"), 0
    for step, number in runs:
        count = count_step(lower_step(step, here, precision).step).model
        if count.bound != "exact":
            return None
        total += number * count.total.flops
    return total
