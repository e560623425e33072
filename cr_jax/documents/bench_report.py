"""The report of ``crjax bench``."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from cr_jax.documents.base import Block, Document
from cr_jax.documents.cost_report import ReportedArgument
from cr_jax.documents.fields import (
    AboveZero,
    Count,
    Interval,
    JsonObject,
    NonNegative,
    Platform,
    Preset,
    Seconds,
    Sha256,
    Share,
    Tag,
    Tool,
    Versions,
)
from cr_jax.documents.reported_step import ReportedPhase
from cr_jax.documents.step_labels import LABEL_RULES, StepLabels, check_labels
from cr_jax.records import Mode, Precision

#: The reason for the end of sampling.
Stopped = Literal["tight", "time limit", "run limit", "clock"]
IntervalOrNone = Annotated[Interval | None, Meta(description="low and high; null: too few samples")]
Samples = Annotated[
    tuple[AboveZero | None, ...], Meta(description="seconds in the order taken; null: the clock did not go forward")
]


class BenchCase(Block):
    """The request; null: the default. Functions have neither a data set nor turns: null."""

    model: Annotated[str, Meta(description="the model; of functions their calls, with commas between them")]
    dataset: str | None
    device: str
    phase: ReportedPhase
    preset: Preset | None
    dtype: Annotated[Literal["float32", "bfloat16"] | None, Meta(description="null: the functions' arguments have their own")]
    precision: Precision
    batch: int | None
    users: Count | None
    turns: Annotated[int | None, Meta(description="the last turn T; null: the data set's")]
    turn: Annotated[int | None, Meta(description="the turn t answered; null: the last")]
    mode: Mode | None
    objective: str | None
    items_scored: int | None
    question_items: Count | None
    top_k: Count | None
    settings: dict[str, str]
    functions: Annotated[tuple[str, ...], Meta(description="module:name of each function that was run")] | UnsetType = UNSET


class BenchFunction(Block):
    """A user's function that was run, and on what."""

    call: Annotated[str, Meta(description="module:name, as --function had it")]
    title: str
    batch: Annotated[Count | None, Meta(description="Examples of one call; null: no argument was named as the batch")]
    arguments: tuple[ReportedArgument, ...]
    made: Annotated[tuple[str, ...], Meta(description="Arguments that were given as shapes, whose values were made")]
    tag: Tag


class BenchModel(Block):
    """The model and its configuration."""

    name: str
    title: str
    config: JsonObject
    config_sha256: Sha256


class BenchData(Block):
    """The data set."""

    name: str
    title: str
    sha256: Sha256


class BenchDevice(Block):
    """The attached device."""

    platform: Platform
    kind: str
    profile: Annotated[str | None, Meta(description="the accelerator profile of this very device; null: there is none")]


class SamplingPlan(Block):
    """The stopping rule of the sampling."""

    warmup: Count
    runs: Count
    seconds: NonNegative | None
    limit_s: Seconds | None
    tightness: NonNegative | None
    most_runs: Count


class MachineFacts(Block):
    """The machine of the device."""

    cpu: str
    cores: int | None
    memory_bytes: int | None
    system: str


class BenchError(Block):
    """The reason why there are no (further) figures."""

    kind: Literal["out of memory", "failed"]
    reason: str
    step: str | None
    predicted_peak_bytes: int | None


class StageSeconds(Block):
    """Seconds of each stage before the steady state."""

    trace_s: Seconds | None
    lower_s: Seconds | None
    compile_s: Seconds | None
    first_call_s: Seconds | None
    tag: Tag


class StepTime(Block):
    """Steady state: seconds of one call, waited for."""

    samples: Count
    median_s: Seconds | None
    median_interval_s: IntervalOrNone
    repeat_interval_s: IntervalOrNone
    mean_s: Seconds | None
    mean_interval_s: IntervalOrNone
    min_s: Seconds | None
    max_s: Seconds | None
    p50_s: Seconds | None
    p90_s: Seconds | None
    p95_s: Seconds | None
    p99_s: Seconds | None
    outliers: int | None
    stopped: Stopped
    tag: Tag


class StepRates(Block):
    """Rates from the median."""

    steps_per_s: NonNegative | None
    turns_per_s: NonNegative | None
    examples_per_s: NonNegative | None
    s_per_turn: NonNegative | None
    tag: Tag


