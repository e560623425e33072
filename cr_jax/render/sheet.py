"""A table of text cells, and how it is written: terminal, Markdown, LaTeX."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.table import Table

from cr_jax.render.cost import grid
from cr_jax.render.escape import latex_text, markdown_text


@dataclass(frozen=True)
class Sheet:
    """One table. left: columns that hold words; all others are right-aligned numbers. note: lines below it."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: tuple[int, ...] = field(default=(0,))
    note: str = ""


def terminal(sheet: Sheet) -> Table:
    """The table for a terminal."""
    table = grid(sheet.title, *sheet.columns, note=f"{sheet.note}\n" if sheet.note else "\n")
    for number in sheet.left:
        table.columns[number].justify = "left"
        table.columns[number].no_wrap = number < len(sheet.columns) - 1
    for row in sheet.rows:
        table.add_row(*row)
    return table


def markdown(sheet: Sheet) -> str:
    """The table as GitHub-flavoured Markdown."""
    marks = [":--" if n in sheet.left else "--:" for n in range(len(sheet.columns))]
    lines = [f"### {markdown_text(sheet.title)}", ""]
    for cells in (sheet.columns, marks, *sheet.rows):
        lines.append("| " + " | ".join(c if cells is marks else markdown_text(c) for c in cells) + " |")
    notes = [markdown_text(line) for line in sheet.note.splitlines()]
    notes = notes if len(notes) < 2 else [f"- {note}" for note in notes]
    return "\n".join([*lines, "", *([*notes, ""] if notes else [])])


def latex(sheet: Sheet) -> str:
    """The table as LaTeX; needs no package."""
    kinds = "".join("l" if n in sheet.left else "r" for n in range(len(sheet.columns)))
    lines = [f"\\begin{{table}}\n\\caption{{{latex_text(sheet.title)}}}\n\\begin{{tabular}}{{{kinds}}}", "\\hline"]
    for number, cells in enumerate((sheet.columns, *sheet.rows)):
        lines.append(" & ".join(map(latex_text, cells)) + r" \\" + (" \\hline" if number == 0 else ""))
    lines += ["\\hline", "\\end{tabular}"]
    if sheet.note:
        lines += ["", "\\smallskip " + "\n\n".join(map(latex_text, sheet.note.splitlines()))]
    return "\n".join([*lines, "\\end{table}", ""])


def bullets(lines: Sequence[str], form: str) -> str:
    """Lines above a table in the form ``md`` or ``latex``."""
    if not lines:
        return ""
    if form == "md":
        return "\n".join([*(f"- {markdown_text(line)}" for line in lines), "", ""])
    items = "\n".join(f"\\item {latex_text(line)}" for line in lines)
    return f"\\begin{{itemize}}\n{items}\n\\end{{itemize}}\n\n"
