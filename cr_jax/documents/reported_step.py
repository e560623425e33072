"""One step of the cost report: its counts, memory, modules, coverage and predicted time."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType, field

from cr_jax.documents.base import Block
from cr_jax.documents.counts import (
    CountedCollective,
    CountedConditional,
    CountedLoop,
    DeclaredCall,
    OperationCosts,
    ReplacedFlops,
    UncountedOperation,
)
from cr_jax.documents.fields import Bound, Count, Number, Positive, Sha256, Share, Tag
from cr_jax.documents.memory import MemoryAccount
from cr_jax.documents.prediction import StepPrediction
from cr_jax.documents.step_labels import StepLabels, check_labels
from cr_jax.records import Outcome, Pass, Phase

#: The phases that a user asks for, and the step that is a user's function.
ReportedPhase = Phase | Literal["step"]
#: A figure per unit of work; null: the unit does not apply.
PerUnit = float | UnsetType | None


class ProgramTotals(OperationCosts):
    """A program's totals; flops = matmul_flops + other_flops."""

    flops: Count
    complete: bool
    bound: Bound
    least: Annotated[OperationCosts, Meta(description="What the program does at least.")] | UnsetType = UNSET
    tag: Tag


class MatmulAccount(Block):
    """The matrix products of the traced program and of the compiled one, which on a mesh is that of one device."""

    traced_flops: int
    compiled_flops: int
    as_multiply_and_sum_flops: int
    devices: Annotated[Positive, Meta(description="Devices of a mesh, which share the traced products")] | UnsetType = UNSET
    replicated_flops: (
        Annotated[
            Count,
            Meta(
                description="FLOPs of all devices of a mesh beyond the traced ones: products that several of them do, padding "
                "and repeats"
            ),
        ]
        | UnsetType
    ) = UNSET
    padding_and_repeats_flops: int
    removed_flops: int
    note: str
    tag: Tag


class StepRatios(Block, forbid_unknown_fields=False):
    """FLOPs and bytes per step, example, supervised turn, epoch or turn. On a mesh, those per step are of one device, and those
    of a unit of work of all devices.
    """

    flops_per_step: float
    hbm_bytes_per_step: float
    flops_per_example: PerUnit = UNSET
    hbm_bytes_per_example: PerUnit = UNSET
    flops_per_supervised_turn: PerUnit = UNSET
    hbm_bytes_per_supervised_turn: PerUnit = UNSET
    flops_per_epoch: PerUnit = UNSET
    hbm_bytes_per_epoch: PerUnit = UNSET
    flops_per_turn: PerUnit = UNSET
    hbm_bytes_per_turn: PerUnit = UNSET
    steps_per_epoch: PerUnit = UNSET
    tag: Tag


class ModuleCosts(Block):
    """The costs of one module in one pass."""

    module: str
    pass_: Pass = field(name="pass")
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
    model_matmul_flops: Count


class StepCoverage(Block):
    """The operations that the counts of a step leave out."""

    complete: bool
    bound: Bound | UnsetType = UNSET
    uncounted: tuple[UncountedOperation, ...]
    conditionals: tuple[CountedConditional, ...] = ()
    declared: tuple[DeclaredCall, ...] = ()
    unknown_loops: tuple[str, ...]
    inferred_loops: Count
    unattributed_flops: Count
    unattributed_share: Share
    merged_products_flops: Annotated[
        Count,
        Meta(description="FLOPs of matrix products that the compiler merged and that are given to the modules they came from"),
    ]
    merged_products_left_flops: Annotated[
        Count,
        Meta(description="FLOPs of merged matrix products that cannot be told apart: all with the module whose name they carry"),
    ]
    tag: Tag


class JaxprFigures(Block):
    """An independent count from scan lengths."""

    matmul_flops: Count
    unknown_loops: Count
    agrees: bool
    tag: Tag


class CompilerHint(Block):
    """The TPU compiler's own estimate, null elsewhere; never the prediction."""

    estimated_cycles: Count | None
    note: str
    tag: Tag


class XlaFigures(Block):
    """XLA's raw figures."""

    flops: Number | None
    transcendentals: Number | None
    bytes_accessed: Number | None
    note: str
    tag: Tag


class StepDurations(Block, forbid_unknown_fields=False):
    """Seconds to trace, lower and compile."""

    trace: float | UnsetType = UNSET
    lower: float | UnsetType = UNSET
    compile: float | UnsetType = UNSET
    tag: Tag


class ReportedStep(Block):
    """The figures of one step."""

    name: str
    phase: ReportedPhase
    labels: StepLabels
    model: Annotated[ProgramTotals, Meta(description="The traced program, before the compiler.")]
    compiled: ProgramTotals | None
    matmul_account: Annotated[
        MatmulAccount | None, Meta(description="How the matrix products of the traced program became those of the compiled one")
    ]
    per: StepRatios
    memory: MemoryAccount
    modules: tuple[ModuleCosts, ...]
    passes: dict[str, OperationCosts]
    families: dict[str, OperationCosts]
    loops: tuple[CountedLoop, ...]
    coverage: StepCoverage
    jaxpr: JaxprFigures
    hint: CompilerHint
    xla: XlaFigures
    outcome: Outcome
    reason: Annotated[str | None, Meta(description="Reason why there is no compiled program, or a deviation from the request")]
    program_sha256: Sha256
    durations_s: StepDurations
    prediction: StepPrediction | UnsetType = UNSET
    collectives: (
        Annotated[
            tuple[CountedCollective, ...],
            Meta(description="what devices send each other; absent where the program has no collectives"),
        ]
        | UnsetType
    ) = UNSET
    product_types: (
        Annotated[
            dict[str, Count],
            Meta(description="of the compiled matrix products, FLOPs by the HLO type of the operands; only of quantised weights"),
        ]
        | UnsetType
    ) = UNSET

    def __post_init__(self) -> None:
        """Raise ``ValueError`` where a required label of the phase is missing."""
        check_labels(self.phase, self.labels)

    @property
    def best(self) -> ProgramTotals:
        """The compiled program's totals, else the traced program's."""
        return self.compiled or self.model
