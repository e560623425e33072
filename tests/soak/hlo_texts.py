"""Mutated HLO texts: whole modules that one to three small changes make doubtful."""

import random
import re
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: Whole modules; those of the shared folder only where it lies beside the checkout.
PLACES = ("tests/corpus/hlo/whole", "tests/golden/hlo", "../shared/hlo")
#: Longer texts are drawn less often: XLA and the counter read the short ones in a millisecond.
SHORT = 4000

_NAME = re.compile(r"%?[A-Za-z_][\w.\-]*")
_SHAPE = re.compile(r"\b(pred|bf16|[fsuc]\d\w*)\[([\d,]*)\](?:\{[^}]*\})?")
_DIGITS = re.compile(r"\d+")
_OPCODE = re.compile(r"(?<= )([a-z][a-z\-]*)(?=\()")
_OPERANDS = re.compile(r"(?<=[a-z])\(([^()]*)\)")
_ATTRIBUTE = re.compile(r", [a-z_]+=(?:\{[^{}]*\}|[^,\s]+)")
OPCODES = (
    "add",
    "negate",
    "dot",
    "convolution",
    "reduce",
    "reduce-window",
    "while",
    "conditional",
    "call",
    "fusion",
    "tuple",
    "get-tuple-element",
    "parameter",
    "constant",
    "iota",
    "broadcast",
    "reshape",
    "transpose",
    "concatenate",
    "slice",
    "dynamic-slice",
    "dynamic-update-slice",
    "gather",
    "scatter",
    "sort",
    "compare",
    "select",
    "convert",
    "copy",
    "pad",
    "map",
    "custom-call",
    "all-reduce",
    "fft",
    "cholesky",
    "triangular-solve",
    "rng",
    "bitcast",
    "opt-barrier",
    "frobnicate",
)
TYPES = ("f32", "s32", "pred", "bf16", "f64", "u8", "c64", "s4", "token", "f33", "")
SIZES = ("0", "1", "-1", "7", "1_000", "²", "+3", "1e3", "<=3", "4294967296", "99999999999999999999", "9" * 400, "9" * 5000, "")
JUNK = (
    "\x00",
    "\x1b[31m",
    "\u202e",
    "é",
    "}",
    "{",
    "(",
    ")",
    "/*",
    "*/",
    '"',
    "ROOT",
    "ENTRY",
    "//",
    "\r",
    "\t",
    "NaN",
    "inf",
    "[/b]",
    "HloModule again",
    ", calls=%lost",
    ", to_apply=%lost",
    ", index=99",
    ", dimensions={0,0,9}",
)

Mutation = Callable[[str, random.Random], str]


def whole_texts() -> list[str]:
    """Every whole module there is, in a fixed order."""
    return [path.read_text() for place in PLACES for path in sorted((ROOT / place).glob("*.txt"))]


def _swap(text: str, found: re.Match[str], new: str) -> str:
    return text[: found.start()] + new + text[found.end() :]


def _place(text: str, pattern: re.Pattern[str], draw: random.Random) -> re.Match[str] | None:
    """One match, drawn from a thousand behind a random place, so that a long text costs no more."""
    start = draw.randrange(len(text) or 1)
    found = [match for _, match in zip(range(200), pattern.finditer(text, start), strict=False)]
    found = found or [match for _, match in zip(range(200), pattern.finditer(text), strict=False)]
    return draw.choice(found) if found else None


def _lines(change: Callable[[list[str], int, random.Random], None]) -> Mutation:
    def mutate(text: str, draw: random.Random) -> str:
        lines = text.splitlines(keepends=True)
        if lines:
            change(lines, draw.randrange(len(lines)), draw)
        return "".join(lines)

    mutate.__name__ = change.__name__
    return mutate


