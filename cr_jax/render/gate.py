"""A gate's result on the terminal; input is the document alone."""

from typing import Any

from rich.text import Text

from cr_jax.render.escape import shown


def render_gate(document: dict[str, Any]) -> Text:
    """Every breach by name, improvements, what was not compared, then the verdict."""
    document, text = shown(document), Text()
    for one in document["breaches"]:
        text.append("BREACH      ", style="bold red").append(f"{one['text']}\n")
    for one in document["improvements"]:
        text.append("improvement ", style="green").append(f"{one['text']}\n")
    for one in document["skipped"]:
        text.append("skipped     ", style="yellow").append(f"{one['what']}: {one['reason']}\n")
    for row in (document["time"] or {"steps": ()})["steps"]:
        if row["status"] == "within":
            text.append("time        ", style="dim").append(f"{row['step']}: {_ratio(row)}\n")
    same = [row["step"] for row in (document["time"] or {"steps": ()})["steps"] if row["status"] == "same program"]
    if same:
        text.append("time        ", style="dim").append(f"the same program as the baseline's, not run: {', '.join(same)}\n")
    for note in document["notes"]:
        text.append("note        ", style="dim").append(f"{note}\n")
    within = document["status"] == "within"
    verdict = "within limits" if within else f"regression: {len(document['breaches'])} of {document['compared']} figures"
    text.append(verdict, style="bold green" if within else "bold red")
    text.append(f" · {document['model']} on {document['dataset']}, {document['device']} · {document['compared']} compared")
    if document["updated"]:
        text.append(f" · {document['baseline']} rewritten")
    return text


def _ratio(row: dict[str, Any]) -> str:
    low, high = row["ratio_interval"]
    return (
        f"{(row['ratio'] - 1) * 100:+.3g}% ({(low - 1) * 100:+.3g} to {(high - 1) * 100:+.3g}%) of {row['samples']} pairs "
        "run in turn"
    )
