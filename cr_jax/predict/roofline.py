"""Seconds of a counted program on a device: per operation, and what the call and its loops add."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cr_jax.catalog.accelerator import Accelerator
from cr_jax.cost.operations import Operation, Program
from cr_jax.predict.device import UNKNOWN_FACTOR, Peaks
from cr_jax.predict.host import Parts, at_once, call_parts, operation_parts
from cr_jax.predict.tables import Tables

NOT_VALIDATED = "not validated on this device class"


@dataclass(frozen=True)
class Timed:
    """An operation with its predicted parts; ``seconds`` counts every execution."""

    operation: Operation
    parts: Parts

    @property
    def seconds(self) -> float:
        return self.parts.seconds * self.operation.times


@dataclass(frozen=True)
class Prediction:
    """Seconds of one step, or ``None`` with the reason.

    method: ``calibrated`` (tables measured on the device), ``replay`` (its operations timed on the
    device) or ``peaks`` (data sheet rates). low_s, high_s hold ``coverage`` of the comparisons in
    ``validated_on``; ``None``: nothing was compared, the interval is an assumption. bound: compute,
    memory or overhead, whichever takes most; ``shares`` of the seconds each takes. extras: seconds that belong
    to no operation; ``at once`` is below 0, by what operations that run at the same time save.
    utilisation: of the peak rates, for the whole step; over 1 is an error of the profile.
    """

    seconds: float | None
    low_s: float | None
    high_s: float | None
    coverage: float | None
    bound: str | None
    shares: Mapping[str, float]
    method: str | None
    reason: str | None
    validated_on: Mapping[str, Any] | str
    utilisation: Mapping[str, float | None]
    profile_error: str | None
    operations: tuple[Timed, ...]
    extras: Mapping[str, float]


def predict(
    program: Program, accelerator: Accelerator, precision: str, dtype: str, temp_bytes: int | None = None
) -> Prediction:
    """The time of ``program``, which was compiled for ``accelerator``, on it.

    temp_bytes: the compiler's temporaries. A CPU needs a calibrated profile; any other device its
    peaks. What is missing gives no time and a reason.
    """
    unknown = sorted(x.name for x in program.loops if not x.known)
    if unknown:
        return _none(f"the trip count of {', '.join(unknown)} is unknown", accelerator)
    if program.uncounted:
        return _none(f"what it does in {', '.join(program.uncounted)} is not counted", accelerator)
    if accelerator.calibration is not None:
        tables = Tables(accelerator.calibration)
        timed = tuple(Timed(o, operation_parts(o, tables)) for o in program.operations)
        extras = call_parts(program, temp_bytes, tables)
        return assemble(timed, extras, accelerator, "calibrated", program, None)
    if accelerator.platform == "cpu":
        return _none(f"{accelerator.name}: no rates are known; crjax calibrate measures them on this machine", accelerator)
    peaks = Peaks(accelerator, precision, dtype)
    if peaks.why:
        return _none(peaks.why, accelerator)
    timed = tuple(Timed(o, peaks.parts(o)) for o in program.operations)
    return assemble(timed, {"call": peaks.call_s}, accelerator, "peaks", program, peaks)


def assemble(
    timed: tuple[Timed, ...], extras: Mapping[str, float], accelerator: Accelerator, method: str,
    program: Program, peaks: Peaks | None,
) -> Prediction:  # fmt: skip
    """The whole from its parts. Without ``peaks`` it is a CPU's, whose threads run some operations at the same time."""
    loops = extras.get("loops", 0.0)
    sums = {"compute": 0.0, "memory": 0.0, "overhead": loops}
    for entry in timed:
        parts, times = entry.parts, entry.operation.times
        sums["overhead"] += parts.overhead_s * times
        sums["compute" if parts.compute_s >= parts.memory_s else "memory"] += max(parts.compute_s, parts.memory_s) * times
    if peaks is None and accelerator.calibration is not None:
        saved = at_once(program, [t.parts for t in timed], Tables(accelerator.calibration))
        extras = {**extras, "at once": saved}
        summed = sum(sums.values())
        sums = {name: value * (1 + saved / summed) for name, value in sums.items()} if summed else sums
        loops += saved
    sums["overhead"] += sum(extras.values()) - loops
    seconds = sum(sums.values())
    low, high, coverage = interval(seconds, accelerator, method)
    used, error = _utilisation(program, seconds, accelerator, peaks)
    return Prediction(
        seconds=seconds, low_s=low, high_s=high, coverage=coverage,
        bound=max(sums, key=lambda k: sums[k]), shares={k: v / seconds if seconds else 0.0 for k, v in sums.items()},
        method=method, reason=None, validated_on=validation(accelerator, method), utilisation=used, profile_error=error,
        operations=timed, extras=dict(extras),
    )  # fmt: skip


def validation(accelerator: Accelerator, method: str) -> Mapping[str, Any] | str:
    """What the method was held against on this class of device."""
    return next((found for found in accelerator.validated_on if found["method"] == method), NOT_VALIDATED)


def interval(seconds: float, accelerator: Accelerator, method: str) -> tuple[float, float, float | None]:
    """(low, high, coverage): what nine of ten past comparisons measured, else a wide assumption of unknown coverage."""
    found = validation(accelerator, method)
    if isinstance(found, str):
        return seconds / UNKNOWN_FACTOR, seconds * UNKNOWN_FACTOR, None
    return seconds * min(1.0, found["ratio_low"]), seconds * max(1.0, found["ratio_high"]), 0.9


def tie(a: Prediction, b: Prediction) -> bool:
    """Whether two predictions cannot be told apart: their intervals overlap, or one has no time."""
    if a.low_s is None or b.low_s is None or a.high_s is None or b.high_s is None:
        return True
    return a.low_s <= b.high_s and b.low_s <= a.high_s


def _utilisation(program: Program, seconds: float, accelerator: Accelerator, peaks: Peaks | None):
    """Shares of the peaks that the step would use, and what is wrong with the profile if one is over 1."""
    if peaks is None or not seconds:
        return {"matmul": None, "memory": None}, None
    total = program.total()
    used = {
        "matmul": total.matmul_flops / seconds / peaks.matmul_peak,
        "memory": total.hbm_bytes / seconds / peaks.bandwidth_peak,
    }
    over = [f"{name} {share:.0%}" for name, share in used.items() if share > 1]
    if not over:
        return used, None
    return used, f"{accelerator.name}: utilisation over 100% ({', '.join(over)}): a rate in its profile is wrong"


def _none(reason: str, accelerator: Accelerator) -> Prediction:
    nothing = {"matmul": None, "memory": None}
    return Prediction(None, None, None, None, None, {}, None, reason, NOT_VALIDATED, nothing, None, (), {})
