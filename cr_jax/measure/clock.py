"""The clock: warm up, repeat until the interval of the median is tight, keep every raw sample.

``sample`` times one call at a time, so the time between two calls is in no sample. The call itself must wait for its result
(``jax.block_until_ready``). ``cr_jax.measure.statistics`` describes the samples.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cr_jax.documents.bench_report import Stopped
from cr_jax.errors import BadConfig
from cr_jax.measure.statistics import median_interval

#: Seconds of a monotonic clock.
Clock = Callable[[], float]
#: Readings in a row without progress after which a clock is given up.
_STUCK = 50
#: The interval is computed again when the number of samples has grown by this share.
_GROWTH = 0.25


@dataclass(frozen=True)
class Plan:
    """The stopping rule of a measurement. At least ``runs`` samples and ``seconds`` of them are taken, then more until the
    interval of the median is within ``tightness`` of it on either side, or ``limit_s`` seconds or ``most_runs`` samples are
    reached. ``warmup`` calls go before and are kept apart. A ``limit_s`` below ``seconds`` takes precedence.
    """

    warmup: int = 3
    runs: int = 10
    seconds: float = 3.0
    limit_s: float = 20.0
    tightness: float = 0.02
    most_runs: int = 50_000

    def __post_init__(self) -> None:
        for name, value, least in (
            ("warmup", self.warmup, 0),
            ("runs", self.runs, 1),
            ("seconds", self.seconds, 0),
            ("limit_s", self.limit_s, 0),
            ("tightness", self.tightness, 0),
            ("most_runs", self.most_runs, self.runs),
        ):
            if not value >= least:
                raise BadConfig(f"{name}={value}: must be {least} or more")


#: For many small calibration points: a few quick samples each.
QUICK = Plan(warmup=2, runs=5, seconds=0.05, limit_s=0.5, tightness=0.05)


@dataclass(frozen=True)
class Samples:
    """Seconds per call in the order taken; ``None`` where the clock did not go forward."""

    times_s: tuple[float | None, ...]
    warmup_s: tuple[float | None, ...]
    stopped: Stopped
    """The reason for the end: ``tight``, ``time limit``, ``run limit`` or ``clock``."""
    warnings: tuple[str, ...]

    @property
    def valid_s(self) -> tuple[float, ...]:
        """The samples that are known."""
        return tuple(t for t in self.times_s if t is not None)


def timed(call: Callable[[], object], clock: Clock = time.perf_counter) -> float | None:
    """Seconds of one call; ``None`` when the clock did not go forward meanwhile."""
    started = clock()
    call()
    return _forward(clock() - started)


def sample(call: Callable[[], object], plan: Plan = Plan(), clock: Clock = time.perf_counter) -> Samples:
    """Time ``call`` again and again as ``plan`` says. Exceptions of the call, Ctrl-C too, pass through."""
    return interleave([call], plan, clock)[0]


def interleave(calls: Sequence[Callable[[], object]], plan: Plan = Plan(), clock: Clock = time.perf_counter) -> list[Samples]:
    """Time several calls in turn, so that a busy moment affects all alike. The i-th sample of each was taken in the same round,
    every other round in reverse order. ``plan`` holds for each call, its time limit for all together.
    """
    warmup = [tuple(timed(call, clock) for _ in range(plan.warmup)) for call in calls]
    times: list[list[float]] = [[] for _ in calls]
    rounds = (tuple(zip(calls, times, strict=True)), tuple(zip(reversed(calls), reversed(times), strict=True)))
    look, stuck, number = plan.runs, 0, 0
    stopped: Stopped = "run limit"
    begun = clock()
    while number < plan.most_runs:
        for call, times_of_call in rounds[number % 2]:
            started = clock()
            call()
            times_of_call.append(clock() - started)
        number += 1
        stuck = stuck + 1 if any(times_of_call[-1] <= 0 for times_of_call in times) else 0
        if stuck == _STUCK:
            stopped = "clock"
            break
        if number < plan.runs:
            continue
        if clock() - begun >= plan.limit_s:
            stopped = "time limit"
            break
        if number >= look:
            known = [[t for t in times_of_call if t > 0] for times_of_call in times]
            if all(sum(some) >= plan.seconds and _tight(some, plan.tightness) for some in known):
                stopped = "tight"
                break
            look = number + max(1, int(number * _GROWTH))
    samples = []
    for times_of_call, before in zip(times, warmup, strict=True):
        valid = tuple(map(_forward, times_of_call))
        samples.append(Samples(valid, before, stopped, _warnings(valid, before)))
    return samples


def _forward(elapsed: float) -> float | None:
    return elapsed if elapsed > 0 else None


def _tight(times: list[float], tightness: float) -> bool:
    if len(times) < 2:
        return False
    low, middle, high = median_interval(times)
    return max(high - middle, middle - low) <= tightness * middle


def _warnings(times: tuple[float | None, ...], warmup: tuple[float | None, ...]) -> tuple[str, ...]:
    lost = sum(t is None for t in (*times, *warmup))
    if not lost:
        return ()
    return (f"the clock did not go forward during {lost} of {len(times) + len(warmup)} calls: those samples are null",)
