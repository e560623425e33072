"""Counts of one HLO program: costs, loops, conditionals, and calls without a rule."""

from typing import Annotated, Literal

from msgspec import Meta

from cr_jax.documents.base import Block
from cr_jax.documents.fields import Count

ReplacedFlops = Annotated[
    int, Meta(ge=0, description="FLOPs of matrix products carried out as multiplications and sums; part of other_flops")
]


class OperationCosts(Block):
    """Whole operations and bytes of one run."""

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


class CountedLoop(Block):
    """A while loop; trip_count null: unknown, it may never run and adds nothing to the totals."""

    name: str
    module: str
    trip_count: Count | None
    source: Literal["annotated", "inferred", "given", "unknown"]
    executions: Count
    matmul_flops_per_iteration: Count
    at_most: Annotated[bool, Meta(description="It may end before its trip count, for another condition.")] = False
    disputed: Annotated[
        Count | None,
        Meta(
            description="A smaller trip count that the compiler's annotation or the inference comes to; trip_count is the larger."
        ),
    ] = None


class CountedBranch(Block):
    """One branch of a conditional."""

    computation: str
    flops: Count
    transcendentals: Count
    hbm_bytes: Count


class CountedConditional(Block):
    """A conditional with branches of different cost; the most expensive counts by figure (in a lower bound the cheapest)."""

    name: str
    module: str
    executions: Count
    branches: Annotated[tuple[CountedBranch, ...], Meta(min_length=1)]


class DeclaredCall(Block):
    """Calls whose arithmetic is not counted from shapes alone: declared by the call, or a textbook formula.

    Costs of all executions.
    """

    operation: str
    source: Literal["declared", "formula"]
    count: Count
    flops: Count
    transcendentals: Count
    hbm_bytes: Count


class UncountedOperation(Block):
    """An operation without a rule."""

    operation: str
    count: Count
    hbm_bytes: Count
