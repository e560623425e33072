"""Memory that one run of a step holds, by role."""

from msgspec import convert

from cr_jax.cost.memory.timeline import Timeline
from cr_jax.documents.memory import AliveBuffer, MemoryAccount, MemoryPoint, MemoryTimeline, RoleBytes
from cr_jax.records import OTHER, ROLES, CompiledStep


def memory_account(step: CompiledStep, timeline: Timeline | None = None, kept: int | None = None) -> MemoryAccount:
    """Bytes by role, and the peak as arguments + outputs + temporaries - aliased.

    Without a compiled program only the arguments are known; the rest is ``None``.
    kept: bytes of the arguments that the compiled program takes: the compiler drops those that no result
    needs, and pads the others where the device has tiles. The roles' sum is ``argument_bytes`` +
    ``dropped_bytes`` - ``padding_bytes``.
    timeline: the memory in use over the program; ``share_of_peak`` is its maximum over the peak, which is what the
    compiler reserves, with idle buffers and gaps.
    """
    arguments = step.arguments if step.compiled_hlo is None else step.local_arguments
    listed = [*ROLES, *([OTHER] if any(a.role == OTHER for a in arguments) else [])]
    roles = {role: sum(a.bytes for a in arguments if a.role == role) for role in listed}
    figures = step.memory
    held, told, peak = sum(roles.values()), figures.argument_bytes, figures.peak_bytes
    return MemoryAccount(
        roles_bytes=roles,
        donated_bytes=sum(a.bytes for a in arguments if a.donated),
        argument_bytes=figures.argument_bytes,
        dropped_bytes=None if kept is None else held - kept,
        padding_bytes=None if kept is None or told is None else told - kept,
        output_bytes=figures.output_bytes,
        temp_bytes=figures.temp_bytes,
        alias_bytes=figures.alias_bytes,
        peak_bytes=peak,
        peak_rule="arguments + outputs + temporaries - aliased",
        compiler_peak_bytes=figures.reported_peak_bytes,
        timeline=None if timeline is None else memory_timeline(timeline, peak),
        tag="compiler",
    )


def memory_timeline(timeline: Timeline, peak_bytes: int | None) -> MemoryTimeline:
    """The timeline as reports have it. peak_bytes: what the compiler sets aside; ``None``: not known."""
    fullest = timeline.peak
    return MemoryTimeline(
        share_of_peak=fullest.live_bytes / peak_bytes if peak_bytes else None,
        positions=timeline.positions,
        peak_bytes=fullest.live_bytes,
        peak_position=fullest.position,
        peak_instruction=timeline.instruction,
        peak_module=fullest.module,
        peak_pass=fullest.which,
        peak_role_bytes=RoleBytes(**timeline.role_bytes),
        peak_idle_bytes=timeline.idle_bytes,
        alive=convert(timeline.alive, tuple[AliveBuffer, ...], from_attributes=True),
        other_buffers=timeline.others,
        other_bytes=timeline.other_bytes,
        points=tuple(
            MemoryPoint(position=p.position, live_bytes=p.live_bytes, module=p.module, pass_=p.which) for p in timeline.points
        ),
        tag="counted",
    )
