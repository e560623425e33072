"""A whole training run, before anybody starts it: steps of the schedule times the cost of a step."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any

from cr_jax import pipeline
from cr_jax.catalog.dataset import Dataset
from cr_jax.data.corpus import Corpus, read_corpus
from cr_jax.data.examples.batch_shapes import ends, taken
from cr_jax.data.examples.batches import Batches
from cr_jax.data.examples.pool import Pool
from cr_jax.data.find_dataset import known_profile
from cr_jax.data.split import PARTS, VALIDATION
from cr_jax.errors import BadConfig, CrJaxError
from cr_jax.predict.money.pricing import Rates
from cr_jax.records import ArrayShape
from cr_jax.report.build import step_entry
from cr_jax.report.document import validate
from cr_jax.report.measured import measured_steps
from cr_jax.report.prediction import prediction_entry
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
CHECKED = "{} are validated by forwards of their own; the test part is ranked as well where it holds conversations"
FROZEN = "frozen modules are within the rows above, and cost what 'once' says where their outputs are kept"


def estimate(
    model: str,
    dataset: str | Path = "cell-phones",
    schedule: str = "published",
    *,
    device: str = "cpu",
    measured: Mapping[str, Mapping[str, Any]] | None = None,
    rates: Rates = Rates(),
    **arguments: Any,
) -> dict[str, Any]:
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
    read_schedule(schedule)  # a wrong one is told before a file is read
    found = _runs(model, [device], _read(dataset), schedule, measured or {}, rates, arguments)[0]
    if isinstance(found, CrJaxError):
        raise found
    return found


def estimates(
    models: Sequence[str],
    devices: Sequence[str],
    dataset: str | Path = "cell-phones",
    schedule: str = "published",
    *,
    measured: Mapping[str, Mapping[str, Any]] | None = None,
    rates: Rates = Rates(),
    **arguments: Any,
) -> dict[str, Any]:
    """:func:`estimate` for models and devices, an entry of ``runs`` each; one that fails says why.

    A measured report belongs to the runs of its model. Raises ``CrJaxError`` for what is wrong for all.
    """
    read_schedule(schedule)
    source = _read(dataset)  # once for all models
    runs: list[dict[str, Any]] = []
    for model in models:
        mine = {file: one for file, one in (measured or {}).items() if one["model"]["name"] == model}
        try:
            found = _runs(model, devices, source, schedule, mine, rates, arguments)
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
    """Batches of a file, by objective. number: in an epoch, or in a part that is tested; shapes: padded ones,
    each with its share of them. Both are empty where only a profile of the data is known."""

    number: Mapping[str, int] = field(default_factory=dict)
    shapes: Mapping[str, tuple[tuple[tuple[ArrayShape, ...], float], ...]] = field(default_factory=dict)

    def part(self, place: int) -> dict[str, tuple[ArrayShape, ...]]:
        """The smallest (0) or the largest (−1) of each objective."""
        return {name: shapes[place][0] for name, shapes in self.shapes.items()}

    def share(self, name: str) -> float:
        """Of the largest."""
        return self.shapes[name][-1][1] if name in self.shapes else 1.0


@dataclass(frozen=True)
class _Plan:
    """How a model trains on a file. checks: batches of the validation part for the objectives that are
    validated by their own forward; tests: their number of the test part; ranked: whether conversations are
    ranked after. Of a mere profile of the data no batch is known."""

    train: _Batches = _Batches()
    checks: _Batches = _Batches()
    tests: Mapping[str, int] = field(default_factory=dict)
    ranked: bool = True


def _read(dataset: str | Path) -> tuple[Dataset, Corpus | None]:
    """A profile, or a file of conversations as ``crjax train`` reads it."""
    known = known_profile(str(dataset))
    if known is not None:
        return known, None
    corpus = read_corpus(dataset)
    return corpus.dataset, corpus


def _plan(model: str, corpus: Corpus | None, arguments: Mapping[str, Any]) -> _Plan:
    if corpus is None:
        return _Plan()
    given = {key: arguments[key] for key in ("settings", "turns", "batch", "preset", "question_items") if key in arguments}
    spec, _, config = pipeline.configured(model, corpus.dataset, **given)
    assert spec.training is not None
    published = {o.name: o.batch for o in spec.objectives(config)}
    examples = spec.training.examples(corpus, config, 0)
    firsts = {name: stage.objectives[0] for stage in spec.training.stages for name in stage.objectives}
    train = _batched(
        {  # the objectives of a stage run in turn on the same batch
            name: (examples.pools[first], given.get("batch") or published[first]) for name, first in firsts.items()
        }
    )
    checks, tests = (
        _batched({check.objective: (check.pool, EVALUATED) for check in examples.checks.get(part, ())}) for part in PARTS[1:]
    )
    return _Plan(train, checks, tests.number, "test" in examples.rankings)


def _batched(pools: Mapping[str, tuple[Pool, int]]) -> _Batches:
    batches = {name: Batches(pool, batch, 0) for name, (pool, batch) in pools.items()}
    return _Batches(
        {name: one.per_epoch for name, one in batches.items()},
        {name: ends(taken(one, one.per_epoch)) for name, one in batches.items()},
    )


def _runs(
    model: str,
    devices: Sequence[str],
    source: tuple[Dataset, Corpus | None],
    schedule: str,
    measured: Mapping[str, Mapping[str, Any]],
    rates: Rates,
    arguments: Mapping[str, Any],
) -> list[dict[str, Any] | CrJaxError]:
    from cr_jax.models import spec as specs

    kind, number = read_schedule(schedule)
    spec = specs.find(model)
    if spec.training is None:
        raise BadConfig(f"model {model!r} states no training schedule; legal: one whose SPEC has training")
    data, corpus = source
    arguments = {"top_k": min(10, data.items), "question_items": min(10, data.items), **arguments}  # of few items fewer
    plan = _plan(model, corpus, arguments)
    trained = _both(
        plan.train,
        lambda batches: pipeline.profile_devices(
            model, data, devices, phases=("train",), rates=rates, batches=batches, **arguments
        ),
    )
    checked = _both(plan.checks, lambda batches: _checks(model, data, devices, rates, batches, arguments))
    tested = pipeline.profile_devices(
        model, data, devices, phases=("infer",), turns_compiled="replay", rates=rates, **{**arguments, "users": EVALUATED}
    )
    skipped = corpus.problems.lines() if corpus is not None else []

    def run(train: _Pair, checks: _Pair, test: Any) -> dict[str, Any] | CrJaxError:
        wrong = next((one for one in (*train, *checks, test) if isinstance(one, CrJaxError)), None)
        if wrong is not None:
            return wrong
        try:
            return _run(spec.training, train, checks, test, plan, schedule, kind, number, measured, rates, skipped)
        except CrJaxError as error:
            return error

    return [run(*reports) for reports in zip(trained, checked, tested, strict=True)]


#: Of a device, what was counted with the smallest batches and with the largest.
_Pair = tuple[Any, Any]


def _both(batches: _Batches, counted: Callable[[dict[str, tuple[ArrayShape, ...]]], list[Any]]) -> list[_Pair]:
    small = counted(batches.part(0))
    large = small if batches.part(0) == batches.part(-1) else counted(batches.part(-1))
    return list(zip(small, large, strict=True))


def _checks(
    model: str,
    data: Dataset,
    devices: Sequence[str],
    rates: Rates,
    batches: dict[str, tuple[ArrayShape, ...]],
    arguments: Mapping[str, Any],
) -> list[dict[str, Any] | CrJaxError]:
    """Per device ``steps``: the step of each objective that is validated by its own forward, as a cost report has steps."""
    from cr_jax.steps.check import check_steps
    from cr_jax.steps.step import abstract_model
    from cr_jax.targets.resolve import resolve

    rest = {key: value for key, value in arguments.items() if key not in ("settings", "turns")}
    spec, work, config = pipeline.configured(
        model, data, arguments.get("settings"), arguments.get("turns"), **rest | {"batch": EVALUATED, "batches": batches}
    )
    steps = check_steps(abstract := abstract_model(spec, config, work.dtype), work)
    targets = [pipeline.or_error(resolve, device) for device in devices]
    legal = [target for target in targets if not isinstance(target, CrJaxError)]
    made = iter(pipeline.compiled_for(abstract, work, steps, frozenset(step.name for step in steps), legal, name=model))

    def entries(target: dict[str, Any]) -> dict[str, Any]:
        accelerator = pipeline.accelerator_of(target["name"])
        return {
            "steps": [
                step_entry(pipeline.count(step), None)
                | {"prediction": prediction_entry(step, accelerator, work.dtype, None, rates)}
                for step in next(made)
            ]
        }

    return [target if isinstance(target, CrJaxError) else entries(target) for target in targets]


def _by_objective(pair: _Pair) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    small, large = ({step["labels"]["objective"]: step for step in one["steps"]} for one in pair)
    return {name: (small[name], large[name]) for name in small}


def _run(
    training: Any,
    train: _Pair,
    checks: _Pair,
    tested: dict[str, Any],
    plan: _Plan,
    schedule: str,
    kind: str,
    number: int,
    measured: Mapping[str, Mapping[str, Any]],
    rates: Rates,
    skipped: Sequence[str],
) -> dict[str, Any]:
    """train, checks: reports of the training steps and of the validating ones; tested: of the turns that rank."""
    report = train[0]
    accelerator = pipeline.accelerator_of(report["target"]["name"])
    clock: dict[str, Any] = {}
    for file, document in measured.items():
        clock |= measured_steps(document, file, report)
    steps, own = _by_objective(train), _by_objective(checks)
    rows, parts, passes, judging = [], {}, 0, []
    epochs = {name: plan.train.number.get(name, step["per"]["steps_per_epoch"]) for name, (step, _) in steps.items()}
    for stage in training.stages:
        lengths = {}
        for name in stage.objectives:
            lengths[name] = length(stage, steps[name][0], epochs[name], kind, number, report["dataset"]["sizes"]["turns"])
            patience = stage.patience if kind == "published" else None
            parts[name] = mixed(*steps[name], plan.train.share(name), lengths[name])
            rows.append(row(parts[name], lengths[name], epochs[name], patience, clock.get(name), accelerator, rates))
        first = stage.objectives[0]
        through = ceil(lengths[first] / epochs[first])
        passes += through
        for name in own.keys() & set(stage.objectives):
            assumed = ceil(VALIDATION * epochs[name] * steps[name][0]["labels"]["batch"] / EVALUATED)
            known = plan.checks.number, plan.tests
            validated, judged_once = (found.get(name, 0 if plan.train.shapes else assumed) for found in known)
            if times := through * validated + judged_once:
                judging += mixed(*own[name], plan.checks.share(name), times)
    judged = evaluation(tested, passes, accelerator, rates, judging if own else None, plan.ranked)
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
        "note": "\n".join(_notes(plan, own, once, fixed)),
        "objectives": rows,
        "total": {
            "optimizer_steps": sum(r["optimizer_steps"] for r in rows),
            **_sums(rows),
            "measured_s": total(seen),
            "peak_bytes": _largest(rows),
            "tag": "predicted",
        },
        "evaluation": judged,
        "item_side": once,
        "frozen": fixed,
        "whole": {**_sums(whole), "peak_bytes": _largest(whole), "tag": "predicted"},
        "grounds": _grounds(report, accelerator, rates),
    }
    validate(document, "the estimate (a bug in cr_jax: please report it)")
    return document


def _notes(plan: _Plan, own: Mapping[str, Any], once: Any, fixed: Any) -> list[str]:
    padded = PADDED if plan.train.shapes else QUANTILE
    checked = [CHECKED.format(" and ".join(own))] if own else []
    return [padded, *NOTES, *checked, *([ONCE] if once else []), *([FROZEN] if fixed else [])]


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
