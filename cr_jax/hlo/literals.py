"""Literals of constants: a check of their elements and kind of numbers against the shape.

XLA prints a large one as ``{...}``; its values are unknown then, and nothing here needs them.
"""

import re

from cr_jax.errors import BadHlo
from cr_jax.hlo.shapes import BITS, Shape

_WHOLE = re.compile(r"-?\d{1,20}\Z", re.ASCII)
_REAL = re.compile(
    r"-?(?:\d++(?:\.\d*+)?+(?:[eE][+-]?\d++)?+|\.\d++(?:[eE][+-]?\d++)?+|"
    r"inf|nan(?:\(0x[0-9a-fA-F]++\))?+)\Z",
    re.ASCII,
)
_TOKEN = re.compile(r"[{}]|\([^(){}]*+\)|[^\s{}(),]++")
_COMMENT = re.compile(r"/\*[^*]*+\*/")
#: Characters of a scalar's literal that are kept.
_KEPT = 32


def check(constant: str, line: int, shape: Shape, text: str) -> str:
    """The literal of a scalar, "" for one of an array. Raises ``BadHlo``.

    constant: its name. text: between the parentheses, as in ``s32[2] constant({1, 2})``.
    """
    if not shape.dims and not shape.is_tuple:
        value = text.strip()
        if value.isdecimal() and value.isascii() and len(value) < 3 and BITS[shape.dtype] >= 8 and shape.dtype != "pred":
            return value  # the most frequent ones
        if not _is_value(value, shape):
            raise BadHlo(line, f"{constant[:60]}: {value[:40]!r} is no {shape.dtype}")
        return value[:_KEPT]
    if shape.is_tuple:
        return ""
    if "..." in text:
        if text.strip() != "{...}":
            raise BadHlo(line, f"{constant[:60]}: a literal is left out in part; legal: {{...}} for the whole")
        return ""
    _array(constant, line, shape, _COMMENT.sub("", text) if "/*" in text else text)
    return ""


def _is_value(text: str, shape: Shape) -> bool:
    dtype = shape.dtype
    if dtype == "pred":
        return text in ("true", "false", "0", "1")
    if dtype[0] == "c":
        parts = text[1:-1].split(",") if text[:1] == "(" and text[-1:] == ")" else [text]
        return len(parts) <= 2 and all(_REAL.match(part.strip()) for part in parts)
    if shape.is_float:
        return _REAL.match(text) is not None
    return _WHOLE.match(text) is not None and -(2 ** (BITS[dtype] - 1)) <= int(text) < 2 ** BITS[dtype]


def _array(constant: str, line: int, shape: Shape, text: str) -> None:
    dims, rank = shape.dims, len(shape.dims)
    places: list[int] = []  # elements so far, at each level
    done = False
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token == "{":
            if done or len(places) == rank:
                raise BadHlo(line, f"{constant[:60]}: its literal has more levels than {shape.plain[:60]}")
            places.append(0)
            continue
        if token == "}":
            if not places or places.pop() != (dims[len(places)]):
                raise BadHlo(line, f"{constant[:60]}: its literal has not the elements of {shape.plain[:60]}")
            done = not places
        elif len(places) != rank or not _is_value(token, shape):
            raise BadHlo(line, f"{constant[:60]}: {token[:40]!r} is no element of {shape.plain[:60]}")
        if places:
            places[-1] += 1
    if not done:
        raise BadHlo(line, f"{constant[:60]}: its literal has not the elements of {shape.plain[:60]}")
