"""A user's question about the cost of a function of their own, whole and checked once."""

from dataclasses import dataclass, field

from cr_jax.catalog.topologies import Mesh
from cr_jax.cost.assumptions import Assumptions, read_assumptions
from cr_jax.errors import UnknownName
from cr_jax.records import PRECISIONS, Precision
from cr_jax.steps.function import UserFunction


@dataclass(frozen=True)
class FunctionRequest:
    """One call of a user's function, for devices. Raises ``UnknownName`` for a choice that does not exist."""

    function: UserFunction
    devices: tuple[str, ...] = ("cpu",)
    precision: Precision = "default"
    mesh: Mesh = ()
    """Axes and sizes of several devices that run the function together: the arguments' own shardings, else the axis ``data``
    splits the batch; empty: a single device."""
    assumptions: Assumptions = field(default_factory=Assumptions)
    """What the user knows about loops and kernels that the program does not say."""
    require_compiled: bool = False
    """Refuse a step that was not compiled for the device."""
    command: tuple[str, ...] | None = None
    """The command line of the request, for the report."""
    call: str | None = None
    """``module:name``, where the function was found by a name."""

    @property
    def model(self) -> str:
        """The name that rows and messages give the function, in the place of a model's."""
        return self.call or self.function.title

    @property
    def known(self) -> Assumptions:
        """The assumptions, and the costs of kernels that the function's own options give. Raises ``BadConfig``."""
        given, own = self.assumptions, read_assumptions(None, self.function.kernels)
        return Assumptions(given.trips, {**own.kernels, **given.kernels}, given.hook or own.hook)

    def __post_init__(self) -> None:
        _ = self.known  # refused before anything is compiled
        if self.precision not in PRECISIONS:
            raise UnknownName("precision", self.precision, PRECISIONS)
