"""Frozen values that cross from the JAX half to the text half, and the workload both speak of."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PHASES = ("train", "precompute", "infer")
MODES = ("replay", "incremental")
PRECISIONS = ("default", "high", "highest")
#: What an argument of a step is, for the memory account.
ROLES = ("weights", "frozen", "optimizer", "batch", "state", "items", "key")
#: What became of a step: its compiled program is there, was not asked for, has no compiler on this
#: machine, or the compiler did not make it.
OUTCOMES = ("compiled", "left out", "no compiler", "failed")


@dataclass(frozen=True)
class Lengths:
    """Length distribution of one kind of text, in words (``max`` is the longest seen)."""

    mean: float
    p50: int
    p95: int
    max: int


@dataclass(frozen=True)
class TextLengths:
    """Words per text: the request q0, a turn's question (aspect) and answer (value), an item's
    description, and the sentences of a description."""

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

    batch: examples per step, ``None`` = each objective's published batch. users: B, conversations
    answered at once. turns: T, the last turn (t = 0 is the request q0). items_scored: ``None`` =
    every item of the data set. question_items: items whose memories MMN and PMMN average to choose
    the next question. lengths: padding follows the 95% quantile, useful work the mean. batches: by
    objective, a training batch padded as data pads it, instead of to that quantile.
    """

    turns: int
    lengths: TextLengths
    turn_histogram: tuple[int, ...]
    users: int = 1
    batch: int | None = None
    items_scored: int | None = None
    question_items: int = 10
    top_k: int = 10
    precision: str = "default"
    dtype: str = "float32"
    preset: str = "published"
    batches: Mapping[str, tuple[ArrayShape, ...]] = field(default_factory=dict)


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


@dataclass(frozen=True)
class JaxprCount:
    """Matmul FLOPs of the traced program, loops multiplied by their ``scan`` lengths.

    ``unknown_loops`` counts ``while`` primitives, whose trip count a jaxpr does not state.
    """

    matmul_flops: int
    unknown_loops: int


@dataclass(frozen=True)
class CompiledStep:
    """A step as plain data: everything the text half needs, nothing that needs JAX.

    outcome: one of ``OUTCOMES``; ``reason`` says in one line why there is no compiled
    program, or what was done otherwise than asked for.
    """

    name: str
    phase: str
    labels: dict[str, Any]
    model_hlo: str
    compiled_hlo: str | None
    target: dict[str, Any]
    modules: tuple[str, ...]
    arguments: tuple[Argument, ...]
    memory: MemoryFigures
    jaxpr: JaxprCount
    xla_flops: float | None
    xla_transcendentals: float | None
    xla_bytes: float | None
    precision: str
    versions: dict[str, str | None]
    durations_s: dict[str, float] = field(default_factory=dict)
    outcome: str = "compiled"
    reason: str | None = None


def plain(value: Any) -> Any:
    """Dataclasses and tuples as JSON-ready dictionaries and lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value
