"""The cost of a JAX function of one's own, from Python: :func:`analyze` and its :class:`Analysis`."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

from rich.console import Console

from cr_jax.cost.assumptions import Kernels, read_assumptions
from cr_jax.documents.base import plain
from cr_jax.documents.cost_report import CostReport
from cr_jax.documents.prediction import StepPrediction
from cr_jax.documents.reported_step import ReportedStep
from cr_jax.profiling.function_request import FunctionRequest
from cr_jax.profiling.pipeline import profile_devices
from cr_jax.profiling.stages import Failed
from cr_jax.records import Precision
from cr_jax.render.cost import render_cost, show
from cr_jax.report.document import get_field, to_json, write
from cr_jax.steps.function import Chosen, UserFunction

#: Columns of the text that a notebook or ``print`` shows.
_WIDTH = 130


@dataclass(frozen=True)
class ModuleCost:
    """One module of the function in all passes. path: scopes from the outermost, joined with ``/``. bytes: moved to and from main
    memory. seconds: predicted; ``None`` where the function has no predicted time. What belongs to no module, such as starting
    kernels, is in the report (``prediction.outside_modules``).
    """

    path: str
    flops: int
    matmul_flops: int
    bytes: int
    seconds: float | None = None


@dataclass(frozen=True)
class Analysis:
    """The cost of one call of a function on one device. ``None`` is unknown, with the reason in the report.

    report: the validated document, which ``save`` writes and ``crjax compare``, ``diff`` and ``check`` read.
    """

    report: CostReport

    @property
    def _step(self) -> ReportedStep:
        return self.report.steps[0]

    @property
    def _prediction(self) -> StepPrediction | None:
        prediction = self._step.prediction
        return prediction if isinstance(prediction, StepPrediction) else None

    @property
    def device(self) -> str:
        """The device that the figures are of."""
        return self.report.target.name

    @property
    def flops(self) -> int:
        """Floating-point operations of one call, loops multiplied; a multiply-add is two. See ``bound``."""
        return self._step.best.flops

    @property
    def matmul_flops(self) -> int:
        """Those of matrix products and convolutions."""
        return self._step.best.matmul_flops

    @property
    def bound(self) -> str:
        """The relation of the counts to the program: ``exact``, ``assumed``, a ``lower`` or ``upper`` bound, or a ``range``."""
        return self._step.best.bound

    @property
    def bytes(self) -> int:
        """Bytes moved to and from main memory by one call."""
        return self._step.best.hbm_bytes

    @property
    def peak_bytes(self) -> int | None:
        """Memory that one call needs at most: arguments + outputs + temporaries - donated, by the compiler's account."""
        return self._step.memory.peak_bytes

    @property
    def seconds(self) -> float | None:
        """Predicted time of one call; ``None`` where ``reason`` says why."""
        return self._prediction.seconds if self._prediction else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The interval of ``seconds``."""
        found = self._prediction
        return None if found is None or found.low_s is None or found.high_s is None else (found.low_s, found.high_s)

    @property
    def reason(self) -> str | None:
        """Why the function was not compiled for the device, or why there is no predicted time."""
        return self._step.reason or (self._prediction.reason if self._prediction else None)

    @property
    def parameters(self) -> int | None:
        """Weights among the arguments; ``None`` where no argument is known to hold any."""
        return self.report.parameters.total if self.report.parameters else None

    @property
    def modules(self) -> tuple[ModuleCost, ...]:
        """The modules, the most expensive first."""
        sums: dict[str, list[int]] = {}
        for row in self._step.modules:
            found = sums.setdefault(row.module, [0, 0, 0])
            for place, figure in enumerate((row.matmul_flops + row.other_flops, row.matmul_flops, row.hbm_bytes)):
                found[place] += figure
        times = self._prediction.modules if self._prediction and self._prediction.modules else ()
        seconds: dict[str, float] = dict.fromkeys(sums, 0.0) if times else {}
        for row in times:
            seconds[row.module] = seconds.get(row.module, 0.0) + row.seconds
        rows = [ModuleCost(path, *figures, seconds=seconds.get(path)) for path, figures in sums.items()]
        return tuple(sorted(rows, key=lambda row: (-row.flops, -row.bytes, row.path)))

    def get(self, field: str) -> Any:
        """A field of the report by its name or path, as ``crjax profile --get`` prints it. Raises ``UnknownName``."""
        return get_field(self.report, field)

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON has it."""
        return plain(self.report)

    def to_json(self) -> str:
        """The report as JSON text."""
        return to_json(self.report)

    def save(self, path: str | Path) -> None:
        """Write the report, as a whole or not at all. Raises ``NotWritten``."""
        write(self.report, Path(path))

    def show(self, memory: bool = False, depth: int | None = None) -> None:
        """Print the tables; with ``memory`` its use over the program too. depth: levels of the tree of modules, 0: all."""
        show(render_cost(self.report, memory, depth))

    def __str__(self) -> str:
        file = io.StringIO()
        Console(file=file, width=_WIDTH, no_color=True, force_terminal=False).print(render_cost(self.report))
        return file.getvalue()

    def _repr_html_(self) -> str:
        console = Console(file=io.StringIO(), width=_WIDTH, record=True, force_jupyter=False)
        console.print(render_cost(self.report))
        return console.export_html(inline_styles=True, code_format="<pre style='line-height:1.2'>{code}</pre>")


