"""Memory of one run of a program, in all and over its course."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType, field

from cr_jax.documents.base import Block
from cr_jax.documents.fields import Count, NonNegative, Positive, Tag
from cr_jax.records import Pass

BufferRole = Literal["argument", "output", "temporary"]
BytesOrNone = Annotated[Count | None, Meta(description="bytes; null: not compiled")]


class RoleBytes(Block):
    """Bytes by role."""

    argument: Count
    output: Count
    temporary: Count


class AliveBuffer(Block):
    """A buffer."""

    name: str
    module: str
    shape: str
    bytes: Count
    role: BufferRole


class MemoryPoint(Block):
    """A moment."""

    position: Count
    live_bytes: Count
    module: str
    pass_: Pass = field(name="pass")


class MemoryTimeline(Block):
    """The memory in use over the compiled program, from the order and the buffers of its text."""

    share_of_peak: Annotated[
        NonNegative | None,
        Meta(
            description="peak_bytes over the memory's peak_bytes; the rest is idle or gaps between buffers; null: no such figure"
        ),
    ]
    positions: Annotated[
        Positive, Meta(description="Operations of the schedule that compute or move something, the bodies of loops once")
    ]
    peak_bytes: Count
    peak_position: Count
    peak_instruction: str
    peak_module: str
    peak_pass: Pass
    peak_role_bytes: Annotated[
        RoleBytes, Meta(description="What is alive at the peak; a donated argument only until its last use")
    ]
    peak_idle_bytes: Annotated[
        Count, Meta(description="Of arguments given up and results not made yet: set aside, but not alive at the peak")
    ]
    alive: Annotated[tuple[AliveBuffer, ...], Meta(max_length=12, description="The largest buffers alive at the peak")]
    other_buffers: Count
    other_bytes: Count
    points: Annotated[
        tuple[MemoryPoint, ...],
        Meta(min_length=1, max_length=64, description="The fullest moment of each stretch of the schedule"),
    ]
    tag: Tag


class MemoryAccount(Block):
    """Memory of one run."""

    roles_bytes: dict[str, Count]
    donated_bytes: Count
    argument_bytes: BytesOrNone
    dropped_bytes: (
        Annotated[
            Count | None,
            Meta(description="bytes of arguments that the compiler left out because no result needs them; null: not compiled"),
        ]
        | UnsetType
    ) = UNSET
    padding_bytes: (
        Annotated[
            Count | None,
            Meta(
                description="bytes that the device's tiles add to the arguments that were kept: the roles' sum is argument_bytes "
                "+ dropped_bytes - padding_bytes; null: not compiled"
            ),
        ]
        | UnsetType
    ) = UNSET
    output_bytes: BytesOrNone
    temp_bytes: BytesOrNone
    alias_bytes: BytesOrNone
    peak_bytes: BytesOrNone
    peak_rule: str
    compiler_peak_bytes: int | None
    timeline: Annotated[
        MemoryTimeline | None, Meta(description="null: not compiled, or the text does not say in which order it runs")
    ]
    tag: Tag
