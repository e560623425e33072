"""A gate's result on the terminal."""

from rich.text import Text

from cr_jax.documents.gate_result import GateResult, StepTimeVerdict
from cr_jax.render.escape import shown
from cr_jax.render.phrases import on


def render_gate(result: GateResult) -> Text:
    """Every breach by name, improvements, skipped comparisons, then the verdict."""
    result, text = shown(result), Text()
    for one in result.breaches:
        text.append("BREACH      ", style="bold red").append(f"{one.text}\n")
    for one in result.improvements:
        text.append("improvement ", style="green").append(f"{one.text}\n")
    for one in result.skipped:
        text.append("skipped     ", style="yellow").append(f"{one.what}: {one.reason}\n")
    timed = result.time.steps if result.time else ()
    for row in timed:
        if row.status == "within":
            text.append("time        ", style="dim").append(f"{row.step}: {_ratio(row)}\n")
    same = [row.step for row in timed if row.status == "same program"]
    if same:
        text.append("time        ", style="dim").append(f"the same program as the baseline's, not run: {', '.join(same)}\n")
    for note in result.notes:
        text.append("note        ", style="dim").append(f"{note}\n")
    within = result.status == "within"
    verdict = "within limits" if within else f"regression: {len(result.breaches)} of {result.compared} figures"
    text.append(verdict, style="bold green" if within else "bold red")
    text.append(f" · {result.model}{on(result.dataset)}, {result.device} · {result.compared} compared")
    if result.updated:
        text.append(f" · {result.baseline} rewritten")
    return text


def _ratio(row: StepTimeVerdict) -> str:
    assert row.ratio is not None and row.ratio_interval is not None, "a step that was run has a ratio"
    low, high = row.ratio_interval
    return (
        f"{(row.ratio - 1) * 100:+.3g}% ({(low - 1) * 100:+.3g} to {(high - 1) * 100:+.3g}%) of {row.samples} pairs run in turn"
    )
