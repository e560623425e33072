"""Options of the commands that take a user's function in the place of a model."""

import warnings
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Annotated

import typer

from cr_jax.cli.options import WorkloadOptions, importable, names
from cr_jax.errors import BadConfig

if TYPE_CHECKING:
    from cr_jax.profiling.function_request import FunctionRequest

FUNCTION_HELP = (
    "Instead of a model: package.module:NAME. NAME() is called and returns (function, arguments), or with a dict of options "
    "(donate, static, weights, batch, keywords, kernels, name) as the third; the function is traced, never run."
)
Function = Annotated[str | None, typer.Option(help=FUNCTION_HELP, callback=importable)]
Functions = Annotated[list[str] | None, typer.Option(help=FUNCTION_HELP, callback=importable)]
#: Options of a workload that a function has too.
_SHARED = ("precision", "mesh")


def calls(function: Sequence[str] | None) -> list[str]:
    """The names of several functions, repeated or with commas between them. Raises ``BadConfig``."""
    return list(dict.fromkeys(name for text in function or () for name in names("--function", text)))


def refuse_of_models(given: object, options: type, legal: Sequence[str]) -> None:
    """Raise ``BadConfig`` for an option that a function has not. options: the dataclass of those of models and functions; legal:
    names of those that a function has.
    """
    for field in fields(options):
        name = field.name.strip("_").replace("_", "-")
        if name not in ("function", *legal) and field.default is not MISSING and getattr(given, field.name) != field.default:
            raise BadConfig(f"--{name}: belongs to --model; legal with --function: --{', --'.join(legal)}")


@dataclass(frozen=True, kw_only=True)
class FunctionOptions:
    """A function, and what the user knows about its loops and kernels."""

    function: Functions = None
    trips: Annotated[
        list[str] | None, typer.Option(help="With --function: NAME=N iterations of a loop whose count is unknown; repeat it.")
    ] = None
    kernel: Annotated[list[str] | None, typer.Option(help="With --function: NAME=FLOPS,BYTES of a custom kernel; repeat it.")] = (
        None
    )

    def named(self, model: str | None) -> str | None:
        """The function's name; ``None``: a model is asked for. Raises ``BadConfig`` where it is not one of the two."""
        if (model is None) == (not self.function):
            raise BadConfig(
                f"{'both' if model else 'neither'} --model {'and' if model else 'nor'} --function; "
                "legal: --model NAME or --function package.module:NAME"
            )
        if not self.function:
            if self.trips or self.kernel:
                raise BadConfig("--trips and --kernel belong to --function; legal: crjax hlo has them for any program")
            return None
        if len(self.function) > 1:
            raise BadConfig(f"--function {', '.join(self.function)}: legal: one; crjax compare takes several")
        return self.function[0]

    def calls(self) -> list[str]:
        """The names of several functions. Raises ``BadConfig``."""
        return calls(self.function)

    def function_request(
        self, call: str, workload: WorkloadOptions, devices: Sequence[str], command: Sequence[str]
    ) -> "FunctionRequest":
        """The question about the function ``call``. workload: the command's options, of which a function has two.

        Calls the user's code. Raises ``BadConfig`` and ``UnknownName``.
        """
        refuse_of_models(workload, WorkloadOptions, (*_SHARED, "trips", "kernel"))

        # The report says what is donated; whether a buffer can be used depends on the device.
        warnings.filterwarnings("ignore", message="Some donated buffers were not usable")

        from cr_jax.catalog.topologies import read_mesh
        from cr_jax.cost.assumptions import Assumptions, parse_kernels, parse_trips
        from cr_jax.profiling.function_request import FunctionRequest
        from cr_jax.profiling.named_function import named_function

        given = Assumptions(parse_trips(self.trips or ()), parse_kernels(self.kernel or ()))
        return FunctionRequest(
            named_function(call),
            tuple(devices),
            workload.precision,  # type: ignore[arg-type]  # the request checks it
            read_mesh(workload.mesh) if workload.mesh is not None else (),
            given,
            command=tuple(command),
            call=call,
        )