def _replaced(pattern: re.Pattern[str], new: Callable[[re.Match[str], str, random.Random], str]) -> Mutation:
    def mutate(text: str, draw: random.Random) -> str:
        found = _place(text, pattern, draw)
        return _swap(text, found, new(found, text, draw)) if found else text

    mutate.__name__ = new.__name__
    return mutate


def delete_line(lines: list[str], at: int, draw: random.Random) -> None:
    del lines[at]


def duplicate_line(lines: list[str], at: int, draw: random.Random) -> None:
    lines.insert(draw.choice((at, draw.randrange(len(lines)))), lines[at])


def swap_lines(lines: list[str], at: int, draw: random.Random) -> None:
    other = draw.choice((min(at + 1, len(lines) - 1), draw.randrange(len(lines))))
    lines[at], lines[other] = lines[other], lines[at]


def cut_computation(lines: list[str], at: int, draw: random.Random) -> None:
    """Ends the text, or the file, after a closing brace."""
    ends = [place for place, line in enumerate(lines) if line.startswith("}")]
    if ends:
        del lines[draw.choice(ends) + 1 :]


def drop_computation(lines: list[str], at: int, draw: random.Random) -> None:
    starts = [place for place, line in enumerate(lines) if line.rstrip().endswith("{") and "=" not in line.split("{")[0]]
    if starts:
        start = draw.choice(starts)
        end = next((place for place in range(start, len(lines)) if lines[place].startswith("}")), len(lines) - 1)
        del lines[start : end + 1]


def cut_at_byte(text: str, draw: random.Random) -> str:
    return text[: draw.randrange(len(text) + 1)]


def delete_bytes(text: str, draw: random.Random) -> str:
    start = draw.randrange(len(text) + 1)
    return text[:start] + text[start + draw.choice((1, 1, 2, 5, 40)) :]


def insert_junk(text: str, draw: random.Random) -> str:
    start = draw.randrange(len(text) + 1)
    return text[:start] + draw.choice(JUNK) + text[start:]


def swap_names(text: str, draw: random.Random) -> str:
    first, second = _place(text, _NAME, draw), _place(text, _NAME, draw)
    if first is None or second is None or first.end() > second.start():
        return text
    return text[: first.start()] + second[0] + text[first.end() : second.start()] + first[0] + text[second.end() :]


def rename(found: re.Match[str], text: str, draw: random.Random) -> str:
    other = _place(text, _NAME, draw)
    return draw.choice((found[0] + "x", other[0] if other else "q", "%lost", found[0] * 900))


def change_digits(found: re.Match[str], text: str, draw: random.Random) -> str:
    number = int(found[0]) if len(found[0]) < 18 else 1
    return draw.choice((str(number + 1), str(max(number - 1, 0)), str(number * 2), *SIZES))


def change_shape(found: re.Match[str], text: str, draw: random.Random) -> str:
    whole, dtype, dims = found[0], found[1], found[2]
    other = _place(text, _SHAPE, draw)
    return draw.choice(
        (
            whole.replace(dtype, draw.choice(TYPES), 1),
            whole.replace(f"[{dims}]", f"[{dims},2]", 1),
            whole.replace(f"[{dims}]", f"[{','.join(dims.split(',')[1:])}]", 1),
            f"({whole}, {whole})",
            "()",
            f"({whole})",
            other[0] if other else whole,
            whole.split("{")[0],
            whole.split("{")[0] + "{" + draw.choice(("0,0", "9", "-1", "1,0:T(0,0)", "1,0:T(8,128)", "0:S(9)", ":" * 50)) + "}",
            "(" * 3000 + whole + ")" * 3000,
            "(" * 60 + whole + ")" * 60,
        )
    )


def change_opcode(found: re.Match[str], text: str, draw: random.Random) -> str:
    return draw.choice(OPCODES)


