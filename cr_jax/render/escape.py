"""Names and reasons from outside, shown literally on terminals, in SVG, Markdown, LaTeX and CSV.

Module names, models, data sets, buffers, loops and reasons come from files, and a file can hold anything. Each renderer takes its
document through :func:`shown` and prints on a :func:`terminal`; the text formats pass every cell through a function of their own.
"""

import re
from html import escape
from typing import Any, TypeVar

from msgspec import Struct, structs
from rich.console import Console

from cr_jax.printable import visible

_T = TypeVar("_T")
#: Keys of a document whose text may have several lines.
_LINES = ("note",)
_MARKDOWN = re.compile(r"([\\|*_<>`\[\]~$]|&(?=#|\w+;))")
#: Letters that begin a list, a heading or a rule at the start of a line.
_MARKDOWN_FIRST = re.compile(r"^(?:[-+=#]|\d+(?=[.)]))")
_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    "·": r"$\cdot$",
    "≥": r"$\geq$",
    "±": r"$\pm$",
    "µ": r"$\mu$",
    # After the end of a row these two would be read as its arguments.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
}
#: A spreadsheet reads a cell with such a first letter as a formula.
_FORMULA = ("=", "+", "-", "@")


def shown(value: _T) -> _T:
    """A document with every text in it made visible, keys included; the rest is unchanged."""
    return _shown(value, False)


def _shown(value: Any, lines: bool) -> Any:
    if isinstance(value, str):
        return "\n".join(map(visible, value.split("\n"))) if lines else visible(value)
    if isinstance(value, dict):
        return {visible(key): _shown(inner, key in _LINES) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_shown(inner, False) for inner in value)
    if isinstance(value, Struct):
        texts = {name: _shown(getattr(value, name), name in _LINES) for name in value.__struct_fields__}
        return structs.replace(value, **texts)
    return value


def terminal(file: Any = None, width: int | None = None) -> Console:
    """A console that prints text literally: no markup in brackets, no ``:names:`` of emoji, no colouring of numbers."""
    return Console(file=file, width=width, highlight=False, markup=False, emoji=False)


def svg_text(text: str) -> str:
    """Text between tags, or within the quotes of an attribute."""
    return escape(visible(text), quote=True)


def markdown_text(text: str) -> str:
    """One line that Markdown shows literally."""
    line = _MARKDOWN.sub(r"\\\1", visible(text).strip())
    return _MARKDOWN_FIRST.sub(lambda found: found[0] + "\\" if found[0].isdigit() else "\\" + found[0], line)


def latex_text(text: str) -> str:
    """One line that LaTeX prints literally."""
    return "".join(_LATEX.get(letter, letter) for letter in visible(text)).replace("--", "-{}-")


def csv_cell(value: Any) -> str:
    """A cell: nothing for ``None``, numbers unchanged, text never as a formula."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return str(value).lower() if isinstance(value, bool) else str(value)
    text = visible(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
