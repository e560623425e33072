"""The bench report: measured figures beside the counted ones. No JAX: numbers in, a document out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, NamedTuple, cast

from msgspec import UNSET, UnsetType, convert

from cr_jax.cost.counting.hlo_count import HloCount
from cr_jax.documents.bench_report import (
    AchievedRates,
    BenchCase,
    BenchData,
    BenchDevice,
    BenchError,
    BenchFunction,
    BenchModel,
    BenchReport,
    BenchStep,
    CountedStep,
    MachineConditions,
    MachineFacts,
    MeasuredMemory,
    SamplingPlan,
    StageSeconds,
    StepComparison,
    StepRates,
    StepTime,
)
from cr_jax.documents.fields import Tool
from cr_jax.documents.reported_step import ReportedPhase
from cr_jax.documents.step_labels import StepLabels
from cr_jax.printable import named, one_line, redacted
from cr_jax.records import FunctionLabels, Labels, TrainingLabels, labels_document

#: The p value below which a ratio is called a difference.
SIGNIFICANT = 0.05

DEFINITIONS = {
    "step": "train: one optimizer step of one objective; infer: one answered turn for every user of the batch",
    "turn": "one question-answer pair; turn 0 is the user's request q0",
    "time": "seconds of one call, waited for; the first call and the warm-up are apart",
    "median_interval_s": "95% block bootstrap interval of the median of this run",
    "repeat_interval_s": "where the median of another run of this bench is expected, nine times of ten",
    "percentile": "null where the samples are too few to have one beyond it",
    "flops_per_s": "counted floating-point operations, a multiply-add is 2, over the median",
    "bytes_per_s": "counted bytes at fusion boundaries over the median; what stays in a cache counts too",
    "matmul_utilisation": "matmul operations per second over the profile's peak; null where that is unknown",
}

#: The same of a user's functions.
OF_FUNCTIONS = {name: text for name, text in DEFINITIONS.items() if name != "turn"} | {
    "step": "one call of the function's program on arrays that are there; a donated array is replaced by the result that "
    "continues it, and Python's part of the call is not in the time"
}


class Subject(NamedTuple):
    """A measured case; model, data and device are ``None`` where it ended before they were read, and where there are none."""

    case: BenchCase
    plan: SamplingPlan
    model: BenchModel | None = None
    dataset: BenchData | None = None
    device: BenchDevice | None = None
    functions: tuple[BenchFunction, ...] | UnsetType = UNSET


class PeakRates(NamedTuple):
    """Peak rates of the device's profile; ``None``: unknown. matmul_type: the type that products are computed in."""

    profile: str | None = None
    matmul_type: str | None = None
    flops_per_s: float | None = None
    bytes_per_s: float | None = None


class Doing(NamedTuple):
    """The step in progress, and its predicted peak."""

    step: str | None = None
    predicted_peak_bytes: int | None = None


class RatioOfMedians(NamedTuple):
    """The ratio of two medians with its 95% interval and a significance test. interleaved: the samples were taken in turn."""

    ratio: float
    ratio_interval: tuple[float, float]
    p_value: float
    test: str
    interleaved: bool


@dataclass(frozen=True)
class MeasuredStep:
    """One step's samples. stages: seconds before the steady state; time: the figures of the samples."""

    name: str
    labels: Labels
    program_sha256: str
    stages: Mapping[str, float | None]
    time: StepTime
    warmup_s: Sequence[float | None]
    times_s: Sequence[float | None]
    warnings: Sequence[str]


def bench_report(
    subject: Subject,
    version: str,
    versions: Mapping[str, str | None],
    machine: MachineFacts,
    command: Sequence[str] | None,
    warnings: Sequence[str] = (),
) -> BenchReport:
    """A report without steps. version: crjax's own."""
    given = redacted(command)
    return BenchReport(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        tool=Tool(name="cr-jax", version=version),
        versions=dict(versions),
        command=None if given is None else tuple(given),
        case=subject.case,
        model=subject.model,
        functions=subject.functions,
        dataset=subject.dataset,
        device=subject.device,
        plan=subject.plan,
        machine=machine,
        definitions=DEFINITIONS if subject.case.functions is UNSET else OF_FUNCTIONS,
        status="measured",
        error=None,
        steps=(),
        comparisons=(),
        warnings=tuple(warnings),
    )


