"""The predicted time of a run, beside its measured time: the predicted steps, as many as were taken."""

import dataclasses
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from cr_jax.catalog import load
from cr_jax.catalog.accelerator import Accelerator
from cr_jax.data.examples.batch_shapes import Taken, ends
from cr_jax.documents.base import plain
from cr_jax.documents.prediction import StepPrediction
from cr_jax.documents.training_report import PredictedObjective, PredictedSteps
from cr_jax.errors import CrJaxError
from cr_jax.printable import one_line
from cr_jax.records import ArrayShape, Target, Workload
from cr_jax.report.prediction import step_prediction
from cr_jax.report.run_estimate import mixed, summed
from cr_jax.steps.distil import training_objectives
from cr_jax.steps.step import AbstractModel
from cr_jax.steps.train import training_step
from cr_jax.targets.device_protocol import Device
from cr_jax.targets.programs import programs
from cr_jax.targets.resolve import profile_name, resolve
from cr_jax.targets.sources import ModelSource

_SECONDS = ("seconds", "low_s", "high_s")


def predicted(
    model: AbstractModel, work: Workload, steps: Mapping[str, Sequence[Taken]], device: Device, devices: int
) -> PredictedSteps:
    """Seconds of the optimizer steps taken, by objective, as predicted for ``device``, compilation apart.

    The smallest and the largest of the shapes that batches were padded to are compiled; those between
    lie between them by positions, as in ``crjax estimate`` of the same file. Every figure is ``None`` with
    the reason where there is no prediction: an uncalibrated CPU, a device without a profile, a batch split
    over several devices.
    """
    if devices > 1:
        return _unpredicted(f"a batch split over {devices} devices is not predicted")
    platform = "cuda" if device.platform == "gpu" else str(device.platform)
    name = "cpu" if platform == "cpu" else profile_name(device.device_kind, platform)
    if name is None:
        return _unpredicted(f"{device.device_kind} has no accelerator profile")
    accelerator = load.accelerator(name)
    if platform == "cpu" and accelerator.calibration is None:
        return _unpredicted("cpu: no rates are known; crjax calibrate measures them on this machine")
    try:
        target = resolve({"cpu": name, "cuda": "gpu"}.get(platform, platform))
        entries = _mean_steps(model, work, {name: shapes for name, shapes in steps.items() if shapes}, target, accelerator)
    except CrJaxError as error:
        return _unpredicted(one_line(error))
    rows = tuple(
        PredictedObjective(
            objective=name,
            steps=sum(one.steps for one in steps[name]),
            seconds_per_step=entry.seconds,
            bound=entry.bound,
            reason=entry.reason,
        )
        for name, entry in entries.items()
    )
    if not rows or any(row.seconds_per_step is None for row in rows):
        reasons = dict.fromkeys(row.reason for row in rows if row.reason)
        return _unpredicted("; ".join(reasons) or "no step was taken", rows)
    training, low, high = (sum(getattr(entries[row.objective], key) * row.steps for row in rows) for key in _SECONDS)
    first = entries[rows[0].objective]
    return PredictedSteps(
        training_s=training,
        low_s=low,
        high_s=high,
        coverage=first.coverage,
        method=first.method,
        validated_on=first.validated_on if isinstance(first.validated_on, str) else plain(first.validated_on),
        objectives=rows,
        reason=None,
        tag="predicted",
    )


def _unpredicted(reason: str, rows: tuple[PredictedObjective, ...] = ()) -> PredictedSteps:
    return PredictedSteps(
        training_s=None,
        low_s=None,
        high_s=None,
        coverage=None,
        method=None,
        validated_on=None,
        objectives=rows,
        reason=reason,
        tag="predicted",
    )


def _mean_steps(
    model: AbstractModel, work: Workload, steps: Mapping[str, Sequence[Taken]], target: Target, accelerator: Accelerator
) -> dict[str, StepPrediction]:
    """By objective, the prediction of its mean step."""
    both = {name: ends(shapes) for name, shapes in steps.items()}
    first, last = ({name: parts[place][0] for name, parts in both.items()} for place in (0, -1))
    small = _entries(model, work, first, target, accelerator)
    large = small if first == last else _entries(model, work, last, target, accelerator)
    mean_steps = {}
    for name, parts in both.items():
        low, high, share = small[name], large[name], parts[-1][1]
        mean_steps[name] = replace(high, **summed(mixed(low, high, share, 1), _SECONDS), reason=low.reason or high.reason)
    return mean_steps


def _entries(
    model: AbstractModel, work: Workload, batches: Mapping[str, tuple[ArrayShape, ...]], target: Target, accelerator: Accelerator
) -> dict[str, StepPrediction]:
    """By objective, the prediction of the step with such a batch."""
    work = dataclasses.replace(work, batches=batches)
    steps = [training_step(model, o, work) for o in training_objectives(model, work) if o.name in batches]
    source = ModelSource(model.spec.name, model.config, work)
    (made,) = programs(source, steps, work.precision, frozenset(step.name for step in steps), [target])
    return {step.objective: step_prediction(step, accelerator, work.dtype) for step in made}
