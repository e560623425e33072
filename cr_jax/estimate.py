"""A whole training run, before anybody starts it: steps of the schedule times the cost of a step."""

from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import Any

from cr_jax import pipeline
from cr_jax.catalog import load
from cr_jax.errors import BadConfig, CrJaxError
from cr_jax.predict.rates import Rates
from cr_jax.report.document import validate
from cr_jax.report.measured import measured_steps
from cr_jax.report.run_estimate import EVALUATED, SUMMED, evaluation, frozen, item_side, length, read_schedule, row, total

SCHEMA_VERSION = "1.1"
SCHEMA_ID = f"urn:cr-jax:schema:run-estimate:{SCHEMA_VERSION}"
NOTES = (
    "a stage that stops early costs less",
    "a step's texts are padded to the 95% quantile of the data set; training pads each batch to what it holds, and takes less "
    "where conversations are short",
    "the ends of an interval are added: the errors of one device's predictions go the same way",
    f"evaluation as crjax train does it: a tenth of the conversations, every turn replayed, {EVALUATED} states at once (top k is "
    "in it); after each epoch of a stage, and once on the test part",
)
ONCE = "the item side is computed once more for the trained weights"
FROZEN = "frozen modules are within the rows above, and cost what 'once' says where their outputs are kept"


def estimate(
    model: str, dataset: str | Path = "cell-phones", schedule: str = "published", *, device: str = "cpu",
    measured: Mapping[str, Mapping[str, Any]] | None = None, rates: Rates = Rates(), **arguments: Any,
) -> dict[str, Any]:  # fmt: skip
    """What training ``model`` on ``dataset`` takes from start to end, per objective and in all.

    schedule: ``published`` (the length the public code trains for, at most: early stopping can end a
    stage sooner), ``epochs=N``, or ``equal-turns=N`` (N is 1 by default): every objective takes the fewest
    optimizer steps whose batches supervise N times the turns of the data set (its ``turns``, question-answer
    pairs), so that models are compared after learning from equally many; one that supervises no turns
    takes N epochs. measured: training or bench reports by file name, whose seconds per step stand beside the
    prediction and make energy and price. arguments: as for ``pipeline.profile``. Times are the
    prediction's for one step times the steps; ``None`` with the reason where there is none. The
    objectives of one stage run in turn on the same batch. Raises ``CrJaxError``.
    """
    found = _runs(model, [device], dataset, schedule, measured or {}, rates, arguments)[0]
    if isinstance(found, CrJaxError):
        raise found
    return found


def estimates(
    models: Sequence[str], devices: Sequence[str], dataset: str | Path = "cell-phones", schedule: str = "published", *,
    measured: Mapping[str, Mapping[str, Any]] | None = None, rates: Rates = Rates(), **arguments: Any,
) -> dict[str, Any]:  # fmt: skip
    """:func:`estimate` for models and devices, an entry of ``runs`` each; one that fails says why.

    A measured report belongs to the runs of its model. Raises ``CrJaxError`` for what is wrong for all.
    """
    read_schedule(schedule)
    runs: list[dict[str, Any]] = []
    for model in models:
        mine = {file: one for file, one in (measured or {}).items() if one["model"]["name"] == model}
        try:
            found = _runs(model, devices, dataset, schedule, mine, rates, arguments)
        except CrJaxError as error:
            found = [error] * len(devices)
        for device, one in zip(devices, found, strict=True):
            failed = isinstance(one, CrJaxError)
            runs.append({"model": model, "device": device, "error": " ".join(str(one).split())} if failed else one)
    document = {"schema": SCHEMA_ID, "kind": "run-estimate", "schema_version": SCHEMA_VERSION, "runs": runs}
    validate(document, "the estimate (a bug in cr_jax: please report it)")
    return document


