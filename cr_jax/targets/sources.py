"""The source of a worker's programs: a model that it builds anew, or functions exported to it as StableHLO."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from cr_jax.records import Configuration, Workload, plain
from cr_jax.steps.sharding import result_splits, splits
from cr_jax.steps.step import Step
from cr_jax.targets.worker_request import ExportedStep, SourceDescription

if TYPE_CHECKING:
    from cr_jax.targets.exporting import ExportedProgram


class ProgramSource(Protocol):
    """What a worker process needs to make the steps that were traced here."""

    def describe(self, platform: str, steps: Sequence[str], folder: Path) -> SourceDescription:
        """The source of ``steps`` for JAX's ``platform``, as a worker reads it; its files go to ``folder``.

        Raises ``ExportRefused`` for a program that cannot leave this process.
        """
        ...

    def fingerprint(self, platform: str, step: str) -> str | None:
        """What decides the program of ``step`` beyond its traced text, for the cache; ``None``: nothing does.

        Raises ``ExportRefused``.
        """
        ...


@dataclass(frozen=True)
class ModelSource:
    """A model, which the worker imports by its name: one of the package's or ``package.module:SPEC``."""

    name: str
    config: Configuration
    work: Workload

    def describe(self, platform: str, steps: Sequence[str], folder: Path) -> SourceDescription:
        """The model's name, configuration and workload."""
        return {"kind": "model", "model": self.name, "config": plain(self.config), "work": plain(self.work)}

    def fingerprint(self, platform: str, step: str) -> str | None:
        """``None``: the model's traced program decides."""
        return None


@dataclass(frozen=True)
class FunctionSource:
    """Functions, which travel as StableHLO: the worker imports nothing of the user's."""

    steps: tuple[Step, ...]
    precision: str
    _exported: dict[tuple[str, str], "ExportedProgram"] = field(default_factory=dict, compare=False)

    def describe(self, platform: str, steps: Sequence[str], folder: Path) -> SourceDescription:
        """The steps exported for ``platform``, a file each."""
        rows: dict[str, ExportedStep] = {}
        for number, step in enumerate(step for step in self.steps if step.name in steps):
            file = folder / f"exported-{number}"
            file.write_bytes(self._program(platform, step.name).serialized())
            rows[step.name] = {
                "file": str(file),
                "names": list(step.names),
                "donated": list(step.donated),
                "splits": plain(splits(step)),
                "results": plain(result_splits(step)),
            }
        return {"kind": "exported", "steps": rows}

    def fingerprint(self, platform: str, step: str) -> str | None:
        """SHA-256 of the StableHLO for ``platform``, maybe another program than for the CPU, and of how its results are split."""
        program = self._program(platform, step).sha256
        results = result_splits(self._step(step))
        return hashlib.sha256(f"{program} {results}".encode()).hexdigest() if results else program

    def _program(self, platform: str, name: str) -> "ExportedProgram":
        from cr_jax.targets.exporting import exported

        if (platform, name) not in self._exported:
            self._exported[platform, name] = exported(self._step(name), platform, self.precision)
        return self._exported[platform, name]

    def _step(self, name: str) -> Step:
        return next(one for one in self.steps if one.name == name)
