"""The comparison of ``crjax compare``."""

from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from cr_jax.documents.base import Block, Document, one_of
from cr_jax.documents.capacity import Capacity, Fits
from cr_jax.documents.fields import Bound, Count, JsonValue, Positive, Share, Tag, Tool, Versions
from cr_jax.documents.prediction import Amount, Bottleneck, EnergyAssumptions, Method, ValidatedOn
from cr_jax.documents.reported_step import ReportedPhase
from cr_jax.records import Mode

#: The rank of a program among those that do the same work.
Standing = Literal["fastest", "tie", "slower"]


class ConditionValue(Block):
    """A value of a condition, and the rows that have it."""

    value: JsonValue
    rows: tuple[str, ...]


class DifferingCondition(Block):
    """A condition that differs between rows."""

    field: str
    values: tuple[ConditionValue, ...]


class ComparedDevice(Block):
    """Peak rates and memory of a device, from its profile."""

    name: str
    title: str | None
    memory_bytes: Count | None
    memory_bandwidth_bytes_per_s: Amount | None
    matmul_flops_per_s: dict[str, Amount | None]
    tag: Tag


class PredictionGrounds(Block):
    """The basis of the predictions of some rows."""

    device: str
    method: Method
    validated_on: ValidatedOn
    coverage: Annotated[
        Share | None, Meta(description="Share of past comparisons inside the interval; null: the interval is an assumption.")
    ]
    profile_error: str | None
    energy: Annotated[EnergyAssumptions | None, Meta(description="Assumptions of the energy; null: there is none.")]
    energy_reason: str | None
    per_hour_usd: Amount | None
    price_source: str | None
    price_reason: str | None
    rows: tuple[str, ...]


class RowParameters(Block):
    """Parameters of the row's model."""

    trainable: Count
    frozen: Count
    total: Count
    as_the_paper_counted: Annotated[
        Count | None, Meta(description="by the paper's way of counting, at this row's configuration: not a figure of Table II")
    ]
    tag: Tag


class ProgramTime(Block):
    """Predicted time of a program, and its rank among the programs that do the same work."""

    seconds: Annotated[Amount | None, Meta(description="One step; null: not known, and reason says why.")]
    low_s: Amount | None
    high_s: Amount | None
    seconds_per_turn: Annotated[Amount | None, Meta(description="Per turn answered or learnt from; null: not made of turns.")]
    low_s_per_turn: Amount | None
    high_s_per_turn: Amount | None
    bound: Bottleneck | None
    method: Method | None
    standing: Annotated[
        Standing | None,
        Meta(description="Among rows of the same work; tie: the interval overlaps the fastest's. null: nothing to compare with."),
    ]
    times_fastest: Annotated[Amount | None, Meta(description="Its time over the fastest's.")]
    energy_j: Amount | None
    energy_j_per_turn: Amount | None
    unit: Annotated[Literal["million turns", "1000 steps"], Meta(description="What the figures per_unit are for.")]
    price_usd_per_unit: Amount | None
    carbon_g_per_unit: Amount | None
    reason: str | None
    tag: Tag


class ProgramRatio(Block):
    """A program's figures over those of the baseline's program of the same place; null: not the same work."""

    to: Annotated[str | None, Meta(description="The baseline's program; null: it has none of the same work.")]
    flops: Amount | None = None
    hbm_bytes: Amount | None = None
    peak_bytes: Amount | None = None
    flops_per_turn: Amount | None = None
    hbm_bytes_per_turn: Amount | None = None


class ComparedProgram(Block):
    """One program of a row."""

    program: Annotated[str, Meta(description="train/<objective>, precompute/items, infer/<mode>/first or infer/<mode>/last")]
    step: str
    phase: ReportedPhase
    objective: str | None
    mode: Mode | None
    t: Count | None
    batch: Annotated[Count | None, Meta(description="Examples of the step, or users answered.")]
    turns_per_step: Annotated[
        Amount | None, Meta(description="Supervised or answered turns of one run; null: not made of turns.")
    ]
    compiled: Annotated[bool, Meta(description="false: counted from the traced program.")]
    bound: Bound
    model_flops: Count
    matmul_flops: Count
    flops: Count
    hbm_bytes: Count
    intensity_flops_per_byte: Amount | None
    peak_bytes: Count | None
    flops_per_turn: Amount | None
    hbm_bytes_per_turn: Amount | None
    time: ProgramTime
    tag: Tag
    ratio: ProgramRatio


