"""Steps as compiled programs, from the cache where possible: this machine's CPU here, all others in workers."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from cr_jax.records import CompiledStep, Target
from cr_jax.steps.step import Step
from cr_jax.targets.ahead import Job, compile_jobs
from cr_jax.targets.cache import Cache, kept_or_made
from cr_jax.targets.compilation import uncompiled
from cr_jax.targets.compile import lower_step
from cr_jax.targets.sources import ProgramSource

#: Called with one line.
Tell = Callable[[str], None]


def programs(
    source: ProgramSource,
    steps: Sequence[Step],
    precision: str,
    wanted: frozenset[str],
    targets: Sequence[Target],
    progress: Tell | None = None,
    warn: Tell | None = None,
) -> list[tuple[CompiledStep, ...]]:
    """Per target, the steps traced once, and those in ``wanted`` compiled.

    A step without a program has the reason. progress: called with the step before its compilation. warn: called with a problem
    that does not spoil the result. Raises ``BadConfig`` for sizes that XLA cannot hold.
    """
    if not targets:
        return []
    cache = Cache()
    here = next((t for t in targets if _here(t)), None)

    def make(step: Step) -> CompiledStep:
        lowered = lower_step(step, here or targets[0], precision, [t.platform for t in targets if not _here(t)])
        if here is None or step.name not in wanted:
            return lowered.step
        if lowered.refused is not None:
            return uncompiled(lowered.step, "failed", lowered.refused)
        if progress:
            progress(step.name)
        return kept_or_made(lowered.step, here, cache, lowered.compile, warn)

    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        made = tuple(pool.map(make, steps))
    elsewhere = [number for number, target in enumerate(targets) if not _here(target)]
    jobs = [Job(source, targets[number], precision, made, wanted) for number in elsewhere]
    ahead = dict(zip(elsewhere, compile_jobs(jobs, cache=cache, progress=progress, warn=warn), strict=True))
    return [ahead.get(number, made) for number in range(len(targets))]


def _here(target: Target) -> bool:
    """Whether this process compiles for the target. JAX fixes the number of CPU devices at its start: several are a worker's."""
    return target.platform == "cpu" and not target.mesh
