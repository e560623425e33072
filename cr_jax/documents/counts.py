"""Counts of one HLO program: costs, loops, conditionals, and calls without a rule."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

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
    source: Literal["annotated", "inferred", "given", "assumed", "unknown"]
    executions: Count
    matmul_flops_per_iteration: Count
    at_most: Annotated[bool, Meta(description="It may end before its trip count, for another condition.")] = False
    disputed: Annotated[
        Count | None,
        Meta(
            description="A smaller trip count that the compiler's annotation or the inference comes to; trip_count is the larger."
        ),
    ] = None
    path: Annotated[str | UnsetType, Meta(description="Its scopes, where the program does not say its trip count.")] = UNSET


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
    """Calls whose arithmetic is not counted from shapes alone: declared by the call, a textbook formula, or assumed by the user.

    Costs of all executions.
    """

    operation: str
    source: Literal["declared", "formula", "assumed"]
    count: Count
    flops: Count
    transcendentals: Count
    hbm_bytes: Count


class UncountedOperation(Block):
    """An operation without a rule."""

    operation: str
    count: Count
    hbm_bytes: Count


class CountedCollective(Block):
    """One collective of a program for several devices; bytes are of one execution on one device, with the padding of layouts."""

    kind: Annotated[str, Meta(description="all-reduce, all-gather, reduce-scatter, all-to-all, collective-permute and so on")]
    name: str
    module: str
    groups: Annotated[Count, Meta(description="groups of devices that exchange data with each other")]
    group_size: Annotated[Count, Meta(description="devices in the largest group")]
    axes: Annotated[
        tuple[str, ...], Meta(description="axes of the mesh along which the devices of a group lie; empty where no mesh is known")
    ]
    executions: Annotated[Count, Meta(description="0 in a branch that is not counted and in a loop of unknown trip count")]
    operand_bytes: Count
    result_bytes: Count
    payload_bytes: Annotated[
        Count, Meta(description="the size as nccl-tests count it: the result of an all-gather, the operands of any other")
    ]
    sent_bytes: Annotated[
        Count,
        Meta(
            description="bytes that a device sends in a ring of n: payload x (n-1)/n, twice that of an all-reduce; the whole "
            "payload of a permutation, a broadcast and a ragged-all-to-all"
        ),
    ]
    at_most: Annotated[bool, Meta(description="what is sent depends on the data; these bytes are the most")]
    asynchronous: Annotated[bool, Meta(description="other operations may run until it ends")]
    between_operations: Annotated[Count, Meta(description="operations between its start and its end")]
    between_flops: Count
    between_hbm_bytes: Count
