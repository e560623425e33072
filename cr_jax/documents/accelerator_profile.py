"""Accelerator profiles: ``profiles/accelerators/*.json`` and the user's own."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType, field

from cr_jax.documents.base import Block, Document
from cr_jax.documents.calibration import Calibration, Validation
from cr_jax.documents.fields import AboveZero, Count, NonNegative, NumberAboveZero, Platform, Positive, Seconds, Text
from cr_jax.documents.figure import CountFigure, PrintedName, ProfileName, QuantityFigure, Source, SourceDate
from cr_jax.documents.links import HostLinks, TorusLinks

_FIGURE = "an object {value, kind, source}, value above 0, or null where it is not known: "
#: Keys of a text proto.
_ProtoField = Annotated[str, Meta(pattern="^[a-z][a-z0-9_]*$")]
Generation = Literal[
    "maxwell",
    "pascal",
    "volta",
    "turing",
    "ampere-datacenter",
    "ampere",
    "ada",
    "hopper",
    "blackwell-datacenter",
    "blackwell",
    "tpu-v4",
    "tpu-v5e",
    "tpu-v5p",
    "tpu-v6e",
    "tpu-v7x",
]


class MatmulPeaks(Block):
    """Peak rates of matrix products by input type."""

    float64: Annotated[QuantityFigure | None, Meta(description=_FIGURE + "float64 matrix products")]
    float32: Annotated[QuantityFigure | None, Meta(description=_FIGURE + "float32 matrix products")]
    tf32: Annotated[QuantityFigure | None, Meta(description=_FIGURE + "tf32 matrix products")]
    bfloat16: Annotated[QuantityFigure | None, Meta(description=_FIGURE + "bfloat16 matrix products")]
    float16: Annotated[QuantityFigure | None, Meta(description=_FIGURE + "float16 matrix products")]
    float8: Annotated[QuantityFigure | None, Meta(description=_FIGURE + "float8 matrix products")] | UnsetType = UNSET
    int8: Annotated[QuantityFigure | None, Meta(description=_FIGURE + "int8 matrix products, integer operations")] | UnsetType = (
        UNSET
    )


class VectorPeaks(Block):
    """Peak rates of elementwise arithmetic by type."""

    float64: Annotated[QuantityFigure | None, Meta(description=_FIGURE + "float64 elementwise arithmetic")]
    float32: Annotated[QuantityFigure | None, Meta(description=_FIGURE + "float32 elementwise arithmetic")]
    bfloat16: Annotated[QuantityFigure | None, Meta(description=_FIGURE + "bfloat16 elementwise arithmetic")]
    float16: Annotated[QuantityFigure | None, Meta(description=_FIGURE + "float16 elementwise arithmetic")]


class MeasuredRates(Block):
    """Rates measured on real cards."""

    copy_bytes_per_s: (
        Annotated[QuantityFigure | None, Meta(description=_FIGURE + "read plus write of a large copy")] | UnsetType
    ) = UNSET
    matmul_bfloat16_flops_per_s: (
        Annotated[QuantityFigure | None, Meta(description=_FIGURE + "a large bfloat16 matrix product")] | UnsetType
    ) = UNSET


class TpuTarget(Block, tag_field="platform", tag="tpu"):
    """TPU: topology name such as v5e:1x1."""

    topology: Annotated[Text, Meta(description="a topology name")]


class ComputeCapability(Block):
    """The compute capability of an NVIDIA GPU."""

    major: Annotated[int, Meta(ge=1, le=99)]
    minor: Annotated[int, Meta(ge=0, le=99)]
    feature_extension: Annotated[str, Meta(pattern="^[A-Z_]+$")] | UnsetType = UNSET


DeviceNumber = Annotated[int, Meta(ge=0)] | Annotated[float, Meta(ge=0)]


class CudaConfig(Block):
    """The fields of the target config of an NVIDIA GPU."""

    gpu_device_info: Annotated[
        dict[_ProtoField, DeviceNumber | ComputeCapability],
        Meta(
            extra_json_schema={
                "required": ["cuda_compute_capability"],
                "allOf": [
                    {"properties": {"cuda_compute_capability": {"type": "object"}}, "additionalProperties": {"type": "number"}}
                ],
            }
        ),
    ]
    platform_name: Literal["CUDA"]
    dnn_version_info: dict[_ProtoField, Count] | UnsetType = UNSET
    runtime_version: dict[_ProtoField, Count] | UnsetType = UNSET
    device_description_str: Text

    def __post_init__(self) -> None:
        """Raise ``ValueError`` unless the compute capability, and nothing else, is an object."""
        objects = [key for key, value in self.gpu_device_info.items() if isinstance(value, ComputeCapability)]
        if objects != ["cuda_compute_capability"]:
            raise ValueError("gpu_device_info: needs numbers and cuda_compute_capability")

    @property
    def compute_capability(self) -> tuple[int, int]:
        """(major, minor)."""
        capability = self.gpu_device_info["cuda_compute_capability"]
        assert isinstance(capability, ComputeCapability)
        return capability.major, capability.minor


class CudaTarget(Block, tag_field="platform", tag="cuda"):
    """NVIDIA: the fields of the target config."""

    topology: Annotated[Text, Meta(description="partitions x hosts x devices per host")]
    source: Source
    date: SourceDate | UnsetType = UNSET
    config: Annotated[CudaConfig, Meta(description="the text proto's fields as JSON, in its names and units")]


class Price(Block):
    """The offer of an hourly price."""

    provider: Text
    region: Text
    kind: Annotated[Text, Meta(description="on-demand, spot or reserved")]
    date: Annotated[str, Meta(min_length=4)]


class AnchorConstant(Block):
    """A constant measured on a card."""

    value: Annotated[NumberAboveZero, Meta(description="a number above 0")]
    unit: Annotated[Text, Meta(description="the constant's unit, as accelerator_times.json has it")] | UnsetType = UNSET
    kind: Annotated[Literal["measured"], Meta(description='"measured"')]
    source: Annotated[Text, Meta(description="which operations it was taken from")]


class AnchorErrors(Block):
    """Errors on operations that gave no anchor."""

    rows: Annotated[Positive, Meta(description="operations that judge")]
    median: Annotated[NonNegative, Meta(description="median of |predicted - measured| / measured")]
    p90: Annotated[NonNegative, Meta(description="its 90th percentile")]
    worst: Annotated[NonNegative, Meta(description="the largest")]
    ratio_low: Annotated[AboveZero, Meta(description="measured / predicted is below it one time of twenty at most")]
    ratio_high: Annotated[AboveZero, Meta(description="and above it one time of twenty at most")]


class LeftOut(Block):
    """An operation or constant that was left out."""

    what: Annotated[Text, Meta(description="the operation or constant")]
    why: Annotated[Text, Meta(description="the reason")]


class AnchorRow(Block):
    """One measured operation."""

    name: Annotated[Text, Meta(description="the operation")]
    class_: Annotated[Text, Meta(description="its class of errors")] = field(name="class")
    seconds: Annotated[AboveZero, Meta(description="measured")]
    predicted_s: Annotated[AboveZero, Meta(description="predicted with the anchors")]
    shipped_s: Annotated[AboveZero, Meta(description="predicted without")] | UnsetType = UNSET
    judged: Annotated[bool, Meta(description="whether no anchor was taken from it")]


class AnchorsBlock(Block):
    """Constants of predicted times that were measured on one card."""

    constants: Annotated[
        dict[str, AnchorConstant],
        Meta(description="an object: by the name that accelerator_times.json has, such as launches.enqueue_s"),
    ]
    errors: Annotated[
        dict[str, AnchorErrors],
        Meta(description="an object: by class of operation, the errors on operations that no anchor was taken from"),
    ]
    created: Annotated[Text, Meta(description="when it was measured")]
    device: Annotated[str | None, Meta(description="the device's own title, or null for imported measurements")]
    jax: Annotated[str | None, Meta(description="version of JAX that it was measured with")]
    driver: Annotated[str | None, Meta(description="version of the driver")]
    took_s: Annotated[Seconds, Meta(description="seconds that the sweep took")] | UnsetType = UNSET
    passes: Annotated[Count, Meta(description="passes over all operations; the median counts")] | UnsetType = UNSET
    skipped: (
        Annotated[tuple[LeftOut, ...], Meta(description="operations and constants that were left out, and why")] | UnsetType
    ) = UNSET
    rows: Annotated[tuple[AnchorRow, ...], Meta(description="the measurements, an entry per operation")] | UnsetType = UNSET


class AcceleratorProfile(Document):
    """crjax accelerator profile."""

    schema: Literal["urn:cr-jax:schema:accelerator-profile:1.0"] = "urn:cr-jax:schema:accelerator-profile:1.0"
    kind: Literal["accelerator-profile"] = "accelerator-profile"
    name: ProfileName
    title: PrintedName
    platform: Annotated[Platform, Meta(description="the compiler that makes programs for it: cpu, cuda or tpu")]
    generation: (
        Annotated[
            Generation,
            Meta(
                description="the architecture, by which the constants of predicted times are found: maxwell (M40), pascal "
                "(P100, GTX 10), volta, turing, ampere-datacenter (A100), ampere (A10, A40, RTX 30), ada (L4, L40, RTX 40), "
                "hopper, blackwell-datacenter (B200), blackwell (RTX 50), or the TPU's"
            ),
        ]
        | UnsetType
    ) = UNSET
    memory_bytes: Annotated[QuantityFigure | None, Meta(description=_FIGURE + "main memory of the device")]
    memory_bandwidth_bytes_per_s: Annotated[
        QuantityFigure | None, Meta(description=_FIGURE + "peak rate of reads and writes of main memory together")
    ]
    memory_kind: (
        Annotated[
            Literal["hbm", "gddr"],
            Meta(description="hbm or gddr: kind of main memory, which decides the reached share of its peak"),
        ]
        | UnsetType
    ) = UNSET
    cache_bytes: Annotated[
        QuantityFigure | None, Meta(description=_FIGURE + "last-level cache on the chip (on TPU: vector memory)")
    ]
    clock_hz: Annotated[QuantityFigure | None, Meta(description=_FIGURE + "highest (boost) clock")]
    sustained_clock_hz: (
        Annotated[
            QuantityFigure | None,
            Meta(
                description=_FIGURE + "the clock that is held under a load of matrix products, where one is known; clock_hz is "
                "the highest"
            ),
        ]
        | UnsetType
    ) = UNSET
    cores: Annotated[
        CountFigure | None, Meta(description=_FIGURE + "streaming multiprocessors, tensor cores of a TPU chip, or CPU cores")
    ]
    lanes_per_core: (
        Annotated[
            CountFigure | None,
            Meta(description=_FIGURE + "float32 multiply-adds that a streaming multiprocessor does in a clock"),
        ]
        | UnsetType
    ) = UNSET
    power_w: Annotated[QuantityFigure | None, Meta(description=_FIGURE + "board power limit (TDP)")]
    idle_power_w: Annotated[QuantityFigure | None, Meta(description=_FIGURE + "power of the idle device")] | UnsetType = UNSET
    link_bytes_per_s: (
        Annotated[
            QuantityFigure | None,
            Meta(
                description=_FIGURE + "peak rate to the other devices of a node (NVLink, interconnect of TPU chips), both "
                "directions together"
            ),
        ]
        | UnsetType
    ) = UNSET
    links: (
        Annotated[
            HostLinks | TorusLinks,
            Meta(description="an object: links to other devices beyond link_bytes_per_s, by which collectives are predicted"),
        ]
        | UnsetType
    ) = UNSET
    price_usd_per_hour: Annotated[QuantityFigure | None, Meta(description=_FIGURE + "on-demand price of one device")]
    price: Annotated[Price | None, Meta(description="the offer of price_usd_per_hour")] | UnsetType = UNSET
    matmul_flops_per_s: Annotated[
        MatmulPeaks,
        Meta(
            description="an object: peak rate of dense matrix products (multiply-add = 2), fastest unit, no sparsity, by "
            "input type"
        ),
    ]
    vector_flops_per_s: Annotated[
        VectorPeaks,
        Meta(description="an object: peak rate of elementwise arithmetic (multiply-add = 2), no matrix units, by type"),
    ]
    measured: (
        Annotated[MeasuredRates, Meta(description="rates measured on real cards, to check a prediction against")] | UnsetType
    ) = UNSET
    compiler_target: Annotated[
        TpuTarget | CudaTarget | None, Meta(description="the description for the ahead-of-time compiler, or null: no such target")
    ]
    calibration: (
        Annotated[Calibration | None, Meta(description="tables that crjax calibrate measured on the attached device, or null")]
        | UnsetType
    ) = UNSET
    validated_on: (
        Annotated[
            tuple[Validation, ...],
            Meta(
                description="how far predictions for this class of device were from measurements, an entry per method; empty or "
                "absent: never compared"
            ),
        ]
        | UnsetType
    ) = UNSET
    anchors: (
        Annotated[
            AnchorsBlock,
            Meta(
                description="an object: constants of predicted times measured on this very card, and what they err by; "
                "crjax calibrate --device gpu writes it"
            ),
        ]
        | UnsetType
    ) = UNSET
