"""The compiler's result for one step, as plain data that travels as JSON (no JAX here)."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cr_jax.hlo.fingerprint import traced_fingerprint
from cr_jax.records import Argument, CompiledStep, MemoryFigures, Outcome, Target, plain

_FIGURES = ("xla_flops", "xla_transcendentals", "xla_bytes")


@dataclass(frozen=True)
class Compilation:
    """One compiled step: its HLO text, memory and XLA's own figures, ``None`` where XLA has none.

    program_sha256, arguments_sha256: of the program that the compiling process traced, by ``traced_as``, to compare with the
    caller's. note: a deviation from the request, in one line.
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


def to_json(compilation: Compilation) -> dict[str, object]:
    """The compilation as a document."""
    return plain(compilation)


def from_json(document: Mapping[str, Any]) -> Compilation:
    """The compilation in a document. Raises ``ValueError`` for anything else."""
    try:
        memory = MemoryFigures(**document["memory"])
        compilation = Compilation(**{**document, "memory": memory})
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a compilation: {error}") from None
    whole = tuple(v for v in vars(memory).values() if v is not None)
    figures = [v for v in (getattr(compilation, name) for name in _FIGURES) if v is not None]
    if (
        not isinstance(compilation.hlo, str)
        or "HloModule" not in compilation.hlo
        or not isinstance(compilation.note, str | None)
        or not isinstance(compilation.program_sha256, str)
        or not isinstance(compilation.arguments_sha256, str)
        or not all(isinstance(v, int) for v in whole)
        or not isinstance(compilation.durations_s, dict)
        or not all(isinstance(v, float | int) for v in (*figures, *compilation.durations_s.values()))
    ):
        raise ValueError("not a compilation: a field has another type")
    return compilation


def traced_as(model_hlo: str, arguments: Sequence[Argument]) -> tuple[str, str]:
    """(program, arguments): SHA-256 of a traced program, lowered for the CPU, and of its argument list."""
    listed = json.dumps(plain(arguments), sort_keys=True)
    return traced_fingerprint(model_hlo), hashlib.sha256(listed.encode()).hexdigest()


def another(step: CompiledStep, compilation: Compilation) -> str | None:
    """The difference of ``compilation`` from one of ``step`` as traced here; ``None``: there is none."""
    program, arguments = traced_as(step.model_hlo, step.arguments)
    if compilation.arguments_sha256 != arguments:
        return "arguments of other shapes or types"
    return None if compilation.program_sha256 == program else "another program"


def completed(step: CompiledStep, compilation: Compilation, durations_s: Mapping[str, float]) -> CompiledStep:
    """``step``, traced, with the compiler's result."""
    return dataclasses.replace(
        step,
        compiled_hlo=compilation.hlo,
        memory=compilation.memory,
        xla_flops=compilation.xla_flops,
        xla_transcendentals=compilation.xla_transcendentals,
        xla_bytes=compilation.xla_bytes,
        durations_s={**step.durations_s, **durations_s},
        outcome="compiled",
        reason=compilation.note,
    )


def as_traced(step: CompiledStep, target: Target) -> CompiledStep:
    """``step`` for another target: the traced part stays, the compiler's result is removed."""
    nothing = MemoryFigures(None, None, None, None, None, None)
    return dataclasses.replace(
        step, target=target, compiled_hlo=None, memory=nothing, xla_flops=None, xla_transcendentals=None, xla_bytes=None
    )


def uncompiled(step: CompiledStep, outcome: Outcome, reason: str) -> CompiledStep:
    """``step``, as traced, with the reason why there is no compiled program (``records.OUTCOMES``)."""
    return dataclasses.replace(step, outcome=outcome, reason=reason)
