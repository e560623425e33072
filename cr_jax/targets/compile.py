"""Trace, lower and compile one step: for this process's CPU, or for a place with a compiler."""

import contextlib
import re
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, cast

import jax
import numpy as np
from jax.sharding import Mesh, SingleDeviceSharding

from cr_jax.errors import BadConfig
from cr_jax.printable import one_line
from cr_jax.records import Argument, CompiledStep, MemoryFigures, Target
from cr_jax.steps.sharding import on_mesh, splits
from cr_jax.steps.step import Step
from cr_jax.targets.compilation import Compilation, completed, traced_as
from cr_jax.targets.device_protocol import Device
from cr_jax.targets.jaxpr import count_jaxpr
from cr_jax.targets.resolve import COUNT_OPTIONS
from cr_jax.targets.traced_kernels import traced_kernels
from cr_jax.targets.worker_request import Options

Stage = TypeVar("Stage")
Arguments = TypeVar("Arguments", bound=tuple[object, ...])
#: Figures of a step without a compiled program.
_NO_MEMORY = MemoryFigures(None, None, None, None, None, None)


@dataclass(frozen=True)
class Place:
    """The place of a program: JAX's name of the platform, a device (``None``: the CPU of this process), the compiler's options,
    and the mesh of several devices.
    """

    platform: str
    device: Device | None = None
    options: Options = field(default_factory=dict)
    mesh: Mesh | None = None


@dataclass(frozen=True)
class LoweredStep:
    """A step lowered for the CPU. ``step``: as plain data, without a compiled program; what any
    target's key, and the count of the traced program, are made of. refused: why the CPU has no such program; it is then that of
    another platform.
    """

    step: CompiledStep
    traced: jax.stages.Traced
    lowered: jax.stages.Lowered
    refused: str | None = None

    def compile(self) -> Compilation:
        """XLA's program for this machine's CPU."""
        return _compile(self.lowered, _CPU, self.step.durations_s, traced_as(self.step.model_hlo, self.step.arguments))


def lower_step(step: Step, target: Target, precision: str, others: Sequence[str] = ()) -> LoweredStep:
    """``step`` traced and lowered for the CPU, whatever device the user's JAX prefers.

    others: platforms to lower a user's function for where the CPU has no such program, such as a kernel of another device.
    Raises ``BadConfig`` for sizes whose product XLA cannot hold, and for a function that can be lowered for none of them.
    """
    refused = None
    try:
        with jax.default_device(jax.devices("cpu")[0]) if target.platform == "cpu" else contextlib.nullcontext():
            try:
                traced, lowered, durations = _lower(step, _CPU, precision)
            except (ValueError, NotImplementedError) as error:
                if step.traced_by is None:
                    raise
                refused = f"{step.name} cannot be lowered for the CPU: {one_line(error, 300)}"
                traced, lowered, durations = _lower_elsewhere(step, others, precision, refused)
            text = _model_text(lowered)
    except (RuntimeError, OverflowError) as error:
        if "overflow" not in str(error) and not isinstance(error, OverflowError):
            raise
        said = one_line(error, 200)
        raise BadConfig(f"{step.name}: an array is too large to be counted: {said}; legal: smaller sizes") from None
    plain = CompiledStep(
        name=step.name,
        labels=step.labels,
        model_hlo=text,
        compiled_hlo=None,
        target=target,
        modules=step.modules,
        arguments=_arguments(step),
        memory=_NO_MEMORY,
        jaxpr=count_jaxpr(traced.jaxpr),
        xla_flops=None,
        xla_transcendentals=None,
        xla_bytes=None,
        precision=precision,
        versions=versions(),
        durations_s=durations,
        outcome="left out",
        reason="not asked for",
        splits=splits(step),
        kernels=traced_kernels(traced.jaxpr),
    )
    return LoweredStep(plain, traced, lowered, refused)


def _lower_elsewhere(
    step: Step, platforms: Sequence[str], precision: str, refused: str
) -> tuple[jax.stages.Traced, jax.stages.Lowered, dict[str, float]]:
    """``step`` lowered for the first platform that has such a program. Raises ``BadConfig`` with ``refused``."""
    for platform in platforms:
        try:
            return _lower(step, Place(platform), precision)
        # From JAX 0.12 on, Triton asks for a card, in several ways.
        except (ValueError, NotImplementedError, RuntimeError, AssertionError) as error:
            refused += f"; nor for {platform}: {one_line(error, 300) or type(error).__name__}"
    raise BadConfig(refused)


def compile_step(step: Step, target: Target, precision: str, compiled: bool = True) -> CompiledStep:
    """``step`` as plain data; with ``compiled``, for this machine's CPU, else traced and lowered only."""
    lowered = lower_step(step, target, precision)
    if not compiled:
        return lowered.step
    compilation = lowered.compile()
    return completed(lowered.step, compilation, compilation.durations_s)


#: Without a card to time candidates, XLA takes its first choice for a Triton product, and fails where its tiles do not fit or it
#: cannot be built; a tuned compiler passes over it and takes cuBLAS (openxla/xla#36792).
_NO_TILES = "output tile sizes"
_CUBLAS = {"xla_gpu_enable_triton_gemm": False}
_CPU = Place("cpu", None, COUNT_OPTIONS)


def compile_for(step: Step, place: Place, precision: str, traced: tuple[str, str] | None = None) -> Compilation:
    """The program that the compiler of ``place`` makes of ``step``.

    traced: as ``traced_as`` gives it for the step; ``None``: the step is lowered as the caller did, for comparison.
    """
    _, lowered, durations = _lower(step, place, precision)
    if traced is None:
        _, model, _ = _lower(step, _CPU, precision)
        traced = traced_as(_model_text(model), _arguments(step))
    return _compile(lowered, place, durations, traced)


