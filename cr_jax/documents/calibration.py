"""Tables that ``crjax calibrate`` measures on a device, and the validation of predictions."""

from typing import Annotated, Literal

from msgspec import Meta

from cr_jax.documents.base import Block
from cr_jax.documents.fields import AboveZero, NonNegative, Positive, Seconds, Text, Versions

#: Keys that a predictor reads; a calibration may have more.
OVERHEADS = (
    "call_s",
    "argument_s",
    "donated_s",
    "operation_s",
    "product_s",
    "iteration_s",
    "loop_s",
    "base_s",
    "hand_off_s",
    "straight_s",
    "cold_straight_s",
)
ELEMENTS = (
    "arithmetic",
    "transcendental",
    "narrow_tanh",
    "root",
    "scalar_transcendental",
    "scalar_arithmetic",
    "argmax",
    "reduce_minor",
    "reduce_major",
    "sum_minor",
    "sum_major",
    "library_reduce",
    "library_reduce_single",
    "transpose",
    "top_k",
    "scatter",
    "convolution",
    "cold_product_byte",
    "cold_vector_byte",
    "page_fault",
)


class CalibrationFit(Block):
    """Spread of the passes over a point."""

    points: Positive
    median_spread: NonNegative
    p90_spread: NonNegative
    meaning: str


class Canary(Block):
    """One program run again and again during the calibration."""

    what: str
    seconds: tuple[Seconds, ...]
    spread: NonNegative


class MatmulRow(Block):
    """The rate of one matrix product."""

    m: Positive
    n: Positive
    k: Positive
    batch: Positive
    kind: Literal["nn", "nt", "tn", "tt"]
    dtype: str
    flops_per_s: AboveZero


class StreamRow(Block):
    """The rate of a stream through a buffer."""

    footprint_bytes: Positive
    bytes_per_s: AboveZero


class GatherRow(Block):
    """The time of one gathered row."""

    table_bytes: Positive
    row_bytes: Positive
    s_per_row: Seconds


class CalibrationTables(Block):
    """The measurements, by kind of work."""

    matmul: Annotated[tuple[MatmulRow, ...], Meta(min_length=1)]
    stream: Annotated[tuple[StreamRow, ...], Meta(min_length=1)]
    fresh: Annotated[tuple[StreamRow, ...], Meta(min_length=1)]
    gather: Annotated[tuple[GatherRow, ...], Meta(min_length=1)]


class Calibration(Block):
    """Tables measured on the attached device."""

    created: str
    device: str
    versions: Versions
    took_s: Seconds
    passes: Positive
    statistic: str
    cores: Positive
    fit: CalibrationFit
    canary: Annotated[Canary, Meta(description="one program run again and again during the calibration")]
    overheads: Annotated[
        dict[str, Seconds],
        Meta(
            description="seconds of a call, argument, operation, iteration, loop", extra_json_schema={"required": list(OVERHEADS)}
        ),
    ]
    elements_s: Annotated[
        dict[str, Seconds],
        Meta(
            description="seconds per element, FLOP or byte of operations other than products",
            extra_json_schema={"required": list(ELEMENTS)},
        ),
    ]
    tables: CalibrationTables

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for a table that lacks a key."""
        for table, keys in ((self.overheads, OVERHEADS), (self.elements_s, ELEMENTS)):
            if lacking := [key for key in keys if key not in table]:
                raise ValueError(f"{lacking[0]}: missing")


class Validation(Block):
    """Absolute error of the predicted step time as a share of the measured one."""

    devices: Annotated[tuple[str, ...], Meta(min_length=1)]
    method: Literal["calibrated", "replay", "peaks"]
    n: Positive
    median_error: NonNegative
    p90_error: NonNegative
    worst_error: NonNegative
    ratio_low: Annotated[AboveZero, Meta(description="5% quantile of measured over predicted seconds")]
    ratio_high: Annotated[AboveZero, Meta(description="95% quantile of measured over predicted seconds")]
    source: Text
    date: str
