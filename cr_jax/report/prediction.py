"""A step's predicted time, energy and price as a block of the cost report."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from msgspec import UNSET, convert, structs

from cr_jax.catalog.accelerator import Accelerator
from cr_jax.cost.cost import Owner
from cr_jax.cost.operations.operation_list import list_operations
from cr_jax.cost.operations.program import Program
from cr_jax.cost.walk import Walk, collector_paused
from cr_jax.documents.cost_report import CostReport
from cr_jax.documents.prediction import (
    LoopSeconds,
    ModuleSeconds,
    OperationSeconds,
    ReplayedOperation,
    StepCalibration,
    StepPrediction,
    Utilisation,
)
from cr_jax.hlo.module import HloModule
from cr_jax.hlo.parse import parse
from cr_jax.predict.module_time import module_times
from cr_jax.predict.money.pricing import Rates, costs
from cr_jax.predict.program_time import NOT_VALIDATED, Prediction, predict
from cr_jax.records import CompiledStep

#: The most operations listed, the most expensive first.
_LISTED = 8
#: The most loops listed, those with the longest launches first.
_LOOPS = 5
#: Refines a prediction by timing the program's own operations where the device is attached (HLO text, the same parsed,
#: its operations, prediction, device -> prediction and a row per operation); ``cr_jax.measure.replay`` has one.
Refine = Callable[[str, HloModule, Program, Prediction, Accelerator], tuple[Prediction, Sequence[ReplayedOperation]]]


@dataclass(frozen=True)
class Options:
    """Options of prediction and pricing. rates: the user's prices, host, building and grid. refine: times the program's own
    operations for a better prediction, where the device is attached and calibrated.
    """

    rates: Rates = field(default_factory=Rates)
    refine: Refine | None = None


def step_prediction(
    step: CompiledStep,
    accelerator: Accelerator | None,
    dtype: str,
    options: Options = Options(),
    program: Program | None = None,
    module: HloModule | None = None,
) -> StepPrediction:
    """The time of ``step`` on ``accelerator``; every figure ``None`` with a reason where it is unknown.

    program, module: of the step's compiled program where they are already known.
    """
    if accelerator is None:
        return _unknown("the device has no accelerator profile")
    if step.compiled_hlo is None:
        why = step.reason or step.outcome
        return _unknown(f"not compiled for {accelerator.name} ({why}): a time follows from the compiled program only")
    if program is None or (options.refine is not None and module is None):
        with collector_paused():
            module = parse(step.compiled_hlo)
            program = list_operations(Walk(module))
    prediction = predict(program, accelerator, step.precision, dtype, step.memory.temp_bytes)
    if program.cheapest is not None and prediction.low_s is not None:
        least = predict(program.cheapest, accelerator, step.precision, dtype, step.memory.temp_bytes)
        prediction = replace(prediction, low_s=least.low_s)
    if options.refine is None or module is None or prediction.method != "calibrated":
        return _document(prediction, step, accelerator, options.rates)
    prediction, rows = options.refine(step.compiled_hlo, module, program, prediction, accelerator)
    return structs.replace(_document(prediction, step, accelerator, options.rates), replayed=tuple(rows))


def _document(prediction: Prediction, step: CompiledStep, accelerator: Accelerator, rates: Rates) -> StepPrediction:
    turns = step.labels.conversational_turns
    owned = module_times(prediction)
    ranked = sorted(prediction.operations, key=lambda t: (-t.seconds, t.operation.name))[:_LISTED]
    energy, price = costs(prediction.seconds, prediction.shares, accelerator, rates, step.devices)
    return StepPrediction(
        seconds=prediction.seconds,
        seconds_per_turn=prediction.seconds / turns if prediction.seconds is not None and turns else None,
        low_s=prediction.low_s,
        high_s=prediction.high_s,
        coverage=prediction.coverage,
        bound=prediction.bound,
        shares=dict(prediction.shares),
        method=prediction.method,
        reason=prediction.reason,
        validated_on=prediction.validated_on,
        utilisation=convert(prediction.utilisation, Utilisation),
        profile_error=prediction.profile_error,
        calibration=_calibration(accelerator) if prediction.method in ("calibrated", "replay") else None,
        loops=tuple(
            LoopSeconds(
                name=one.name,
                seconds=one.seconds,
                starting_s=one.launching_s,
                iterations=one.iterations,
                kernels=one.kernels,
                graphs=one.graphs,
                waits=one.waits,
            )
            for one in prediction.loops[:_LOOPS]
        ),
        operations=tuple(
            OperationSeconds(
                name=t.operation.name, family=t.operation.family, times=t.operation.times, seconds=t.seconds, bound=t.parts.bound
            )
            for t in ranked
        ),
        energy=energy,
        price=price,
        tag="predicted",
        collectives=prediction.collectives or UNSET,
        modules=UNSET if owned is None else _ranked(owned.modules),
        outside_modules=UNSET if owned is None else dict(owned.outside),
        kernels=prediction.kernels or UNSET,
    )


def _ranked(seconds: Mapping[Owner, float]) -> tuple[ModuleSeconds, ...]:
    rows = sorted(seconds.items(), key=lambda row: (-row[1], row[0]))
    return tuple(convert({"module": module, "pass": which, "seconds": one}, ModuleSeconds) for (module, which), one in rows)


def _calibration(accelerator: Accelerator) -> StepCalibration | None:
    block = accelerator.calibration
    if block is None:
        return None
    return StepCalibration(
        profile=accelerator.name,
        created=block.created,
        device=block.device,
        median_spread=block.fit.median_spread,
        canary_spread=block.canary.spread,
    )


def with_rates(report: CostReport, accelerator: Accelerator | None, rates: Rates) -> CostReport:
    """A saved cost report with energy and price by ``rates``; its times stay as they are."""
    if accelerator is None or not rates.given:
        return report
    devices = report.target.devices or 1
    steps = []
    for step in report.steps:
        known = step.prediction
        if known is not UNSET and known.energy is not None:
            energy, price = costs(known.seconds, known.shares, accelerator, rates, devices)
            step = structs.replace(step, prediction=structs.replace(known, energy=energy, price=price))
        steps.append(step)
    return structs.replace(report, steps=tuple(steps))


def _unknown(reason: str) -> StepPrediction:
    return StepPrediction(
        seconds=None,
        seconds_per_turn=None,
        low_s=None,
        high_s=None,
        coverage=None,
        bound=None,
        shares={},
        method=None,
        reason=reason,
        validated_on=NOT_VALIDATED,
        utilisation=Utilisation(matmul=None, memory=None),
        profile_error=None,
        calibration=None,
        operations=(),
        energy=None,
        price=None,
        tag="predicted",
    )