@overload
def analyze(function: Any, /, *arguments: Any, device: str = "cpu", **options: Any) -> Analysis: ...
@overload
def analyze(function: Any, /, *arguments: Any, device: Sequence[str], **options: Any) -> list[Analysis]: ...
def analyze(
    function: Any,
    /,
    *arguments: Any,
    device: str | Sequence[str] = "cpu",
    keywords: Mapping[str, Any] | None = None,
    donate: Chosen = (),
    static: Chosen = (),
    weights: Chosen | None = None,
    batch: Chosen | None = None,
    precision: Precision = "default",
    mesh: Mapping[str, int] | None = None,
    trips: Mapping[str, int] | None = None,
    kernels: Kernels | None = None,
    name: str = "",
) -> Analysis | list[Analysis]:
    """The cost of one call ``function(*arguments, **keywords)`` on ``device``, from the program that its compiler makes.

    The function is traced, never run, and no accelerator is needed or taken: it is compiled ahead of time.

    function: plain, or jitted by ``jax.jit``, ``nnx.jit`` or ``equinox.filter_jit``, whose donation, static arguments and
    shardings are read off. arguments: arrays, ``jax.ShapeDtypeStruct``, modules of NNX or Equinox, states of Linen, Haiku or
    Optax, any pytree of them. device: a name of ``crjax list accelerators``, ``cpu``, ``gpu`` or ``tpu``; for several names the
    result is a list. donate, static: arguments of a plain function that are donated or static, by number or name. weights: the
    arguments that hold weights; by default they are recognised by their names and types. batch: the argument whose arrays have
    a row per example. precision: JAX's ``default``, ``high`` or ``highest`` for matrix products. mesh: axes and sizes, such as
    ``{"data": 8}``, of several devices that run the call together: arguments are split as their shardings say, else the batch
    over ``data``; figures are then of one device. trips: iterations, by name, of loops whose count the program does not say.
    kernels: by name, the cost of one run of custom kernels: (FLOPs, bytes), a ``KernelCost``, or a function that is passed a
    ``KernelCall`` and returns one of these or ``None``; or one such function for all. name: the function's name in the report.

    Raises ``CrJaxError`` for anything a caller can mend, such as a function that cannot be traced on these arguments.
    """
    user = UserFunction(function, arguments, keywords or {}, donate, static, weights, batch, name)
    devices = (device,) if isinstance(device, str) else tuple(device)
    axes = tuple((mesh or {}).items())
    results = profile_devices(FunctionRequest(user, devices, precision, axes, read_assumptions(trips, kernels)))
    analyses = []
    for result in results:
        if isinstance(result, Failed):
            raise result.reason
        analyses.append(Analysis(result))
    return analyses[0] if isinstance(device, str) else analyses