class CountedStep(Block):
    """Counts of the compiled program that was run."""

    flops: Count
    matmul_flops: Count
    transcendentals: Count
    hbm_bytes: Count
    bound: Literal["exact", "lower", "upper", "range", "assumed"]
    program_sha256: Sha256
    tag: Tag


class AchievedRates(Block):
    """Counted figures over the median."""

    flops_per_s: NonNegative | None
    matmul_flops_per_s: NonNegative | None
    bytes_per_s: NonNegative | None
    matmul_utilisation: NonNegative | None
    bandwidth_utilisation: NonNegative | None
    peak_profile: str | None
    matmul_type: str | None
    tag: Tag


class MeasuredMemory(Block):
    """Measured peak beside the compiler's account."""

    peak_bytes: int | None
    method: str | None
    predicted_peak_bytes: int | None
    predicted_rule: str
    error_share: float | None
    tag: Tag


class MeasuredEnergy(Block):
    """Energy of a step."""

    meter: str
    repeats: Count
    joules_per_step: NonNegative | None
    average_w: NonNegative | None
    tag: Tag


class MachineConditions(Block):
    """The other load of the machine during the measurement."""

    load_average: NonNegative | None
    others_share: NonNegative | None
    stolen_share: float | None
    clock_hz: NonNegative | None
    clock_change: float | None
    tag: Tag


class BenchStep(Block):
    """One measured step."""

    name: str
    phase: ReportedPhase
    labels: StepLabels
    stages_s: StageSeconds
    time: Annotated[
        StepTime,
        Meta(description="Steady state: seconds of one call, waited for. Percentiles are null where the samples are too few."),
    ]
    rates: Annotated[StepRates, Meta(description="From the median; null: the step is not made of such units.")]
    counted: Annotated[CountedStep, Meta(description="Of the compiled program that was run.")]
    achieved: Annotated[
        AchievedRates,
        Meta(
            description="Counted figures over the median; a utilisation over 1 is an error of the profile, null: its peak is "
            "unknown."
        ),
    ]
    memory: Annotated[MeasuredMemory, Meta(description="Measured peak beside the compiler's account; null: not measured.")]
    energy: Annotated[MeasuredEnergy | None, Meta(description="Null: no meter.")]
    conditions: Annotated[MachineConditions, Meta(description="What else the machine did meanwhile.")]
    warmup_samples_s: Samples
    samples_s: Samples
    warnings: tuple[str, ...]

    def __post_init__(self) -> None:
        """Raise ``ValueError`` where a required label of the phase is missing."""
        check_labels(self.phase, self.labels)


class StepComparison(Block):
    """Ratio of medians, this step over the other, with its 95% interval; null: too few samples."""

    step: str
    against: str
    against_step: str
    median_s: Seconds | None
    against_median_s: Seconds | None
    against_samples_s: Samples
    program_equal: bool
    ratio: NonNegative | None
    ratio_interval: IntervalOrNone
    p_value: Share | None
    test: str | None
    interleaved: bool
    verdict: str
    warnings: tuple[str, ...]
    tag: Tag


class BenchReport(Document):
    """Bench report.

    Time, memory and energy of one model, data set, phase and workload, measured on an attached device, beside the counted
    figures. Null is unknown. Every object with numbers of the run carries a tag with their origin.
    """

    schema: Literal["urn:cr-jax:schema:bench-report:1.0"] = "urn:cr-jax:schema:bench-report:1.0"
    kind: Literal["bench-report"] = "bench-report"
    schema_version: Literal["1.0"] = "1.0"
    created: Annotated[str, Meta(description="UTC, ISO 8601")]
    tool: Tool
    versions: Versions
    command: tuple[str, ...] | None
    case: Annotated[BenchCase, Meta(description="What was asked for; null: the default.")]
    model: Annotated[BenchModel | None, Meta(description="Null: the cell ended before the model was read.")]
    functions: Annotated[tuple[BenchFunction, ...], Meta(description="Functions that were run.")] | UnsetType = UNSET
    dataset: BenchData | None
    device: BenchDevice | None
    plan: Annotated[SamplingPlan, Meta(description="When sampling stopped.")]
    machine: MachineFacts
    definitions: dict[str, str]
    status: Literal["measured", "failed", "interrupted"]
    error: Annotated[BenchError | None, Meta(description="Why there are no (further) figures.")]
    steps: tuple[Annotated[BenchStep, Meta(extra_json_schema={"allOf": LABEL_RULES})], ...]
    comparisons: tuple[StepComparison, ...]
    warnings: tuple[str, ...]
