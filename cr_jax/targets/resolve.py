"""The meaning of ``--device``: the attached device of a kind, or a named accelerator's compiler."""

import os
import platform
from functools import cache
from importlib import metadata
from math import prod
from pathlib import Path

from cr_jax.catalog import load
from cr_jax.catalog.accelerator import Accelerator, target_config_text
from cr_jax.catalog.precision import compute_capability
from cr_jax.catalog.topologies import Mesh, topology
from cr_jax.documents.accelerator_profile import CudaTarget
from cr_jax.errors import BadConfig, UnknownName
from cr_jax.records import Target
from cr_jax.targets import overlay, worker_process
from cr_jax.targets.worker_request import CompilerDescription, Options, TargetDescription

#: A bare kind stands for its attached device, else for the kind's default accelerator.
DEFAULTS = {"cpu": "cpu", "gpu": "h100", "tpu": "tpu-v5e"}

#: Options for CPU programs that are counted and never run. They leave the HLO unchanged (a test checks
#: that) and skip the optimisation of machine code, most of a small program's compile time.
COUNT_OPTIONS: Options = {"xla_backend_optimization_level": 0}

#: Without a card a compiler cannot time its candidates.
_OPTIONS: dict[str, Options] = {"cuda": {"xla_gpu_autotune_level": 0}, "tpu": {}}
#: Files by which the system shows a device of a platform; checked before a worker is asked.
_NODES = {"cuda": ("/dev/nvidiactl", "/dev/dxg"), "tpu": ("/dev/accel0", "/dev/vfio/0")}
#: The CUDA releases that compile for a compute capability (NVIDIA's CUDA toolkit release notes).
_FIRST_CUDA = {(8, 9): (11, 8), (9, 0): (11, 8), (10, 0): (12, 8), (12, 0): (12, 8)}
_LAST_OF_CUDA_12 = (7, 5)
#: How JAX titles attached TPUs.
_TPU_TITLES = {"TPU v4": "tpu-v4", "TPU v5 lite": "tpu-v5e", "TPU v5": "tpu-v5p", "TPU v6 lite": "tpu-v6e"}


def resolve(device: str, mesh: Mesh = ()) -> Target:
    """The target of a device name; with ``mesh``, of so many of it.

    Programs for a mesh are compiled ahead of time, also where one device of it is attached. Raises ``UnknownName`` with the
    nearest legal names, and ``BadConfig`` for a GPU that the installed CUDA does not compile for, and a mesh that the device has
    no topology for.
    """
    if device in DEFAULTS and device != "cpu":
        title = _attached(device)
        if title is not None and mesh:
            device = profile_name(title, overlay.KINDS[device]) or device
        elif title is not None:
            of = overlay.KINDS[device]
            name, tuned = profile_name(title, of) or device, of == "cuda" or None
            return Target(name, of, True, kind=title, autotuned=tuned, compiler=_own_versions(device), problem=None)
        device = DEFAULTS.get(device, device)
    if device not in load.accelerator_names():
        raise UnknownName("device", device, dict.fromkeys([*DEFAULTS, *load.accelerator_names()]))
    accelerator = load.accelerator(device)
    if mesh:
        topology(accelerator, prod(size for _, size in mesh))
    if accelerator.platform == "cpu":
        title = "cpu" if device == "cpu" else accelerator.title
        return Target(device, "cpu", True, kind=title, autotuned=None, compiler={}, problem=None, mesh=mesh)
    compiler, problem = _compiler(accelerator)
    return Target(
        device,
        accelerator.platform,
        False,
        kind=accelerator.title,
        autotuned=False if accelerator.platform == "cuda" else None,
        compiler=compiler.versions if compiler else None,
        problem=problem,
        mesh=mesh,
    )


