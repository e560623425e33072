"""Seconds of a whole program on an accelerator that is not attached: its operations, their launches, the interval."""

from collections import Counter
from dataclasses import dataclass, replace

from cr_jax.catalog.accelerator import Accelerator
from cr_jax.catalog.precision import matmul_precision
from cr_jax.cost.operations.program import Operation, Program
from cr_jax.documents.prediction import CollectiveTimes
from cr_jax.predict.accelerator import intervals
from cr_jax.predict.accelerator.card import Card, card
from cr_jax.predict.accelerator.exchanged import exchanges
from cr_jax.predict.accelerator.execution import TYPES, Execution, Executions
from cr_jax.predict.accelerator.intervals import ClassError
from cr_jax.predict.accelerator.launches import Launches, LoopTime
from cr_jax.predict.accelerator.tpu import PASSES
from cr_jax.predict.time_parts import TimeParts

#: By the whole profile of an accelerator, and the precision.
_EXECUTIONS: dict[str, tuple[Card, Executions]] = {}
_MOST_KEPT = 64


@dataclass(frozen=True)
class StepTime:
    """The time of a step."""

    seconds: float
    low_s: float
    high_s: float
    coverage: float | None
    operations: tuple[tuple[Operation, TimeParts], ...]
    """The operations that run, with the parts of one execution."""
    starting_s: float
    """Seconds in which the device waits for launches, with that of the call."""
    loops: tuple[LoopTime, ...]
    classes: tuple[ClassError, ...]
    """The errors that compose the interval."""
    collectives: CollectiveTimes | None = None
    """What the devices of a mesh take to send each other data."""


def timed(program: Program, accelerator: Accelerator, precision: str) -> StepTime:
    """The time of a program. Raises ``MissingConstant`` with the accelerator's missing value."""
    at, executions = _kept(accelerator, precision)
    return on_card(program, at, precision, executions)


def on_card(program: Program, at: Card, precision: str, executions: Executions | None = None) -> StepTime:
    """As ``timed``, with the constants of ``at``. executions: times of its operations that are known already."""
    executions = executions or Executions(at, precision)
    executed = [executions.of(operation) for operation in program.operations]
    exchanged = exchanges(program, at, executed)
    if exchanged is not None:
        executed = exchanged.executed
    if at.platform == "tpu":
        runs = {place: operation.times for place, operation in enumerate(program.operations)}
        loops: tuple[LoopTime, ...] = ()
        starting = at.constants("tpu")["call_s"]
    else:
        launches = Launches(program, at.constants("launches"), lambda place: executed[place].seconds)
        started = launches.run()
        runs, loops = launches.runs, started.loops
        starting = started.seconds - sum(executed[place].seconds * times for place, times in runs.items())
    whole = _whole(program, at, executed, runs, starting, loops)
    return whole if exchanged is None else replace(whole, collectives=exchanged.over(runs))


def _kept(accelerator: Accelerator, precision: str) -> tuple[Card, Executions]:
    """The card and the known times of its operations, which the steps of a report share."""
    key = f"{precision} {accelerator!r}"
    known = _EXECUTIONS.get(key)
    if known is None:
        if len(_EXECUTIONS) >= _MOST_KEPT:
            _EXECUTIONS.clear()
        at = card(accelerator)
        known = _EXECUTIONS[key] = at, Executions(at, precision)
    return known


def _whole(
    program: Program, at: Card, executed: list[Execution], runs: dict[int, int], starting: float, loops: tuple[LoopTime, ...]
) -> StepTime:
    kinds: Counter[str] = Counter()
    operations: list[tuple[Operation, TimeParts]] = []
    for place, times in runs.items():
        one, operation = executed[place], program.operations[place]
        own = one.seconds - one.collective_s
        kinds[one.kind] += own * times  # type: ignore[assignment]
        if one.collective_s:
            kinds[one.collective_kind] += one.collective_s * times  # type: ignore[assignment]
        longer = max(one.compute_s, one.memory_s)
        share = min(1.0, own / longer) if longer else 1.0
        parts = TimeParts(one.compute_s * share, one.memory_s * share, max(0.0, own - longer), one.collective_s)
        operations.append((operation if operation.times == times else replace(operation, times=times), parts))
    seconds = sum(kinds.values()) + starting
    kinds["launches" if at.platform == "cuda" else "tpu"] += starting  # type: ignore[assignment]
    classes = intervals.errors(at, kinds)
    low, high, coverage = intervals.interval(seconds, classes)
    loops = tuple(sorted(loops, key=lambda one: (-one.launching_s, one.name)))
    return StepTime(seconds, low, high, coverage, tuple(operations), starting, loops, classes)


def matmul_peak(program: Program, accelerator: Accelerator, precision: str) -> float | None:
    """FLOP/s of the type that most of the program's products are computed in; ``None``: unknown, or no products."""
    work: Counter[str] = Counter()
    for operation in program.operations:
        for product in operation.products:
            work[product.dtype] += product.flops * operation.times
        if operation.kernel is not None and operation.cost.matmul_flops:  # of attention
            work[operation.kernel.dtype] += operation.cost.matmul_flops * operation.times
    if not work:
        return None
    dtype = work.most_common(1)[0][0]
    computed_in = matmul_precision(accelerator, precision, TYPES.get(dtype, dtype)) or ""
    passes = PASSES.get(computed_in, 1)
    peak = accelerator.matmul_flops_per_s.get("bfloat16" if passes > 1 else computed_in)
    return peak / passes if peak else None
