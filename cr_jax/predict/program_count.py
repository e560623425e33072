"""``cr_jax.count_hlo``: the count of a JAX program, with its memory, and its time on a device."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Protocol, cast

from cr_jax.cost.assumptions import Kernels, read_assumptions
from cr_jax.cost.collectives import Mesh
from cr_jax.cost.counting.count import count_walk
from cr_jax.cost.counting.hlo_count import HloCount
from cr_jax.cost.walk import Walk, collector_paused
from cr_jax.errors import BadConfig
from cr_jax.hlo.parse import parse
from cr_jax.records import MemoryFigures

if TYPE_CHECKING:
    from cr_jax.predict.program_time import Prediction

#: JAX's names of platforms that accelerator profiles name otherwise.
_PLATFORMS = {"gpu": "cuda", "rocm": "cuda"}


class Program(Protocol):
    """A ``jax.stages.Compiled`` or ``jax.stages.Lowered``."""

    def as_text(self, *arguments: Any, **options: Any) -> str | None:
        """The program's text."""
        ...


@dataclass(frozen=True)
class ProgramCount(HloCount):
    """The count of one run of a program, with its memory and its time.

    memory: the compiler's account, of a ``Compiled`` alone. prediction: of a compiled program, where a device was named.
    """

    memory: MemoryFigures | None = None
    prediction: "Prediction | None" = None

    @property
    def peak_bytes(self) -> int | None:
        """Arguments + outputs + temporaries - aliased, by the compiler's account; ``None`` where there is none."""
        return self.memory.peak_bytes if self.memory else None

    @property
    def seconds(self) -> float | None:
        """Predicted seconds of one run on the device; ``None`` without a device, or for what ``reason`` says."""
        return self.prediction.seconds if self.prediction else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The interval of ``seconds``."""
        found = self.prediction
        return None if found is None or found.low_s is None or found.high_s is None else (found.low_s, found.high_s)

    @property
    def reason(self) -> str | None:
        """Why there are no seconds."""
        return self.prediction.reason if self.prediction else "no device was named"


def count_hlo(
    program: str | Program,
    modules: tuple[str, ...] = (),
    *,
    trips: Mapping[str, int] | None = None,
    kernels: Kernels | None = None,
    device: str | None = None,
    precision: str = "default",
    mesh: Mesh = (),
) -> ProgramCount:
    """Count a ``jax.stages.Compiled``, a ``jax.stages.Lowered``, or HLO text of any backend. Runs nothing; imports no JAX.

    modules: known module paths, innermost wins; without them every scope is a module. trips: iterations of loops whose count the
    program does not say, kernels: costs of its custom kernels, both by the name in the text or by scope (``decode``); figures
    that rest on them have the bound ``assumed``. A kernel's cost is a ``KernelCost``, its figures, or a function that a
    ``KernelCall`` is passed to; one function in the mapping's place is asked for every kernel. device: an accelerator, such as
    ``h100``, that the program is compiled for; its time is predicted. precision: of the matrix products, as JAX names it. mesh:
    axes and sizes of several devices, which name the axes of collectives. A ``Compiled`` has ``peak_bytes`` too.

    Raises ``BadHlo`` for text that is not a whole HLO module, ``UnknownName`` for an unknown device and for assumptions that
    nothing in the program has the name of, ``BadConfig`` for a program that is not compiled for the device.
    """
    text = program if isinstance(program, str) else _text(program)
    assumptions = read_assumptions(trips, kernels)
    with collector_paused():
        walk = Walk(parse(text), assumptions)
        count = count_walk(walk, modules, mesh=mesh)
    count.openings.refuse_unused(assumptions)
    memory = None if isinstance(program, str) else _memory(program)
    prediction = _prediction(walk, device, precision, program, memory) if device is not None else None
    counted: dict[str, Any] = {field.name: getattr(count, field.name) for field in fields(count)}
    return ProgramCount(**counted, memory=memory, prediction=prediction)


def _text(program: Program) -> str:
    compiled = hasattr(program, "memory_analysis")
    text = program.as_text() if compiled else program.as_text("hlo", debug_info=True)
    if not text:
        raise BadConfig("the program has no HLO text; legal: jax.jit(f).lower(...) or its .compile()")
    return text


def _memory(program: Any) -> MemoryFigures | None:
    """The compiler's account; ``None`` where the program is not compiled, or its compiler gives none."""
    analysis = program.memory_analysis() if hasattr(program, "memory_analysis") else None
    if analysis is None:
        return None
    sizes = ("argument", "output", "temp", "alias", "generated_code")
    names = (*(f"{name}_size_in_bytes" for name in sizes), "peak_memory_in_bytes")
    return MemoryFigures(*(getattr(analysis, name, None) for name in names))


def _prediction(walk: Walk, device: str, precision: str, program: str | Program, memory: MemoryFigures | None) -> "Prediction":
    """The time of a compiled program on ``device``; of branches and early ends the slowest, with the fastest as the low end."""
    from cr_jax.catalog import load
    from cr_jax.cost.operations.operation_list import list_operations
    from cr_jax.predict.program_time import predict

    accelerator = load.accelerator(device)
    platform = _platform(program)
    if walk.module.attribute("is_scheduled") != "true":
        raise BadConfig(f"device {device!r}: a time follows from the compiled program only; legal: .compile() of the lowered one")
    if platform not in (None, accelerator.platform):
        raise BadConfig(f"device {device!r}: the program is compiled for {platform}; legal: a device of that platform")
    operations, temporaries = list_operations(walk), memory.temp_bytes if memory else None
    found = predict(operations, accelerator, precision, "float32", temporaries)
    if operations.cheapest is not None and found.low_s is not None:
        least = predict(operations.cheapest, accelerator, precision, "float32", temporaries)
        found = replace(found, low_s=least.low_s)
    return found


def _platform(program: Any) -> str | None:
    """The platform that a ``Compiled`` is for, by the devices of one of its arguments; ``None`` where nothing says it."""
    left: list[Any] = list(getattr(program, "input_shardings", ()))
    while left:
        one = left.pop()
        if hasattr(one, "device_set"):
            platform: str = next(iter(one.device_set)).platform
            return _PLATFORMS.get(platform, platform)
        if isinstance(one, Mapping):
            left += cast(Mapping[str, Any], one).values()
        elif isinstance(one, list | tuple):
            left += cast(Sequence[Any], one)
    return None
