"""The values between a request and its report: one per stage, each made from the one before."""

from dataclasses import dataclass
from typing import Any

from cr_jax.catalog.dataset import Dataset
from cr_jax.catalog.topologies import Mesh
from cr_jax.cost.assumptions import Assumptions
from cr_jax.documents.prediction import StepPrediction
from cr_jax.errors import CrJaxError
from cr_jax.models.spec import Spec
from cr_jax.profiling.function_request import FunctionRequest
from cr_jax.profiling.request import Request
from cr_jax.records import CompiledStep, Precision, Target, Workload
from cr_jax.report.build import CountedStep
from cr_jax.steps.function import FunctionStep
from cr_jax.steps.step import AbstractModel, Step
from cr_jax.targets.sources import FunctionSource, ModelSource, ProgramSource


@dataclass(frozen=True)
class Configured:
    """A request with its model, data set, workload and configuration. problems: the skipped parts of a file of conversations, a
    line each.
    """

    request: Request
    spec: Spec
    data: Dataset
    problems: tuple[str, ...]
    work: Workload
    config: Any


@dataclass(frozen=True)
class ModelSubject:
    """A model as shapes, on its data set and under its workload."""

    configured: Configured
    model: AbstractModel

    @property
    def precision(self) -> Precision:
        """The precision of matrix products."""
        return self.configured.work.precision

    @property
    def dtype(self) -> str:
        """The type of weights and of the arrays that a model takes in it."""
        return self.configured.work.dtype

    @property
    def assumptions(self) -> Assumptions:
        """None: the package's models leave nothing open."""
        return Assumptions()

    @property
    def source(self) -> ProgramSource:
        """The source of its programs in a worker process."""
        return ModelSource(self.configured.request.model, self.model.config, self.configured.work)


@dataclass(frozen=True)
class FunctionSubject:
    """A user's function as it was traced, with the weights among its arguments."""

    request: FunctionRequest
    traced: FunctionStep

    @property
    def precision(self) -> Precision:
        """The precision of matrix products."""
        return self.request.precision

    @property
    def dtype(self) -> None:
        """``None``: the arguments have types of their own."""
        return

    @property
    def assumptions(self) -> Assumptions:
        """What the user knows about loops and kernels."""
        return self.request.known

    @property
    def source(self) -> ProgramSource:
        """The source of its program in a worker process."""
        return FunctionSource((self.traced.step,), self.precision)


@dataclass(frozen=True)
class Traced:
    """The steps of a model or a function. wanted: names of the steps to compile."""

    subject: ModelSubject | FunctionSubject
    steps: tuple[Step, ...]
    wanted: frozenset[str]

    @property
    def mesh(self) -> Mesh:
        """Axes and sizes of the devices that run the steps together; empty: a single device."""
        subject = self.subject
        return subject.traced.mesh if isinstance(subject, FunctionSubject) else subject.configured.request.mesh


@dataclass(frozen=True)
class Compiled:
    """The steps as plain data, compiled for one target or with the reason why not."""

    traced: Traced
    target: Target
    steps: tuple[CompiledStep, ...]


@dataclass(frozen=True)
class Counted:
    """The compiled steps with their counts."""

    compiled: Compiled
    steps: tuple[CountedStep, ...]


@dataclass(frozen=True)
class Predicted:
    """The counted steps with the predicted time, energy and price of each."""

    counted: Counted
    predictions: tuple[StepPrediction, ...]


@dataclass(frozen=True)
class Failed:
    """A device without a report, with the reason."""

    device: str
    reason: CrJaxError
