"""Functions of a user's, to be measured: the only place where one of theirs is run."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
from jaxtyping import PyTree

from cr_jax.documents.bench_report import BenchCase, BenchFunction, BenchModel
from cr_jax.documents.cost_report import ReportedArgument
from cr_jax.errors import BadConfig, UnknownName
from cr_jax.measure import run
from cr_jax.measure.clock import Clock, timed
from cr_jax.measure.device import build_device
from cr_jax.measure.function_inputs import made, placed
from cr_jax.measure.inputs import Held
from cr_jax.named_objects import TRACEBACK, name_parts
from cr_jax.printable import one_line
from cr_jax.profiling.named_function import named_function
from cr_jax.records import PRECISIONS
from cr_jax.report.bench import Doing, error_of
from cr_jax.report.build import digest
from cr_jax.steps.function import FunctionStep, UserFunction, examples, function_step
from cr_jax.steps.function_arrays import continuations, given_arrays
from cr_jax.steps.step import Step
from cr_jax.targets.device_protocol import Device
from cr_jax.targets.jaxpr import product_types

#: Letters of a case's file name at most.
_LONGEST = 150


@dataclass(frozen=True)
class FunctionCase:
    """Functions of the user's by their names, ``package.module:NAME``, on a device."""

    functions: tuple[str, ...]
    device: str = "cpu"
    precision: str = "default"

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise UnknownName("precision", self.precision, PRECISIONS)
        for name in self.functions:
            name_parts("function", name)

    def slug(self) -> str:
        """A file name for the case."""
        parts = [*self.functions, "step", *([self.precision] if self.precision != "default" else []), self.device]
        name = "_".join(part.replace(":", "-") for part in parts)
        return name if len(name) <= _LONGEST else f"{name[:_LONGEST]}-{digest(parts)[:12]}"

    def changed(self, pairs: Mapping[str, str]) -> "FunctionCase":
        """The case with another function or precision by name. Raises ``BadConfig``."""
        for key in pairs:
            if key not in ("function", "precision"):
                raise BadConfig(f"--against {key}=...: legal for a function: function=package.module:NAME, precision=NAME")
        functions = (pairs["function"],) if "function" in pairs else self.functions
        return replace(self, functions=functions, precision=pairs.get("precision", self.precision))

    def differences(self) -> str:
        """What is not the default, in words."""
        precision = f" precision={self.precision}" if self.precision != "default" else ""
        return f"function={','.join(self.functions)}{precision}"

    def entry(self) -> BenchCase:
        """The case as a bench report has it."""
        return BenchCase(
            model=", ".join(self.functions),
            functions=self.functions,
            dataset=None,
            device=self.device,
            phase="step",
            preset=None,
            dtype=None,
            precision=self.precision,  # pyright: ignore[reportArgumentType]  # checked when it is made
            batch=None,
            users=None,
            turns=None,
            turn=None,
            mode=None,
            objective=None,
            items_scored=None,
            question_items=None,
            top_k=None,
            settings={},
        )


@dataclass(frozen=True)
class _Traced:
    """A function traced once, in so many seconds."""

    user: UserFunction
    step: Step
    trace_s: float | None
    given: tuple[Any, ...]
    """The value of each of the program's arrays; ``None`` for one that was given as a shape."""

    def value(self, number: int) -> Held:
        """The value of the ``number``-th array, made where none was given."""
        step, own = self.step, self.given[number]
        return own if own is not None else made(step.names[number], step.roles[number], step.arguments[number], number)


