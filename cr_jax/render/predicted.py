"""The predicted times of one cost report as a table; input is the report alone."""

from collections.abc import Callable, Sequence
from typing import Literal

from msgspec import UNSET
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cr_jax.documents.cost_report import CostReport
from cr_jax.documents.prediction import StepPrediction
from cr_jax.documents.reported_step import ReportedStep
from cr_jax.render.phrases import energy_text, interval, method_text, validated
from cr_jax.units import plain_number, small, time_text

#: Share of a step from which the kernel launches of a loop are reported.
_MUCH = 0.2
_REACH = {"host": "NVLink", "network": "network between hosts", "torus": "ICI"}
#: A step with its prediction.
_Predicted = tuple[ReportedStep, StepPrediction]
_Cost = Literal["energy_j", "price_usd", "carbon_g"]
_COSTS: tuple[_Cost, ...] = ("energy_j", "price_usd", "carbon_g")


def render_predicted(report: CostReport, grid: Callable[..., Table]) -> RenderableType | None:
    """A row per training step, for the item side and for the last turn in both modes; ``None`` where
    the report holds no predictions. grid: makes a table of a title and columns.
    """
    steps = [(step, step.prediction) for step in _shown(report) if step.prediction is not UNSET]
    if not steps:
        return None
    device = report.target.name
    timed = [(step, prediction) for step, prediction in steps if prediction.seconds is not None]
    known = [prediction for _, prediction in timed]
    reasons = dict.fromkeys(prediction.reason for _, prediction in steps if prediction.reason)
    lines = [f"no predicted time: {reason}" for reason in reasons]
    if not known:
        return Text("\n".join(lines) + "\n", style="dim")
    energy, price, carbon = (any(_cost(one, key) is not None for one in known) for key in _COSTS)
    turns = any(one.seconds_per_turn is not None for one in known)
    titles = [(turns, "time/turn"), (energy, "energy"), (price, "USD/1000 steps"), (carbon, "g CO2e/1000 steps")]
    table = grid("Predicted time", "step", "time", "interval", "bound by", *(t for shown, t in titles if shown))
    for step, prediction in steps:
        cells = [
            (turns, time_text(prediction.seconds_per_turn)),
            (energy, small(_cost(prediction, "energy_j"), "J")),
            (price, _thousand(prediction, "price_usd")),
            (carbon, _thousand(prediction, "carbon_g")),
        ]
        times = [time_text(prediction.seconds), interval(prediction.low_s, prediction.high_s), prediction.bound or "-"]
        table.add_row(step.name, *times, *(cell for shown, cell in cells if shown))
    return Group(table, Text("\n".join(_notes(device, timed) + lines) + "\n", style="dim"))


def _shown(report: CostReport) -> list[ReportedStep]:
    shown_steps = [step for step in report.steps if step.phase != "infer"]
    for mode in ("replay", "incremental"):
        shown_steps += [s for s in report.steps if s.phase == "infer" and s.labels.mode == mode][-1:]
    return shown_steps


def _cost(prediction: StepPrediction, key: _Cost) -> float | None:
    block = prediction.price if key == "price_usd" else prediction.energy
    return None if block is None else getattr(block, key)


def _thousand(prediction: StepPrediction, key: _Cost) -> str:
    value = _cost(prediction, key)
    return plain_number(None if value is None else 1000 * value)


def loop_notes(steps: Sequence[_Predicted]) -> list[str]:
    """A line per step with much time in the launches of its longest loop: the reason why the device waits there."""
    notes = []
    for step, prediction in steps:
        loop = next(iter(prediction.loops), None)
        if loop is None or prediction.seconds is None or loop.starting_s < _MUCH * prediction.seconds:
            continue
        why = "; the host waits for its condition each time" if loop.waits else ""
        notes.append(
            f"{step.name}: {loop.name} spends {loop.starting_s / loop.seconds:.0%} of its "
            f"{time_text(loop.seconds)} starting kernels ({loop.kernels} in each of {loop.iterations:,} "
            f"iterations{why}): a larger batch costs little more"
        )
    return notes


def collective_notes(steps: Sequence[_Predicted]) -> list[str]:
    """A line per step on several devices: the seconds of its collectives, and what of them other operations hide."""
    notes = []
    for step, prediction in steps:
        collectives = prediction.collectives
        if not collectives or not prediction.seconds:
            continue
        longest, share = collectives.rows[0], collectives.exposed_s / prediction.seconds
        notes.append(
            f"{step.name}: collectives take {time_text(collectives.seconds)}, most of it {longest.kind} over {longest.devices} "
            f"devices ({_REACH[longest.reach]}); {time_text(collectives.overlapped_s)} beside other operations, "
            f"{time_text(collectives.exposed_s)} ({share:.0%} of the step) alone"
        )
    return notes


def kernel_notes(steps: Sequence[_Predicted]) -> list[str]:
    """A line per step with kernels whose cost is stated: how much of its time rests on that."""
    notes = []
    for step, prediction in steps:
        kernels = prediction.kernels
        if not kernels or not prediction.seconds:
            continue
        stated = dict.fromkeys(f"{row.name} ({row.source})" for row in kernels.rows if row.source != "formula")
        for seconds, what in (
            (kernels.stated_s, f"rests on what kernels declare or the user says: {', '.join(stated)}"),
            (kernels.attention_s, "is cuDNN's attention, at the rate of products"),
        ):
            if seconds:
                notes.append(f"{step.name}: {time_text(seconds)} ({seconds / prediction.seconds:.0%} of the step) {what}")
    return notes


def _notes(device: str, steps: Sequence[_Predicted]) -> list[str]:
    known = [prediction for _, prediction in steps]
    first = known[0]
    width = "an assumption" if first.coverage is None else f"{first.coverage:.0%} of past comparisons"
    notes = [f"{device} by {method_text(first.method)}: {validated(first.validated_on)}; the interval is {width}"]
    notes += dict.fromkeys(f"! {one.profile_error}" for one in known if one.profile_error)
    notes += loop_notes(steps)
    notes += collective_notes(steps)
    notes += kernel_notes(steps)
    energy, price = first.energy, first.price
    if energy and energy.assumptions:
        notes.append(f"energy: {energy_text(energy.assumptions)}")
    if price and price.per_hour_usd is not None:
        notes.append(f"price: {price.per_hour_usd:g} USD an hour, {price.source}")
    return notes + [
        f"no {name}: {block.reason}" for name, block in (("energy", energy), ("price", price)) if block and block.reason
    ]
