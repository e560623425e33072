"""A step's predicted time, energy and price as a block of the cost report."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cr_jax.catalog.accelerator import Accelerator
from cr_jax.cost.operations.operation_list import list_operations
from cr_jax.cost.operations.program import Program
from cr_jax.cost.walk import Walk, collector_paused
from cr_jax.hlo.module import HloModule
from cr_jax.hlo.parse import parse
from cr_jax.predict.money.pricing import Rates, costs
from cr_jax.predict.program_time import Prediction, predict
from cr_jax.records import CompiledStep, plain

#: Operations listed, dearest first.
_LISTED = 8
#: Loops listed, those first whose kernels take longest to start.
_LOOPS = 5
#: Refines a prediction by timing the program's own operations where the device is attached (HLO text, the same parsed,
#: its operations, prediction, device -> prediction and a row per operation); ``cr_jax.measure.replay`` has one.
Refine = Callable[[str, HloModule, Program, Prediction, Accelerator], tuple[Prediction, Sequence[Mapping[str, Any]]]]


@dataclass(frozen=True)
class Options:
    """How times are predicted and priced. rates: the user's prices, host, building and grid. refine: times the program's
    own operations to predict better, where the device is attached and calibrated."""

    rates: Rates = field(default_factory=Rates)
    refine: Refine | None = None


def prediction_entry(
    step: CompiledStep,
    accelerator: Accelerator | None,
    dtype: str,
    options: Options = Options(),
    program: Program | None = None,
    module: HloModule | None = None,
) -> dict[str, Any]:
    """The time of ``step`` on ``accelerator``; every figure ``None`` with a reason where it is unknown.

    program, module: of the step's compiled program where they are known already.
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
    found = predict(program, accelerator, step.precision, dtype, step.memory.temp_bytes)
    if program.cheapest is not None and found.low_s is not None:
        least = predict(program.cheapest, accelerator, step.precision, dtype, step.memory.temp_bytes)
        found = replace(found, low_s=least.low_s)
    if options.refine is None or module is None or found.method != "calibrated":
        return entry(found, step, accelerator, options.rates)
    found, rows = options.refine(step.compiled_hlo, module, program, found, accelerator)
    return entry(found, step, accelerator, options.rates) | {"replayed": [dict(row) for row in rows]}


def entry(found: Prediction, step: CompiledStep, accelerator: Accelerator, rates: Rates = Rates()) -> dict[str, Any]:
    """The block of a prediction."""
    turns = step.labels.conversational_turns
    ranked = sorted(found.operations, key=lambda t: (-t.seconds, t.operation.name))[:_LISTED]
    block = accelerator.calibration if found.method in ("calibrated", "replay") else None
    return {
        "seconds": found.seconds,
        "seconds_per_turn": found.seconds / turns if found.seconds is not None and turns else None,
        "low_s": found.low_s,
        "high_s": found.high_s,
        "coverage": found.coverage,
        "bound": found.bound,
        "shares": dict(found.shares),
        "method": found.method,
        "reason": found.reason,
        "validated_on": plain(found.validated_on),
        "utilisation": dict(found.utilisation),
        "profile_error": found.profile_error,
        "calibration": {
            "profile": accelerator.name,
            "created": block.created,
            "device": block.device,
            "median_spread": block.fit.median_spread,
            "canary_spread": block.canary.spread,
        }
        if block
        else None,
        "loops": [
            {
                "name": one.name,
                "seconds": one.seconds,
                "starting_s": one.launching_s,
                "iterations": one.iterations,
                "kernels": one.kernels,
                "graphs": one.graphs,
                "waits": one.waits,
            }
            for one in found.loops[:_LOOPS]
        ],
        "operations": [
            {
                "name": t.operation.name,
                "family": t.operation.family,
                "times": t.operation.times,
                "seconds": t.seconds,
                "bound": t.parts.bound,
            }
            for t in ranked
        ],
        **costs(found.seconds, found.shares, accelerator, rates),
        "tag": "predicted",
    }


def recost(report: Mapping[str, Any], accelerator: Accelerator | None, rates: Rates) -> dict[str, Any]:
    """A saved cost report with energy and price by ``rates``; its times stay as they are."""
    if accelerator is None or not rates.given:
        return dict(report)
    steps = []
    for step in report["steps"]:
        found = step.get("prediction")
        if found is not None and found["energy"] is not None:
            step = step | {"prediction": found | costs(found["seconds"], found["shares"], accelerator, rates)}
        steps.append(step)
    return dict(report) | {"steps": steps}


def _unknown(reason: str) -> dict[str, Any]:
    names = (
        "seconds",
        "seconds_per_turn",
        "low_s",
        "high_s",
        "coverage",
        "bound",
        "method",
        "profile_error",
        "calibration",
        "energy",
        "price",
    )
    return {
        **dict.fromkeys(names),
        "shares": {},
        "reason": reason,
        "validated_on": "not validated on this device class",
        "utilisation": {"matmul": None, "memory": None},
        "loops": [],
        "operations": [],
        "tag": "predicted",
    }
