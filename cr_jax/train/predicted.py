"""What was foretold of a run, beside what it took: the predicted steps, as many as were taken."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from cr_jax import pipeline
from cr_jax.catalog import load
from cr_jax.catalog.accelerator import Accelerator
from cr_jax.catalog.dataset import Dataset
from cr_jax.data.batches import Batches
from cr_jax.errors import CrJaxError
from cr_jax.records import CompiledStep, Workload
from cr_jax.report.prediction import prediction_entry
from cr_jax.steps.step import AbstractModel
from cr_jax.steps.train import training_step
from cr_jax.targets.cache import Cache, kept_or_made
from cr_jax.targets.compile import lower_step
from cr_jax.targets.resolve import profile_name, resolve

_SECONDS = ("seconds", "low_s", "high_s")


@dataclass(frozen=True)
class Taken:
    """Steps taken with batches of one padded shape. positions: computed for one example of it."""

    steps: int
    batch: Mapping[str, jax.ShapeDtypeStruct]
    positions: int


def taken(batches: Batches, steps: int) -> tuple[Taken, ...]:
    """The first ``steps`` batches by shape."""
    found = []
    for group, number in batches.taken(steps):
        rows = group.at(np.arange(batches.batch) % len(group.rows))
        made = batches.pool.make(rows, group.shape, np.random.default_rng(0))
        shapes = {name: jax.ShapeDtypeStruct(a.shape, a.dtype) for name, a in made.items()}
        found.append(Taken(number, shapes, batches.pool.executed(group.shape)))
    return tuple(found)


def predicted(
    model: AbstractModel, work: Workload, data: Dataset, steps: Mapping[str, Sequence[Taken]], device: Any, devices: int
) -> dict[str, Any]:  # fmt: skip
    """Seconds of the optimizer steps taken, by objective, as predicted for ``device``, compilation apart.

    On a CPU each step has the shapes its batch was padded to: the smallest and the largest are compiled,
    those between lie between them by positions. On other devices each step is the one that ``crjax
    estimate`` and ``crjax profile`` count, padded to the 95% quantile of the texts. Every figure is ``None`` with
    the reason where there is no prediction: an uncalibrated CPU, a device without a profile, a batch split over several devices.
    """
    found: dict[str, Any] = {"training_s": None, "low_s": None, "high_s": None, "coverage": None, "method": None,
                             "validated_on": None, "objectives": [], "reason": None, "tag": "predicted"}  # fmt: skip
    if devices > 1:
        return found | {"reason": f"a batch split over {devices} devices is not predicted"}
    platform = "cuda" if device.platform == "gpu" else str(device.platform)
    name = "cpu" if platform == "cpu" else profile_name(device.device_kind, platform)
    if name is None:
        return found | {"reason": f"{device.device_kind} has no accelerator profile"}
    accelerator = load.accelerator(name)
    if platform == "cpu" and accelerator.calibration is None:
        return found | {"reason": "cpu: no rates are known; crjax calibrate measures them on this machine"}
    try:
        target = resolve({"cpu": name, "cuda": "gpu"}.get(platform, platform))
        if platform == "cpu":
            entries = _shaped(model, work, steps, target, accelerator)
        else:
            (compiled,) = pipeline.compile_steps(model, work, data, ("train",), [target])
            entries = {one.labels["objective"]: prediction_entry(one, accelerator, work.dtype) for one in compiled}
    except CrJaxError as error:
        return found | {"reason": " ".join(str(error).split())}
    counts = {objective: sum(one.steps for one in shapes) for objective, shapes in steps.items()}
    rows = [{"objective": objective, "steps": count, "seconds_per_step": entries[objective]["seconds"],
             "bound": entries[objective]["bound"], "reason": entries[objective]["reason"]}
            for objective, count in counts.items() if count]  # fmt: skip
    if not rows or any(row["seconds_per_step"] is None for row in rows):
        reasons = dict.fromkeys(row["reason"] for row in rows if row["reason"])
        return found | {"objectives": rows, "reason": "; ".join(reasons) or "no step was taken"}
    sums = {name: sum(entries[row["objective"]][key] * row["steps"] for row in rows)
            for name, key in zip(("training_s", "low_s", "high_s"), _SECONDS, strict=True)}  # fmt: skip
    first = entries[rows[0]["objective"]]
    return found | sums | {key: first[key] for key in ("coverage", "method", "validated_on")} | {"objectives": rows}


def _shaped(
    model: AbstractModel, work: Workload, steps: Mapping[str, Sequence[Taken]], target: dict[str, Any], accelerator: Accelerator
) -> dict[str, dict[str, Any]]:  # fmt: skip
    """By objective, the prediction of its mean step."""
    cache = Cache()

    def entry(objective: Any, shape: Taken) -> dict[str, Any]:
        lowered = lower_step(training_step(model, objective, work, shape.batch), target, work.precision)
        compiled: CompiledStep = kept_or_made(lowered.step, target, cache, lowered.compile, None)
        return prediction_entry(compiled, accelerator, work.dtype)

    found = {}
    for objective in model.spec.objectives(model.config):
        shapes = sorted(steps.get(objective.name, ()), key=lambda one: one.positions)
        if not shapes:
            continue
        low, high = shapes[0], shapes[-1]
        first = entry(objective, low)
        last = entry(objective, high) if high.positions > low.positions else first
        found[objective.name] = last if last["seconds"] is None or first["seconds"] is None else last | {
            key: _mean(shapes, low.positions, high.positions, first[key], last[key]) for key in _SECONDS
        }  # fmt: skip
    return found


def _mean(shapes: Sequence[Taken], low: int, high: int, first: float, last: float) -> float:
    """Of all steps, on the line through (low, first) and (high, last)."""
    slope = (last - first) / (high - low) if high > low else 0.0
    return sum(one.steps * (first + slope * (one.positions - low)) for one in shapes) / sum(one.steps for one in shapes)
