"""Mutations of files: of their bytes, their lines, and of the values in JSON."""

import json
import random
from typing import Any

VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    -0.0,
    0.5,
    10**18,
    10**400,
    -(10**400),
    1e308,
    "",
    "x",
    "a" * 5000,
    "\n",
    "\x1b[31m",
    "\u202e",
    "[/b]",
    "[bold]",
    "=1+1",
    "é",
    [],
    {},
    [[]],
    {"x": 1},
    ["a"],
    [None],
    "NaN",
    "cpu",
    "../../etc/passwd",
    "os:system",
)
#: Spellings that json.dumps does not write.
RAW = (
    "NaN",
    "Infinity",
    "-Infinity",
    "1e400",
    "9" * 400,
    "9" * 5000,
    "1_000",
    "01",
    "'x'",
    "\\ud800",
    "[" * 3000,
    "{" * 3000,
    ",",
    "",
)
PIECES = (
    b"\x00",
    b"\xff",
    b"\xfe",
    b"\xed\xa0\x80",
    b"\r",
    b"\n",
    b"\t",
    b"|",
    b",",
    b":",
    b"@",
    b'"',
    b"{",
    b"}",
    b"[",
    b"\x1b[31m",
    "\u202e".encode(),
    b"9" * 400,
    b"9" * 5000,
    b"-1",
    b"1e400",
    b"NaN",
    b"\xef\xbb\xbf",
    b"a" * 5000,
    b"\x1f\x8b",
)


def byte_mutation(data: bytes, draw: random.Random) -> bytes:
    """Cut, delete, flip, insert or repeat a few bytes."""
    place = draw.randrange(len(data) + 1)
    kind = draw.randrange(6)
    if kind == 0:
        return data[:place]
    if kind == 1:
        return data[:place] + data[place + draw.choice((1, 2, 9, 100)) :]
    if kind == 2 and place < len(data):
        return data[:place] + bytes([data[place] ^ (1 << draw.randrange(8))]) + data[place + 1 :]
    if kind == 3:
        return data[:place] + draw.choice(PIECES) + data[place:]
    if kind == 4:
        end = draw.randrange(len(data) + 1)
        return data[:place] + data[min(place, end) : max(place, end)][:500] + data[place:]
    return data[place:] + data[:place]


def line_mutation(data: bytes, draw: random.Random) -> bytes:
    """Delete, repeat or swap lines, or change a number, a word or a separator in one."""
    lines = data.splitlines(keepends=True)
    if not lines:
        return data
    at, other = draw.randrange(len(lines)), draw.randrange(len(lines))
    kind = draw.randrange(5)
    if kind == 0:
        del lines[at]
    elif kind == 1:
        lines.insert(at, lines[other])
    elif kind == 2:
        lines[at], lines[other] = lines[other], lines[at]
    else:
        words = lines[at].replace(b"\t", b" \t ").split(b" ")
        words[draw.randrange(len(words))] = draw.choice(PIECES)
        lines[at] = b" ".join(words).replace(b" \t ", b"\t")
    return b"".join(lines)


def json_mutation(data: bytes, draw: random.Random) -> bytes:
    """Another value, key or spelling somewhere in a document, which stays JSON but for the spelling."""
    document = json.loads(data)
    places = list(_places(document))
    if not places:
        return data
    holder, key = draw.choice(places)
    kind = draw.randrange(6)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        holder[draw.choice(("x", "", "a" * 5000, "__proto__", str(key).upper()))] = holder[key]
    elif kind == 2:
        other, place = draw.choice(places)
        holder[key] = other[place]
        document = json.loads(json.dumps(document))
    elif kind == 3:
        holder[key] = "@@RAW@@"
        return _dumped(document).replace(b'"@@RAW@@"', draw.choice(RAW).encode())
    elif kind == 4 and isinstance(holder, dict):  # a key given twice
        text = json.dumps(key) + ": "
        return _dumped(document).replace(text.encode(), (text + "1, " + text).encode(), 1)
    else:
        holder[key] = draw.choice(VALUES)
    return _dumped(document)


def _dumped(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False, indent=1).encode("utf-8", "surrogatepass")


def _places(value: Any) -> "list[tuple[Any, Any]]":
    found, todo = [], [value]
    while todo:
        holder = todo.pop()
        keys = list(holder) if isinstance(holder, dict) else range(len(holder)) if isinstance(holder, list) else ()
        for key in keys:
            found.append((holder, key))
            todo.append(holder[key])
    return found


def strict_json(data: bytes) -> bool:
    """Whether a text is JSON as RFC 8259 has it, each key once and each number one that a computer holds."""

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({key for key, _ in items}) != len(items):
            raise ValueError
        return dict(items)

    def real(text: str) -> float:
        if abs(value := float(text)) == float("inf"):
            raise ValueError
        return value

    def constant(text: str) -> Any:
        raise ValueError

    try:
        json.loads(data.decode("utf-8-sig"), object_pairs_hook=pairs, parse_float=real, parse_constant=constant)
    except (ValueError, RecursionError):
        return False
    return True
