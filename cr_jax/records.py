"""Frozen values that pass from the JAX half to the text half, and the workload that both use."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol, cast, runtime_checkable

from cr_jax.distillation import Distillation
from cr_jax.traced_program import JaxprCount, TracedKernel

#: The phases that a user asks for.
Phase = Literal["train", "precompute", "infer"]
#: With the validating forwards, which ``crjax estimate`` alone counts, and a step that is a user's function.
StepPhase = Phase | Literal["check", "step"]
Mode = Literal["replay", "incremental"]
#: What an operation is part of.
Pass = Literal["forward", "backward", "recompute", "optimizer"]
#: JAX's names of the precision of matrix products.
Precision = Literal["default", "high", "highest"]
PHASES: tuple[Phase, ...] = ("train", "precompute", "infer")
MODES: tuple[Mode, ...] = ("replay", "incremental")
#: Axes of a model's mesh: examples and users are split over the first, tables over the second.
MESH_AXES = ("data", "model")
PRECISIONS: tuple[Precision, ...] = ("default", "high", "highest")
#: The role of an argument of a step in the memory account.
ROLES = ("weights", "frozen", "optimizer", "batch", "state", "items", "key")
#: The role of an argument of a user's function that nothing identifies.
OTHER = "other"
#: What became of a step: its program is compiled, was not asked for, has no compiler on this machine, or the compiler failed.
Outcome = Literal["compiled", "left out", "no compiler", "failed"]
OUTCOMES: tuple[Outcome, ...] = ("compiled", "left out", "no compiler", "failed")
#: Key in the metadata of a field that documents leave out while it has its default.
LEFT_OUT = "left_out"


@runtime_checkable
class Configuration(Protocol):
    """A model's dimensions: a dataclass of the model's own."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]


@dataclass(frozen=True)
class Lengths:
    """Length distribution of one kind of text, in words (``max`` is the longest seen)."""

    mean: float
    p50: int
    p95: int
    max: int


@dataclass(frozen=True)
class TextLengths:
    """Words per text: the request q0, a turn's question (aspect) and answer (value), an item's description, and its sentences."""

    request: Lengths
    question: Lengths
    answer: Lengths
    item: Lengths
    item_sentences: Lengths

    @property
    def turn_words(self) -> int:
        """Padded words of one turn as text: question, answer and the sentence end (95% fit)."""
        return self.question.p95 + self.answer.p95 + 1


@dataclass(frozen=True)
class ArrayShape:
    """One array of a training batch, padded."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Workload:
    """What is run, apart from model and device.

    batch: examples per step, ``None`` = each objective's published batch. users: B, conversations answered at once. turns: T, the
    last turn (t = 0 is the request q0). items_scored: ``None`` = every item of the data set. question_items: items whose memories
    MMN and PMMN average to choose the next question. lengths: padding follows the 95% quantile, useful work the mean. batches: by
    objective, a training batch padded as data pads it, instead of to that quantile. distillation: of the training steps, ``None``
    where they have no teacher.
    """

    turns: int
    lengths: TextLengths
    turn_histogram: tuple[int, ...]
    users: int = 1
    batch: int | None = None
    items_scored: int | None = None
    question_items: int = 10
    top_k: int = 10
    precision: Precision = "default"
    dtype: str = "float32"
    preset: str = "published"
    batches: Mapping[str, tuple[ArrayShape, ...]] = field(default_factory=dict[str, tuple[ArrayShape, ...]])
    distillation: Distillation | None = None


def bucket(n: int) -> int:
    """The padded length for ``n`` words: the next of 4, 6, 8, 12, 16, 24, 32, 48, ..."""
    size = 4
    while size < n:
        size = size * 3 // 2 if size & (size - 1) == 0 else size // 3 * 4
    return size


@dataclass(frozen=True)
class Argument:
    """One leaf of a step's arguments, in the order of the program's parameters."""

    name: str
    role: str
    shape: tuple[int, ...]
    dtype: str
    bytes: int
    donated: bool


#: By dimension of an array, the axes of a mesh that split it.
Splits = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Parameter:
    """One weight: dotted path, owner module, size, and whether any objective trains it."""

    path: str
    module: str
    shape: tuple[int, ...]
    dtype: str
    size: int
    bytes: int
    trainable: bool


@dataclass(frozen=True)
class MemoryFigures:
    """The compiler's own account of one executable, in bytes; ``None`` where it gives none."""

    argument_bytes: int | None
    output_bytes: int | None
    temp_bytes: int | None
    alias_bytes: int | None
    generated_code_bytes: int | None
    reported_peak_bytes: int | None

    @property
    def peak_bytes(self) -> int | None:
        """Arguments + outputs + temporaries - aliased; ``None`` where the compiler gives not all of them.

        The sum is ours because compilers disagree on what "peak" includes (XLA's CPU figure leaves out temporaries).
        """
        parts = (self.argument_bytes, self.output_bytes, self.temp_bytes, self.alias_bytes)
        known = [part for part in parts if part is not None]
        return sum(known) - 2 * known[-1] if len(known) == len(parts) else None


