"""The description of an architecture (``Spec``), and the registry that finds one by its name.

Everything outside a model's folder works from its ``Spec`` alone.
"""

import dataclasses
import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeAlias, TypeVar, cast

import jax
import optax
from flax import nnx
from flax.typing import PathParts
from jaxtyping import PyTree

from cr_jax.catalog.dataset import Dataset
from cr_jax.data.conversations import Conversations
from cr_jax.data.corpus import Corpus
from cr_jax.data.examples.pool import Examples, Pool
from cr_jax.data.examples.turn_encoder import TurnEncoder
from cr_jax.data.recommender_assets import RecommenderAssets
from cr_jax.errors import BadConfig, UnknownName
from cr_jax.models.config_checks import OPTIONAL, read_optional_size, read_setting
from cr_jax.models.config_checks import at_most as at_most
from cr_jax.models.config_checks import positive as positive
from cr_jax.named_objects import find_object
from cr_jax.nn.module import Module, PublicNames
from cr_jax.records import Configuration, Positions, Workload

#: A model's module, and the dataclass of its dimensions.
M = TypeVar("M", bound=Module)
C = TypeVar("C", bound=Configuration)

#: The abstract arrays of a batch by name, and the arrays themselves.
Inputs = Mapping[str, jax.ShapeDtypeStruct]
Batch = dict[str, jax.Array]
#: A model's variables, or a part of them: an NNX state.
Weights: TypeAlias = PyTree
#: A part of a model's variables: those of a type, or those that a function of path and variable chooses.
Filter = type[nnx.Variable] | Callable[[PathParts, nnx.Variable], bool]


@dataclass(frozen=True)
class Objective(Generic[M, C]):
    """One loss with the parameters it trains; a training step of its own."""

    name: str
    example: str
    """What one training example is, in words."""
    batch: int
    """The public batch size."""
    supervised_turns: Callable[[C, Workload], float | None]
    """(config, work) -> turns that one example supervises; ``None`` if an example is not made of turns."""
    examples_per_epoch: Callable[[C, Dataset], int]
    """(config, dataset) -> examples in one pass over the data."""
    trains: Callable[[PathParts, nnx.Variable], bool]
    """(path, variable) -> whether this objective updates the variable at that NNX path."""
    loss: Callable[[M, Batch, jax.Array], tuple[jax.Array, Batch]]
    """(model, batch, key) -> (scalar loss, metrics)."""
    optimizer: Callable[[C], optax.GradientTransformation]
    """(config) -> an Optax transformation."""
    inputs: Callable[[C, Workload, int], Inputs]
    """(config, work, batch) -> the abstract batch."""
    shared_counter: bool = False
    """Whether the optimizer's ``update`` takes the keyword ``counter``: an int32 scalar, the steps of all objectives so far."""


@dataclass(frozen=True)
class ConversationalModel(Generic[M, C]):
    """How a model answers a turn. B users, turns t = 0 (the request q0) to T.

    A state is a pytree of arrays with leading axis B. Outputs are ``item_scores`` [B, items scored] and, where
    the model has them, ``question_scores`` [B, aspects] or ``answer_tokens`` [B, words].
    """

    items: Callable[[C, Workload], Inputs | None]
    """(config, work) -> abstract inputs of ``precompute``; ``None`` if the model has no item side."""
    precompute: Callable[[M, Batch], PyTree]
    """(model, items) -> the item side: paid once per set of weights."""
    start: Callable[[M, PyTree, int], PyTree]
    """(model, side, batch) -> the state before the request."""
    turn: Callable[[M, PyTree, PyTree, Batch], tuple[PyTree, Batch]]
    """(model, side, state, utterance) -> (state, outputs); reads only what is new at turn t."""
    replay: Callable[[M, PyTree, Batch], Batch]
    """(model, side, history) -> outputs; reads the whole conversation up to turn t again."""
    utterance: Callable[[C, Workload, int, int], Inputs]
    """(config, work, t, batch) -> abstract inputs of ``turn``, at bucketed lengths."""
    history: Callable[[C, Workload, int, int], Inputs]
    """(config, work, t, batch) -> abstract inputs of ``replay``, at bucketed lengths."""
    positions: Callable[[C, Workload, int, str], Positions]
    """(config, work, t, mode) -> word positions per user."""
    carried: str | None
    """What crosses turns, in words; ``None``: nothing does, and ``turn`` replays its window."""
    limits: str
    """What is kept of a long history, in words."""


