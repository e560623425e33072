"""The identity of a program: its text without what moves when a source file moves."""

import hashlib
import re


def fingerprint(hlo: str) -> str:
    """SHA-256 of a program, file names and line numbers left out; names of operations stay."""
    text = re.sub(r",? ?(?:stack_frame_id=\d+|source_\w+=(?:\"[^\"]*\"|\d+))", "", hlo)
    lines = (line for line in text.split("\n") if not re.match(r"\d+ [\"{]", line))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


#: A parameter of a function inside the program and its name, which JAX takes from the function that this process traced first
#: with arguments of these shapes; the names of other instructions have a path, or are an operation's.
_INNER = re.compile(r"^\s*([\w\-]+?)(?:\.\d+)? = [^\n]* parameter\(\d+\), metadata=\{op_name=\"([^\"/\[]+)\"", re.MULTILINE)


def traced_fingerprint(hlo: str) -> str:
    """As ``fingerprint``, of a program before the compiler, with the parameters of inner functions numbered, not named.

    Two processes that trace the same step, each after different others, agree on it.
    """
    inner, entry, rest = hlo.partition("\nENTRY ")
    found = _INNER.findall(inner)
    if not found:
        return fingerprint(hlo)
    names, said = ("|".join(sorted(map(re.escape, set(column)))) for column in zip(*found, strict=True))
    numbers: dict[str, str] = {}
    inner = re.sub(
        rf"(?<![\w.\-/\"])(?:{names})(?:\.\d+)?(?![\w.\-/\"])", lambda m: numbers.setdefault(m[0], f"inner.{len(numbers)}"), inner
    )
    return fingerprint(re.sub(rf"op_name=\"(?:{said})\"", 'op_name=""', inner) + entry + rest)
