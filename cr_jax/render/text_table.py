"""A table of text cells, written for a terminal, as Markdown or as LaTeX."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.table import Table

from cr_jax.render.cost import grid
from cr_jax.render.escape import latex_text, markdown_text


@dataclass(frozen=True)
class TextTable:
    """One table. left: columns of words; all others are right-aligned numbers. note: lines below it."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: tuple[int, ...] = field(default=(0,))
    note: str = ""


def terminal(table: TextTable) -> Table:
    """The table for a terminal."""
    made = grid(table.title, *table.columns, note=f"{table.note}\n" if table.note else "\n")
    for number in table.left:
        made.columns[number].justify = "left"
        made.columns[number].no_wrap = number < len(table.columns) - 1
    for row in table.rows:
        made.add_row(*row)
    return made


def markdown(table: TextTable) -> str:
    """The table as GitHub-flavoured Markdown."""
    marks = [":--" if n in table.left else "--:" for n in range(len(table.columns))]
    lines = [f"### {markdown_text(table.title)}", ""]
    lines += [
        "| " + " | ".join(c if cells is marks else markdown_text(c) for c in cells) + " |"
        for cells in (table.columns, marks, *table.rows)
    ]
    notes = [markdown_text(line) for line in table.note.splitlines()]
    notes = notes if len(notes) < 2 else [f"- {note}" for note in notes]
    return "\n".join([*lines, "", *([*notes, ""] if notes else [])])


def latex(table: TextTable) -> str:
    """The table as LaTeX; needs no package."""
    kinds = "".join("l" if n in table.left else "r" for n in range(len(table.columns)))
    lines = [f"\\begin{{table}}\n\\caption{{{latex_text(table.title)}}}\n\\begin{{tabular}}{{{kinds}}}", "\\hline"]
    for number, cells in enumerate((table.columns, *table.rows)):
        lines.append(" & ".join(map(latex_text, cells)) + r" \\" + (" \\hline" if number == 0 else ""))
    lines += ["\\hline", "\\end{tabular}"]
    if table.note:
        lines += ["", "\\smallskip " + "\n\n".join(map(latex_text, table.note.splitlines()))]
    return "\n".join([*lines, "\\end{table}", ""])


def bullets(lines: Sequence[str], form: str) -> str:
    """Lines above a table in the form ``md`` or ``latex``."""
    if not lines:
        return ""
    if form == "md":
        return "\n".join([*(f"- {markdown_text(line)}" for line in lines), "", ""])
    items = "\n".join(f"\\item {latex_text(line)}" for line in lines)
    return f"\\begin{{itemize}}\n{items}\n\\end{{itemize}}\n\n"