@dataclass(frozen=True)
class Stage:
    """A part of a training run: its objectives take turns on the same batch, at each step of the stage."""

    objectives: tuple[str, ...]
    epochs: int | None = None
    """The published length, if it is stated in epochs."""
    steps: int | None = None
    """The published length, if it is stated in steps."""
    patience: int | None = None
    """Epochs without a better validation figure after which the stage ends; ``None``: it never ends early."""


@dataclass(frozen=True)
class Distillable(Generic[M, C]):
    """How an objective learns from teachers of its own architecture too: outputs for the same rows, compared one by one.

    Outputs are logits [B, K], compared by KL between their softened softmax, or values [B, K], compared by squared error.
    """

    examples: Callable[[Corpus, C, Conversations], Pool]
    """(corpus, config, talks) -> the student's examples, with what ``Objective.loss`` reads. Those of ``every_turn`` have a row
    for each state of ``talks``, and an array ``supervised`` [B]: 1 where the published loss has the row as an example, else 0."""
    histories: Callable[[Corpus, C, Conversations], Pool]
    """(corpus, config, talks) -> what a teacher reads in the same rows."""
    inputs: Callable[[C, Workload, int], Inputs]
    """(config, work, batch) -> the abstract batch of ``examples``."""
    read: Callable[[C, Workload, int], Inputs]
    """(config, work, batch) -> the abstract batch of ``histories``."""
    student: Callable[[M, Batch, jax.Array], tuple[jax.Array, Batch, Batch]]
    """(model, batch, key) -> (published loss of the supervised rows, metrics, outputs), by one forward pass."""
    teacher: Callable[[M, PyTree, Batch], Batch]
    """(model, item side, histories) -> the same outputs, without dropout."""
    values: Mapping[str, str] = field(default_factory=dict)
    """The outputs that are values, each with the metric that is the number of squared errors in the published loss."""
    every_turn: bool = True
    """Whether the examples are the states of conversations, t = 0 to T."""


@dataclass(frozen=True)
class Training(Generic[M, C]):
    """How an architecture is trained: the published schedule and its examples."""

    stages: tuple[Stage, ...]
    examples: Callable[[Corpus, C, int], Examples]
    """(corpus, config, seed) -> what it trains on and is tested with."""
    turn_encoder: Callable[[RecommenderAssets, C], TurnEncoder] | None = None
    """(assets, config) -> the inputs of a conversation with the trained model; ``None``: ``crjax recommend`` refuses it."""
    checks: Mapping[str, Callable[[M, Batch], Mapping[str, jax.Array]]] = field(default_factory=dict)
    """By objective: (model, batch) -> arrays with a row per example, of which ``Examples.checks`` makes the validation
    figures. Empty: the model is validated by ranking."""
    distillation: Mapping[str, Distillable[M, C]] | str = "states none (Training.distillation)"
    """By objective; or the reason why ``crjax distil`` refuses the architecture."""


