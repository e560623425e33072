"""A whole training run, before anybody starts it: steps of the schedule times the cost of a step."""

import re
from pathlib import Path
from typing import Any

from cr_jax import pipeline
from cr_jax.errors import BadConfig
from cr_jax.report.document import validate

SCHEMA_ID = "urn:cr-jax:schema:run-estimate:1.0"


def estimate(model: str, dataset: str | Path = "cell-phones", schedule: str = "published", **arguments: Any) -> dict[str, Any]:
    """What training ``model`` on ``dataset`` takes from start to end, per objective and in all.

    schedule: ``published`` (the length the public code trains for, at most: early stopping can end a
    stage sooner) or ``epochs=N``. arguments: as for ``pipeline.profile``. Times, energy and price are
    the prediction's for one step times the steps; ``None`` with the reason where there is none. The
    objectives of one stage run in turn on the same batch. Raises ``CrJaxError``.
    """
    from cr_jax.models import spec as specs

    spec = specs.find(model)
    epochs = _epochs(schedule)
    if spec.training is None:
        raise BadConfig(f"model {model!r} states no training schedule; legal: one whose SPEC has training")
    report = pipeline.profile(model, dataset, phases=("train",), **arguments)
    steps = {s["labels"]["objective"]: s for s in report["steps"]}
    rows = []
    for stage in spec.training.stages:
        for name in stage.objectives:
            step = steps[name]
            per_epoch = step["per"]["steps_per_epoch"]
            length = _length(stage, epochs, per_epoch)
            rows.append(_row(step, length, None if epochs else stage.patience, per_epoch))
    document = {
        "schema": SCHEMA_ID,
        "kind": "run-estimate",
        "schema_version": "1.0",
        "model": {"name": report["model"]["name"], "config": report["model"]["config"]},
        "dataset": {"name": report["dataset"]["name"], "turns": report["dataset"]["sizes"]["turns"]},
        "target": report["target"],
        "versions": report["versions"],
        "schedule": schedule,
        "note": "evaluation is not in it; a stage that stops early costs less",
        "objectives": rows,
        "total": {key: _sum(row[key] for row in rows) for key in
                  ("optimizer_steps", "flops", "hbm_bytes", "seconds", "low_s", "high_s", "energy_j", "price_usd")}
        | {"tag": "predicted"},
    }  # fmt: skip
    validate(document, "the estimate (a bug in cr_jax: please report it)")
    return document


def _epochs(schedule: str) -> int | None:
    if schedule == "published":
        return None
    found = re.fullmatch(r"epochs=(\d+)", schedule)
    if found is None or int(found[1]) < 1:
        raise BadConfig(f"--schedule {schedule!r}: legal: published, or epochs=N with N of 1 or more")
    return int(found[1])


def _length(stage: Any, epochs: int | None, per_epoch: float) -> int:
    if epochs is None and stage.steps is not None:
        return stage.steps
    return round((epochs or stage.epochs) * per_epoch)


def _row(step: dict[str, Any], steps: int, patience: int | None, per_epoch: float) -> dict[str, Any]:
    counted, found = step["compiled"] or step["model"], step.get("prediction") or {}
    energy, price = found.get("energy") or {}, found.get("price") or {}

    def times(value: float | None) -> float | None:
        return None if value is None else value * steps

    return {
        "objective": step["labels"]["objective"],
        "batch": step["labels"]["batch"],
        "optimizer_steps": steps,
        "epochs": steps / per_epoch if per_epoch else None,
        "patience": patience,
        "flops": counted["flops"] * steps,
        "hbm_bytes": counted["hbm_bytes"] * steps,
        "peak_bytes": step["memory"]["peak_bytes"],
        "seconds": times(found.get("seconds")),
        "low_s": times(found.get("low_s")),
        "high_s": times(found.get("high_s")),
        "energy_j": times(energy.get("energy_j")),
        "price_usd": times(price.get("price_usd")),
        "reason": found.get("reason"),
        "tag": "predicted",
    }


def _sum(values: Any) -> float | None:
    found = list(values)
    return None if any(v is None for v in found) else sum(found)
