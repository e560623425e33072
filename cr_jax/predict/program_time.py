"""Seconds of a counted program on a device: per operation, and those of the call and its loops."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from msgspec import structs

from cr_jax.catalog.accelerator import Accelerator
from cr_jax.catalog.times import MissingConstant
from cr_jax.cost.operations.program import Operation, Program
from cr_jax.cost.stated_costs import Kernel
from cr_jax.documents.calibration import Validation
from cr_jax.documents.prediction import Bottleneck, CollectiveTimes, Comparisons, KernelTime, KernelTimes, Method, NotValidated
from cr_jax.predict.accelerator.intervals import UNKNOWN_FACTOR
from cr_jax.predict.accelerator.launches import LoopTime
from cr_jax.predict.cpu.calibration_tables import Tables
from cr_jax.predict.cpu.cpu_model import at_once, call_parts, operation_parts
from cr_jax.predict.time_parts import TimeParts

NOT_VALIDATED: NotValidated = "not validated on this device class"


@dataclass(frozen=True)
class Timed:
    """An operation with its predicted parts; ``seconds`` counts every execution."""

    operation: Operation
    parts: TimeParts

    @property
    def seconds(self) -> float:
        """Seconds of all its executions."""
        return self.parts.seconds * self.operation.times


@dataclass(frozen=True)
class Prediction:
    """Seconds of one step, or ``None`` with the reason.

    method: ``calibrated`` (tables measured on the device), ``replay`` (its operations timed on the
    device) or ``model`` (formulas fitted on other cards). low_s, high_s hold ``coverage`` of the comparisons in
    ``validated_on``; ``None``: nothing was compared, the interval is an assumption. bound: compute,
    memory or overhead, whichever takes most; ``shares`` of the seconds each takes. extras: seconds that belong
    to no operation; ``at once`` is below 0, by what operations that run at the same time save.
    utilisation: of the peak rates, for the whole step; over 1 is an error of the profile. loops: of a GPU's step, with what
    starting their kernels takes, the longest first. collectives: of several devices; their exposed seconds are in ``shares``.
    kernels: the part that rests on stated costs.
    """

    seconds: float | None
    low_s: float | None
    high_s: float | None
    coverage: float | None
    bound: Bottleneck | None
    shares: Mapping[str, float]
    method: Method | None
    reason: str | None
    validated_on: Comparisons | NotValidated
    utilisation: Mapping[str, float | None]
    profile_error: str | None
    operations: tuple[Timed, ...]
    extras: Mapping[str, float]
    loops: tuple[LoopTime, ...] = ()
    collectives: CollectiveTimes | None = None
    kernels: KernelTimes | None = None


def predict(program: Program, accelerator: Accelerator, precision: str, dtype: str, temp_bytes: int | None = None) -> Prediction:
    """The time on ``accelerator`` of ``program``, which was compiled for it.

    temp_bytes: the compiler's temporaries. A CPU needs a calibrated profile, any other device the values of the formulas. Without
    them there is no time, but a reason.
    """
    unknown = sorted(x.name for x in program.loops if not x.known)
    if unknown:
        return _none(f"the trip count of {', '.join(unknown)} is unknown", accelerator)
    if program.uncounted:
        return _none(f"what it does in {', '.join(program.uncounted)} is not counted", accelerator)
    if accelerator.platform == "cpu" and any(operation.transfers for operation in program.operations):
        return _none(f"{accelerator.name}: the time of collectives between CPU devices is not predicted", accelerator)
    if accelerator.platform == "cpu" and (stated := _untimed_on_cpu(program)):
        return _none(f"{accelerator.name}: the time of {', '.join(stated)} does not follow from what is declared", accelerator)
    if accelerator.calibration is not None:
        tables = Tables(accelerator.calibration)
        timed = tuple(Timed(o, operation_parts(o, tables)) for o in program.operations)
        extras = call_parts(program, temp_bytes, tables)
        return assemble(timed, extras, accelerator, "calibrated", program)
    if accelerator.platform == "cpu":
        return _none(f"{accelerator.name}: no rates are known; crjax calibrate measures them on this machine", accelerator)
    return _on_accelerator(program, accelerator, precision)


def _on_accelerator(program: Program, accelerator: Accelerator, precision: str) -> Prediction:
    """By the formulas of each mechanism, with the constants that come with cr_jax."""
    from cr_jax.predict.accelerator import step  # imports numpy, which would slow the command line's start

    try:
        step_time = step.timed(program, accelerator, precision)
    except MissingConstant as missing:
        return _none(str(missing), accelerator)
    timed = tuple(Timed(operation, parts) for operation, parts in step_time.operations)
    sums = _sums(timed, step_time.starting_s)
    used, error = _utilisation(program, step_time.seconds, accelerator, step.matmul_peak(program, accelerator, precision))
    return Prediction(
        seconds=step_time.seconds,
        low_s=step_time.low_s,
        high_s=step_time.high_s,
        coverage=step_time.coverage,
        bound=max(sums, key=lambda k: sums[k]),
        shares={k: v / step_time.seconds for k, v in sums.items()},
        method="model",
        reason=None,
        validated_on=Comparisons(method="model", classes=tuple(one.document() for one in step_time.classes)),
        utilisation=used,
        profile_error=error,
        operations=timed,
        extras={"starting kernels" if accelerator.platform == "cuda" else "call": step_time.starting_s},
        loops=step_time.loops,
        collectives=step_time.collectives,
        kernels=_kernels(timed),
    )


def _untimed_on_cpu(program: Program) -> list[str]:
    """Kernels that declare their cost: the model of CPUs has rates of its own operations only."""
    return sorted({o.kernel.name for o in program.operations if o.kernel is not None and o.kernel.source != "assumed"})


def _kernels(timed: tuple[Timed, ...]) -> KernelTimes | None:
    """The time of kernels whose cost is stated, by name and source; ``None`` where there are none."""
    groups: dict[Kernel, list[Timed]] = {}
    for entry in timed:
        if entry.operation.kernel is not None:
            groups.setdefault(replace(entry.operation.kernel, dtype=""), []).append(entry)
    rows = [
        KernelTime(
            name=kernel.name,
            source=kernel.source,
            times=sum(one.operation.times for one in group),
            seconds=sum(one.seconds for one in group),
            bound=max(group, key=lambda one: one.seconds).parts.bound,
        )
        for kernel, group in groups.items()
    ]
    if not rows:
        return None
    return KernelTimes(
        stated_s=sum((row.seconds for row in rows if row.source != "formula"), 0.0),
        attention_s=sum((row.seconds for row in rows if row.source == "formula"), 0.0),
        rows=tuple(sorted(rows, key=lambda row: (-row.seconds, row.name))),
    )


def assemble(
    timed: tuple[Timed, ...], extras: Mapping[str, float], accelerator: Accelerator, method: Method, program: Program
) -> Prediction:
    """A CPU's step from its parts; its threads run some operations at the same time."""
    loops = extras.get("loops", 0.0)
    sums = _sums(timed, loops)
    if accelerator.calibration is not None:
        saved = at_once(program, [t.parts for t in timed], Tables(accelerator.calibration))
        extras = {**extras, "at once": saved}
        summed = sum(sums.values())
        if summed:
            for name in sums:
                sums[name] *= 1 + saved / summed
        loops += saved
    sums["overhead"] += sum(extras.values()) - loops
    seconds = sum(sums.values())
    low, high, coverage = interval(seconds, accelerator, method)
    known = validation(accelerator, method)
    return Prediction(
        seconds=seconds,
        low_s=low,
        high_s=high,
        coverage=coverage,
        bound=max(sums, key=lambda k: sums[k]),
        shares={k: v / seconds if seconds else 0.0 for k, v in sums.items()},
        method=method,
        reason=None,
        validated_on=NOT_VALIDATED if known is None else Comparisons(**structs.asdict(known)),
        utilisation={"matmul": None, "memory": None},
        profile_error=None,
        operations=timed,
        extras=dict(extras),
    )


