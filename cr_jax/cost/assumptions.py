"""What is known about a program that its text does not say: trip counts of loops and costs of kernels from the user, and what the
kernels of the traced program declare.

A name is that of the instruction in the text (``while.12``), or the end of its path of scopes (``decode`` or ``decode/while``),
which is the same in the traced and in the compiled program and for every device. It means everything with such a path.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from cr_jax.cost.kernels import KernelCost, KernelHook, check_whole, read_cost
from cr_jax.errors import BadConfig, UnknownName
from cr_jax.traced_program import TracedKernel

_WHOLE = re.compile(r"[0-9]{1,18}")
_TRIPS = "legal: NAME=N, NAME as the loops table names it, N a whole number of at most 18 digits"
_KERNEL = (
    "legal: NAME=FLOPS,BYTES or NAME=FLOPS,BYTES,TRANSCENDENTALS of one execution, NAME as the table of calls names it, "
    "whole numbers of at most 18 digits"
)


#: Costs of kernels as a user gives them: by name, figures or a function of the call; or one function for all kernels.
Kernels: TypeAlias = Mapping[str, KernelCost | Sequence[int] | KernelHook] | KernelHook


@dataclass(frozen=True)
class Assumptions:
    """trips: iterations, by loop, of loops whose count the text does not say or only limits. kernels: costs of custom calls whose
    arithmetic does not follow from their shapes, by kernel; they stand before what a call declares. hook: gives the costs of
    those that are not named. traced: the kernels of the traced program, for calls that declare nothing in the compiled one.

    Raises ``BadConfig`` for a figure that is not a whole number from 0 to ``MOST``.
    """

    trips: Mapping[str, int] = field(default_factory=dict[str, int])
    kernels: Mapping[str, KernelCost | KernelHook] = field(default_factory=dict[str, "KernelCost | KernelHook"])
    hook: KernelHook | None = None
    traced: tuple[TracedKernel, ...] = ()

    def __post_init__(self) -> None:
        for name, count in self.trips.items():
            check_whole(f"trips of {name!r}", count)
        for name, cost in self.kernels.items():
            if isinstance(cost, KernelCost):
                read_cost(f"kernel {name!r}", cost)


def read_assumptions(trips: Mapping[str, int] | None, kernels: Kernels | None) -> Assumptions:
    """What a user passes in Python. Raises ``BadConfig``."""
    if callable(kernels):
        return Assumptions(trips or {}, hook=kernels)
    if not isinstance(kernels, Mapping | None):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise BadConfig(f"kernels {kernels!r:.80}: legal: a mapping of names to costs, or a function of a call")
    read = {name: given if callable(given) else read_cost(f"kernel {name!r}", given) for name, given in (kernels or {}).items()}
    return Assumptions(trips or {}, read)


def named(given: Iterable[str], names: Iterable[str], *paths: str) -> str | None:
    """The one of ``given`` that means something with these names and paths of scopes: a name of its own before the end of a path,
    a longer end before a shorter one; ``None`` where none does.
    """
    known = set(given)
    exact = next((name for name in names if name in known), None)
    return exact or max((n for n in known if any(f"/{path}".endswith(f"/{n}") for path in paths)), key=len, default=None)


@dataclass
class Openings:
    """What a program's text leaves open, and what assumptions supplied.

    loops: full paths of loops whose trip count the text does not say or only limits, by name. kernels: names of calls whose
    arithmetic does not follow from their shapes. used: the names of assumptions that the program used. asked: the names of
    kernels whose cost was asked for, by a function that may not know it.
    """

    loops: dict[str, str] = field(default_factory=dict[str, str])
    kernels: set[str] = field(default_factory=set[str])
    used: set[str] = field(default_factory=set[str])
    asked: set[str] = field(default_factory=set[str])

    def refuse_unused(self, assumptions: Assumptions) -> None:
        """Raise ``UnknownName`` for an assumption that nothing in the program used, with the legal names."""
        legal = set(self.loops) | {path for path in self.loops.values() if path}
        for what, given, names in (
            ("loop of unknown trip count", assumptions.trips, legal),
            ("kernel of unknown cost", assumptions.kernels, self.kernels),
        ):
            for name in given:
                if name not in self.used | self.asked:
                    raise UnknownName(what, name, names)

    def __or__(self, other: "Openings") -> "Openings":
        """What either of two programs leaves open."""
        return Openings(self.loops | other.loops, self.kernels | other.kernels, self.used | other.used, self.asked | other.asked)


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