@dataclass(frozen=True)
class Target:
    """A device that programs are compiled for.

    name: of its accelerator profile, else ``gpu`` or ``tpu``. platform: as JAX names it. kind: the device's own
    title. autotuned: whether the compiler timed its candidates on the device; ``None``: it has none to time.
    compiler: versions of the compiler's wheels; ``None``: it is not here. problem: in one line, why nothing can be
    compiled for the device. mesh: names and sizes of the axes of several such devices; empty: a single one.
    """

    name: str
    platform: str
    attached: bool
    kind: str
    autotuned: bool | None
    compiler: Mapping[str, str] | None
    problem: str | None
    mesh: tuple[tuple[str, int], ...] = ()

    @property
    def devices(self) -> int:
        """The number of devices that run a program together."""
        return math.prod(size for _, size in self.mesh)


@dataclass(frozen=True)
class Positions:
    """Padding of one program, in word positions."""

    useful: float
    """Positions that carry text."""
    executed: int
    """Positions that are computed."""


@dataclass(frozen=True)
class TrainingLabels:
    """Labels of one optimizer step. supervised_turns_per_example: ``None`` for an objective that learns from no turns."""

    phase: ClassVar[StepPhase] = "train"
    objective: str
    example: str
    batch: int
    supervised_turns_per_example: float | None
    trained_parameters: int
    optimizer_state_numbers: int
    optimizer_state_bytes: int

    @property
    def conversational_turns(self) -> float | None:
        """Turns that one step learns from; ``None``: it is not made of turns."""
        turns = self.supervised_turns_per_example
        return self.batch * turns if turns else None


@dataclass(frozen=True)
class ItemLabels:
    """Labels of the item side. items: how many, ``None`` = every item of the data set."""

    phase: ClassVar[StepPhase] = "precompute"
    conversational_turns: ClassVar[float | None] = None
    items: int | None


@dataclass(frozen=True)
class TurnLabels:
    """Labels of a program that answers turns. turns: every turn t that runs it, in order. users: conversations
    answered at once. positions: by turn.
    """

    phase: ClassVar[StepPhase] = "infer"
    mode: Mode
    turns: tuple[int, ...]
    users: int
    positions: Mapping[int, Positions]

    @property
    def conversational_turns(self) -> float | None:
        """Turns that one step answers."""
        return float(self.users)


@dataclass(frozen=True)
class ValidationLabels:
    """Labels of the forward that validates a training objective."""

    phase: ClassVar[StepPhase] = "check"
    conversational_turns: ClassVar[float | None] = None
    objective: str
    batch: int


@dataclass(frozen=True)
class FunctionLabels:
    """Labels of a user's function. batch: the examples of one call; ``None``: the user did not name the batch."""

    phase: ClassVar[StepPhase] = "step"
    conversational_turns: ClassVar[float | None] = None
    batch: int | None = None


Labels = TrainingLabels | ItemLabels | TurnLabels | ValidationLabels | FunctionLabels


def labels_document(labels: Labels) -> dict[str, object]:
    """The labels as a report lists them: without positions, which its turns have."""
    return {key: value for key, value in plain(labels).items() if key != "positions"}


@dataclass(frozen=True)
class CompiledStep:
    """A step as plain data: everything the text half needs, nothing that needs JAX.

    outcome: one of ``OUTCOMES``; ``reason`` says in one line why there is no compiled
    program, or what was done otherwise than asked for. The traced program is that of all devices, the compiled one that of each.
    splits: of every argument over the target's mesh; empty: a single device. kernels: of the traced program.
    """

    name: str
    labels: Labels
    model_hlo: str
    compiled_hlo: str | None
    target: Target
    modules: tuple[str, ...]
    arguments: tuple[Argument, ...]
    memory: MemoryFigures
    jaxpr: JaxprCount
    xla_flops: float | None
    xla_transcendentals: float | None
    xla_bytes: float | None
    precision: str
    versions: dict[str, str | None]
    durations_s: dict[str, float] = field(default_factory=dict[str, float])
    outcome: Outcome = "compiled"
    reason: str | None = None
    splits: tuple[Splits, ...] = ()
    kernels: tuple[TracedKernel, ...] = ()

    @property
    def devices(self) -> int:
        """The devices that share the work of the program that counts: of the compiled one, else the traced one's single one."""
        return self.target.devices if self.splits and self.compiled_hlo is not None else 1

    @property
    def local_arguments(self) -> tuple[Argument, ...]:
        """The arguments as each device holds them."""
        if not self.splits:
            return self.arguments
        sizes = dict(self.target.mesh)
        return tuple(_local(argument, split, sizes) for argument, split in zip(self.arguments, self.splits, strict=True))

    @property
    def phase(self) -> StepPhase:
        """The phase that the step is part of."""
        return self.labels.phase

    @property
    def objective(self) -> str:
        """The objective that the step trains or validates; empty for any other step."""
        return getattr(self.labels, "objective", "")


def _local(argument: Argument, split: Splits, sizes: Mapping[str, int]) -> Argument:
    parts = [math.prod(sizes[axis] for axis in axes) for axes in split]
    shape = tuple(length // part for length, part in zip(argument.shape, parts, strict=True))
    return dataclasses.replace(argument, shape=shape, bytes=argument.bytes // math.prod(parts))


def plain(value: Any) -> Any:
    """Dataclasses and tuples as JSON-ready dictionaries and lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: (getattr(value, f.name), f) for f in dataclasses.fields(value)}
        return {k: plain(v) for k, (v, f) in fields.items() if not (f.metadata.get(LEFT_OUT) and v == f.default)}
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in cast(dict[Any, Any], value).items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in cast(Sequence[Any], value)]
    return value