def _sums(timed: tuple[Timed, ...], overhead_s: float) -> dict[Bottleneck, float]:
    """Seconds by cause. overhead_s: outside of operations."""
    sums: dict[Bottleneck, float] = {"compute": 0.0, "memory": 0.0, "overhead": overhead_s}
    for entry in timed:
        parts, times = entry.parts, entry.operation.times
        sums["overhead"] += parts.overhead_s * times
        if parts.collective_s:
            sums["collectives"] = sums.get("collectives", 0.0) + parts.collective_s * times
        sums["compute" if parts.compute_s >= parts.memory_s else "memory"] += max(parts.compute_s, parts.memory_s) * times
    return sums


def validation(accelerator: Accelerator, method: Method) -> Validation | None:
    """The comparisons that validate a method on this class of device; ``None``: there are none."""
    return next((one for one in accelerator.validated_on if one.method == method), None)


def interval(seconds: float, accelerator: Accelerator, method: Method) -> tuple[float, float, float | None]:
    """(low, high, coverage): the interval of nine of ten past comparisons, else an assumed wide one of unknown coverage."""
    comparisons = validation(accelerator, method)
    if comparisons is None:
        return seconds / UNKNOWN_FACTOR, seconds * UNKNOWN_FACTOR, None
    return seconds * min(1.0, comparisons.ratio_low), seconds * max(1.0, comparisons.ratio_high), 0.9


def tie(a: Prediction, b: Prediction) -> bool:
    """Whether two predictions cannot be distinguished: their intervals overlap, or one has no time."""
    if a.low_s is None or b.low_s is None or a.high_s is None or b.high_s is None:
        return True
    return a.low_s <= b.high_s and b.low_s <= a.high_s


def _utilisation(
    program: Program, seconds: float, accelerator: Accelerator, matmul_peak: float | None
) -> tuple[Mapping[str, float | None], str | None]:
    """Shares of the peaks that the step would use, and an error of the profile if one is over 1."""
    total, bandwidth = program.total(), accelerator.memory_bandwidth_bytes_per_s
    used: dict[str, float | None] = {
        "matmul": total.matmul_flops / seconds / matmul_peak if matmul_peak else None,
        "memory": total.hbm_bytes / seconds / bandwidth if bandwidth else None,
    }
    over = [f"{name} {share:.0%}" for name, share in used.items() if share is not None and share > 1]
    if not over:
        return used, None
    return used, f"{accelerator.name}: utilisation over 100% ({', '.join(over)}): a rate in its profile is wrong"


def _none(reason: str, accelerator: Accelerator) -> Prediction:
    nothing = {"matmul": None, "memory": None}
    return Prediction(None, None, None, None, None, {}, None, reason, NOT_VALIDATED, nothing, None, (), {})
