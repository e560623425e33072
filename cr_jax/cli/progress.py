"""Progress on standard error: one line on a terminal that is overwritten, nothing elsewhere."""

import sys
from typing import TYPE_CHECKING

from cr_jax.cli.streams import say

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn


def progress_bar(*columns: "ProgressColumn", transient: bool = False, shown: bool = True) -> "Progress":
    """Rich's bar on a terminal's standard error, nothing elsewhere. columns: those after the description."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = Console(stderr=True, highlight=False)
    first = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    return Progress(*first, *columns, console=console, transient=transient, disable=not shown or not console.is_terminal)


class StatusLine:
    """The line at the bottom of a terminal. prefix: printed before every text."""

    def __init__(self, prefix: str = "") -> None:
        self._prefix, self._live = prefix, sys.stderr.isatty()

    def show(self, text: str) -> None:
        """Write ``text`` over what the line shows."""
        if self._live:
            sys.stderr.write(f"\r\x1b[K{self._prefix}{text}")
            sys.stderr.flush()

    def compiling(self, step: str) -> None:
        """Show the step that is being compiled."""
        self.show(f"compiling {step}")

    def clear(self) -> None:
        """Take the line away."""
        if self._live:
            sys.stderr.write("\r\x1b[K")

    def warn(self, text: str) -> None:
        """A line that stays."""
        self.line(f"crjax: {text}")

    def line(self, text: str) -> None:
        """A line that stays, without the program's name before it."""
        self.clear()
        say(text)
