"""The document of ``crjax hlo``."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from cr_jax.documents.base import Document
from cr_jax.documents.counts import (
    CountedCollective,
    CountedConditional,
    CountedLoop,
    DeclaredCall,
    OperationCosts,
    ReplacedFlops,
    UncountedOperation,
)
from cr_jax.documents.fields import Bound, Count


class HloCountDocument(Document):
    """HLO count.

    The count of one HLO text by crjax hlo: whole operations and bytes of one run.
    """

    schema: Literal["urn:cr-jax:schema:hlo-count:1.0"] = "urn:cr-jax:schema:hlo-count:1.0"
    kind: Literal["hlo-count"] = "hlo-count"
    matmul_flops: Count
    other_flops: Count
    integer_ops: Count
    transcendentals: Count
    read_bytes: Count
    written_bytes: Count
    onchip_bytes: Count
    collective_bytes: Count
    replaced_matmul_flops: ReplacedFlops
    hbm_bytes: Count
    complete: Annotated[bool, Meta(description="Every operation has a rule and every trip count is known.")]
    bound: Bound
    least: Annotated[OperationCosts, Meta(description="What the program does at least.")] | UnsetType = UNSET
    module_name: str
    instructions: Count
    families: dict[str, OperationCosts]
    modules: dict[str, OperationCosts]
    passes: dict[str, OperationCosts]
    module_passes: dict[str, OperationCosts]
    loops: tuple[CountedLoop, ...]
    conditionals: tuple[CountedConditional, ...] = ()
    declared: tuple[DeclaredCall, ...] = ()
    uncounted: tuple[UncountedOperation, ...]
    collectives: (
        Annotated[
            tuple[CountedCollective, ...],
            Meta(description="what devices send each other; absent where the program has no collectives"),
        ]
        | UnsetType
    ) = UNSET
