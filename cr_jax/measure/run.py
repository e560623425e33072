"""Run a step for real: stages timed apart, results fed back as arguments, every call waited for."""

import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from cr_jax.measure import inputs
from cr_jax.measure.clock import Clock, timed
from cr_jax.steps.step import AbstractModel, Step
from cr_jax.targets.device_protocol import Device

Staged = TypeVar("Staged")


@dataclass(frozen=True)
class Compiled:
    """A step compiled for one device over its flat arguments, and the seconds of each stage."""

    step: Step
    executable: jax.stages.Compiled
    device: Device
    fed_back: tuple[int | None, ...]
    """fed_back[i]: the flat argument that the i-th flat result replaces at the next call; ``None``: the result is dropped."""
    read: tuple[bool, ...]
    """read[i]: whether the program reads its i-th flat argument; the compiler drops the others."""
    stages_s: dict[str, float | None]
    structure: Any = None
    """The arguments and keywords that the executable takes; ``None``: the flat arguments one by one."""

    def text(self) -> str:
        """The optimised HLO."""
        return self.executable.as_text() or ""

    def predicted_peak_bytes(self) -> int | None:
        """The compiler's account: arguments + outputs + temporaries − aliased; ``None``: it has none."""
        analysis = self.executable.memory_analysis()
        names = ("argument_size_in_bytes", "output_size_in_bytes", "temp_size_in_bytes", "alias_size_in_bytes")
        parts = [getattr(analysis, name, None) for name in names]
        if any(part is None for part in parts):
            return None
        arguments, outputs, temporaries, aliased = (part or 0 for part in parts)
        return arguments + outputs + temporaries - aliased


class Program:
    """Calls of a compiled step with its flat arguments ``leaves``. A donated argument is replaced by the result in its buffer, so
    that a training step continues the training and the state of a conversation advances.
    """

    def __init__(self, compiled: Compiled, arguments: tuple[PyTree, ...]) -> None:
        self._executable, self._fed_back, self._structure = compiled.executable, compiled.fed_back, compiled.structure
        self.leaves = jax.tree.leaves(arguments)

    def __call__(self) -> None:
        """One call, waited for; all results but those fed back are dropped."""
        self._run()

    def is_number(self) -> bool:
        """Call once more; whether no result is NaN."""
        floats = [x for x in self._run() if jnp.issubdtype(x.dtype, jnp.floating)]
        return not any(bool(jnp.isnan(x).any()) for x in floats)

    def _run(self) -> list[jax.Array]:
        if self._structure is None:
            results = self._executable(*self.leaves)
        else:
            arguments, keywords = jax.tree.unflatten(self._structure, self.leaves)
            results = jax.tree.leaves(self._executable(*arguments, **keywords))
        jax.block_until_ready(results)
        for number, result in zip(self._fed_back, results, strict=False):
            if number is not None:
                self.leaves[number] = result
        return results


def compile_step(step: Step, device: Device, precision: str, clock: Clock = time.perf_counter) -> Compiled:
    """Trace, lower and compile ``step`` for ``device``, each timed."""
    leaves, tree = jax.tree.flatten(step.arguments)
    offsets = [0]
    for argument in step.arguments:
        offsets.append(offsets[-1] + len(jax.tree.leaves(argument)))
    donated = [leaf for number in step.donated for leaf in range(offsets[number], offsets[number + 1])]

    def flat(*leaves: jax.Array) -> list[jax.Array]:
        results = step.function(*jax.tree.unflatten(tree, leaves))
        return jax.tree.leaves(results)

    stages: dict[str, float | None] = {}
    with jax.default_matmul_precision(precision), jax.default_device(device):
        jitted = jax.jit(flat, donate_argnums=donated)
        traced = _stage(stages, "trace_s", lambda: jitted.trace(*leaves), clock)
        lowered = _stage(stages, "lower_s", traced.lower, clock)
        executable = _stage(stages, "compile_s", lowered.compile, clock)
    return Compiled(step, executable, device, tuple(donated), _read(traced), stages)


def compile_function(
    step: Step, fed_back: tuple[int | None, ...], device: Device, trace_s: float | None, clock: Clock = time.perf_counter
) -> Compiled:
    """Lower and compile the step of a user's function for ``device``, as its author jitted it. trace_s: seconds of its trace."""
    traced, stages = step.trace(), {"trace_s": trace_s}
    with jax.default_device(device), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Some donated buffers were not usable")
        lowered = _stage(stages, "lower_s", traced.lower, clock)
        executable = _stage(stages, "compile_s", lowered.compile, clock)
    return Compiled(step, executable, device, fed_back, _read(traced), stages, executable.in_tree)


def _read(traced: jax.stages.Traced) -> tuple[bool, ...]:
    jaxpr = traced.jaxpr.jaxpr
    reads = {id(v) for equation in jaxpr.eqns for v in equation.invars} | {id(v) for v in jaxpr.outvars}
    return tuple(id(v) in reads for v in jaxpr.invars)


def start(compiled: Compiled, model: AbstractModel, values: Mapping[str, inputs.Held], seed: int = 0) -> Program:
    """The program with concrete arguments on its device; not called yet."""
    with jax.default_device(compiled.device):
        arguments = inputs.arguments(compiled.step, model, values, seed)
        jax.block_until_ready(arguments)
    return Program(compiled, arguments)


def _stage(stages: dict[str, float | None], name: str, call: Callable[[], Staged], clock: Clock) -> Staged:
    results: list[Staged] = []
    stages[name] = timed(lambda: results.append(call()), clock)
    return results[0]
