"""The parts of a cost report that only a user's function has."""

from collections.abc import Callable, Sequence

from msgspec import UNSET
from rich.table import Table
from rich.text import Text

from cr_jax.documents.cost_report import CostReport
from cr_jax.documents.reported_step import ReportedStep
from cr_jax.units import count, scaled


def function_header(report: CostReport, target: str) -> Text:
    """Name, target, precision, and the size of the arguments. target: the device in words."""
    text = Text()
    text.append(report.model.title, style="bold")
    text.append(f" · {target} · precision {report.workload.precision}\n")
    call = report.function
    if call is not UNSET:
        given = call.arguments
        held = sum(argument.bytes for argument in given)
        donated = sum(argument.bytes for argument in given if argument.donated)
        told = [f"{count(len(given))} arrays as arguments ({scaled(held, 'B')}, {scaled(donated, 'B')} donated)"]
        told += [f"batch of {count(call.batch)}"] if call.batch else []
        told += [f"from {call.call}"] if call.call else []
        text.append(" · ".join(told) + "\n", style="dim")
        for note in call.notes or ():
            text.append(f"{note}\n", style="yellow")
    return text


def call_table(steps: Sequence[ReportedStep], grid: Callable[..., Table]) -> Table:
    """The figures of one call. grid: makes a table of a title and columns."""
    batch = any(step.labels.batch is not UNSET and step.labels.batch for step in steps)
    per_example = ["FLOP/example"] if batch else []
    columns = ["matmul FLOP", "FLOP", *per_example, "bytes moved", "peak memory", "XLA's FLOP (loops once)"]
    table = grid("One call", "function", *columns)
    for step in steps:
        each = step.per.flops_per_example
        table.add_row(
            step.name,
            scaled(step.best.matmul_flops),
            scaled(step.best.flops),
            *([scaled(None if each is UNSET else each)] if batch else []),
            scaled(step.best.hbm_bytes, "B"),
            scaled(step.memory.peak_bytes, "B"),
            scaled(step.xla.flops),
        )
    return table