def _runs(
    model: str, devices: Sequence[str], dataset: str | Path, schedule: str, measured: Mapping[str, Mapping[str, Any]],
    rates: Rates, arguments: Mapping[str, Any],
) -> list[dict[str, Any] | CrJaxError]:  # fmt: skip
    from cr_jax.models import spec as specs

    kind, number = read_schedule(schedule)
    spec = specs.find(model)
    if spec.training is None:
        raise BadConfig(f"model {model!r} states no training schedule; legal: one whose SPEC has training")
    trained = pipeline.profile_devices(model, dataset, devices, phases=("train",), rates=rates, **arguments)
    tested = pipeline.profile_devices(model, dataset, devices, phases=("infer",), turns_compiled="replay", rates=rates,
                                      **{**arguments, "users": EVALUATED})  # fmt: skip

    def run(train: Any, test: Any) -> dict[str, Any] | CrJaxError:
        wrong = next((one for one in (train, test) if isinstance(one, CrJaxError)), None)
        if wrong is not None:
            return wrong
        try:
            return _run(spec.training, train, test, schedule, kind, number, measured, rates)
        except CrJaxError as error:
            return error

    return [run(train, test) for train, test in zip(trained, tested, strict=True)]


def _run(
    training: Any, report: dict[str, Any], tested: dict[str, Any], schedule: str, kind: str, number: int,
    measured: Mapping[str, Mapping[str, Any]], rates: Rates,
) -> dict[str, Any]:  # fmt: skip
    device = report["target"]["name"]
    accelerator = load.accelerator(device) if device in load.accelerator_names() else None
    clock: dict[str, Any] = {}
    for file, document in measured.items():
        clock |= measured_steps(document, file, report)
    steps = {s["labels"]["objective"]: s for s in report["steps"]}
    rows, passes, checked = [], 0, []
    for stage in training.stages:
        lengths = {}
        for name in stage.objectives:
            lengths[name] = length(stage, steps[name], kind, number, report["dataset"]["sizes"]["turns"])
            patience = stage.patience if kind == "published" else None
            rows.append(row(steps[name], lengths[name], patience, clock.get(name), accelerator, rates))
        first = stage.objectives[0]
        passes += ceil(lengths[first] / steps[first]["per"]["steps_per_epoch"])
        checked += stage.objectives if training.checks else ()
    judged = evaluation(tested, passes, accelerator, rates, checked)
    once = item_side(tested, accelerator, rates)
    whole = [*rows, judged, *([once] if once else [])]
    fixed = frozen(report, {r["objective"]: r["optimizer_steps"] for r in rows})
    seen = [r["measured"]["seconds"] if r["measured"] else None for r in rows]
    document = {
        "schema": SCHEMA_ID,
        "kind": "run-estimate",
        "schema_version": SCHEMA_VERSION,
        "model": {"name": report["model"]["name"], "config": report["model"]["config"]},
        "dataset": {"name": report["dataset"]["name"], "turns": report["dataset"]["sizes"]["turns"]},
        "target": report["target"],
        "versions": report["versions"],
        "schedule": schedule,
        "note": "\n".join([*NOTES, *([ONCE] if once else []), *([FROZEN] if fixed else [])]),
        "objectives": rows,
        "total": {"optimizer_steps": sum(r["optimizer_steps"] for r in rows), **_sums(rows), "measured_s": total(seen),
                  "peak_bytes": _largest(rows), "tag": "predicted"},
        "evaluation": judged,
        "item_side": once,
        "frozen": fixed,
        "whole": {**_sums(whole), "peak_bytes": _largest(whole), "tag": "predicted"},
        "grounds": _grounds(report, accelerator, rates),
    }  # fmt: skip
    validate(document, "the estimate (a bug in cr_jax: please report it)")
    return document


def _sums(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {key: total(one[key] for one in rows) for key in SUMMED}


def _largest(rows: Sequence[Mapping[str, Any]]) -> int | None:
    peaks = [one["peak_bytes"] for one in rows]
    return None if None in peaks else max(peaks)


def _grounds(report: Mapping[str, Any], accelerator: Any, rates: Rates) -> dict[str, Any]:
    """What times, energy and price stand on, and whether the peak fits."""
    prediction = report["steps"][0]["prediction"]
    energy, price = prediction["energy"] or {}, prediction["price"] or {}
    assumed = energy.get("assumptions")
    hourly = rates.hourly(accelerator.name) if accelerator is not None else None
    return {
        "method": prediction["method"],
        "validated_on": prediction["validated_on"],
        "coverage": prediction["coverage"],
        "device_memory_bytes": accelerator.memory_bytes if accelerator is not None else None,
        "energy": None if assumed is None else {k: v for k, v in assumed.items() if k != "active_share"},
        "energy_reason": energy.get("reason"),
        "per_hour_usd": price.get("per_hour_usd") if hourly is None else hourly,
        "price_source": price.get("source") if hourly is None else "given by the user",
        "price_reason": price.get("reason"),
    }
