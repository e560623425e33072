"""Constants of predicted times on accelerators, and their errors on cards left out of the fit.

They are in ``profiles/accelerator_times.json``, written by ``bench/fit_accelerators.py``. A constant has one value, or in
addition values by generation, by kind of memory or by card; the most specific one applies.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cr_jax.catalog.accelerator import Accelerator
from cr_jax.documents.accelerator_times import AcceleratorTimes, Residuals
from cr_jax.documents.base import decode, plain
from cr_jax.errors import CrJaxError, UnknownName
from cr_jax.json_text import read_json
from cr_jax.resources import times_file

#: The properties that a constant may depend on, the most specific first.
_BY = ("card", "generation", "memory_kind", "platform")


class MissingConstant(CrJaxError):
    """A constant that has no value for an accelerator; no time is predicted without it."""


@dataclass(frozen=True)
class Constant:
    """One number of a formula."""

    name: str
    value: float | None
    """``None`` where there are values by generation only."""
    unit: str
    meaning: str
    kind: str
    source: str
    by: Mapping[str, Mapping[str, float]]
    """Values that replace it, by property and its value, such as ``{"generation": {"pascal": 0.894}}``."""
    would_give: str
    """The source of a missing value."""

    def of(self, accelerator: Accelerator) -> float:
        """The value for one accelerator. Raises ``MissingConstant``."""
        keys = {
            "card": accelerator.name,
            "generation": accelerator.generation,
            "memory_kind": accelerator.memory_kind,
            "platform": accelerator.platform,
        }
        for what in _BY:
            value = self.by.get(what, {}).get(keys[what] or "")
            if value is not None:
                return value
        if self.value is None:
            raise MissingConstant(
                f"{accelerator.name}: the constant {self.name} ({self.meaning}) has no value for it; "
                f"{self.would_give} would give one"
            )
        return self.value


@dataclass(frozen=True)
class Times:
    """constants: by name. residuals: by class of operation and kinship of the card."""

    constants: Mapping[str, Constant]
    residuals: Mapping[str, Residuals]

    def values(self, accelerator: Accelerator, mechanism: str) -> dict[str, float]:
        """The constants of one mechanism, by name without the mechanism. Raises ``MissingConstant`` and ``UnknownName``."""
        prefix = f"{mechanism}."
        constants = {c.name.removeprefix(prefix): c.of(accelerator) for c in self.constants.values() if c.name.startswith(prefix)}
        if not constants:
            raise UnknownName("mechanism", mechanism, {name.partition(".")[0] for name in self.constants})
        return constants


@cache
def shipped() -> Times:
    """The shipped constants."""
    return read_times(times_file())


def read_times(path: str | Path) -> Times:
    """The constants in a file. Raises ``BadInput``."""
    document = decode(read_json(path), AcceleratorTimes, str(path))
    constants = {
        name: Constant(
            name,
            entry.value,
            entry.unit,
            entry.meaning,
            entry.kind,
            entry.source,
            plain(entry.by) if entry.by else {},
            entry.would_give or "crjax calibrate on the device",
        )
        for name, entry in document.constants.items()
    }
    return Times(constants, document.residuals)
