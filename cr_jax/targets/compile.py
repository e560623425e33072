"""Trace, lower and compile one step for the attached device."""

import time
from typing import Any

import jax
import numpy as np

from cr_jax.records import Argument, CompiledStep, MemoryFigures
from cr_jax.steps.step import Step
from cr_jax.targets.jaxpr import count_jaxpr

#: Options for programs that are counted and never run. They leave the HLO as it is (a test holds
#: that) and spare the optimisation of machine code, most of a small program's compile time.
COUNT_OPTIONS: dict[str, dict[str, Any]] = {"cpu": {"xla_backend_optimization_level": 0}}


def compile_step(step: Step, target: dict[str, Any], precision: str, compiled: bool = True) -> CompiledStep:
    """``step`` as plain data. ``compiled=False``: traced and lowered only (no compiler for the target)."""
    durations: dict[str, float] = {}

    def timed(name: str, call: Any) -> Any:
        started = time.perf_counter()
        result = call()
        durations[name] = time.perf_counter() - started
        return result

    jitted = jax.jit(step.function, donate_argnums=step.donated)
    with jax.default_matmul_precision("default" if precision == "default" else precision):
        traced = timed("trace", lambda: jitted.trace(*step.arguments))
        lowered = timed("lower", traced.lower)
    model_hlo = lowered.as_text("hlo", debug_info=True)
    options = COUNT_OPTIONS.get(target["platform"])
    executable = timed("compile", lambda: lowered.compile(compiler_options=options)) if compiled else None
    analysis = _xla(executable) if executable is not None else {}
    return CompiledStep(
        name=step.name,
        phase=step.phase,
        labels=step.labels,
        model_hlo=model_hlo,
        compiled_hlo=executable.as_text() if executable is not None else None,
        target=dict(target) | {"compiled_for": target["platform"] if compiled else None},
        modules=step.modules,
        arguments=_arguments(step),
        memory=_memory(executable),
        jaxpr=count_jaxpr(traced.jaxpr),
        xla_flops=analysis.get("flops"),
        xla_transcendentals=analysis.get("transcendentals"),
        xla_bytes=analysis.get("bytes accessed"),
        precision=precision,
        versions=versions(),
        durations_s=durations,
    )


def versions() -> dict[str, str | None]:
    """Versions that decide what is compiled; ``None``: not installed."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in ("jax", "jaxlib", "flax", "optax", "libtpu"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def _xla(executable: Any) -> dict[str, float]:
    found = executable.cost_analysis()
    if isinstance(found, list | tuple):
        found = found[0] if found else None
    return {k: float(v) for k, v in (found or {}).items() if k in ("flops", "transcendentals", "bytes accessed")}


def _memory(executable: Any) -> MemoryFigures:
    found = executable.memory_analysis() if executable is not None else None
    names = ("argument_size_in_bytes", "output_size_in_bytes", "temp_size_in_bytes", "alias_size_in_bytes",
             "generated_code_size_in_bytes", "peak_memory_in_bytes")  # fmt: skip
    return MemoryFigures(*(getattr(found, name, None) for name in names))


def _arguments(step: Step) -> tuple[Argument, ...]:
    rows = []
    for number, (argument, name, role) in enumerate(zip(step.arguments, step.names, step.roles, strict=True)):
        for path, leaf in jax.tree_util.tree_leaves_with_path(argument):
            key = jax.tree_util.keystr(path, simple=True, separator=".").removesuffix(".value")
            size = int(np.prod(leaf.shape)) * leaf.dtype.itemsize
            rows.append(Argument(f"{name}.{key}" if key else name, role, tuple(leaf.shape), str(leaf.dtype), size,
                                 number in step.donated))  # fmt: skip
    return tuple(rows)
