"""Seconds of a training step by the clock, from a saved training or bench report of the same run."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from msgspec import structs

from cr_jax.documents.base import known
from cr_jax.documents.cost_report import CostReport
from cr_jax.errors import BadInput


class MeasuredStep(NamedTuple):
    """One step by the clock: its file, and the method of measurement."""

    seconds_per_step: float
    source: str
    note: str


#: JAX's names of platforms, as spelled in accelerator profiles.
_PLATFORM = {"gpu": "cuda"}


def measured_steps(document: Mapping[str, Any], where: str, report: CostReport) -> dict[str, MeasuredStep]:
    """By objective, its step by the clock.

    document: a training-report or bench-report. report: the cost report that is estimated from. Raises
    ``BadInput`` where model, configuration, data set, device or batch are not the same, with both.
    """
    if missing := [key for key in ("model", "dataset", "device") if key in document and document[key] is None]:
        raise BadInput(where, f"{missing[0]}: null: nothing was measured; legal: a report of a run that was")
    batches = {s.labels.objective: s.labels.batch for s in report.steps if s.phase == "train"}
    by_objective = _bench(document) if document["kind"] == "bench-report" else _trained(document, where)
    target = report.target
    pairs: list[tuple[str, Any, Any]] = [
        ("model", document["model"]["name"], report.model.name),
        ("data set", document["dataset"]["name"], report.data.name),
    ]
    config, wanted = document["model"]["config"], report.model.config
    pairs += [(f"configuration {key}", config.get(key), wanted.get(key)) for key in dict.fromkeys([*wanted, *config])]
    device = document["device"] if document["kind"] == "bench-report" else document["target"]
    pairs.append(("platform", _PLATFORM.get(device["platform"], device["platform"]), target.platform))
    if target.platform != "cpu":
        profile = device.get("profile")
        pairs.append(("device", profile or device["kind"], target.name if profile else target.kind))
    if document["kind"] == "bench-report":
        work = report.workload
        pairs += [(key, document["case"][key], getattr(work, key)) for key in ("dtype", "precision", "preset")]
    compared = known(report.workload.distillation)
    pairs.append(("distillation", _distillation(document), None if compared is None else structs.asdict(compared)))
    if target.mesh:
        pairs.append(("devices", device.get("devices", 1), target.devices))
    pairs += [(f"batch of {name}", one["batch"], batches[name]) for name, one in by_objective.items() if name in batches]
    for what, theirs, ours in pairs:
        if theirs != ours:
            raise BadInput(where, f"{what}: {theirs!r} was measured, {ours!r} is estimated; legal: a report of the same run")
    by_objective = {name: one for name, one in by_objective.items() if name in batches}
    if not by_objective:
        raise BadInput(where, "no training step was measured; legal: a report of crjax train, or of crjax bench --phase train")
    return {name: MeasuredStep(one["seconds_per_step"], where, one["note"]) for name, one in by_objective.items()}


def _distillation(document: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a student's training steps compared with, as a cost report says it."""
    found = document.get("distillation")
    if found is None:
        return None
    same = {key: found[key] for key in ("temperature", "weight", "on_the_fly", "augment")}
    return {**same, "teachers": tuple(teacher["config"] for teacher in found["teachers"])}


def _bench(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        step["labels"]["objective"]: {
            "batch": step["labels"]["batch"],
            "seconds_per_step": step["time"]["median_s"],
            "note": "median of the steady state; waiting for batches is not in it",
        }
        for step in document["steps"]
        if step["phase"] == "train" and step["time"]["median_s"]
    }


def _trained(document: Mapping[str, Any], where: str) -> dict[str, dict[str, Any]]:
    cost, stages = document["cost"]["measured"], document["stages"]
    if len(stages) != 1 or len(stages[0]["objectives"]) != 1:
        names = ", ".join(name for stage in stages for name in stage["objectives"])
        raise BadInput(where, f"one time for {names} together; legal: crjax bench --phase train, which times each")
    if document["target"]["devices"] != 1:
        raise BadInput(where, f"trained on {document['target']['devices']} devices; legal: a run on one")
    if not cost["steps"]:
        raise BadInput(where, "no step was taken; legal: a run that trained")
    stage = stages[0]
    note = "the whole run's training time over its steps: its own text lengths, compiling and waiting for batches are in it"
    seconds = cost["training_s"] / cost["steps"]
    return {stage["objectives"][0]: {"batch": stage["batch"], "seconds_per_step": seconds, "note": note}}