def _lower(step: Step, place: Place, precision: str) -> tuple[jax.stages.Traced, jax.stages.Lowered, dict[str, float]]:
    durations: dict[str, float] = {}
    arguments, results = step.arguments, {}
    if place.mesh is not None:
        arguments, results = on_mesh(step, place.mesh)
    elif place.device is not None:
        arguments = _on(place.device, step.arguments)
    with jax.default_matmul_precision(precision):
        traced = _timed(durations, "trace", lambda: step.trace(arguments, results))
        lowered = _timed(durations, "lower", lambda: traced.lower(lowering_platforms=(place.platform,)))
    return traced, lowered, durations


def _model_text(lowered: jax.stages.Lowered) -> str:
    return lowered.as_text("hlo", debug_info=True)


def _compile(lowered: jax.stages.Lowered, place: Place, durations: Mapping[str, float], traced: tuple[str, str]) -> Compilation:
    seconds = dict(durations)
    executable, options, note = _timed(seconds, "compile", lambda: compile_lowered(lowered, place))
    analysis = _xla(executable)
    return Compilation(
        hlo=_text(executable, lowered, options),
        memory=_memory(executable),
        xla_flops=analysis.get("flops"),
        xla_transcendentals=analysis.get("transcendentals"),
        xla_bytes=analysis.get("bytes accessed"),
        program_sha256=traced[0],
        arguments_sha256=traced[1],
        durations_s=seconds,
        note=note,
    )


def compile_lowered(lowered: jax.stages.Lowered, place: Place) -> tuple[jax.stages.Compiled, Options, str | None]:
    """The program, the options it was compiled with, and a note where these are not the place's.

    Raises XLA's first error where a program for a GPU compiles neither with Triton's products nor with cuBLAS alone.
    """
    try:
        return _optimised(lowered, place.options), place.options, None
    except jax.errors.JaxRuntimeError as error:
        if place.platform != "cuda":
            raise
        options, said = {**place.options, **_CUBLAS}, str(error)
        with contextlib.suppress(jax.errors.JaxRuntimeError):
            fits = "the untuned tiles of a Triton product do not fit"
            note = fits if _NO_TILES in said else f"XLA cannot build a Triton product ({one_line(said, 120)})"
            return _optimised(lowered, options), options, f"{note}; products are cuBLAS calls"
        raise


def _optimised(lowered: jax.stages.Lowered, options: Options) -> jax.stages.Compiled:
    # JAX takes whole numbers too, which its annotation leaves out.
    return lowered.compile(compiler_options=cast(dict[str, str | bool], options) or None)


def versions() -> dict[str, str | None]:
    """Versions of the packages that affect compilation; ``None``: not installed."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    by_package: dict[str, str | None] = {"python": platform.python_version()}
    for package in ("jax", "jaxlib", "flax", "optax", "libtpu"):
        try:
            by_package[package] = version(package)
        except PackageNotFoundError:
            by_package[package] = None
    return by_package


def _timed(durations: dict[str, float], name: str, call: Callable[[], Stage]) -> Stage:
    started = time.perf_counter()
    result = call()
    durations[name] = time.perf_counter() - started
    return result


def _on(device: Device, arguments: Arguments) -> Arguments:
    sharding = SingleDeviceSharding(device)
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), arguments)


def _text(executable: jax.stages.Compiled, lowered: jax.stages.Lowered, options: Options) -> str:
    """The optimised HLO. Where the compiler cannot print its own program (a very large gather on TPU
    v5p and v6e), the text it dumps while compiling.
    """
    try:
        text = executable.as_text()
        if text:
            return text
    except jax.errors.JaxRuntimeError as error:
        if "async-update" not in str(error):
            raise
    with tempfile.TemporaryDirectory(prefix="crjax-dump-") as folder:
        _optimised(lowered, options | {"xla_dump_to": folder, "xla_dump_hlo_as_text": True})
        files = [f for f in Path(folder).iterdir() if re.search(r"after_(optimizations|codegen)\.txt$", f.name)]
        if not files:
            raise RuntimeError("the compiler can neither print nor dump its program")
        return max(files, key=lambda f: (f.stat().st_size, f.name)).read_text(encoding="utf-8", errors="replace")


def _xla(executable: jax.stages.Compiled) -> dict[str, float]:
    analysis = executable.cost_analysis()
    if isinstance(analysis, list | tuple):
        analysis = analysis[0] if analysis else None
    return {k: float(v) for k, v in (analysis or {}).items() if k in ("flops", "transcendentals", "bytes accessed")}


def _memory(executable: jax.stages.Compiled) -> MemoryFigures:
    analysis = executable.memory_analysis()
    names = (
        "argument_size_in_bytes",
        "output_size_in_bytes",
        "temp_size_in_bytes",
        "alias_size_in_bytes",
        "generated_code_size_in_bytes",
        "peak_memory_in_bytes",
    )
    return MemoryFigures(*(getattr(analysis, name, None) for name in names))


def _arguments(step: Step) -> tuple[Argument, ...]:
    rows = []
    for number, (argument, name, role) in enumerate(zip(step.arguments, step.names, step.roles, strict=True)):
        for path, leaf in jax.tree_util.tree_leaves_with_path(argument):
            key = jax.tree_util.keystr(path, simple=True, separator=".").removesuffix(".value")
            size = int(np.prod(leaf.shape)) * leaf.dtype.itemsize
            rows.append(
                Argument(f"{name}.{key}" if key else name, role, tuple(leaf.shape), str(leaf.dtype), size, number in step.donated)
            )
    return tuple(rows)
