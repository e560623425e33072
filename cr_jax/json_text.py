"""Strict JSON: the one reader for every document, line and message that this package reads.

Refused beside invalid JSON: NaN and Infinity, numbers of more than ``DIGITS`` digits (``1e400`` would become infinite, a whole
number of 5,000 digits stops Python), and half a surrogate pair; in documents also nesting deeper than ``DEPTH`` and a key given
twice in an object. Each of these would lose or poison a figure later.
"""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

from cr_jax.errors import BadInput
from cr_jax.files import read_text

#: The most digits of a number before the point; no count reaches them.
DIGITS = 100
#: The deepest nesting of objects and lists; our documents have fewer than ten levels.
DEPTH = 100
_LARGEST = float(10**DIGITS)
#: Distance of the letters that are checked for a number of too many digits, which covers eight of them.
_STEP = DIGITS // 8
_many_digits = re.compile("[0-9]{8}").search
_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[{}\[\],:]|[^\s{}\[\],:"]++', re.DOTALL)


class NotJson(ValueError):
    """A text that is refused: ``line`` and ``column`` (1-based, 0 where unknown) and the ``reason``."""

    def __init__(self, line: int, column: int, reason: str) -> None:
        self.line, self.column, self.reason = line, column, reason
        super().__init__(f"line {line}, column {column}: {reason}" if line else reason)


class _Fault(ValueError):
    """The refusal of a hook; its position is found afterwards."""


def read_json(path: str | Path) -> Any:
    """The JSON document in a file. Raises ``BadInput`` with the file, the line and the reason."""
    return parse_json(read_text(path), str(path))


def parse_json(text: str, where: str) -> Any:
    """The JSON document ``text``; ``where`` names it in errors. Raises ``BadInput``."""
    if not text.strip():
        raise BadInput(where, "line 1: the file is empty; legal: a JSON document")
    try:
        value = parse(text)
    except NotJson as error:
        raise BadInput(where, str(error)) from None
    return value


def parse(text: str) -> Any:
    """The JSON value ``text`` of a document. Raises :class:`NotJson`."""
    value = _decoded(text, _DOCUMENT)
    # No more levels than brackets: small documents are not walked.
    if text.count("[") + text.count("{") > DEPTH and _too_deep(value):
        raise _located(text, RecursionError())
    return value


def parse_line(text: str) -> Any:
    """One JSON value of many, such as a line of a large file. The last of equal keys counts, and the depth of nesting is not
    measured, which would take longer than the reading. Raises :class:`NotJson`.
    """
    # Straight into the scanner, which saves a tenth of the time of a short line; anything odd takes the long way.
    if _many_digits(text[::_STEP]) is None and not ("\\" in text and ("\\ud" in text or "\\uD" in text)):
        try:
            value, end = _scanned(text, 0)
        except (ValueError, RecursionError, StopIteration):
            value, end = None, -1
        if end == len(text):
            return value
    return _decoded(text, _LINE)


def _decoded(text: str, decoder: json.JSONDecoder) -> Any:
    # A run of that many digits covers neighbouring samples. A check of each number in Python would cost much more.
    if _many_digits(text[::_STEP]) is not None:
        decoder = _DIGIT_BY_DIGIT
    try:
        value = decoder.decode(text)
    except json.JSONDecodeError as error:
        raise _at(text, error.pos, error.msg) from None
    except (RecursionError, ValueError) as error:
        raise _located(text, error) from None
    if "\\" in text and ("\\ud" in text or "\\uD" in text) and not _whole_letters(value):
        raise _located(text, _Fault("half a surrogate pair"))
    return value


def rows_decoder() -> json.JSONDecoder:
    """A decoder for rows of whole numbers, whose bounds the caller checks: their digits are not counted here.

    It raises ``ValueError`` (also ``json.JSONDecodeError``) and ``RecursionError``.
    """
    return _DOCUMENT


def _object(items: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(items)
    if len(members) != len(items):
        seen: set[str] = set()
        twice = next(key for key, _ in items if key in seen or seen.add(key))
        raise _Fault(f"key {twice!r} is given twice in one object")
    return members


def _constant(name: str) -> Any:
    raise _Fault(f"{name} is not a JSON number; unknown is null")


def _float(text: str) -> float:
    value = float(text)
    if not -_LARGEST < value < _LARGEST:
        raise _Fault(_beyond(text))
    return value


def _int(text: str) -> int:
    if len(text) > DIGITS and len(text.lstrip("-")) > DIGITS:
        raise _Fault(_beyond(text))
    return int(text)


def _beyond(text: str) -> str:
    shown = text if len(text) <= 40 else f"{text[:18]}...{text[-18:]}"
    return f"{shown} is a number of more than {DIGITS} digits"


_LINE = json.JSONDecoder(parse_constant=_constant, parse_float=_float)
_DOCUMENT = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_float=_float)
_scanned: Callable[[str, int], tuple[Any, int]] = vars(_LINE)["scan_once"]  # which no type stub has
_DIGIT_BY_DIGIT = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_float=_float, parse_int=_int)


def _too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEPTH):
        level = [inner for outer in level for inner in _within(outer) if isinstance(inner, dict | list)]
        if not level:
            return False
    return True


def _within(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        return iter(cast(dict[str, Any], value).values())
    return iter(cast(list[Any], value)) if isinstance(value, list) else iter(())


def _whole_letters(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return False
    except RecursionError:  # a line nested deeper than can be written again
        return True
    return True


def _at(text: str, place: int, reason: str) -> NotJson:
    return NotJson(text.count("\n", 0, place) + 1, place - text.rfind("\n", 0, place), reason)


def _located(text: str, error: Exception) -> NotJson:
    """The fault that a hook or the recursion limit met, with its place."""
    reason = f"nested too deeply; legal: {DEPTH} levels" if isinstance(error, RecursionError) else str(error)
    keys: list[set[str] | None] = []
    key_next = False
    for token in _TOKEN.finditer(text):
        word = token[0]
        if word in "{[":
            keys.append(set() if word == "{" else None)
            if len(keys) > DEPTH:
                return _at(text, token.start(), f"nested too deeply; legal: {DEPTH} levels")
        elif word in "}]":
            keys = keys[:-1]
        elif word[0] == '"':
            try:
                letters = json.loads(word, strict=False)
            except ValueError:
                continue
            if not _whole_letters(letters):
                return _at(text, token.start(), "half a surrogate pair")
            if key_next and keys and keys[-1] is not None:
                if letters in keys[-1]:
                    return _at(text, token.start(), reason)
                keys[-1].add(letters)
        elif word not in ",:" and word not in ("true", "false", "null"):
            try:
                _DIGIT_BY_DIGIT.decode(word)
            except _Fault as fault:
                return _at(text, token.start(), str(fault))
            except (ValueError, RecursionError):
                pass
        key_next = word in "{,"
    return NotJson(0, 0, reason)
