"""The document of ``crjax hlo`` from a count."""

from msgspec import UNSET, UnsetType, convert
from msgspec.structs import replace

from cr_jax.cost.counting.hlo_count import HloCount
from cr_jax.documents.counts import (
    CountedCollective,
    CountedConditional,
    CountedLoop,
    DeclaredCall,
    OperationCosts,
    UncountedOperation,
)
from cr_jax.documents.hlo_count import HloCountDocument

_Costs = dict[str, OperationCosts]


def hlo_count_document(count: HloCount) -> HloCountDocument:
    """Totals, the costs along each axis, and the reasons of bounds."""
    total = count.total
    return HloCountDocument(
        matmul_flops=total.matmul_flops,
        other_flops=total.other_flops,
        integer_ops=total.integer_ops,
        transcendentals=total.transcendentals,
        read_bytes=total.read_bytes,
        written_bytes=total.written_bytes,
        onchip_bytes=total.onchip_bytes,
        collective_bytes=total.collective_bytes,
        replaced_matmul_flops=total.replaced_matmul_flops,
        hbm_bytes=total.hbm_bytes,
        complete=count.complete,
        bound=count.bound,
        least=convert(count.least, OperationCosts, from_attributes=True),
        module_name=count.name,
        instructions=count.instructions,
        families=convert(count.by("family"), _Costs),
        modules=convert(count.by("module"), _Costs),
        passes=convert(count.by("pass"), _Costs),
        module_passes=convert(count.by("module", "pass"), _Costs),
        loops=counted_loops(count),
        conditionals=convert(count.conditionals, tuple[CountedConditional, ...], from_attributes=True),
        declared=convert(count.declared, tuple[DeclaredCall, ...], from_attributes=True),
        uncounted=convert(count.uncounted, tuple[UncountedOperation, ...], from_attributes=True),
        collectives=counted_collectives(count),
    )


def counted_collectives(count: HloCount) -> tuple[CountedCollective, ...] | UnsetType:
    """The collectives of a program; unset where it has none."""
    if not count.collectives:
        return UNSET
    return convert(count.collectives, tuple[CountedCollective, ...], from_attributes=True)


def counted_loops(count: HloCount) -> tuple[CountedLoop, ...]:
    """The loops of a count; the path where the text does not say the trip count."""
    loops = convert(count.loops, tuple[CountedLoop, ...], from_attributes=True)
    return tuple(loop if loop.path else replace(loop, path=UNSET) for loop in loops)