def bench_step(
    step: MeasuredStep, count: HloCount, predicted_peak: int | None, peaks: PeakRates, conditions: MachineConditions
) -> BenchStep:
    """One step's figures, without measured memory and energy."""
    median, turns = step.time.median_s, step.labels.conversational_turns
    examples = step.labels.batch if isinstance(step.labels, TrainingLabels | FunctionLabels) else None
    achieved = _achieved(count, median, peaks)
    return BenchStep(
        name=step.name,
        phase=cast(ReportedPhase, step.labels.phase),
        labels=step_labels(step.labels),
        stages_s=StageSeconds(**step.stages, tag="measured"),
        time=step.time,
        rates=StepRates(
            steps_per_s=1 / median if median else None,
            turns_per_s=turns / median if median and turns else None,
            examples_per_s=examples / median if median and examples else None,
            s_per_turn=median / turns if median and turns else None,
            tag="measured",
        ),
        counted=CountedStep(
            flops=count.total.flops,
            matmul_flops=count.matmul_flops,
            transcendentals=count.total.transcendentals,
            hbm_bytes=count.hbm_bytes,
            bound=count.bound,
            program_sha256=step.program_sha256,
            tag="counted",
        ),
        achieved=achieved,
        memory=measured_memory(predicted_peak, None, None),
        energy=None,
        conditions=conditions,
        warmup_samples_s=tuple(step.warmup_s),
        samples_s=tuple(step.times_s),
        warnings=(*step.warnings, *_outliers(step.time), *_beyond(achieved)),
    )


def step_labels(labels: Labels) -> StepLabels:
    """The labels as a report has them; those of a function without a batch are empty."""
    given = labels_document(labels)
    unknown = isinstance(labels, FunctionLabels) and labels.batch is None
    return StepLabels() if unknown else convert(given, StepLabels)


def measured_memory(predicted: int | None, measured: int | None, method: str | None) -> MeasuredMemory:
    """Peak memory beside the compiler's account of it. error_share: (predicted − measured) / measured."""
    return MeasuredMemory(
        peak_bytes=measured,
        method=method,
        predicted_peak_bytes=predicted,
        predicted_rule="arguments + outputs + temporaries - aliased, as the compiler allots them",
        error_share=(predicted - measured) / measured if predicted is not None and measured else None,
        tag="measured",
    )


def error_of(error: BaseException, doing: Doing) -> BenchError:
    """The reason why a case has no (further) figures: kind ``out of memory`` or ``failed``, in one line, with the step in
    progress and its predicted peak.
    """
    said = one_line(error)
    full = isinstance(error, MemoryError) or any(t in said.lower() for t in ("resource_exhausted", "out of memory"))
    return failure("out of memory" if full else "failed", named(error, 400), doing)


def failure(kind: Literal["out of memory", "failed"], reason: str, doing: Doing) -> BenchError:
    """The ``error`` of a report."""
    return BenchError(kind=kind, reason=reason, **doing._asdict())


def comparison(
    ours: BenchStep, theirs: BenchStep, against: str, result: RatioOfMedians | None, warnings: Sequence[str] = ()
) -> StepComparison:
    """One step against another: ratio ours / theirs with interval and test, and a verdict in words."""
    interleaved = result is not None and result.interleaved
    apart = () if interleaved else ("not interleaved: what else ran then and now enters the ratio",)
    return StepComparison(
        step=ours.name,
        against=against,
        against_step=theirs.name,
        median_s=ours.time.median_s,
        against_median_s=theirs.time.median_s,
        against_samples_s=theirs.samples_s,
        program_equal=ours.counted.program_sha256 == theirs.counted.program_sha256,
        ratio=result.ratio if result else None,
        ratio_interval=result.ratio_interval if result else None,
        p_value=result.p_value if result else None,
        test=result.test if result else None,
        interleaved=interleaved,
        verdict=_verdict(result),
        warnings=(*apart, *warnings),
        tag="measured",
    )


def _verdict(result: RatioOfMedians | None) -> str:
    if result is None:
        return "not comparable: too few samples"
    low, high = result.ratio_interval
    if result.p_value >= SIGNIFICANT or low <= 1 <= high:
        return "no difference shown"
    return f"{1 / result.ratio:.2f} times as fast" if result.ratio < 1 else f"{result.ratio:.2f} times as slow"


def _achieved(count: HloCount, median: float | None, peaks: PeakRates) -> AchievedRates:
    def rate(amount: int) -> float | None:
        return amount / median if median else None

    def share(amount: int, peak: float | None) -> float | None:
        return amount / median / peak if median and peak else None

    return AchievedRates(
        flops_per_s=rate(count.total.flops),
        matmul_flops_per_s=rate(count.matmul_flops),
        bytes_per_s=rate(count.hbm_bytes),
        matmul_utilisation=share(count.matmul_flops, peaks.flops_per_s),
        bandwidth_utilisation=share(count.hbm_bytes, peaks.bytes_per_s),
        peak_profile=peaks.profile,
        matmul_type=peaks.matmul_type,
        tag="measured",
    )


def _beyond(achieved: AchievedRates) -> list[str]:
    shares = {"matmul": achieved.matmul_utilisation, "bandwidth": achieved.bandwidth_utilisation}
    return [
        f"{name} utilisation {share:.0%} is over 100%: an error of the profile {achieved.peak_profile!r}, not a fast device"
        for name, share in shares.items()
        if share is not None and share > 1
    ]


def _outliers(time: StepTime) -> list[str]:
    if not time.outliers or time.outliers < max(1, 0.01 * time.samples):
        return []
    return [
        f"{time.outliers} of {time.samples} samples are outliers (further than 5 scaled median absolute deviations): "
        "read the median"
    ]
