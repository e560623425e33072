"""A whole training run from the cost reports of its steps: lengths, totals, evaluation, one-time costs."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any, NamedTuple, TypedDict, TypeVar

from msgspec import UNSET, structs

from cr_jax.catalog.accelerator import Accelerator
from cr_jax.catalog.topologies import topology
from cr_jax.data.split import TEST, VALIDATION
from cr_jax.documents.base import known
from cr_jax.documents.cost_report import CostReport, ReportedData
from cr_jax.documents.prediction import StepPrediction
from cr_jax.documents.reported_step import ReportedStep
from cr_jax.documents.run_estimate import EvaluationCosts, FrozenCosts, ItemSideCosts, MeasuredSteps, ObjectiveCosts, RunGrounds
from cr_jax.errors import BadConfig
from cr_jax.predict.money.pricing import Rates, costs
from cr_jax.report.build import largest
from cr_jax.report.measured import MeasuredStep
from cr_jax.report.timing import without_share

#: Conversation states that evaluation ranks at once, as ``cr_jax.train.evaluate`` does.
EVALUATED = 64
_SPENT = ("energy_j", "price_usd", "carbon_g")
SUMMED = ("flops", "hbm_bytes", "seconds", "low_s", "high_s", *_SPENT)
_SCHEDULES = "legal: published, epochs=N, equal-turns or equal-turns=N with N of 1 or more"


def read_schedule(text: str) -> tuple[str, int]:
    """``published``, ``epochs=3`` or ``equal-turns=2`` -> the kind and N (1 where none is given). Raises ``BadConfig``."""
    match = re.fullmatch(r"(published|equal-turns)|(epochs|equal-turns)=(\d{1,9})", text)
    if match is None or (match[3] is not None and int(match[3]) < 1):
        raise BadConfig(f"--schedule {text!r}: {_SCHEDULES}")
    return match[1] or match[2], int(match[3] or 1)


def length(stage: Any, step: ReportedStep, per_epoch: float, kind: str, number: int, turns: int) -> int:
    """Optimizer steps of an objective of ``stage`` under a schedule. per_epoch: steps; turns: of the data set.

    equal-turns: the fewest steps whose batches supervise ``number`` times the data set's turns; an
    objective that supervises none (AutoRec learns from a user's ratings) takes ``number`` epochs.
    """
    if kind == "published":
        return stage.steps if stage.steps is not None else round(stage.epochs * per_epoch)
    batch, supervised = known(step.labels.batch), known(step.labels.supervised_turns_per_example)
    if kind == "equal-turns" and batch and supervised:
        return ceil(number * turns / (batch * supervised) - 1e-9)
    return round(number * per_epoch)


#: The note of a run on several devices.
SHARED = (
    "the devices of the mesh share each optimizer step. Evaluation and the item side are not split, as in crjax train: {}. FLOP "
    "and bytes are of all devices at work, energy and price of all devices, peak memory is of one"
)
#: Programs with their numbers of runs; of a mean of two programs these are no whole numbers.
Parts = Sequence[tuple[ReportedStep, float]]
_T = TypeVar("_T")


def mixed(small: _T, large: _T, share: float, steps: int) -> Sequence[tuple[_T, float]]:
    """``steps`` of two kinds, the second ``share`` of them."""
    if share == 1:
        return [(large, steps)]
    return [(small, steps * (1 - share)), (large, steps * share)]


def summed(parts: Sequence[tuple[StepPrediction | None, float]], keys: Iterable[str]) -> dict[str, float | None]:
    """Figures of predictions, each times its number of runs; ``None`` where one is unknown."""
    return {key: total(_over(getattr(one, key, None), times) for one, times in parts) for key in keys}


@dataclass(frozen=True)
class ObjectiveRun:
    """One objective over a run: ``steps`` in all, made of ``parts``. patience: epochs without a better validation figure
    that end it; ``None``: the schedule is not the published one.
    """

    parts: Parts
    steps: int
    per_epoch: float
    patience: int | None


@dataclass(frozen=True)
class Money:
    """The basis of energy and price: the device's profile, ``None`` if it has none, the user's rates, how many devices
    run together, and how many of them work, while the others are idle and paid; ``None``: all.
    """

    accelerator: Accelerator | None
    rates: Rates
    devices: int = 1
    working: int | None = None

    @property
    def at_work(self) -> int:
        """The devices that are not idle."""
        return self.devices if self.working is None else self.working

    def unsplit(self) -> tuple["Money", str]:
        """The same for programs that are not split over the mesh, of which every host runs one, and a note that says so."""
        hosts = 1
        if self.accelerator is not None and self.devices > 1:
            hosts = self.devices // topology(self.accelerator, self.devices).devices_per_host
        if hosts == 1:
            return self, SHARED.format("every device runs them whole")
        where = f"the first device of each of {hosts} hosts runs them whole while the others are idle"
        return replace(self, working=hosts), SHARED.format(where)


class _Spent(TypedDict):
    """Energy, price and carbon."""

    energy_j: float | None
    price_usd: float | None
    carbon_g: float | None


class _Totals(NamedTuple):
    """Counts, predicted time, energy, price and carbon of steps run so many times each; why no time is known."""

    flops: int
    hbm_bytes: int
    seconds: float | None
    low_s: float | None
    high_s: float | None
    energy_j: float | None
    price_usd: float | None
    carbon_g: float | None
    reason: str | None


def objective_costs(run: ObjectiveRun, measured: MeasuredStep | None, money: Money) -> ObjectiveCosts:
    """An objective's entry. measured: a step by the clock; energy, price and carbon are then of the measured time."""
    step, steps = run.parts[-1][0], run.steps
    labels, batch = step.labels, known(step.labels.batch)
    supervised = known(labels.supervised_turns_per_example)
    objective = known(labels.objective)
    assert objective is not None and batch is not None, "a training step has an objective and a batch"
    costs = ObjectiveCosts(
        objective=objective,
        batch=batch,
        optimizer_steps=steps,
        epochs=steps / run.per_epoch if run.per_epoch else None,
        supervised_turns=steps * batch * supervised if supervised else None,
        patience=run.patience,
        peak_bytes=largest(one.memory.peak_bytes for one, _ in run.parts),
        **_totals(run.parts, money)._asdict(),
        tag="predicted",
        measured=None,
    )
    if measured is None:
        return costs
    seconds = measured.seconds_per_step * steps
    by_the_clock = MeasuredSteps(seconds=seconds, **measured._asdict(), tag="measured")
    return structs.replace(costs, measured=by_the_clock, **_spent(seconds, _shares(known(step.prediction)), money))


def _totals(parts: Parts, money: Money) -> _Totals:
    rows, reasons, flops, moved = [], [], 0.0, 0.0
    for step, times in parts:
        prediction = known(step.prediction)
        runs = times if step.compiled is None else times * money.at_work
        flops += step.best.flops * runs
        moved += step.best.hbm_bytes * runs
        one = summed([(prediction, times)], ("seconds", "low_s", "high_s"))
        spent = _spent(prediction.seconds if prediction else None, _shares(prediction), money)
        rows.append(one | {key: _over(spent[key], times) for key in _SPENT})
        if one["seconds"] is None:
            reasons.append((prediction and prediction.reason) or "the report holds no prediction")
    sums = {key: total(one[key] for one in rows) for key in SUMMED[2:]}
    return _Totals(flops=round(flops), hbm_bytes=round(moved), **sums, reason="; ".join(dict.fromkeys(reasons)) or None)


def _shares(prediction: StepPrediction | None) -> Mapping[str, float]:
    return prediction.shares if prediction else {}


def _spent(seconds: float | None, shares: Mapping[str, float], money: Money) -> _Spent:
    """Energy, price and carbon of seconds. Energy needs the parts of a prediction: without one it is unknown."""
    if money.accelerator is None:
        return {"energy_j": None, "price_usd": None, "carbon_g": None}
    energy, _ = costs(seconds, shares, money.accelerator, money.rates, money.at_work)
    idle, price = costs(seconds, {}, money.accelerator, money.rates, money.devices)
    rest = (money.devices - money.at_work) / money.devices
    return {
        "energy_j": total((energy.energy_j, _over(idle.energy_j, rest))) if shares else None,
        "price_usd": price.price_usd,
        "carbon_g": total((energy.carbon_g, _over(idle.carbon_g, rest))) if shares else None,
    }


def _over(value: float | None, times: float) -> float | None:
    return None if value is None else value * times


def total(values: Iterable[float | None]) -> float | None:
    """The sum; ``None`` if a part is unknown."""
    terms = list(values)
    return None if any(v is None for v in terms) else sum(v for v in terms if v is not None)


def states_by_turn(dataset: ReportedData, last: int) -> list[int]:
    """States of a data set's conversations at turn t = 0 to ``last``; later turns count as the last."""
    histogram = dataset.turn_histogram
    scale = dataset.sizes["conversations"] / sum(histogram)
    reach = [sum(histogram[max(0, t - 1) :]) * scale for t in range(len(histogram) + 1)]
    reach += [0.0] * (last + 1 - len(reach))
    return [round(n) for n in [*reach[:last], sum(reach[last:])]]


def evaluation(
    report: CostReport, passes: int, money: Money, checks: Parts | None = None, ranked: bool = True
) -> EvaluationCosts:
    """Ranking after every turn: ``passes`` over the validation part, one over the test part.

    report: the replaying turns at ``EVALUATED`` users and the item side. As crjax train splits, a tenth
    of the conversations is in each part; every state of a conversation is a row, ``EVALUATED`` are ranked at once, and
    the item side is computed once a pass. checks: the forwards that validate instead, with their number in all; the
    test part is ranked all the same; ``None``: ranking validates. ranked: whether there is anything to rank after.
    """
    steps = {step.name: step for step in report.steps}
    replays = {turn.t: steps[turn.step] for turn in report.turns if turn.mode == "replay"}
    states = states_by_turn(report.data, max(replays))
    side = [step for step in report.steps if step.phase == "precompute"]
    parts = list(checks or ())
    for share, times in ((VALIDATION, passes if checks is None else 0), (TEST, 1)) if ranked else ():
        parts += [(replays[t], times * ceil(share * n / EVALUATED)) for t, n in enumerate(states)]
        parts += [(step, times) for step in side]
    return EvaluationCosts(
        validation_passes=passes,
        test_passes=1,
        states_per_pass=round(VALIDATION * sum(states)),
        batch=EVALUATED,
        peak_bytes=largest(step.memory.peak_bytes for step, _ in parts),
        **_totals(parts, money)._asdict(),
        tag="predicted",
    )


def frozen(report: CostReport, runs: Mapping[str, ObjectiveRun]) -> FrozenCosts | None:
    """Modules whose every weight is frozen, which the training steps run nevertheless: within the rows' counts, and the cost of
    one epoch of them, which is all that is paid if their outputs are kept.

    runs: by objective. ``None``: no module is frozen.
    """
    names = {m.module for m in report.account.modules if m.frozen and not m.trainable}
    if not names:
        return None
    sums: dict[str, float] = dict.fromkeys(("flops", "hbm_bytes", "flops_once", "hbm_bytes_once"), 0.0)
    for run in runs.values():
        once = min(1.0, run.per_epoch / sum(times for _, times in run.parts))
        for step, times in run.parts:
            for module in step.modules:
                if module.module in names:
                    flops, moved = (module.matmul_flops + module.other_flops) * times, module.hbm_bytes * times
                    for key, value in (("flops", flops), ("hbm_bytes", moved)):
                        sums[key] += value
                        sums[f"{key}_once"] += value * once
    return FrozenCosts(modules=tuple(sorted(names)), **{key: round(value) for key, value in sums.items()}, tag="counted")


def item_side(report: CostReport, money: Money) -> ItemSideCosts | None:
    """The item side of the trained weights, computed once before serving; ``None``: the model has none."""
    side = [step for step in report.steps if step.phase == "precompute"]
    if not side:
        return None
    peak = largest(step.memory.peak_bytes for step in side)
    return ItemSideCosts(peak_bytes=peak, **_totals([(step, 1) for step in side], money)._asdict(), tag="predicted")


def grounds(report: CostReport, money: Money) -> RunGrounds:
    """The basis of times, energy and price, and whether the peak fits."""
    prediction = report.steps[0].prediction
    assert prediction is not UNSET, "an estimate has predictions"
    energy, price = prediction.energy, prediction.price
    accelerator = money.accelerator
    hourly = money.rates.hourly(accelerator.name) if accelerator is not None else None
    return RunGrounds(
        method=prediction.method,
        validated_on=prediction.validated_on,
        coverage=prediction.coverage,
        device_memory_bytes=accelerator.memory_bytes if accelerator is not None else None,
        energy=without_share(energy),
        energy_reason=energy.reason if energy else None,
        per_hour_usd=(price.per_hour_usd if price else None) if hourly is None else hourly,
        price_source=(price.source if price else None) if hourly is None else "given by the user",
        price_reason=price.reason if price else None,
    )
