"""Steps compiled in worker processes: for accelerators that are not attached, and for attached ones.

Each job is one source for one target. Programs in the cache are taken from it; the others go to a worker process and come back
step by step, so that finished steps are kept if a later one fails.
"""

import json
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from cr_jax.errors import ExportRefused
from cr_jax.json_text import read_json
from cr_jax.records import CompiledStep, Target
from cr_jax.targets.cache import Cache, keep, step_key
from cr_jax.targets.compilation import Compilation, another, as_traced, completed, from_json, traced_as, uncompiled
from cr_jax.targets.resolve import description
from cr_jax.targets.sources import ProgramSource
from cr_jax.targets.supervise import Event, Limits, default_limits, run_worker
from cr_jax.targets.worker_process import COMMAND, environment
from cr_jax.targets.worker_request import CompileRequest

#: Called with ``target: step`` when a worker begins it.
Progress = Callable[[str], None]
WORKERS = 2


@dataclass(frozen=True)
class Job:
    """The steps of one source for one target.

    target: from ``resolve``. traced: the steps of ``lower_step``, for any target. wanted: names of the steps to compile; the
    others are returned unchanged.
    """

    source: ProgramSource
    target: Target
    precision: str
    traced: tuple[CompiledStep, ...]
    wanted: frozenset[str]


def compile_jobs(
    jobs: Sequence[Job],
    *,
    workers: int = WORKERS,
    limits: Limits | None = None,
    cache: Cache | None = None,
    progress: Progress | None = None,
    warn: Callable[[str], None] | None = None,
    command: Sequence[str] = COMMAND,
) -> list[tuple[CompiledStep, ...]]:
    """The steps of each job, compiled, or with the reason why not; ``workers`` jobs at a time.

    warn: called with a problem in one line that does not spoil the result, such as a full disk.
    """
    cache = cache or Cache()
    limits = limits or default_limits(workers)
    stop = threading.Event()
    with ThreadPoolExecutor(max_workers=workers) as pool:
        waiting = [pool.submit(_job, job, command, limits, cache, progress, warn, stop) for job in jobs]
        try:
            return [future.result() for future in waiting]
        except BaseException:
            stop.set()
            for future in waiting:
                future.cancel()
            raise


def _job(
    job: Job,
    command: Sequence[str],
    limits: Limits,
    cache: Cache,
    progress: Progress | None,
    warn: Callable[[str], None] | None,
    stop: threading.Event,
) -> tuple[CompiledStep, ...]:
    steps = [as_traced(step, job.target) for step in job.traced]
    missing = job.target.problem
    results: dict[str, CompiledStep] = {}
    keys = {}
    for step in steps:
        if step.name not in job.wanted:
            results[step.name] = uncompiled(step, "left out", "not asked for")
        elif missing:
            results[step.name] = uncompiled(step, "no compiler", missing)
        else:
            try:
                program = job.source.fingerprint(job.target.platform, step.name)
            except ExportRefused as error:
                results[step.name] = uncompiled(step, "failed", str(error))
                continue
            keys[step.name] = step_key(step, job.target, program)
            compilation = cache.get(keys[step.name])
            if compilation is not None and another(step, compilation) is None:
                results[step.name] = completed(step, compilation, compilation.durations_s)
    pending = [s for s in steps if s.name not in results]

    def finish(step: CompiledStep, compilation: Compilation) -> None:
        wrong = another(step, compilation)
        if wrong is not None:
            results[step.name] = uncompiled(step, "failed", f"the worker traced {wrong}: did a source file change?")
            return
        results[step.name] = completed(step, compilation, compilation.durations_s)
        keep(cache, keys[step.name], compilation, warn)

    while pending and not stop.is_set():
        reason = _attempt(job, pending, command, limits, finish, results, progress, stop)
        left = [s for s in pending if s.name not in results]
        if left and len(left) == len(pending):  # not one step was begun or finished: another attempt is useless
            for step in left:
                results[step.name] = uncompiled(step, "failed", reason or "the worker ended without a word")
            left = []
        pending = left
    return tuple(results.get(s.name) or uncompiled(s, "failed", "stopped") for s in steps)


def _attempt(
    job: Job,
    pending: Sequence[CompiledStep],
    command: Sequence[str],
    limits: Limits,
    finish: Callable[[CompiledStep, Compilation], None],
    results: dict[str, CompiledStep],
    progress: Progress | None,
    stop: threading.Event,
) -> str | None:
    """One worker over the pending steps. A step in which it dies is failed; the later ones stay pending."""
    named = {s.name: s for s in pending}
    current: list[str] = []

    # The caller chooses the files that it reads: from the request, whatever the worker says.
    def result(step: str) -> Path:
        return Path(folder) / f"{list(named).index(step)}.json"

    def hear(event: Event) -> None:
        step = named.get(str(event.get("step")))
        if step is None:
            return
        current.clear()
        if event["event"] == "start":
            current.append(step.name)
            if progress:
                progress(f"{job.target.name}: {step.name}")
        elif event["event"] == "failed":
            results[step.name] = uncompiled(step, "failed", str(event.get("reason")))
        elif event["event"] == "done":
            try:
                compilation = from_json(read_json(result(step.name)))
            except (OSError, ValueError, KeyError, TypeError):
                results[step.name] = uncompiled(step, "failed", "the worker's result is not whole")
            else:
                finish(step, compilation)

    with tempfile.TemporaryDirectory(prefix="crjax-") as folder:
        request = Path(folder) / "request.json"
        request.write_text(json.dumps(_request(job, pending, folder)), encoding="utf-8")
        environ = environment(job.target.platform, job.target.attached, job.target.devices)
        reason = run_worker([*command, str(request)], environ, Path(folder) / "log", limits, hear, stop)
    if current:
        results[current[0]] = uncompiled(named[current[0]], "failed", reason or "the worker ended in mid-compile")
    return reason


def _request(job: Job, steps: Sequence[CompiledStep], folder: str) -> CompileRequest:
    names = [step.name for step in steps]
    return {
        "kind": "compile",
        "source": job.source.describe(job.target.platform, names, Path(folder)),
        "precision": job.precision,
        "steps": names,
        "traced_as": {step.name: traced_as(step.model_hlo, step.arguments) for step in steps},
        "target": description(job.target),
        "results": folder,
    }
