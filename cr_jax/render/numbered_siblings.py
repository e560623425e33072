"""Names that differ only by a number: ``layers.0`` to ``layers.31``, ``block_1/mlp``, Haiku's ``linear``, ``linear_1``."""

import re
from collections.abc import Callable, Sequence
from functools import partial

_NUMBER = re.compile(r"\d+")
#: Makes the name of several from their numbers.
Label = Callable[[Sequence[int]], str]
#: The number of a name without one, which Haiku gives to the first of its kind.
_FIRST = 0


def numbered(names: Sequence[str]) -> list[tuple[Label, list[tuple[int, str]]]]:
    """Groups of two and more names, each with its number, in the order of the numbers. No name is in two groups."""
    groups: dict[tuple[str, str], dict[int, str]] = {}
    for name in names:
        for match in _NUMBER.finditer(name):
            groups.setdefault((name[: match.start()], name[match.end() :]), {})[int(match[0])] = name
    for (before, after), found in groups.items():
        first = before.removesuffix("_")
        if before.endswith("_") and not after and first in names:
            found.setdefault(_FIRST, first)
    taken: set[str] = set()
    chosen = []
    for (before, after), found in sorted(groups.items(), key=lambda item: -len(item[1])):
        own = sorted((number, name) for number, name in found.items() if name not in taken)
        if len(own) > 1:
            taken |= {name for _, name in own}
            chosen.append((partial(_label, before, after), own))
    return chosen


def _label(before: str, after: str, numbers: Sequence[int]) -> str:
    """``layers.0-3,5``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    parts = (str(run[0]) if len(run) == 1 else f"{run[0]}{'-' if len(run) > 2 else ','}{run[-1]}" for run in runs)
    return f"{before}{','.join(parts)}{after}"
