"""The attached device of a measurement, and the profile with its peaks."""

from dataclasses import dataclass

import jax

from cr_jax.catalog import load
from cr_jax.catalog.accelerator import Accelerator
from cr_jax.catalog.precision import matmul_precision
from cr_jax.errors import BadConfig, UnknownName
from cr_jax.report.bench import PeakRates
from cr_jax.targets.device_protocol import Device
from cr_jax.targets.resolve import profile_name

KINDS = ("cpu", "gpu", "tpu")
#: JAX's names of platforms, as spelled in accelerator profiles.
_PLATFORM = {"gpu": "cuda", "cuda": "cuda", "cpu": "cpu", "tpu": "tpu"}


@dataclass(frozen=True)
class Attached:
    """A device of this process and, where one is known, its profile."""

    device: Device
    platform: str
    kind: str
    accelerator: Accelerator | None


def attached(name: str) -> Attached:
    """The attached device that ``name`` means: cpu, gpu, tpu, or an accelerator that is attached.

    Raises ``BadConfig`` with the attached devices, and ``UnknownName`` for an unknown name.
    """
    names = load.accelerator_names()
    if name not in KINDS and name not in names:
        raise UnknownName("device", name, [*KINDS, *names])
    platform = name if name in KINDS else {"cuda": "gpu"}.get(own_platform := load.accelerator(name).platform, own_platform)
    device = _first(platform)
    if device is not None:
        accelerator = _profile(device, name if platform == "cpu" and name not in KINDS else None)
        if name in KINDS or (accelerator is not None and accelerator.name == name):
            return Attached(device, _PLATFORM[device.platform], device.device_kind, accelerator)
    raise none_attached(name)


def none_attached(name: str) -> BadConfig:
    """The error for a device that is not attached: the attached ones, and the alternatives without it."""
    here = ", ".join(sorted({f"{d.platform} ({d.device_kind})" for d in _all()})) or "nothing"
    return BadConfig(
        f"device {name!r}: none attached, and a measurement needs one; attached: {here}; "
        f"`crjax profile --device {name}` counts and compiles for it ahead of time"
    )


def peaks(accelerator: Accelerator | None, dtype: str | None, precision: str) -> PeakRates:
    """Peak rates that a step at ``dtype`` and matmul ``precision`` is compared with; ``None``: unknown.

    dtype: ``None`` where products are of several types. matmul_type: the type that products are computed in
    (``cr_jax.catalog.precision``).
    """
    if accelerator is None:
        return PeakRates()
    kind = matmul_precision(accelerator, precision, dtype) if dtype is not None else None
    return PeakRates(
        profile=accelerator.name,
        matmul_type=kind,
        flops_per_s=accelerator.matmul_flops_per_s.get(kind or ""),
        bytes_per_s=accelerator.memory_bandwidth_bytes_per_s,
    )


def build_device() -> Device:
    """The CPU where this process has one, so that an accelerator's peak of memory is the step's own."""
    try:
        return jax.devices("cpu")[0]
    except RuntimeError:
        return jax.devices()[0]


def _profile(device: Device, name: str | None) -> Accelerator | None:
    """The profile of this very device; never another device's."""
    profile = (name or "cpu") if device.platform == "cpu" else profile_name(device.device_kind, _PLATFORM[device.platform])
    return load.accelerator(profile) if profile is not None else None


def _first(platform: str) -> Device | None:
    try:
        return jax.devices(platform)[0]
    except RuntimeError:
        return None


def _all() -> list[Device]:
    devices = []
    for platform in KINDS:
        try:
            devices += jax.devices(platform)
        except RuntimeError:
            continue
    return devices
