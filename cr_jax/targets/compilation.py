"""What a compiler said about one step, as plain data that travels as JSON (no JAX here)."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cr_jax.hlo.fingerprint import fingerprint
from cr_jax.records import Argument, CompiledStep, MemoryFigures, Target, plain

_FIGURES = ("xla_flops", "xla_transcendentals", "xla_bytes")


@dataclass(frozen=True)
class Compilation:
    """One compiled step: its HLO text, memory and XLA's own figures, ``None`` where it gives none.

    program_sha256, arguments_sha256: of the program that the compiling process traced, as ``traced_as`` gives
    them, to hold against the caller's.
    note: what was done otherwise than asked for, in one line.
    """

    hlo: str
    memory: MemoryFigures
    xla_flops: float | None
    xla_transcendentals: float | None
    xla_bytes: float | None
    program_sha256: str
    arguments_sha256: str
    durations_s: dict[str, float]
    note: str | None = None


def to_json(compilation: Compilation) -> dict[str, Any]:
    """The compilation as a document."""
    return plain(compilation)


def from_json(document: Mapping[str, Any]) -> Compilation:
    """The compilation in a document. Raises ``ValueError`` for anything else."""
    try:
        memory = MemoryFigures(**document["memory"])
        found = Compilation(**{**document, "memory": memory})
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a compilation: {error}") from None
    whole = tuple(v for v in vars(memory).values() if v is not None)
    figures = [v for v in (getattr(found, name) for name in _FIGURES) if v is not None]
    if (
        not isinstance(found.hlo, str)
        or "HloModule" not in found.hlo
        or not isinstance(found.note, str | None)
        or not isinstance(found.program_sha256, str)
        or not isinstance(found.arguments_sha256, str)
        or not all(isinstance(v, int) for v in whole)
        or not isinstance(found.durations_s, dict)
        or not all(isinstance(v, float | int) for v in (*figures, *found.durations_s.values()))
    ):
        raise ValueError("not a compilation: a field has another type")
    return found


def traced_as(model_hlo: str, arguments: Sequence[Argument]) -> tuple[str, str]:
    """(program, arguments): SHA-256 of a traced program, lowered for the CPU, and of its argument list."""
    listed = json.dumps(plain(arguments), sort_keys=True)
    return fingerprint(model_hlo), hashlib.sha256(listed.encode()).hexdigest()


def another(step: CompiledStep, found: Compilation) -> str | None:
    """In what ``found`` is not a compilation of ``step`` as traced here; ``None``: it is one."""
    program, arguments = traced_as(step.model_hlo, step.arguments)
    if found.arguments_sha256 != arguments:
        return "arguments of other shapes or types"
    return None if found.program_sha256 == program else "another program"


def completed(step: CompiledStep, found: Compilation, durations_s: Mapping[str, float]) -> CompiledStep:
    """``step``, traced, with what the compiler made of it."""
    return dataclasses.replace(
        step,
        compiled_hlo=found.hlo,
        memory=found.memory,
        xla_flops=found.xla_flops,
        xla_transcendentals=found.xla_transcendentals,
        xla_bytes=found.xla_bytes,
        durations_s={**step.durations_s, **durations_s},
        outcome="compiled",
        reason=found.note,
    )


def as_traced(step: CompiledStep, target: Target) -> CompiledStep:
    """``step`` for another target: what was traced stays, what a compiler made of it goes."""
    nothing = MemoryFigures(None, None, None, None, None, None)
    return dataclasses.replace(
        step, target=target, compiled_hlo=None, memory=nothing, xla_flops=None, xla_transcendentals=None, xla_bytes=None
    )


def uncompiled(step: CompiledStep, outcome: str, reason: str) -> CompiledStep:
    """``step``, as traced, with why there is no compiled program (``records.OUTCOMES``)."""
    return dataclasses.replace(step, outcome=outcome, reason=reason)