@dataclass(frozen=True)
class PreparedFunctions:
    """A case with its functions traced."""

    case: FunctionCase
    traced: tuple[_Traced, ...]

    @property
    def steps(self) -> tuple[Step, ...]:
        """One step per function, by its call."""
        return tuple(one.step for one in self.traced)

    def dtype(self, step: Step) -> str | None:
        """The type of the operands of all matrix products; ``None`` where they differ, or ask for a precision of their own."""
        kinds = product_types(step.trace().jaxpr)
        (kind, precision) = next(iter(kinds)) if len(kinds) == 1 else ("mixed", "")
        return kind if kind != "mixed" and precision in ("None", *_asked(self.case.precision)) else None

    def compile(self, step: Step, device: Device, clock: Clock) -> run.Compiled:
        """The program of a step's function as its author jitted it."""
        one = self._of(step)
        return run.compile_function(step, continuations(step.trace(), one.user, step.donated), device, one.trace_s, clock)

    def starter(self) -> Callable[[run.Compiled], run.Program]:
        """Makes a program with its arguments on its device."""

        def start(compiled: run.Compiled) -> run.Program:
            step = compiled.step
            taken = set(compiled.fed_back)
            arrays = (
                placed(self.value(step)(number), leaf, compiled.device, number in taken)
                for number, leaf in enumerate(step.arguments)
            )
            return _UserProgram(compiled, jax.block_until_ready(tuple(arrays)))

        return start

    def value(self, step: Step) -> Callable[[int], Held]:
        """The value of a step's array by its number."""
        return self._of(step).value

    def _of(self, step: Step) -> _Traced:
        return next(one for one in self.traced if one.step.name == step.name)

    def described(self) -> dict[str, Any]:
        """The fields of a bench report that are about the functions."""
        names = self.case.functions
        title = ", ".join(one.user.title for one in self.traced)
        return {
            "case": self.case.entry(),
            "model": BenchModel(name=", ".join(names), title=title, config={}, config_sha256=digest({})),
            "functions": tuple(map(_described, self.traced)),
        }


class _UserProgram(run.Program):
    """A program whose exceptions, those of callbacks, are the user's own."""

    def __init__(self, compiled: run.Compiled, arguments: tuple[PyTree, ...]) -> None:
        super().__init__(compiled, arguments)
        self._name = compiled.step.name

    def _run(self) -> list[jax.Array]:
        """Raises ``BadConfig`` with the exception as its cause; running out of memory passes through."""
        try:
            return super()._run()
        except MemoryError:
            raise
        except Exception as error:  # the user's code may raise anything
            lines = [line for line in str(error).splitlines() if line.strip()]
            if error_of(error, Doing()).kind == "out of memory":
                raise
            said = one_line(lines[-1] if lines else type(error).__name__, 300)
            raise BadConfig(f"function {self._name!r} raised while it was run: {said}; {TRACEBACK}") from error


def prepare_functions(case: FunctionCase, clock: Clock = time.perf_counter) -> PreparedFunctions:
    """Call every ``NAME()`` and trace its function. Raises ``BadConfig`` for one that cannot be, or is split over devices."""
    return PreparedFunctions(case, tuple(_trace(name, case.precision, clock) for name in case.functions))


def _trace(name: str, precision: str, clock: Clock) -> _Traced:
    with jax.default_device(build_device()):  # an accelerator's peak of memory is then the step's own
        user = named_function(name)
    made_steps: list[FunctionStep] = []
    seconds = timed(lambda: made_steps.append(function_step(user, precision)), clock)
    (traced,) = made_steps
    if traced.mesh:
        split = ",".join(f"{axis}={size}" for axis, size in traced.mesh)
        raise BadConfig(
            f"function {name!r}: its arguments are split over {split}, and bench measures one device; legal: whole ones"
        )
    given = tuple(given_arrays(traced.step.trace(), user))
    return _Traced(user, replace(traced.step, name=name), seconds, given)


def _described(one: _Traced) -> BenchFunction:
    step = one.step
    rows = [
        ReportedArgument(
            name=name,
            role=role,
            shape=tuple(leaf.shape),
            dtype=str(leaf.dtype),
            bytes=leaf.size * leaf.dtype.itemsize,
            donated=number in step.donated,
        )
        for number, (name, role, leaf) in enumerate(zip(step.names, step.roles, step.arguments, strict=True))
    ]
    return BenchFunction(
        call=step.name,
        title=one.user.title,
        batch=None if one.user.batch is None else examples(one.user),
        arguments=tuple(rows),
        made=tuple(row.name for row, value in zip(rows, one.given, strict=True) if value is None),
        tag="counted",
    )


def _asked(precision: str) -> tuple[str, ...]:
    """How a traced product that was given no precision of its own states that of the request."""
    value = getattr(jax.lax.Precision, precision.upper())
    return str(value), str((value, value))
