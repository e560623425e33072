"""What a model file states about its architecture; everything else works from this alone."""

import dataclasses
import importlib
import importlib.util
import math
import pkgutil
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import optax
from flax import nnx

from cr_jax.catalog.dataset import Dataset
from cr_jax.data.corpus import Corpus
from cr_jax.data.examples.pool import Examples
from cr_jax.data.examples.turn_encoder import TurnEncoder
from cr_jax.data.recommender_assets import RecommenderAssets
from cr_jax.errors import BadConfig, UnknownName
from cr_jax.nn.module import Module
from cr_jax.records import Workload

Inputs = Mapping[str, jax.ShapeDtypeStruct]

#: The largest size of anything: a product of two stays a number of 64 bits, as XLA needs it, with their bytes.
LARGEST = 10**8
#: The most of what a program holds one after the other, such as the passes over an episodic memory.
UNROLLED = 100
_WHOLE = re.compile(r"[+-]?[0-9]{1,30}")
_REAL = re.compile(r"[+-]?([0-9]{1,30}(\.[0-9]{0,30})?|\.[0-9]{1,30})([eE][+-]?[0-9]{1,3})?")


@dataclass(frozen=True)
class Objective:
    """One loss with the parameters it trains; a training step of its own.

    example: what one training example is, in words. batch: the public batch size.
    supervised_turns(config, work): turns one example supervises, ``None`` where the example is not
    made of turns. examples_per_epoch(config, dataset): examples in one pass over the data.
    trains(path, variable): whether this objective updates the variable at that NNX path.
    loss(model, batch, key) -> (scalar, metrics). inputs(config, work, batch): abstract batch.
    optimizer(config): an Optax transformation; with ``shared_counter`` its ``update`` is given the
    keyword ``counter`` (int32 scalar), the count of optimizer steps over all objectives.
    """

    name: str
    example: str
    batch: int
    supervised_turns: Callable[[Any, Workload], float | None]
    examples_per_epoch: Callable[[Any, Dataset], int]
    trains: Callable[[tuple[Any, ...], nnx.Variable[Any]], bool]
    loss: Callable[[Any, dict[str, jax.Array], jax.Array], tuple[jax.Array, dict[str, jax.Array]]]
    optimizer: Callable[[Any], optax.GradientTransformation]
    inputs: Callable[[Any, Workload, int], Inputs]
    shared_counter: bool = False


@dataclass(frozen=True)
class Positions:
    """Padding of one program: word positions that carry text, and positions computed."""

    useful: float
    executed: int


@dataclass(frozen=True)
class Conversation:
    """How a model answers a turn. B users, turns t = 0 (the request q0) to T.

    items(config, work): abstract inputs of ``precompute``, ``None`` when the model has no item side.
    precompute(model, items) -> side: paid once per set of weights.
    start(model, side, batch) -> state: before the request.
    turn(model, side, state, utterance) -> (state, outputs): what is new at turn t only.
    replay(model, side, history) -> outputs: the whole conversation up to turn t again.
    utterance / history(config, work, t, batch): their abstract inputs, at bucketed lengths.
    positions(config, work, t, mode): useful and executed word positions per user.
    outputs: ``item_scores`` [B, items scored] and, where the model has them, ``question_scores``
    [B, aspects] or ``answer_tokens`` [B, words]. state: a pytree of arrays with leading axis B.
    carried: in words, what crosses turns; ``None``: nothing does, turn = replay of the window.
    limits: in words, what of a long history is kept.
    """

    items: Callable[[Any, Workload], Inputs | None]
    precompute: Callable[[Any, dict[str, jax.Array]], Any]
    start: Callable[[Any, Any, int], Any]
    turn: Callable[[Any, Any, Any, dict[str, jax.Array]], tuple[Any, dict[str, jax.Array]]]
    replay: Callable[[Any, Any, dict[str, jax.Array]], dict[str, jax.Array]]
    utterance: Callable[[Any, Workload, int, int], Inputs]
    history: Callable[[Any, Workload, int, int], Inputs]
    positions: Callable[[Any, Workload, int, str], Positions]
    carried: str | None
    limits: str


