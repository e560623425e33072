"""Text from outside, made safe to show: invisible characters are written out, long text is cut in the middle.

A control character can repaint a terminal, a bidi override can turn a line round, a newline can forge one.
"""

import os
import re
import unicodedata
from collections.abc import Sequence

#: The most letters of a message, and of a line that contains one.
MESSAGE, LINE = 320, 390
_LONG, _VALUE = re.compile(r"\S{41,}"), re.compile(r"[^\s/]{41,}(?![^\s]*/)")


def visible(text: str) -> str:
    r"""``text`` with invisible characters written as in Python: ``\x1b``, ``\n``, ``\u202e``."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() or unicodedata.category(letter) == "Zs" else _written(letter) for letter in text
    )


def _written(letter: str) -> str:
    escape = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(letter)
    code = ord(letter)
    return escape or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}")


def cut(text: str, room: int) -> str:
    """At most ``room`` letters of ``text``: its beginning and its end."""
    if len(text) <= room:
        return text
    head = (room - 3) * 2 // 3
    return f"{text[:head]}...{text[len(text) - (room - 3 - head) :]}"


def short(value: object, room: int = 60) -> str:
    """``repr(value)`` in at most ``room`` letters, all of them visible."""
    try:
        text = repr(value[: 10 * room] if isinstance(value, str) else value)
    except (RecursionError, ValueError):  # nested too deeply, or a number of too many digits
        text = f"<{type(value).__name__}>"
    return cut(visible(text), room)


def message(text: str, room: int = MESSAGE) -> str:
    """One visible line of at most ``room`` letters.

    A longer one is cut: first the long values, then the list of legal values, then paths, last everything before ``legal:``.
    """
    line = visible(one_line(text))
    for pattern, most in ((_LONG, 120), (_VALUE, 80), (_VALUE, 40), (None, 150), (_LONG, 80), (_LONG, 40)):
        if len(line) <= room:
            return line
        place = line.rfind("legal:") if pattern is None else -1
        if pattern is not None:
            line = pattern.sub(lambda match: cut(match[0], most), line)  # noqa: B023
        elif place >= 0:
            line = line[:place] + cut(line[place:], most)
    place = line.rfind("legal:")
    return cut(line[:place], room - len(line) + place) + line[place:] if place > 0 else cut(line, room)


def line(text: str) -> str:
    """One visible line for a terminal, such as a message."""
    return message(text, LINE)


def one_line(value: object, room: int | None = None) -> str:
    """An error, or any text, on one line; the first ``room`` letters of it."""
    return " ".join(str(value).split())[:room]


def named(error: BaseException, room: int | None = None) -> str:
    """An error on one line with its type before it."""
    return f"{type(error).__name__}: {one_line(error, room)}"


def redact(text: str) -> str:
    """Home folders in a text become ``~``."""
    home = os.path.expanduser("~")
    return text.replace(home, "~") if len(home) > 1 else text


def redacted(command: Sequence[str] | None) -> list[str] | None:
    """A command line for a document, without home folders."""
    return None if command is None else [redact(part) for part in command]
