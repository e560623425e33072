"""Standard input and output in any state: closed, of another encoding than UTF-8, or a pipe without a reader."""

import codecs
import errno
import io
import os
import re
import sys

from cr_jax.printable import line

#: Replacements for characters that the output's encoding lacks, where a table or a sentence reads as well with them.
_PLAIN = {"×": "x", "±": "+-", "·": "-", "µ": "u", "→": "->", "–": "-", "—": "-", "…": "...", "≤": "<=", "≥": ">=", "²": "^2"}
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")


class Closed(io.TextIOBase):
    """An output that was closed before the program began: writing fails as it does on the file itself."""

    encoding = "utf-8"

    def write(self, text: str) -> int:
        """Raise ``OSError``, as a closed file does."""
        raise OSError(errno.EBADF, "standard output is closed")

    def writable(self) -> bool:
        """True, so that writing is tried and the error is told."""
        return True


def prepare() -> None:
    """Make the three streams usable.

    A descriptor that is closed is opened on the null device, so that no file takes its number and gets the messages
    of a library. A character that the encoding of an output lacks is spelt in ASCII.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = Closed()
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    codecs.register_error("crjax", _spelt)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="crjax")


def write_json(text: str) -> None:
    """JSON to standard output, with escapes where its encoding lacks a character."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = _BEYOND_ASCII.sub(lambda match: _escaped(match[0]), text)
    sys.stdout.write(text)


def say(text: str) -> None:
    """One line on standard error."""
    print(line(text), file=sys.stderr)


def _escaped(text: str) -> str:
    r"""``\\u00d7`` for each character; two of them beyond the first 65,536, as JSON writes it."""
    units = text.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[n]:02x}{units[n + 1]:02x}" for n in range(0, len(units), 2))


def _spelt(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_PLAIN.get(char) or _escaped(char) for char in error.object[error.start : error.end]), error.end
