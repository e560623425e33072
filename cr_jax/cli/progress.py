"""Progress on standard error: one line that is written over on a terminal, nothing of it elsewhere."""

import sys

from cr_jax.cli.streams import say


class StatusLine:
    """The line at the bottom of a terminal. prefix: before every text."""

    def __init__(self, prefix: str = "") -> None:
        self._prefix, self._live = prefix, sys.stderr.isatty()

    def compiling(self, step: str) -> None:
        """Show the step that is being compiled."""
        if self._live:
            sys.stderr.write(f"\r\x1b[K{self._prefix}compiling {step}")
            sys.stderr.flush()

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
