"""The report of ``crjax profile``."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from cr_jax.documents.base import Block, Document
from cr_jax.documents.fields import Count, JsonObject, NonNegative, Number, Positive, Preset, Sha256, Share, Tag, Tool, Versions
from cr_jax.documents.figure import FigureKind
from cr_jax.documents.reported_step import ReportedStep
from cr_jax.documents.step_labels import LABEL_RULES
from cr_jax.errors import BadConfig
from cr_jax.records import Mode, Phase, Precision

NumberOrNone = Number | None
#: The types that products of float32 and bfloat16 are computed in.
EffectivePrecision = Literal["float32", "tf32", "bfloat16", "bfloat16_3x", "bfloat16_6x"]


class ReportedModel(Block):
    """The model and its configuration, or a user's function."""

    name: str
    title: str
    paper: Annotated[str | None, Meta(description="null: a user's function")]
    code: Annotated[str | None, Meta(description="null: a user's function")]
    deviations: tuple[str, ...]
    carried: str | None
    limits: str
    config: JsonObject
    config_sha256: Sha256


class ReportedArgument(Block):
    """An array among the arguments of a function."""

    name: str
    role: str
    shape: tuple[Count, ...]
    dtype: str
    bytes: Count
    donated: bool


class ReportedFunction(Block):
    """What a user's function was traced on."""

    call: Annotated[str | None, Meta(description="module:name, as --function had it; null: given in Python")]
    batch: Annotated[Count | None, Meta(description="Examples of one call; null: no argument was named as the batch")]
    arguments: tuple[ReportedArgument, ...]
    notes: (
        Annotated[tuple[str, ...], Meta(description="What the caller may not expect of types or meshes; absent: nothing")]
        | UnsetType
    ) = UNSET
    tag: Tag


class WordsPerText(Block):
    """Words per text."""

    mean: Annotated[int, Meta(ge=0)] | NonNegative
    p50: Count
    p95: Count
    max: Count


class FigureOrigin(Block):
    """The source of a number."""

    kind: FigureKind
    source: str
    date: str | None


class ReportedData(Block):
    """The data set: its sizes, with their sources."""

    name: str
    title: str
    sizes: dict[str, Count]
    lengths: dict[str, WordsPerText]
    turn_histogram: tuple[Count, ...]
    origins: dict[str, FigureOrigin]
    sha256: Sha256
    problems: tuple[str, ...]


class ReportedTarget(Block):
    """The device that programs were compiled for."""

    name: str
    platform: Literal["cpu", "cuda", "gpu", "tpu"]
    attached: bool
    kind: str
    autotuned: bool | None
    compiler: Annotated[
        dict[str, str] | None, Meta(description="Versions of the compiler's wheels. null: there is no compiler here")
    ]
    problem: Annotated[str | None, Meta(description="Why nothing could be compiled for the target")]
    compiled_for: Annotated[str | None, Meta(description="null: counted from the traced program only")]
    precision: Precision
    effective_precision: Annotated[
        EffectivePrecision | None, Meta(description="What a matrix product is computed in. null: unknown")
    ]
    flags: Annotated[dict[str, str], Meta(description="XLA's flags from the environment")]
    mesh: (
        Annotated[dict[str, Positive], Meta(description="Sizes of the axes of the devices that run each program together")]
        | UnsetType
    ) = UNSET
    devices: (
        Annotated[Positive, Meta(description="How many there are; the figures of each step are those of one device")] | UnsetType
    ) = UNSET


class ReportedDistillation(Block):
    """What the training steps compare with. teachers: the configuration of each."""

    temperature: float
    weight: float
    teachers: tuple[JsonObject, ...]
    on_the_fly: Annotated[bool, Meta(description="The teachers' passes are within the training steps, as modules teacher.*")]
    augment: Count


class ReportedWorkload(Block):
    """The workload, without model and device. A function has neither conversations nor a preset: null."""

    turns: Count | None
    users: Count | None
    batch: int | None
    items_scored: int | None
    question_items: Count | None
    top_k: Count | None
    precision: str
    dtype: Annotated[Literal["float32", "bfloat16"] | None, Meta(description="null: the function's arguments have their own")]
    preset: Preset | None
    phases: tuple[Phase, ...]
    padding: str | None
    settings: (
        Annotated[dict[str, str], Meta(description="Configuration values given with --set, needed to run the workload again.")]
        | UnsetType
    ) = UNSET
    distillation: ReportedDistillation | UnsetType = UNSET


class PaperParameters(Block):
    """The count by the paper's account beside the figure that its Table II prints."""

    counted: Annotated[Count, Meta(description="by the paper's account, at this report's configuration")]
    printed: Annotated[Count, Meta(description="by Table II")]
    solved: Annotated[tuple[str, ...], Meta(description="keys of the configuration that were solved from the printed figure")]
    note: Annotated[str, Meta(description="how the two figures stand to each other")]


class OptimizerState(Block):
    """The optimizer's state of one objective."""

    objective: str
    trained_parameters: Count
    numbers: Count
    bytes: Count


class ModuleParameters(Block):
    """The weights of one module."""

    module: str
    trainable: Count
    frozen: Count
    bytes: Count