def change_operands(found: re.Match[str], text: str, draw: random.Random) -> str:
    names = [name for name in found[1].split(", ") if name]
    other = _place(text, _NAME, draw)
    extra = other[0] if other else "q"
    changed = draw.choice((names[1:], names[:-1], [*names, extra], names[::-1], [*names, *names], [extra, *names[1:]]))
    return f"({', '.join(changed)})"


def drop_attribute(found: re.Match[str], text: str, draw: random.Random) -> str:
    return ""


def duplicate_attribute(found: re.Match[str], text: str, draw: random.Random) -> str:
    other = _place(text, _ATTRIBUTE, draw)
    return found[0] + (other[0] if other else "")


def huge_number(found: re.Match[str], text: str, draw: random.Random) -> str:
    return draw.choice(("9" * 400, "9" * 5000, "1" + "0" * 18, "9223372036854775808", "-9223372036854775809", "1e400", "nan"))


def loop_annotation(text: str, draw: random.Random) -> str:
    """Another, or a false, trip count."""
    found = _place(text, re.compile(r'known_trip_count":\{"n":"(\d+)"'), draw)
    if found is None:
        return text
    return _swap(text, found, f'known_trip_count":{{"n":"{draw.choice(("0", "-3", "1000000", "9" * 400, "x", "", "3.5"))}"')


def nest_calls(text: str, draw: random.Random) -> str:
    """A chain of computations in front of the entry, each of which calls the one before it twice."""
    depth = draw.choice((3, 30, 70, 3000))
    chain = ["%deep.0 (p: f32[]) -> f32[] {\n  %p = f32[] parameter(0)\n  ROOT %r = f32[] negate(%p)\n}\n"]
    chain += [
        f"%deep.{level} (p: f32[]) -> f32[] {{\n  %p = f32[] parameter(0)\n"
        f"  %a = f32[] call(%p), to_apply=%deep.{level - 1}\n  ROOT %b = f32[] call(%a), to_apply=%deep.{level - 1}\n}}\n"
        for level in range(1, depth)
    ]
    entry = text.find("ENTRY")
    brace = text.find("{\n", entry)
    if entry < 0 or brace < 0:
        return text
    call = f"  %deep_one = f32[] constant(1)\n  %deep_two = f32[] call(%deep_one), to_apply=%deep.{depth - 1}\n"
    return text[:entry] + "\n".join(chain) + "\n" + text[entry : brace + 2] + call + text[brace + 2 :]


MUTATIONS: tuple[tuple[Mutation, int], ...] = (
    (_lines(delete_line), 8),
    (_lines(duplicate_line), 6),
    (_lines(swap_lines), 6),
    (_lines(cut_computation), 3),
    (_lines(drop_computation), 3),
    (cut_at_byte, 5),
    (delete_bytes, 5),
    (insert_junk, 6),
    (swap_names, 6),
    (_replaced(_NAME, rename), 8),
    (_replaced(_DIGITS, change_digits), 10),
    (_replaced(_SHAPE, change_shape), 14),
    (_replaced(_OPCODE, change_opcode), 10),
    (_replaced(_OPERANDS, change_operands), 10),
    (_replaced(_ATTRIBUTE, drop_attribute), 8),
    (_replaced(_ATTRIBUTE, duplicate_attribute), 4),
    (_replaced(_DIGITS, huge_number), 4),
    (loop_annotation, 2),
    (nest_calls, 1),
)


def mutated(number: int, seed: int, texts: list[str]) -> tuple[str, str]:
    """The ``number``-th mutated text of a seed, and the names of its mutations."""
    draw = random.Random(f"hlo {seed} {number}")
    weights = [4 if len(text) < SHORT else 1 for text in texts]
    text = draw.choices(texts, weights)[0]
    names = []
    for _ in range(draw.choice((1, 1, 1, 1, 2, 3))):
        mutation = draw.choices([m for m, _ in MUTATIONS], [w for _, w in MUTATIONS])[0]
        text = mutation(text, draw)
        names.append(mutation.__name__)
    return text, "+".join(names)
