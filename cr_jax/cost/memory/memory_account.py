"""Memory that one run of a step holds, by role."""

from typing import Any

from cr_jax.cost.memory.timeline import Timeline
from cr_jax.records import ROLES, CompiledStep


def memory_account(step: CompiledStep, timeline: Timeline | None = None, kept: int | None = None) -> dict[str, Any]:
    """Bytes by role, and the peak as arguments + outputs + temporaries - aliased.

    Without a compiled program only the arguments are known; the rest is ``None``.
    kept: bytes of the arguments that the compiled program takes: the compiler drops those that no result
    needs, and pads the others where the device has tiles. The roles' sum is ``argument_bytes`` +
    ``dropped_bytes`` - ``padding_bytes``.
    timeline: how the memory in use goes over the program; ``share_of_peak`` holds its fullest moment
    against the peak, which is what the compiler sets aside: also what is idle then, and gaps.
    """
    roles = {role: sum(a.bytes for a in step.arguments if a.role == role) for role in ROLES}
    figures = step.memory
    held, told, peak = sum(roles.values()), figures.argument_bytes, figures.peak_bytes
    return {
        "roles_bytes": roles,
        "donated_bytes": sum(a.bytes for a in step.arguments if a.donated),
        "argument_bytes": figures.argument_bytes,
        "dropped_bytes": None if kept is None else held - kept,
        "padding_bytes": None if kept is None or told is None else told - kept,
        "output_bytes": figures.output_bytes,
        "temp_bytes": figures.temp_bytes,
        "alias_bytes": figures.alias_bytes,
        "peak_bytes": peak,
        "peak_rule": "arguments + outputs + temporaries - aliased",
        "compiler_peak_bytes": figures.reported_peak_bytes,
        "timeline": _timeline(timeline, peak),
        "tag": "compiler",
    }


def _timeline(timeline: Timeline | None, peak: int | None) -> dict[str, Any] | None:
    if timeline is None:
        return None
    share = timeline.peak.live_bytes / peak if peak else None
    return {"share_of_peak": share, **timeline.as_dict()}
