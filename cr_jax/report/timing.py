"""Predicted times of a comparison's programs: per step and per turn, with their ranks and basis."""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import UNSET, structs

from cr_jax.documents.comparison import ComparedProgram, ComparedRow, PredictionGrounds, ProgramTime, Row
from cr_jax.documents.cost_report import CostReport
from cr_jax.documents.prediction import Comparisons, EnergyAssumptions, NotValidated, StepEnergy, StepPrediction

#: Turns, and steps, of a price and a carbon figure.
MILLION_TURNS, THOUSAND_STEPS = 1e6, 1e3
NO_PREDICTION = "the report holds no prediction; legal: one that this crjax writes"


def times(prediction: StepPrediction | None, turns: float | None) -> ProgramTime:
    """A program's predicted time, energy, price and carbon. turns: per step, ``None``: not made of turns.

    The figures ``per_unit`` are for a million turns, or for 1000 steps where there are no turns.
    """
    energy, price = (prediction.energy, prediction.price) if prediction else (None, None)
    seconds, low, high = (prediction.seconds, prediction.low_s, prediction.high_s) if prediction else (None, None, None)
    joules = energy.energy_j if energy else None
    times = MILLION_TURNS / turns if turns else THOUSAND_STEPS
    return ProgramTime(
        seconds=seconds,
        low_s=low,
        high_s=high,
        seconds_per_turn=_over(seconds, turns),
        low_s_per_turn=_over(low, turns),
        high_s_per_turn=_over(high, turns),
        bound=prediction.bound if prediction else None,
        method=prediction.method if prediction else None,
        standing=None,
        times_fastest=None,
        energy_j=joules,
        energy_j_per_turn=_over(joules, turns),
        unit="million turns" if turns else "1000 steps",
        price_usd_per_unit=_scaled(price.price_usd if price else None, times),
        carbon_g_per_unit=_scaled(energy.carbon_g if energy else None, times),
        reason=None if seconds is not None else (prediction and prediction.reason) or NO_PREDICTION,
        tag="predicted",
    )


def _over(value: float | None, turns: float | None) -> float | None:
    return value / turns if value is not None and turns else None


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def rank(rows: Sequence[Row]) -> tuple[Row, ...]:
    """The rows with the ``standing`` of every program that shares its work with another row's: ``fastest``, ``tie``
    (its interval overlaps the fastest's, which is then a tie too) or ``slower``, with the ratio.

    The same work: the same data set and turn t of a conversation, answered in the same way; a training step by the
    turn it learns from where the model has one objective, else the same objective at the same batch.
    """
    groups: dict[tuple[object, ...], dict[tuple[int, int], ProgramTime]] = {}
    for number, row in enumerate(rows):
        if not isinstance(row, ComparedRow):
            continue
        single = sum(program.phase == "train" for program in row.programs) == 1
        for place, program in enumerate(row.programs):
            if program.time.seconds is not None:
                groups.setdefault(_work(row, program, single), {})[number, place] = program.time
    placed = {place: time for group in groups.values() if len(group) > 1 for place, time in _stand(group).items()}
    return tuple(
        structs.replace(
            row,
            programs=tuple(
                structs.replace(program, time=placed.get((number, place), program.time))
                for place, program in enumerate(row.programs)
            ),
        )
        if isinstance(row, ComparedRow)
        else row
        for number, row in enumerate(rows)
    )


def _work(row: ComparedRow, program: ComparedProgram, single: bool) -> tuple[object, ...]:
    if program.phase == "infer":
        return (row.dataset, program.program, program.t)
    if program.phase == "precompute":
        return (row.dataset, "precompute")
    if program.phase == "step":  # functions do the same work where they are the same function
        return (row.model, "step", program.batch)
    if single and program.turns_per_step:
        return (row.dataset, "train")
    return (row.dataset, row.model, program.program, program.batch)


def _stand(group: Mapping[tuple[int, int], ProgramTime]) -> dict[tuple[int, int], ProgramTime]:
    """The times of programs that do the same work, with their standing. Every time has seconds and an interval."""

    def of(time: ProgramTime, name: str) -> float:
        per_turn = getattr(time, f"{name}_per_turn")
        return getattr(time, name) if per_turn is None else per_turn

    first = min(group.values(), key=lambda time: of(time, "seconds"))
    tied = {place for place, time in group.items() if of(time, "low_s") <= of(first, "high_s")}
    return {
        place: structs.replace(
            time,
            times_fastest=of(time, "seconds") / of(first, "seconds"),
            standing="slower" if place not in tied else "tie" if len(tied) > 1 else "fastest",
        )
        for place, time in group.items()
    }


def grounds(reports: Mapping[str, CostReport]) -> tuple[PredictionGrounds, ...]:
    """The basis of the predictions, an entry per device and method. reports: by row name."""
    entries: dict[tuple[object, ...], PredictionGrounds] = {}
    for name, report in reports.items():
        for prediction in _known(report):
            entry = _grounds(name, report.target.name, prediction)
            key = (entry.device, entry.method, str(entry.energy), entry.per_hour_usd)
            before = entries.get(key)
            entries[key] = entry if before is None else _merged(before, entry)
    return tuple(entries.values())


def _grounds(name: str, device: str, prediction: StepPrediction) -> PredictionGrounds:
    assert prediction.method is not None, "a prediction with seconds has a method"
    price = prediction.price
    return PredictionGrounds(
        device=device,
        method=prediction.method,
        validated_on=prediction.validated_on,
        coverage=prediction.coverage,
        profile_error=prediction.profile_error,
        energy=without_share(prediction.energy),
        energy_reason=prediction.energy.reason if prediction.energy else None,
        per_hour_usd=price.per_hour_usd if price else None,
        price_source=price.source if price else None,
        price_reason=price.reason if price else None,
        rows=(name,),
    )


def _merged(one: PredictionGrounds, other: PredictionGrounds) -> PredictionGrounds:
    return structs.replace(
        one,
        profile_error=one.profile_error or other.profile_error,
        validated_on=_together(one.validated_on, other.validated_on),
        coverage=None if other.coverage is None else one.coverage,
        rows=tuple(dict.fromkeys((*one.rows, *other.rows))),
    )


def without_share(energy: StepEnergy | None) -> EnergyAssumptions | None:
    """The figures behind the energy of several steps; ``None`` where there is none."""
    if energy is None or energy.assumptions is None:
        return None
    return structs.replace(energy.assumptions, active_share=UNSET)


def _together(one: Comparisons | NotValidated, other: Comparisons | NotValidated) -> Comparisons | NotValidated:
    """The comparisons behind the predictions of several steps: every class of operations, its seconds added up."""
    if isinstance(one, str) or isinstance(other, str) or one.classes is UNSET or other.classes is UNSET:
        return one
    classes = {entry.class_: entry for entry in one.classes}
    for entry in other.classes:
        before = classes.get(entry.class_)
        classes[entry.class_] = structs.replace(before, seconds=before.seconds + entry.seconds) if before else entry
    return Comparisons(method="model", classes=tuple(sorted(classes.values(), key=lambda entry: -entry.seconds)))


def _known(report: CostReport) -> Iterable[StepPrediction]:
    predictions = (step.prediction for step in report.steps)
    return (one for one in predictions if one is not UNSET and one.seconds is not None)
