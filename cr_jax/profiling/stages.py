"""The values between a request and its report: one per stage, each made from the one before."""

from dataclasses import dataclass
from typing import Any

from cr_jax.catalog.dataset import Dataset
from cr_jax.documents.prediction import StepPrediction
from cr_jax.errors import CrJaxError
from cr_jax.models.spec import Spec
from cr_jax.profiling.request import Request
from cr_jax.records import CompiledStep, Target, Workload
from cr_jax.report.build import CountedStep
from cr_jax.steps.step import AbstractModel, Step


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
class Traced:
    """The model as shapes, and its steps. wanted: names of the steps to compile."""

    configured: Configured
    model: AbstractModel
    steps: tuple[Step, ...]
    wanted: frozenset[str]


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
