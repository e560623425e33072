"""The errors a user can cause. Every message names the value, the reason and the legal choices."""

import difflib
from collections.abc import Iterable

from cr_jax.printable import message, short


class CrJaxError(ValueError):
    """Base of all errors caused by input; the command line prints it as one line and exits with 2.

    Its text is one line of visible letters, at most ``cr_jax.printable.MESSAGE`` of them.
    """

    def __str__(self) -> str:
        return message(super().__str__())


class UnknownName(CrJaxError):
    """An unregistered name."""

    def __init__(self, what: str, name: str, legal: Iterable[str]) -> None:
        legal = sorted(legal)
        # Comparing letter by letter takes the square of a name's length.
        near = difflib.get_close_matches(name, legal, n=3, cutoff=0.5) if len(name) <= 200 else []
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        super().__init__(f"unknown {what} {short(name)}: {hint}legal: {', '.join(legal) or 'none'}")


class BadInput(CrJaxError):
    """A file whose content is refused: ``where`` is the file, with the line or the key."""

    def __init__(self, where: str, reason: str) -> None:
        self.where, self.reason = where, reason
        super().__init__(f"{where}: {reason}")


class BadConfig(CrJaxError):
    """A configuration or workload value that an architecture cannot take."""


class NotCompiled(CrJaxError):
    """A step that should have been compiled for its device and was not."""


class ExportRefused(CrJaxError):
    """A program that cannot be compiled in another process, such as one that calls back to Python."""


class BadHlo(CrJaxError):
    """HLO text that cannot be read: the line number and the reason."""

    def __init__(self, line: int, reason: str) -> None:
        self.line = line
        super().__init__(f"HLO text, line {line}: {reason}")


class NotWritten(CrJaxError):
    """An output file that could not be written; an older one at the same place is intact."""


class MissingExtra(CrJaxError):
    """A missing optional package: its user, and the command that installs it."""
