"""What was foretold of a run, beside what it took: the steps of ``crjax estimate``, as many as were taken."""

from collections.abc import Mapping
from typing import Any

from cr_jax import pipeline
from cr_jax.catalog import load
from cr_jax.catalog.dataset import Dataset
from cr_jax.errors import CrJaxError
from cr_jax.records import Workload
from cr_jax.report.prediction import prediction_entry
from cr_jax.steps.step import AbstractModel
from cr_jax.targets.resolve import profile_name, resolve


def predicted(
    model: AbstractModel, work: Workload, data: Dataset, taken: Mapping[str, int], device: Any, devices: int
) -> dict[str, Any]:  # fmt: skip
    """Seconds of ``taken[objective]`` optimizer steps as predicted for ``device``, compilation apart.

    Each step is the one that ``crjax estimate`` and ``crjax profile`` count: texts padded to the 95% quantile, where
    training pads a batch to what it holds. Every figure is ``None`` with the reason where there is no prediction:
    an uncalibrated CPU, a device without a profile, a batch split over several devices.
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
        (steps,) = pipeline.compile_steps(model, work, data, ("train",), [target])
    except CrJaxError as error:
        return found | {"reason": " ".join(str(error).split())}
    rows = []
    for step in steps:
        times = taken.get(step.labels["objective"], 0)
        if times:
            entry = prediction_entry(step, accelerator, work.dtype)
            rows.append({"objective": step.labels["objective"], "steps": times, "seconds_per_step": entry["seconds"],
                         "bound": entry["bound"], "reason": entry["reason"]} | {"_": entry})  # fmt: skip
    entries = [(row.pop("_"), row["steps"]) for row in rows]
    known = bool(rows) and all(entry["seconds"] is not None for entry, _ in entries)
    if not known:
        reasons = dict.fromkeys(row["reason"] for row in rows if row["reason"])
        return found | {"objectives": rows, "reason": "; ".join(reasons) or "no step was taken"}
    sums = {name: sum(entry[key] * times for entry, times in entries)
            for name, key in (("training_s", "seconds"), ("low_s", "low_s"), ("high_s", "high_s"))}  # fmt: skip
    first = entries[0][0]
    return found | sums | {key: first[key] for key in ("coverage", "method", "validated_on")} | {"objectives": rows}
