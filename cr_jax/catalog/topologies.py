"""Several devices of one kind: which numbers exist, how they are joined, and the name that their compiler has for it.

TPU slices are those that Google Cloud offers (docs.cloud.google.com/tpu/docs: v4, v5e, v5p, v6e, tpu7x), though the compiler
takes others. GPUs stand up to eight to a host, as in NVIDIA's HGX and DGX systems, and then in whole hosts.
"""

import re
from dataclasses import dataclass
from math import prod

from cr_jax.catalog.accelerator import Accelerator
from cr_jax.documents.accelerator_profile import TpuTarget
from cr_jax.errors import BadConfig

#: Axis names of a mesh with their sizes, in order.
Mesh = tuple[tuple[str, int], ...]
#: The most GPUs of one host, and the most of all that a mesh may have; of CPU devices in one process.
HOST_GPUS, MOST, MOST_CPUS = 8, 1024, 256
_FLAT = ("1x1", "2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16")
_CUBES = ("1x1x1", "2x2x1", "2x2x2", "2x2x4", "2x4x4", "4x4x4", "4x4x8", "4x8x8", "8x8x8", "8x8x16")
#: Slices of a TPU generation by its name in a topology.
_SLICES = {"v4": _CUBES, "v5e": _FLAT, "v5p": _CUBES, "v6e": _FLAT, "tpu7x": _CUBES}
#: JAX's devices of one chip, where it is not one.
_DEVICES_OF_CHIP = {"tpu7x": 2}


@dataclass(frozen=True)
class Topology:
    """Devices that are joined. name: for the compiler. chips_per_host: of a TPU along x, y and z; ``None`` for others."""

    name: str
    chips_per_host: tuple[int, int, int] | None
    devices_per_host: int


def read_mesh(text: str) -> Mesh:
    """``"data=4,model=2"`` as axes with their sizes. Raises ``BadConfig``."""
    axes: dict[str, int] = {}
    for part in text.split(","):
        name, equals, number = (piece.strip() for piece in part.partition("="))
        if not equals or not re.fullmatch(r"[A-Za-z_]\w*", name) or not re.fullmatch(r"[1-9]\d{0,5}", number) or name in axes:
            raise BadConfig(f"--mesh {text!r}: {part.strip()!r}; legal: axes with their sizes, each once, such as data=4,model=2")
        axes[name] = int(number)
    return tuple(axes.items())


def mesh_text(mesh: Mesh) -> str:
    """The inverse of ``read_mesh``."""
    return ",".join(f"{name}={size}" for name, size in mesh)


def topology(accelerator: Accelerator, devices: int) -> Topology:
    """The arrangement of exactly so many of a device. Raises ``BadConfig`` where there is none, with the legal numbers."""
    told = accelerator.compiler_target
    if accelerator.platform == "cpu":
        if devices > MOST_CPUS:
            raise BadConfig(_illegal(accelerator, devices, f"1 to {MOST_CPUS}"))
        return Topology("cpu", None, devices)
    if not isinstance(told, TpuTarget):
        hosts, rest = divmod(devices, HOST_GPUS)
        if devices > MOST or (hosts and rest):
            raise BadConfig(_illegal(accelerator, devices, f"1 to {HOST_GPUS}, or a multiple of {HOST_GPUS} up to {MOST}"))
        per_host = min(devices, HOST_GPUS)
        return Topology(f"1x{max(hosts, 1)}x{per_host}", None, per_host)
    generation = told.topology.partition(":")[0]
    slices = _SLICES.get(generation, ("1x1x1",))
    each = _DEVICES_OF_CHIP.get(generation, 1)
    by_number = {each * prod(_sides(shape)): shape for shape in slices}
    if devices not in by_number:
        raise BadConfig(_illegal(accelerator, devices, ", ".join(map(str, by_number))))
    shape = by_number[devices]
    sides = (*_sides(shape), 1)[:3]
    # A slice of eight flat chips is one host of eight; larger ones are made of hosts with four.
    x, y, z = sides if prod(sides) <= 4 or shape == "2x4" else (2, 2, 1)
    return Topology(f"{generation}:{shape}", (x, y, z), x * y * z * each)


def _sides(shape: str) -> tuple[int, ...]:
    return tuple(map(int, shape.split("x")))


def _illegal(accelerator: Accelerator, devices: int, legal: str) -> str:
    return f"--mesh: {accelerator.name} has no topology of {devices} devices; legal: {legal}"
