"""Predicted times of a comparison's programs: per step and per turn, who is fastest, and what they stand on."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import UNSET, structs

from cr_jax.documents.base import plain
from cr_jax.documents.cost_report import CostReport
from cr_jax.documents.prediction import Comparisons, EnergyAssumptions, NotValidated, StepEnergy, StepPrediction

#: Turns, and steps, that a price and a carbon figure are given for.
MILLION_TURNS, THOUSAND_STEPS = 1e6, 1e3
NO_PREDICTION = "the report holds no prediction; legal: one that this crjax writes"


def times(prediction: StepPrediction | None, turns: float | None) -> dict[str, Any]:
    """A program's predicted time, energy, price and carbon. turns: per step, ``None``: not made of turns.

    The figures ``per_unit`` are for a million turns, or for 1000 steps where there are no turns.
    """
    energy, price = (prediction.energy, prediction.price) if prediction else (None, None)
    seconds, low, high = (prediction.seconds, prediction.low_s, prediction.high_s) if prediction else (None, None, None)
    joules = energy.energy_j if energy else None
    times = MILLION_TURNS / turns if turns else THOUSAND_STEPS
    return {
        "seconds": seconds,
        "low_s": low,
        "high_s": high,
        "seconds_per_turn": _over(seconds, turns),
        "low_s_per_turn": _over(low, turns),
        "high_s_per_turn": _over(high, turns),
        "bound": prediction.bound if prediction else None,
        "method": prediction.method if prediction else None,
        "standing": None,
        "times_fastest": None,
        "energy_j": joules,
        "energy_j_per_turn": _over(joules, turns),
        "unit": "million turns" if turns else "1000 steps",
        "price_usd_per_unit": _scaled(price.price_usd if price else None, times),
        "carbon_g_per_unit": _scaled(energy.carbon_g if energy else None, times),
        "reason": None if seconds is not None else (prediction and prediction.reason) or NO_PREDICTION,
        "tag": "predicted",
    }


def _over(value: float | None, turns: float | None) -> float | None:
    return value / turns if value is not None and turns else None


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def rank(rows: Sequence[Mapping[str, Any]]) -> None:
    """Set ``standing`` of every program that shares its work with another row's: ``fastest``, ``tie``
    (its interval overlaps the fastest's, which is then a tie too) or ``slower``, with the ratio.

    The same work: the same data set and turn t of a conversation, answered in the same way; a training step by the
    turn it learns from where the model has one objective, else the same objective at the same batch.
    """
    groups: dict[tuple[Any, ...], list[Any]] = {}
    for row in rows:
        if row["status"] != "ok":
            continue
        single = sum(p["phase"] == "train" for p in row["programs"]) == 1
        for program in row["programs"]:
            if program["time"]["seconds"] is not None:
                groups.setdefault(_work(row, program, single), []).append(program["time"])
    for group in groups.values():
        if len(group) > 1:
            _stand(group)


def _work(row: Mapping[str, Any], program: Mapping[str, Any], single: bool) -> tuple[Any, ...]:
    if program["phase"] == "infer":
        return (row["dataset"], program["program"], program["t"])
    if program["phase"] == "precompute":
        return (row["dataset"], "precompute")
    if single and program["turns_per_step"]:
        return (row["dataset"], "train")
    return (row["dataset"], row["model"], program["program"], program["batch"])


def _stand(group: list[dict[str, Any]]) -> None:
    def of(entry: Mapping[str, Any], name: str) -> float:
        value = entry[f"{name}_per_turn"]
        return entry[name] if value is None else value

    first = min(group, key=lambda entry: of(entry, "seconds"))
    tied = [e for e in group if of(e, "low_s") <= of(first, "high_s")]
    for entry in group:
        entry["times_fastest"] = of(entry, "seconds") / of(first, "seconds")
        entry["standing"] = "slower" if not any(e is entry for e in tied) else "tie" if len(tied) > 1 else "fastest"


def grounds(reports: Mapping[str, CostReport]) -> list[dict[str, Any]]:
    """What the predictions stand on, an entry per device and method. reports: by row name."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for name, report in reports.items():
        for prediction in _known(report):
            device, method, price = report.target.name, prediction.method, prediction.price
            entry = {
                "device": device,
                "method": method,
                "validated_on": prediction.validated_on,
                "coverage": prediction.coverage,
                "profile_error": prediction.profile_error,
                "energy": without_share(prediction.energy),
                "energy_reason": prediction.energy.reason if prediction.energy else None,
                "per_hour_usd": price.per_hour_usd if price else None,
                "price_source": price.source if price else None,
                "price_reason": price.reason if price else None,
                "rows": [],
            }
            kept = found.setdefault((device, method, str(entry["energy"]), entry["per_hour_usd"]), entry)
            kept["profile_error"] = kept["profile_error"] or entry["profile_error"]
            if kept is not entry:
                kept["validated_on"] = _together(kept["validated_on"], entry["validated_on"])
                kept["coverage"] = None if entry["coverage"] is None else kept["coverage"]
            if name not in kept["rows"]:
                kept["rows"].append(name)
    return [
        one
        | {
            "validated_on": one["validated_on"] if isinstance(one["validated_on"], str) else plain(one["validated_on"]),
            "energy": None if one["energy"] is None else plain(one["energy"]),
        }
        for one in found.values()
    ]


def without_share(energy: StepEnergy | None) -> EnergyAssumptions | None:
    """The figures that the energy of several steps follows from; ``None`` where there is none."""
    if energy is None or energy.assumptions is None:
        return None
    return structs.replace(energy.assumptions, active_share=UNSET)


def _together(one: Comparisons | NotValidated, other: Comparisons | NotValidated) -> Comparisons | NotValidated:
    """What the predictions of several steps were held against: every class of operations, its seconds added up."""
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
