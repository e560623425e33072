"""What a user supplies about a program that its text does not say: trip counts of loops, and costs of kernels.

A name is that of the instruction in the text (``while.12``), or the end of its path of scopes (``decode`` or ``decode/while``),
which is the same in the traced and in the compiled program and for every device. It means everything with such a path.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from cr_jax.errors import BadConfig, UnknownName

#: The largest trip count, and the largest figure of a kernel: no device ends more, and every count can be written.
MOST = 10**18 - 1
_WHOLE = re.compile(r"[0-9]{1,18}")
_TRIPS = "legal: NAME=N, NAME as the loops table names it, N a whole number of at most 18 digits"
_KERNEL = (
    "legal: NAME=FLOPS,BYTES or NAME=FLOPS,BYTES,TRANSCENDENTALS of one execution, NAME as the table of calls names it, "
    "whole numbers of at most 18 digits"
)


@dataclass(frozen=True)
class KernelCost:
    """Cost of one execution of a kernel: floating-point operations, bytes moved to and from main memory, transcendentals."""

    flops: int
    bytes: int
    transcendentals: int = 0


@dataclass(frozen=True)
class Assumptions:
    """trips: iterations, by loop, of loops whose count the text does not say or only limits. kernels: costs of custom calls whose
    arithmetic does not follow from their shapes, by kernel; they stand before what a call declares.

    Raises ``BadConfig`` for a figure that is not a whole number from 0 to ``MOST``.
    """

    trips: Mapping[str, int] = field(default_factory=dict[str, int])
    kernels: Mapping[str, KernelCost] = field(default_factory=dict[str, KernelCost])

    def __post_init__(self) -> None:
        for name, count in self.trips.items():
            _check(f"trips of {name!r}", count)
        for name, cost in self.kernels.items():
            for figure in (cost.flops, cost.bytes, cost.transcendentals):
                _check(f"kernel {name!r}", figure)


def named(given: Iterable[str], names: Iterable[str], *paths: str) -> str | None:
    """The one of ``given`` that means something with these names and paths of scopes: a name of its own before the end of a path,
    a longer end before a shorter one; ``None`` where none does.
    """
    known = set(given)
    exact = next((name for name in names if name in known), None)
    return exact or max((n for n in known if any(f"/{path}".endswith(f"/{n}") for path in paths)), key=len, default=None)


def _check(what: str, figure: int) -> None:
    if isinstance(figure, bool) or not isinstance(figure, int) or not 0 <= figure <= MOST:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise BadConfig(f"{what}: {figure!r} is no whole number from 0 to {MOST}")


@dataclass
class Openings:
    """What a program's text leaves open, and what assumptions supplied.

    loops: full paths of loops whose trip count the text does not say or only limits, by name. kernels: names of calls whose
    arithmetic does not follow from their shapes. used: the names of assumptions that the program used.
    """

    loops: dict[str, str] = field(default_factory=dict[str, str])
    kernels: set[str] = field(default_factory=set[str])
    used: set[str] = field(default_factory=set[str])

    def refuse_unused(self, assumptions: Assumptions) -> None:
        """Raise ``UnknownName`` for an assumption that nothing in the program used, with the legal names."""
        legal = set(self.loops) | {path for path in self.loops.values() if path}
        for what, given, names in (
            ("loop of unknown trip count", assumptions.trips, legal),
            ("kernel of unknown cost", assumptions.kernels, self.kernels),
        ):
            for name in given:
                if name not in self.used:
                    raise UnknownName(what, name, names)

    def __or__(self, other: "Openings") -> "Openings":
        """What either of two programs leaves open."""
        return Openings(self.loops | other.loops, self.kernels | other.kernels, self.used | other.used)


def parse_trips(pairs: Iterable[str], option: str = "--trips") -> dict[str, int]:
    """Trip counts from ``NAME=N``. Raises ``BadConfig``."""
    counts: dict[str, int] = {}
    for pair in pairs:
        name, _, value = pair.rpartition("=")
        if not name or not _WHOLE.fullmatch(value):
            raise BadConfig(f"{option} {pair!r}: {_TRIPS}")
        counts[name.lstrip("%")] = int(value)
    return counts


def parse_kernels(pairs: Iterable[str], option: str = "--kernel") -> dict[str, KernelCost]:
    """Costs of kernels from ``NAME=FLOPS,BYTES`` or ``NAME=FLOPS,BYTES,TRANSCENDENTALS``. Raises ``BadConfig``."""
    costs: dict[str, KernelCost] = {}
    for pair in pairs:
        name, _, values = pair.rpartition("=")
        figures = values.split(",")
        if not name or len(figures) not in (2, 3) or not all(map(_WHOLE.fullmatch, figures)):
            raise BadConfig(f"{option} {pair!r}: {_KERNEL}")
        costs[name.lstrip("%")] = KernelCost(*map(int, figures))
    return costs
