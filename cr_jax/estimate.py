"""A whole training run, before anybody starts it: steps of the schedule times the cost of a step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any

from cr_jax import pipeline
from cr_jax.catalog import load
from cr_jax.catalog.dataset import Dataset
from cr_jax.data.batches import Batches
from cr_jax.data.corpus import Corpus, read_corpus
from cr_jax.data.detect import known_profile
from cr_jax.data.shapes import ends, taken
from cr_jax.errors import BadConfig, CrJaxError
from cr_jax.predict.rates import Rates
from cr_jax.records import ArrayShape
from cr_jax.report.document import validate
from cr_jax.report.measured import measured_steps
from cr_jax.report.run_estimate import EVALUATED, SUMMED, evaluation, frozen, item_side, length, mixed, read_schedule, row, total

SCHEMA_VERSION = "1.2"
SCHEMA_ID = f"urn:cr-jax:schema:run-estimate:{SCHEMA_VERSION}"
NOTES = (
    "a stage that stops early costs less",
    "the ends of an interval are added: the errors of one device's predictions go the same way",
    f"evaluation as crjax train does it: a tenth of the conversations, every turn replayed, {EVALUATED} states at once (top k is "
    "in it); after each epoch of a stage, and once on the test part",
)
ONCE = "the item side is computed once more for the trained weights"
QUANTILE = (
    "a step's texts are padded to the 95% quantile of the data set; training pads each batch to what it holds, and takes less "
    "where conversations are short: a file of conversations as --dataset is counted as its batches are padded"
)
PADDED = (
    "steps are those of the file's training part, padded as crjax train pads its batches; of more than two shapes the smallest "
    "and the largest are compiled, those between lie on the line between them by positions"
)
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


@dataclass(frozen=True)
class _Batches:
    """What training's batches are, by objective. per_epoch: their number; shapes: padded ones, each with
    its share of the steps. Both are empty where only a profile of the data is known."""

    per_epoch: Mapping[str, int] = field(default_factory=dict)
    shapes: Mapping[str, tuple[tuple[tuple[ArrayShape, ...], float], ...]] = field(default_factory=dict)

    def part(self, place: int) -> dict[str, tuple[ArrayShape, ...]]:
        """The smallest (0) or the largest (−1) of each objective."""
        return {name: shapes[place][0] for name, shapes in self.shapes.items()}


def _read(dataset: str | Path) -> tuple[Dataset, Corpus | None]:
    """A profile, or a file of conversations as ``crjax train`` reads it."""
    known = known_profile(str(dataset))
    if known is not None:
        return known, None
    corpus = read_corpus(dataset)
    return corpus.dataset, corpus


def _batches(model: str, corpus: Corpus | None, arguments: Mapping[str, Any]) -> _Batches:
    """Those of training ``model`` on a corpus."""
    if corpus is None:
        return _Batches()
    given = {key: arguments[key] for key in ("settings", "turns", "batch", "preset", "question_items") if key in arguments}
    spec, _, config = pipeline.configured(model, corpus.dataset, **given)
    assert spec.training is not None
    published = {o.name: o.batch for o in spec.objectives(config)}
    pools = spec.training.examples(corpus, config, 0).pools
    per_epoch, shapes = {}, {}
    for stage in spec.training.stages:
        first = stage.objectives[0]
        batches = Batches(pools[first], given.get("batch") or published[first], 0)
        mixed = ends(taken(batches, batches.per_epoch))
        for name in stage.objectives:  # in turn on the same batch
            per_epoch[name], shapes[name] = batches.per_epoch, mixed
    return _Batches(per_epoch, shapes)


def _runs(
    model: str, devices: Sequence[str], dataset: str | Path, schedule: str, measured: Mapping[str, Mapping[str, Any]],
    rates: Rates, arguments: Mapping[str, Any],
) -> list[dict[str, Any] | CrJaxError]:  # fmt: skip
    from cr_jax.models import spec as specs

    kind, number = read_schedule(schedule)
    spec = specs.find(model)
    if spec.training is None:
        raise BadConfig(f"model {model!r} states no training schedule; legal: one whose SPEC has training")
    data, corpus = _read(dataset)
    batches = _batches(model, corpus, arguments)

    def profiled(place: int) -> list[dict[str, Any] | CrJaxError]:
        return pipeline.profile_devices(model, data, devices, phases=("train",), rates=rates, batches=batches.part(place),
                                        **arguments)  # fmt: skip

    small = profiled(0)
    large = small if batches.part(0) == batches.part(-1) else profiled(-1)
    tested = pipeline.profile_devices(model, data, devices, phases=("infer",), turns_compiled="replay", rates=rates,
                                      **{**arguments, "users": EVALUATED})  # fmt: skip
    skipped = corpus.problems.lines() if corpus is not None else []

    def run(*reports: Any) -> dict[str, Any] | CrJaxError:
        wrong = next((one for one in reports if isinstance(one, CrJaxError)), None)
        if wrong is not None:
            return wrong
        try:
            return _run(spec.training, reports, batches, schedule, kind, number, measured, rates, skipped)
        except CrJaxError as error:
            return error

    return [run(*reports) for reports in zip(small, large, tested, strict=True)]


def _run(
    training: Any, reports: Sequence[dict[str, Any]], batches: _Batches, schedule: str, kind: str, number: int,
    measured: Mapping[str, Mapping[str, Any]], rates: Rates, skipped: Sequence[str],
) -> dict[str, Any]:  # fmt: skip
    """reports: of the training steps with the smallest batches and with the largest, and of the evaluation's."""
    report, large, tested = reports
    device = report["target"]["name"]
    accelerator = load.accelerator(device) if device in load.accelerator_names() else None
    clock: dict[str, Any] = {}
    for file, document in measured.items():
        clock |= measured_steps(document, file, report)
    steps, others = ({s["labels"]["objective"]: s for s in one["steps"]} for one in (report, large))
    rows, parts, passes, checked = [], {}, 0, []
    epochs = {name: batches.per_epoch.get(name, step["per"]["steps_per_epoch"]) for name, step in steps.items()}
    for stage in training.stages:
        lengths = {}
        for name in stage.objectives:
            lengths[name] = length(stage, steps[name], epochs[name], kind, number, report["dataset"]["sizes"]["turns"])
            patience = stage.patience if kind == "published" else None
            share = batches.shapes[name][-1][1] if name in batches.shapes else 1.0
            parts[name] = mixed(steps[name], others[name], share, lengths[name])
            rows.append(row(parts[name], lengths[name], epochs[name], patience, clock.get(name), accelerator, rates))
        first = stage.objectives[0]
        passes += ceil(lengths[first] / epochs[first])
        checked += stage.objectives if training.checks else ()
    judged = evaluation(tested, passes, accelerator, rates, checked)
    once = item_side(tested, accelerator, rates)
    whole = [*rows, judged, *([once] if once else [])]
    fixed = frozen(report, parts, epochs)
    seen = [r["measured"]["seconds"] if r["measured"] else None for r in rows]
    document = {
        "schema": SCHEMA_ID,
        "kind": "run-estimate",
        "schema_version": SCHEMA_VERSION,
        "model": {"name": report["model"]["name"], "config": report["model"]["config"]},
        "dataset": {"name": report["dataset"]["name"], "turns": report["dataset"]["sizes"]["turns"], "problems": list(skipped)},
        "target": report["target"],
        "versions": report["versions"],
        "schedule": schedule,
        "note": "\n".join(_notes(batches, once, fixed)),
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


def _notes(batches: _Batches, once: Any, fixed: Any) -> list[str]:
    return [PADDED if batches.shapes else QUANTILE, *NOTES, *([ONCE] if once else []), *([FROZEN] if fixed else [])]


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
