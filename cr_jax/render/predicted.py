"""The predicted times of one cost report as a table; input is the report alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from cr_jax.render.words import METHODS, energy_text, interval, validated
from cr_jax.units import plain_number, small, time_text

#: Share of a step that a loop's starting of kernels has to take to be told.
_MUCH = 0.2


def render_predicted(report: Mapping[str, Any], grid: Any) -> RenderableType | None:
    """A row per training step, for the item side and for the last turn in both modes; ``None`` where
    the report holds no predictions. grid: makes a table of a title and columns."""
    steps = [step for step in _shown(report) if step.get("prediction")]
    if not steps:
        return None
    device = report["target"]["name"]
    timed = [step for step in steps if step["prediction"]["seconds"] is not None]
    known = [step["prediction"] for step in timed]
    reasons = dict.fromkeys(s["prediction"]["reason"] for s in steps if s["prediction"]["reason"])
    lines = [f"no predicted time: {reason}" for reason in reasons]
    if not known:
        return Text("\n".join(lines) + "\n", style="dim")
    energy, price, carbon = (any(_cost(one, key) is not None for one in known) for key in ("energy_j", "price_usd", "carbon_g"))
    titles = [(energy, "energy"), (price, "USD/1000 steps"), (carbon, "g CO2e/1000 steps")]
    table = grid("Predicted time", "step", "time", "interval", "bound by", "time/turn", *(t for shown, t in titles if shown))
    for step in steps:
        found = step["prediction"]
        cells = [
            (energy, small(_cost(found, "energy_j"), "J")),
            (price, _thousand(found, "price_usd")),
            (carbon, _thousand(found, "carbon_g")),
        ]
        times = [
            time_text(found["seconds"]),
            interval(found["low_s"], found["high_s"]),
            found["bound"] or "-",
            time_text(found["seconds_per_turn"]),
        ]
        table.add_row(step["name"], *times, *(cell for shown, cell in cells if shown))
    return Group(table, Text("\n".join(_notes(device, timed) + lines) + "\n", style="dim"))


def _shown(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = [step for step in report["steps"] if step["phase"] != "infer"]
    for mode in ("replay", "incremental"):
        found += [s for s in report["steps"] if s["phase"] == "infer" and s["labels"]["mode"] == mode][-1:]
    return found


def _cost(prediction: Mapping[str, Any], key: str) -> float | None:
    block = prediction["price" if key == "price_usd" else "energy"] or {}
    return block.get(key)


def _thousand(prediction: Mapping[str, Any], key: str) -> str:
    value = _cost(prediction, key)
    return plain_number(None if value is None else 1000 * value)


def loop_notes(steps: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line per step whose longest-starting loop takes much of it: what the device waits for there."""
    notes = []
    for step in steps:
        found = step["prediction"]
        loop = next(iter(found.get("loops", ())), None)
        if loop is None or loop["starting_s"] < _MUCH * found["seconds"]:
            continue
        why = "; the host waits for its condition each time" if loop["waits"] else ""
        notes.append(
            f"{step['name']}: {loop['name']} spends {loop['starting_s'] / loop['seconds']:.0%} of its "
            f"{time_text(loop['seconds'])} starting kernels ({loop['kernels']} in each of {loop['iterations']:,} "
            f"iterations{why}): a larger batch costs little more"
        )
    return notes


def _notes(device: str, steps: Sequence[Mapping[str, Any]]) -> list[str]:
    known = [step["prediction"] for step in steps]
    first = known[0]
    width = "an assumption" if first["coverage"] is None else f"{first['coverage']:.0%} of past comparisons"
    notes = [f"{device} by {METHODS[first['method']]}: {validated(first['validated_on'])}; the interval is {width}"]
    notes += dict.fromkeys(f"! {one['profile_error']}" for one in known if one["profile_error"])
    notes += loop_notes(steps)
    energy, price = first["energy"] or {}, first["price"] or {}
    if energy.get("assumptions"):
        notes.append(f"energy: {energy_text(energy['assumptions'])}")
    if price.get("per_hour_usd") is not None:
        notes.append(f"price: {price['per_hour_usd']:g} USD an hour, {price['source']}")
    return notes + [
        f"no {name}: {block['reason']}" for name, block in (("energy", energy), ("price", price)) if block.get("reason")
    ]