@dataclass(frozen=True)
class Stage:
    """Part of a training run: ``objectives`` in turn on the same batch, each step of the stage.

    epochs or steps: the published length (one of the two is ``None``). patience: epochs without a
    better validation figure after which the stage ends, ``None``: it does not end early.
    """

    objectives: tuple[str, ...]
    epochs: int | None = None
    steps: int | None = None
    patience: int | None = None


@dataclass(frozen=True)
class Training:
    """How an architecture is trained: the published schedule, stage after stage, and its examples.

    examples(corpus, config, seed): what it trains on and is tested with. voice(catalogue, config): how
    the trained model holds a conversation, ``None``: ``crjax recommend`` refuses it. checks: by objective, the
    forward(model, batch) -> arrays with a row per example that it is validated by (``Examples.checks`` makes
    figures of them); empty: by ranking.
    """

    stages: tuple[Stage, ...]
    examples: Callable[[Corpus, Any, int], Examples]
    voice: Callable[[RecommenderAssets, Any], TurnEncoder] | None = None
    checks: Mapping[str, Callable[[Any, dict[str, jax.Array]], Mapping[str, Any]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Spec:
    """An architecture. ``cr_jax.models.<file>`` defines one or more, ``--model pkg.mod:SPEC`` adds.

    configure(dataset, work) -> config: dimensions for a data set under ``work.preset``; raises
    ``BadConfig`` for a preset the model cannot honour. build(config, rngs) -> the module, scopes
    named (``name_scopes``), attribute ``config`` set. published(config): the public
    implementation's variable name -> (NNX path as dotted string, conversion to ours).
    paper_count(config, trainable): parameters by the paper's way of counting, at this configuration; ``None`` if
    its figure does not follow from the public code. scores_subset: ``items_scored`` may be below all items.
    training: ``None`` for an architecture that is only counted; ``crjax train`` then refuses it.
    fields: one line of meaning for every configuration key (``--set`` and errors print it).
    """

    name: str
    title: str
    paper: str
    code: str
    deviations: tuple[str, ...]
    config: type
    fields: Mapping[str, str]
    configure: Callable[[Dataset, Workload], Any]
    build: Callable[[Any, nnx.Rngs], Module]
    objectives: Callable[[Any], tuple[Objective, ...]]
    conversation: Conversation
    published: Callable[[Any], Mapping[str, tuple[str, Callable[[Any], Any]]]]
    paper_count: Callable[[Any, int], int | None]
    scores_subset: bool
    training: Training | None = None


def names() -> tuple[str, ...]:
    """Names of the architectures in this package, without importing JAX-heavy files twice."""
    return tuple(sorted(_specs()))


def find(name: str) -> Spec:
    """The architecture ``name``, or ``package.module:SPEC`` from outside the package: that imports the module and
    runs its code, so that ``name`` must come from the user, never from a document.

    Raises ``UnknownName`` with the nearest legal names, and ``BadConfig`` for a module that gives no ``Spec``.
    """
    if ":" in name:
        module, _, attribute = name.partition(":")
        if not all(part.isidentifier() for part in (*module.split("."), attribute)):
            raise BadConfig(f"model {name!r}: not a module and a name in it; legal: package.module:SPEC")
        try:
            spec = _attribute(module, attribute)
        except Exception as error:  # of whatever kind: the module's code is the user's
            said = " ".join(str(error).split())[:200]
            raise BadConfig(f"model {name[:100]!r}: {type(error).__name__}: {said}; legal: package.module:SPEC") from error
        if not isinstance(spec, Spec):
            raise BadConfig(f"model {name!r} is a {type(spec).__name__}; legal: a cr_jax Spec")
        return spec
    specs = _specs()
    if name not in specs:
        raise UnknownName("model", name, specs)
    return specs[name]


def _specs() -> dict[str, Spec]:
    import cr_jax.models as package

    found: dict[str, Spec] = {}
    for info in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        module = importlib.import_module(f"{info.name}.model" if info.ispkg else info.name)
        found.update({v.name: v for v in vars(module).values() if isinstance(v, Spec)})
    return found


def _attribute(module: str, name: str) -> Any:
    """``name`` in ``module``; where a folder itself lacks it, in the folder's ``model`` file."""
    found = importlib.import_module(module)
    if not hasattr(found, name) and hasattr(found, "__path__") and importlib.util.find_spec(f"{module}.model"):
        found = importlib.import_module(f"{module}.model")
    return getattr(found, name)


def override(spec: Spec, config: Any, settings: Mapping[str, str]) -> Any:
    """``config`` with ``--set KEY=VALUE`` applied; values are read as the field's own type.

    Raises ``BadConfig`` listing every key the model does not read.
    """
    known = {f.name: f for f in dataclasses.fields(config)}
    unread = sorted(set(settings) - set(known))
    if unread:
        raise BadConfig(f"{spec.name} reads no configuration key {', '.join(map(repr, unread))}; legal: {', '.join(known)}")
    changes: dict[str, Any] = {}
    for key, text in settings.items():
        current = getattr(config, key)
        try:
            changes[key] = _read(text, current)
        except ValueError:
            raise BadConfig(f"{key}={text!r}: legal is a {type(current).__name__}, such as {current}") from None
    return dataclasses.replace(config, **changes)


def _read(text: str, current: Any) -> Any:
    if isinstance(current, bool):
        return (
            {"true": True, "false": False, "1": True, "0": False}.get(text.lower())
            if text.lower() in ("true", "false", "1", "0")
            else _refuse(text)
        )
    if isinstance(current, int | float):
        if not (_WHOLE if isinstance(current, int) else _REAL).fullmatch(text.strip()):
            return _refuse(text)
        value = type(current)(text)
        return value if isinstance(value, int) or math.isfinite(value) else _refuse(text)
    return text


def _refuse(text: str) -> Any:
    raise ValueError(text)


def expect_state(state: Any, expected: Any) -> None:
    """Refuse a conversation state of another model, configuration or batch size (``BadConfig``).

    expected: the shapes of the state that ``start`` makes for this model and batch.
    """
    if jax.tree.structure(state) != jax.tree.structure(expected):
        raise BadConfig(f"turn was given a {type(state).__name__} of another model; legal: the state that start() makes")
    got, want = ([leaf.shape for leaf in jax.tree.leaves(tree)] for tree in (state, expected))
    users = [sorted({shape[0] for shape in shapes}) for shapes in (got, want)]
    if users[0] != users[1]:
        raise BadConfig(f"turn for {users[1][0]} users was given a state of {users[0]}; legal: a state of {users[1][0]} users")
    if got != want:
        raise BadConfig(f"turn was given a state of shapes {got}; this configuration carries {want}")


def positive(**values: float) -> None:
    """Refuse sizes that are not 1 to ``LARGEST``, and rates (floats) that are not above 0 (``BadConfig``), naming the first."""
    for name, value in values.items():
        if isinstance(value, float) and not value > 0:
            raise BadConfig(f"{name}={value}: must be above 0")
        if not isinstance(value, float) and value < 1:
            raise BadConfig(f"{name}={_shown(value)}: must be 1 or more")
        at_most(LARGEST, **{name: value})


def at_most(most: int, **values: float) -> None:
    """Refuse whole numbers above ``most`` (``BadConfig``), naming the first."""
    for name, value in values.items():
        if not isinstance(value, float) and value > most:
            raise BadConfig(f"{name}={_shown(value)}: must be {most:,} or less")


def _shown(value: int) -> str:
    """The number, or how long it is; Python prints no more than 4,300 digits."""
    return str(value) if abs(value) < 10**30 else "a number of more than 30 digits"
