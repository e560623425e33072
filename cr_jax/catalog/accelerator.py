"""Accelerator profiles."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from cr_jax.catalog.dataset import Origin
from cr_jax.documents.accelerator_profile import AnchorsBlock, CudaConfig, CudaTarget, Generation, Price, TpuTarget
from cr_jax.documents.base import plain
from cr_jax.documents.calibration import Calibration, Validation
from cr_jax.documents.fields import Platform

#: Input types of a matrix product that a peak rate is given for; ``tf32`` is float32 in tf32 passes, ``float8`` any
#: of the 8-bit floating-point types, ``int8`` counted in integer operations.
MATMUL_TYPES = ("float64", "float32", "tf32", "bfloat16", "float16", "float8", "int8")
VECTOR_TYPES = ("float64", "float32", "bfloat16", "float16")
#: Fields of a target config that are names of enums, not strings.
_ENUMS = ("feature_extension",)
#: A calibration is disturbed if the times of its canary, one program run again and again, spread more than this.
CANARY_SPREAD = 0.15


@dataclass(frozen=True)
class Accelerator:
    """One device. ``None`` is unknown, and stays so: nothing is borrowed from another device.

    platform: cpu | cuda | tpu. Rates are peaks per second for one device, multiply-add = 2 FLOPs:
    matmul_flops_per_s by ``MATMUL_TYPES`` (dense, fastest unit), vector_flops_per_s by
    ``VECTOR_TYPES`` (no matrix units). memory_bandwidth_bytes_per_s counts reads and writes
    together. measured: rates seen on real cards. compiler_target: the ahead-of-time compiler's
    description, ``None`` for a device it has none for. calibration: tables measured on the attached
    device, as ``crjax calibrate`` writes them. validated_on: how far predictions for this class of device
    were from the clock, an entry per method; empty with an ``unreliable`` calibration. price: provider,
    region, kind and date of the price. generation: the architecture. lanes_per_core: float32 multiply-adds of a
    streaming multiprocessor in a clock. memory_kind: hbm or gddr. sustained_clock_hz: held under a load of matrix
    products. link_bytes_per_s: to the other devices of a node, both directions. links: of a GPU devices_per_host,
    network_bytes_per_s (one direction) and network_hop_s, of a TPU torus_axes, neighbour_bytes_per_s (one direction),
    neighbour_hop_s and wraps_at; empty where the profile says nothing. anchors: constants of predicted times
    measured on this card, and what they err by, as ``crjax calibrate --device gpu`` writes them. ``origins`` has an entry for
    every number that is known, dotted below the top level: ``matmul_flops_per_s.bfloat16``.
    """

    name: str
    title: str
    platform: Platform
    memory_bytes: int | None
    memory_bandwidth_bytes_per_s: float | None
    cache_bytes: int | None
    clock_hz: float | None
    cores: int | None
    power_w: float | None
    price_usd_per_hour: float | None
    matmul_flops_per_s: dict[str, float | None]
    vector_flops_per_s: dict[str, float | None]
    measured: dict[str, float | None]
    compiler_target: TpuTarget | CudaTarget | None
    origins: dict[str, Origin]
    calibration: Calibration | None = None
    validated_on: tuple[Validation, ...] = ()
    price: Price | None = None
    idle_power_w: float | None = None
    generation: Generation | None = None
    lanes_per_core: int | None = None
    memory_kind: str | None = None
    sustained_clock_hz: float | None = None
    link_bytes_per_s: float | None = None
    anchors: AnchorsBlock | None = None
    links: Mapping[str, float | None] = field(default_factory=dict[str, float | None])


def unreliable(calibration: Calibration) -> str | None:
    """The reason, in words, why a calibration is not reliable; ``None``: it is. Errors that were measured with others do not
    apply to its predictions.
    """
    if calibration.passes < 2:
        return "the spread of passes is not known from a single pass"
    spread = calibration.canary.spread
    if spread > CANARY_SPREAD:
        return f"the canary's times spread by {spread:.0%}, more than {CANARY_SPREAD:.0%}: other work ran on this machine"
    return None


def target_config_text(config: CudaConfig) -> str:
    """A CUDA target's ``config`` as the text proto that the ahead-of-time compiler reads."""
    return _proto_text(plain(config), "")


def _proto_text(fields: dict[str, object], indent: str) -> str:
    lines: list[str] = []
    for key, value in fields.items():
        if isinstance(value, dict):
            lines.append(f"{indent}{key} {{\n{_proto_text(cast(dict[str, object], value), indent + '  ')}{indent}}}\n")
        elif isinstance(value, str) and key not in _ENUMS:
            escaped = value.replace("\\", "\\\\").replace('"', '\\"')
            lines.append(f'{indent}{key}: "{escaped}"\n')
        else:
            lines.append(f"{indent}{key}: {value}\n")
    return "".join(lines)