class PhaseMemory(Block):
    """The highest peak of a phase."""

    phase: ReportedPhase
    peak_bytes: Count | None
    fits: Fits


class RowMemory(Block):
    """Peaks beside the device's memory."""

    device_memory_bytes: Count | None
    phases: tuple[PhaseMemory, ...]
    tag: Tag


class RowCoverage(Block):
    """The operations that the counts of a row leave out."""

    complete: bool
    uncounted: tuple[str, ...]
    unknown_loops: Count
    bounds: Annotated[tuple[Bound, ...], Meta(description="What the counts of the programs are; see bound.")] | UnsetType = UNSET
    declared: Annotated[tuple[str, ...], Meta(description="Calls whose cost is declared or a formula.")] | UnsetType = UNSET
    unattributed_share: Share
    programs: Count
    compiled_programs: Count
    not_compiled: Annotated[tuple[str, ...], Meta(description="Why steps were not compiled for the device.")]
    tag: Tag


class ComparedRow(Block):
    """One model on one device."""

    name: str
    source: str | None
    status: Literal["ok"]
    error: None
    model: str
    title: str
    dataset: Annotated[str | None, Meta(description="null: a user's function")]
    device: str
    platform: str
    kind: str
    attached: bool
    autotuned: bool | None
    compiled_for: str | None
    preset: str | None
    dtype: str | None
    precision: str
    effective_precision: Annotated[str | None, Meta(description="What a matrix product is computed in; null: unknown.")]
    users: Count | None
    versions: Versions
    parameters: Annotated[RowParameters | None, Meta(description="null: no argument of the function is known to hold weights")]
    mesh: (
        Annotated[
            dict[str, Positive],
            Meta(
                description="Axes of the devices that run each program together; figures are of one device, those per turn of all"
            ),
        ]
        | UnsetType
    ) = UNSET
    devices: Positive | UnsetType = UNSET
    programs: tuple[ComparedProgram, ...]
    memory: RowMemory
    coverage: RowCoverage


class FailedRow(Block):
    """A row without figures, with the reason."""

    name: str
    source: str | None
    status: Literal["failed"]
    error: str
    model: str
    device: str


if TYPE_CHECKING:
    Row = ComparedRow | FailedRow
else:
    Row = one_of("Row", ComparedRow, FailedRow)


class Comparison(Document):
    """Comparison.

    Cost reports side by side, one row per model and device. Null is unknown; a failed row has a reason.
    """

    schema: Literal["urn:cr-jax:schema:comparison:1.1"] = "urn:cr-jax:schema:comparison:1.1"
    kind: Literal["comparison"] = "comparison"
    schema_version: Literal["1.1"] = "1.1"
    created: Annotated[str, Meta(description="UTC, ISO 8601")]
    tool: Tool
    command: tuple[str, ...] | None
    baseline: Annotated[str | None, Meta(description="The row that ratios are formed against.")]
    differs: Annotated[tuple[DifferingCondition, ...], Meta(description="Conditions in which the rows are not all equal.")]
    warnings: tuple[str, ...]
    devices: Annotated[tuple[ComparedDevice, ...], Meta(description="Peaks of the accelerator profiles, as sourced there.")]
    grounds: Annotated[
        tuple[PredictionGrounds, ...],
        Meta(description="What the predicted times, energy and prices stand on, per device and method."),
    ]
    rows: tuple[Row, ...]
    capacity: Capacity | None

    @property
    def counted(self) -> list[ComparedRow]:
        """The rows that have figures."""
        return [row for row in self.rows if isinstance(row, ComparedRow)]
