"""Functions that all kinds of measured rows share."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, Protocol, TypeVar, cast

import numpy as np

from cr_jax.predict.accelerator.card import Card

#: Rows below this multiple of their clock's offset say more about the clock.
CLEAR = 3


class Rows(Protocol):
    """Measurements of one card by one method. All arrays have one place for each row."""

    @property
    def card(self) -> str:
        """Name of the card's profile."""
        ...

    @property
    def label(self) -> str:
        """Name for tables: the card and the kind of operation."""
        ...

    @property
    def seconds(self) -> np.ndarray:
        """Measured seconds of each row."""
        ...

    @property
    def offset(self) -> np.ndarray:
        """Seconds that the clock and the launch of the kernel add to each row."""
        ...

    @property
    def lines(self) -> np.ndarray:
        """Line of each row in its file."""
        ...

    def __len__(self) -> int: ...

    def predicted(self, on: Card) -> np.ndarray:
        """Seconds by the product's own code, without the offset. Raises ``MissingConstant``."""
        ...

    def classes(self, on: Card) -> np.ndarray:
        """The class of errors of each row, as ``accelerator_times.json`` names it."""
        ...

    def work(self, on: Card) -> tuple[np.ndarray, np.ndarray, float]:
        """FLOPs of products, bytes (each operand and result once), and the peak of the units that multiply."""
        ...


Some = TypeVar("Some")
Measured = TypeVar("Measured", bound=Rows)


def taken(rows: Some, which: np.ndarray) -> Some:
    """Some of the rows: every array of the dataclass cut alike, tuples of arrays too."""
    return replace(rows, **{f.name: _cut(getattr(rows, f.name), which) for f in fields(rows)})  # type: ignore[type-var, arg-type]


def _cut(value: Any, which: np.ndarray) -> Any:
    if isinstance(value, np.ndarray):
        return cast(np.ndarray, value)[which]
    if isinstance(value, tuple):
        parts = cast(tuple[Any, ...], value)
        if any(isinstance(one, np.ndarray) for one in parts):
            return type(parts)(*[_cut(one, which) for one in parts])
    return cast(Any, value)


def clear(rows: Measured) -> Measured:
    """Rows of at least three times their clock's offset."""
    return taken(rows, np.flatnonzero(rows.seconds >= CLEAR * rows.offset))


def offsets(by: Mapping[str, float], names: np.ndarray, other: float = 0.0) -> np.ndarray:
    """Seconds by name."""
    return np.array([by.get(name, other) for name in names], float)
