"""The largest training batch that a device's memory holds, found by compiling."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from math import lcm, prod
from typing import NamedTuple

from cr_jax.catalog import load
from cr_jax.catalog.topologies import Mesh
from cr_jax.documents.cost_report import LargestBatch
from cr_jax.errors import BadConfig, NotCompiled
from cr_jax.profiling.function_request import FunctionRequest
from cr_jax.profiling.pipeline import compile_for, find_targets, prepare, trace, trace_function
from cr_jax.profiling.request import SILENT, Listener, Request
from cr_jax.profiling.stages import Compiled, Failed, Traced
from cr_jax.records import CompiledStep
from cr_jax.steps.function import batch_names, examples, with_batch
from cr_jax.steps.sharding import splits

#: The most programs compiled per objective; the answer is then a bracket.
COMPILES = 20
#: The search ends when the smallest size that does not fit is within this share of the largest that does.
CLOSE = 0.01
LARGEST = 1 << 24

#: Peak bytes of one objective's step at a batch, ``None`` when the compiler found no room for it.
Peak = Callable[[int], int | None]


def largest_batches(
    request: Request | FunctionRequest, memory_bytes: int | None = None, listener: Listener = SILENT
) -> tuple[LargestBatch, ...]:
    """Per training objective of ``request``, or for its function: the largest batch whose compiled peak fits its only device.

    memory_bytes: overrides the accelerator profile's memory. Every size in the answer was compiled. Raises
    ``BadConfig`` where the device's memory is unknown or no argument of the function was named as its batch, ``NotCompiled``
    where there is no compiler for it.
    """
    starts, traced = _tried_function(request) if isinstance(request, FunctionRequest) else _tried_model(request)
    if not starts:
        return ()
    mesh, unit = request.mesh, dict(request.mesh).get("data", 1)  # the axis divides every batch
    if isinstance(request, FunctionRequest):
        (own,) = starts.values()
        mesh, unit = _own_mesh(traced(own), own)
    (target,) = find_targets(request.devices, mesh)
    if isinstance(target, Failed):
        raise target.reason
    accelerator = load.accelerator_or_none(target.name)
    limit = memory_bytes or (accelerator.memory_bytes if accelerator else None)
    if limit is None:
        raise BadConfig(f"--max-batch: the memory of {target.name} is not in its profile; legal: --memory-gb N")

    @cache
    def steps(batch: int) -> dict[str, CompiledStep]:
        (compiled,) = compile_for(traced(batch), [target], _naming(batch, listener))
        assert isinstance(compiled, Compiled)
        return {step.objective or step.name: step for step in compiled.steps}

    def peak(name: str, units: int) -> int | None:
        batch = units * unit
        step = steps(batch)[name]
        if step.compiled_hlo is None and not _no_room(step.reason):
            raise NotCompiled(f"--max-batch: {step.name} at batch {batch} is not compiled: {step.reason}")
        return step.memory.peak_bytes

    rows = []
    for name, start in starts.items():
        bracket = search(partial(peak, name), limit, max(1, start // unit)).times(unit)
        rows.append(LargestBatch(objective=name, memory_bytes=limit, **bracket._asdict(), tag="compiler"))
    return tuple(rows)


def _own_mesh(traced: Traced, rows: int) -> tuple[Mesh, int]:
    """The mesh of a function, and the parts that its axes split a batch of ``rows`` into."""
    (step,), sizes = traced.steps, dict(traced.mesh)
    leading = [split[0] for leaf, split in zip(step.arguments, splits(step), strict=False) if leaf.shape[:1] == (rows,)]
    return traced.mesh, lcm(*(prod(sizes[axis] for axis in axes) for axes in leading))


def _tried_model(request: Request) -> tuple[dict[str, int], Callable[[int], Traced]]:
    """The batch that each training objective starts from, and the training steps traced with another."""
    configured, _ = prepare(request)
    objectives = configured.spec.objectives(configured.config)

    def traced(batch: int) -> Traced:
        tried = replace(request, phases=("train",))
        return trace(replace(configured, request=tried, work=replace(configured.work, batch=batch)))

    tried_objectives = objectives if "train" in request.phases else ()
    return {objective.name: request.batch or objective.batch for objective in tried_objectives}, traced


def _tried_function(request: FunctionRequest) -> tuple[dict[str, int], Callable[[int], Traced]]:
    """The function's own batch, and the function traced on another."""
    user = request.function
    if user.batch is None:
        raise BadConfig(f"--max-batch: no argument of {user.title!r} is named as its batch; legal: batch=NAME among its options")

    own = examples(user)

    def traced(batch: int) -> Traced:
        try:
            return trace_function(replace(request, function=with_batch(user, batch)))
        except BadConfig as error:
            if batch == own:
                raise
            said = f"--max-batch: a batch of {batch}: {_unscaled(request, own)} ({error})"
            raise BadConfig(said) from error.__cause__

    return {user.title: own}, traced