class ParameterTensor(Block):
    """One weight."""

    path: str
    shape: tuple[Count, ...]
    dtype: str
    size: Count
    trainable: bool


class ParameterAccount(Block):
    """Parameters of the model, by module and tensor."""

    trainable: Count
    frozen: Count
    total: Count
    trainable_bytes: Count
    frozen_bytes: Count
    as_the_paper_counted: Annotated[
        int | None,
        Meta(
            description="by the paper's way of counting, at this report's configuration; Table II's own figure is "
            "paper.printed; null: the paper has none for this model and data"
        ),
    ]
    paper: (
        Annotated[
            PaperParameters | None,
            Meta(
                description="the count by the paper's account beside the figure that its Table II prints; null: the paper has "
                "no figure for this model and data"
            ),
        ]
        | UnsetType
    ) = UNSET
    optimizer_state: tuple[OptimizerState, ...]
    modules: tuple[ModuleParameters, ...]
    tensors: tuple[ParameterTensor, ...]
    tag: Tag


class ReportSummary(Block, forbid_unknown_fields=False):
    """The figures for a script with --get."""

    trainable_parameters: NumberOrNone
    frozen_parameters: NumberOrNone | UnsetType = UNSET
    paper_parameters: (
        Annotated[
            Count | None,
            Meta(description="Table II's figure, where the paper's account gives it for this configuration; else null"),
        ]
        | UnsetType
    ) = UNSET
    train_flops_per_step: NumberOrNone | UnsetType = UNSET
    train_flops_per_supervised_turn: NumberOrNone | UnsetType = UNSET
    train_hbm_bytes_per_step: NumberOrNone | UnsetType = UNSET
    infer_flops_per_turn: NumberOrNone | UnsetType = UNSET
    infer_replay_flops_per_turn: NumberOrNone | UnsetType = UNSET
    infer_hbm_bytes_per_turn: NumberOrNone | UnsetType = UNSET
    peak_bytes: NumberOrNone
    complete: bool
    jaxpr_agrees: bool | UnsetType = UNSET
    tag: Tag


class TurnCosts(Block):
    """Cost of answering turn t, per user."""

    t: Count
    mode: Mode
    step: str
    flops_per_turn: float
    matmul_flops_per_turn: float
    hbm_bytes_per_turn: float
    flops_per_turn_with_item_side: float
    useful_positions: float
    executed_positions: Number
    padding_share: Share
    saving_over_replay: float | None
    program: Annotated[Literal["compiled", "traced"], Meta(description="Which program the row's figures are of")]
    tag: Tag


class ConversationCosts(Block):
    """Cost of an average conversation."""

    replay_flops_per_conversation: float
    incremental_flops_per_conversation: float
    turns_covered: Count
    tag: Tag


class LargestBatch(Block):
    """The largest training batch of one objective that fits the memory."""

    objective: str
    memory_bytes: Positive
    batch: Count | None
    peak_bytes: Count | None
    next_batch: Count | None
    next_peak_bytes: Count | None
    programs_compiled: Positive
    tag: Tag


class CostReport(Document):
    """Cost report.

    Cost of training and serving one model on one data set, or of one call of a user's function, on one target. Null is unknown.
    Every object with numbers carries a tag with their origin.
    """

    schema: Literal["urn:cr-jax:schema:cost-report:1.1"] = "urn:cr-jax:schema:cost-report:1.1"
    kind: Literal["cost-report"] = "cost-report"
    schema_version: Literal["1.1"] = "1.1"
    created: Annotated[str, Meta(description="UTC, ISO 8601")]
    tool: Tool
    versions: Versions
    command: tuple[str, ...] | None
    model: ReportedModel
    function: Annotated[ReportedFunction, Meta(description="Present in the report of a user's function")] | UnsetType = UNSET
    dataset: Annotated[ReportedData | None, Meta(description="null: a user's function")]
    target: ReportedTarget
    workload: ReportedWorkload
    definitions: dict[str, str]
    parameters: Annotated[ParameterAccount | None, Meta(description="null: no argument of the function is known to hold weights")]
    summary: ReportSummary
    steps: tuple[Annotated[ReportedStep, Meta(extra_json_schema={"allOf": LABEL_RULES})], ...]
    turns: tuple[TurnCosts, ...]
    conversation: ConversationCosts | None
    max_batch: (
        Annotated[
            tuple[LargestBatch, ...],
            Meta(
                description="The largest training batch that fits, per objective; present where it was asked for. Every size "
                "was compiled."
            ),
        ]
        | UnsetType
    ) = UNSET

    @property
    def data(self) -> ReportedData:
        """The data set of a model's report. Raises ``BadConfig`` for the report of a function."""
        if self.dataset is None:
            raise BadConfig(f"the report of {self.model.name!r} is of a function, which has no data set; legal: a model's")
        return self.dataset

    @property
    def account(self) -> ParameterAccount:
        """The parameter account of a model's report. Raises ``BadConfig`` where the weights of a function are unknown."""
        if self.parameters is None:
            raise BadConfig(f"the report of {self.model.name!r} does not know the function's weights; legal: a model's")
        return self.parameters