@dataclass(frozen=True)
class Spec(Generic[M, C]):
    """An architecture.

    ``cr_jax/models/<folder>/model.py`` defines one or more; ``--model package.module:SPEC`` names one of the user's own.
    """

    name: str
    title: str
    paper: str
    code: str
    """The public implementation and its commit."""
    deviations: tuple[str, ...]
    """Where this model differs from the public implementation."""
    config: type[C]
    """The dataclass of its dimensions."""
    fields: Mapping[str, str]
    """One line of meaning for every configuration key; ``--set`` and errors print it."""
    configure: Callable[[Dataset, Workload], C]
    """(dataset, work) -> dimensions under ``work.preset``; raises ``BadConfig`` for a preset the model cannot honour."""
    build: Callable[[C, nnx.Rngs], M]
    """(config, rngs) -> the module, with its scopes named (``name_scopes``) and its attribute ``config`` set."""
    objectives: Callable[[C], tuple[Objective[M, C], ...]]
    conversation: ConversationalModel[M, C]
    published: Callable[[C], PublicNames]
    """(config) -> the public implementation's variable name: (NNX path as a dotted string, conversion to ours)."""
    paper_count: Callable[[C, int], int | None]
    """(config, trainable) -> parameters by the paper's way of counting; ``None`` if its figure does not follow from the
    public code."""
    scores_subset: bool
    """Whether ``items_scored`` may be below all items."""
    training: Training[M, C] | None = None
    """``None`` for an architecture that is only counted; ``crjax train`` refuses it."""


def names() -> tuple[str, ...]:
    """Names of the architectures in this package."""
    return tuple(sorted(_specs()))


def find(name: str) -> Spec:
    """The architecture ``name``, or ``package.module:SPEC`` from outside the package.

    The second form imports the module and runs its code: such a name must come from the user, never from a document.
    Raises ``UnknownName`` with the nearest legal names, and ``BadConfig`` for a module that gives no ``Spec``.
    """
    if ":" in name:
        found = find_object("model", name, "a cr_jax Spec", lambda value: isinstance(value, Spec), submodule="model")
        return cast(Spec, found)
    specs = _specs()
    if name not in specs:
        raise UnknownName("model", name, specs)
    return specs[name]


def _specs() -> dict[str, Spec]:
    """Every ``Spec`` in ``model.py`` of a folder beside this file, or in a single file there."""
    import cr_jax.models as package

    specs: dict[str, Spec] = {}
    for info in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        module = importlib.import_module(f"{info.name}.model" if info.ispkg else info.name)
        specs.update({value.name: value for value in vars(module).values() if isinstance(value, Spec)})
    return specs


def override(spec: Spec, config: C, settings: Mapping[str, str]) -> C:
    """``config`` with ``--set KEY=VALUE`` applied; a value is read as the field's own type.

    Raises ``BadConfig`` that lists the legal keys, or what is legal for a key.
    """
    known = {f.name: f for f in dataclasses.fields(config)}
    unread = sorted(set(settings) - set(known))
    if unread:
        raise BadConfig(f"{spec.name} reads no configuration key {', '.join(map(repr, unread))}; legal: {', '.join(known)}")
    sizes = {key for key, one in known.items() if one.metadata == OPTIONAL and one.default is None}
    changes = {
        key: read_optional_size(key, text) if key in sizes else read_setting(key, text, getattr(config, key))
        for key, text in settings.items()
    }
    return dataclasses.replace(config, **changes)


def expect_state(state: PyTree, expected: PyTree) -> None:
    """Refuse a conversation state of another model, configuration or batch size (``BadConfig``).

    expected: the shapes of the state that ``start`` makes for this model and batch.
    """
    # Structures of two dataclasses are equal where they have as many fields.
    if type(state) is not type(expected) or jax.tree.structure(state) != jax.tree.structure(expected):
        raise BadConfig(f"turn was given a {type(state).__name__} of another model; legal: the state that start() makes")
    got, want = ([leaf.shape for leaf in jax.tree.leaves(tree)] for tree in (state, expected))
    users = [sorted({shape[0] for shape in shapes}) for shapes in (got, want)]
    if users[0] != users[1]:
        raise BadConfig(f"turn for {users[1][0]} users was given a state of {users[0]}; legal: a state of {users[1][0]} users")
    if got != want:
        raise BadConfig(f"turn was given a state of shapes {got}; this configuration carries {want}")