def _unscaled(request: FunctionRequest, rows: int) -> str:
    """Why the function takes no batch but its own of ``rows``: the other arguments that have so many rows too."""
    user, step = request.function, trace_function(request).steps[0]
    batch, found = batch_names(user), dict[str, list[str]]()
    for name, role, leaf in zip(step.names, step.roles, step.arguments, strict=True):
        argument = name.partition(".")[0]
        if argument not in batch and leaf.shape[:1] == (rows,) and role not in ("weights", "optimizer", "key"):
            found.setdefault(argument, []).append(name)
    if not found:
        return f"no other argument has its {rows} rows; legal: a function without sizes of its own that depend on the batch"
    named = ", ".join(name for names in found.values() for name in names)
    keywords = [argument for argument in found if argument in user.keywords]
    positional = f", and {', '.join(keywords)} passed by position" if keywords else ""
    legal = ", ".join(repr(name) for name in (*batch, *found))
    return f"{named} kept {rows} rows, those of the batch; legal: batch=({legal}) among its options{positional}"


def _naming(batch: int, listener: Listener) -> Listener:
    """``listener`` that is told the batch of every step too."""
    progress = listener.progress
    return listener if progress is None else Listener(lambda step: progress(f"{step} at a batch of {batch:,}"), listener.warn)


class FoundBatch(NamedTuple):
    """The largest size that fits, ``None``: not one example; and the smallest tried that does not fit."""

    batch: int | None
    peak_bytes: int | None
    next_batch: int | None
    next_peak_bytes: int | None
    programs_compiled: int

    def times(self, unit: int) -> "FoundBatch":
        """The sizes in examples, of which a unit has so many."""
        batch, larger = (None if size is None else size * unit for size in (self.batch, self.next_batch))
        return self._replace(batch=batch, next_batch=larger)


def search(peak: Peak, limit: int, start: int) -> FoundBatch:
    """The largest size whose peak is at most ``limit``, and the smallest tried that is not.

    Peaks grow nearly linearly, so the next size follows from the two nearest known; halving and
    doubling help where they do not. ``batch`` is ``None`` when not even one example fits.
    """
    fits: dict[int, int] = {}
    too_large: dict[int, int | None] = {}
    size, compiled = start, 0
    while compiled < COMPILES:
        peak_bytes = peak(size)
        compiled += 1
        if peak_bytes is not None and peak_bytes <= limit:
            fits[size] = peak_bytes
        else:
            too_large[size] = peak_bytes
        low, high = max(fits, default=0), min(too_large, default=None)
        if high is not None and high - low <= max(1, int(CLOSE * low)):
            break
        if low >= LARGEST or high == 1:
            break
        size = _next(fits, too_large, limit, low, high, bisect=len(too_large) > 1 and compiled % 2 == 0)
    low, high = max(fits, default=None), min(too_large, default=None)
    return FoundBatch(
        batch=low,
        peak_bytes=fits.get(low) if low is not None else None,
        next_batch=high,
        next_peak_bytes=too_large.get(high) if high is not None else None,
        programs_compiled=compiled,
    )


def _next(fits: dict[int, int], too_large: dict[int, int | None], limit: int, low: int, high: int | None, bisect: bool) -> int:
    """The next size: on the line through the two peaks nearest the limit, a little beyond it."""
    step = max(1, int(CLOSE * low))
    known = {b: p for b, p in (fits | too_large).items() if p is not None}
    if not known:
        return (low + high) // 2 if high is not None else 2 * low
    (a, at_a), (b, at_b) = (sorted(sorted(known.items(), key=lambda point: abs(point[1] - limit))[:2]) * 2)[:2]
    line = int(a + (limit - at_a) * (b - a) / (at_b - at_a)) if at_b > at_a else None
    if high is None:
        return min(LARGEST, 2 * low if line is None else min(max(line, low) + step, 1000 * low))
    if bisect or line is None:
        return (low + high) // 2
    return min(max(line, low + step), max(high - step, low + 1))


def _no_room(reason: str | None) -> bool:
    return reason is not None and any(words in reason.lower() for words in ("memory", "resource_exhausted", "hbm"))