def description(target: Target) -> TargetDescription:
    """The description of a target for a worker and for a cache key."""
    common: CompilerDescription = {"platform": target.platform, "attached": target.attached, "compiler": target.compiler}
    if target.mesh:
        common["mesh"] = list(target.mesh)
    if target.platform == "cpu":
        return {**common, "host": _host(), "options": COUNT_OPTIONS}
    if target.attached:
        return {**common, "title": target.kind, "options": {}}
    accelerator = load.accelerator(target.name)
    told = accelerator.compiler_target
    assert told is not None, "a target that is not attached has a compiler"
    name = told.topology
    if target.mesh:
        joined = topology(accelerator, target.devices)
        name, hosts = joined.name, joined.chips_per_host
        common["chips_per_host"] = list(hosts) if hosts else None
    config = target_config_text(told.config) if isinstance(told, CudaTarget) else None
    # JAX attaches a v4 chip as one device over both its cores; its compiler must be told.
    chip = "megacore" if told.topology.startswith("v4:") else None
    return {**common, "topology": name, "chip": chip, "config": config, "options": _OPTIONS[target.platform]}


@cache
def _host() -> list[str]:
    """Properties of this machine that XLA's CPU compiler depends on: its instructions and number of cores."""
    try:
        told = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        lines = {line.strip() for line in told.splitlines() if line.startswith(("model name", "flags", "Features"))}
    except OSError:
        lines = {platform.processor()}
    return [platform.machine(), str(os.cpu_count()), *sorted(lines)]


def _compiler(accelerator: Accelerator) -> tuple[overlay.Compiler | None, str | None]:
    """The compiler for a profile, or the reason why there is none."""
    kind = next(k for k, of in overlay.KINDS.items() if of == accelerator.platform)
    compiler = overlay.find(kind)
    if accelerator.compiler_target is None:
        return None, f"the profile of {accelerator.name} has no compiler_target"
    if compiler is None:
        return None, f"no compiler for {accelerator.name} here; {overlay.command(kind)} makes it exact"
    capability = compute_capability(accelerator)
    if capability is not None:
        _check_cuda(accelerator.name, capability, compiler)
    return compiler, None


def _check_cuda(name: str, capability: tuple[int, int], compiler: overlay.Compiler) -> None:
    cuda = next((v for n, v in compiler.versions.items() if n.startswith("nvidia-cuda-nvcc")), None)
    if cuda is None:
        return  # a toolkit of the machine's, which refuses by itself
    have = tuple(int(part) for part in cuda.split(".")[:2])
    first, last_12 = _FIRST_CUDA.get(capability, (11, 0)), capability < _LAST_OF_CUDA_12
    if have >= first and not (last_12 and have >= (13, 0)):
        return
    legal = "CUDA 12" if last_12 else f"CUDA {first[0]}.{first[1]} or later"
    raise BadConfig(
        f"device {name!r}: CUDA {have[0]}.{have[1]} here does not compile for compute capability "
        f"{capability[0]}.{capability[1]}; legal: {legal}, such as an environment without CUDA wheels and "
        f"{overlay.command('gpu')}"
    )


def _attached(kind: str) -> str | None:
    """Title of the attached device, asked for in a worker where system and wheels suggest there is one."""
    of = overlay.KINDS[kind]
    if not any(Path(node).exists() for node in _NODES[of]) or not _own_versions(kind):
        return None
    return worker_process.probe(of)


def _own_versions(kind: str) -> dict[str, str]:
    """Versions of the plugins for a kind in the user's own environment."""
    prefix = {"gpu": "jax-cuda", "tpu": "libtpu"}[kind]
    names = {d.name.lower().replace("_", "-"): d.version for d in metadata.distributions()}
    return {n: v for n, v in sorted(names.items()) if n.startswith(prefix)}


def profile_name(title: str, of: str) -> str | None:
    """The profile of an attached device, by its driver's title."""
    if of == "tpu":
        return _TPU_TITLES.get(title)
    for name in load.accelerator_names():
        target = load.accelerator(name).compiler_target
        if isinstance(target, CudaTarget) and target.config.device_description_str == title:
            return name
    return None
