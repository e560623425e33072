"""A comparison on the terminal, in Markdown and in LaTeX."""

import io
from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from cr_jax.documents.comparison import ComparedRow, Comparison
from cr_jax.documents.fields import JsonValue
from cr_jax.render import text_table
from cr_jax.render.comparison_tables import tables
from cr_jax.render.escape import shown, terminal


def render_compare(document: Comparison) -> RenderableType:
    """The differences between the rows, then the tables, for a terminal."""
    document, head = shown(document), Text()
    for line in document.warnings:
        head.append(f"! {line}\n", style="yellow")
    for line in difference_lines(document):
        head.append(f"{line}\n", style="dim")
    return Group(head, *(text_table.terminal(one) for one in tables(document)))


def as_text(document: Comparison) -> str:
    """The terminal's tables as plain text."""
    text = io.StringIO()
    terminal(text, 200).print(render_compare(document))
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"


def as_markdown(document: Comparison) -> str:
    """The differences between the rows, then the tables, as Markdown."""
    head = text_table.bullets([*document.warnings, *difference_lines(document)], "md")
    return head + "\n".join(map(text_table.markdown, tables(document)))


def as_latex(document: Comparison) -> str:
    """The differences between the rows, then the tables, as LaTeX."""
    head = text_table.bullets([*document.warnings, *difference_lines(document)], "latex")
    return head + "\n".join(map(text_table.latex, tables(document)))


def difference_lines(document: Comparison) -> list[str]:
    """``workload.batch: 16 (dmn), 32 (aim)``, a line per field that differs between rows."""
    rows = document.counted
    lines = []
    for entry in document.differs:
        shown = [f"{_value(one.value)} ({_who(one.rows, rows)})" for one in entry.values]
        lines.append(f"{entry.field} differs: {'; '.join(shown)}")
    return lines


def _value(value: JsonValue) -> str:
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{k}={v}" for k, v in value.items()) or "none"
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return str(value)


def _who(names: Sequence[str], rows: Iterable[ComparedRow]) -> str:
    # Rows that make up whole platforms, models or devices are named by these.
    for axis in ("platform", "model", "device"):
        groups: dict[str, set[str]] = {}
        for row in rows:
            groups.setdefault(getattr(row, axis), set()).add(row.name)
        whole = [key for key, members in groups.items() if members <= set(names)]
        if len(groups) > 1 and sum(len(groups[key]) for key in whole) == len(names):
            return ", ".join(whole)
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
