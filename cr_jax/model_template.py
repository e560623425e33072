"""A recommender that scores items by the mean of the words said so far.

Every part that you replace by your own is marked CHANGE. ``SPEC`` at the end puts the parts together.

Letters: B batch or users, P words, W width of a word vector, I items.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Int

from cr_jax.catalog.dataset import Dataset
from cr_jax.data.conversation import Conversation
from cr_jax.data.conversations import Conversations, ConversationsInMemory
from cr_jax.data.corpus import PARTS, Corpus
from cr_jax.data.examples.pool import Arrays, Examples, Index, Pool, Shape, padded, ranking, turn_rows
from cr_jax.data.examples.states import Encoded, States, kinds_of
from cr_jax.data.examples.turn_encoder import TurnEncoder
from cr_jax.data.recommender_assets import RecommenderAssets
from cr_jax.errors import BadConfig
from cr_jax.models.spec import ConversationalModel, Inputs, Objective, Positions, Spec, Stage, Training, expect_state, positive
from cr_jax.nn.module import Module, PublicNames, name_scopes, scoped
from cr_jax.records import Workload, bucket

NAME = "model_template"


# CHANGE: the sizes of your model. `crjax profile --set width=64` changes one; FIELDS explains each.
@dataclass(frozen=True)
class Config:
    """Dimensions of the model."""

    words: int
    items: int
    width: int = 32
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        positive(words=self.words, items=self.items, width=self.width, learning_rate=self.learning_rate)


FIELDS = {
    "words": "rows of the word table; row 0 is padding",
    "items": "items scored",
    "width": "length W of a word vector and of an item vector",
    "learning_rate": "Adam's learning rate",
}


def configure(dataset: Dataset, work: Workload) -> Config:
    """The sizes that follow from a data set; ``work`` has the turns, text lengths and preset."""
    if work.preset not in ("published", "matched"):
        raise BadConfig(f"preset {work.preset!r}: {NAME} has no such preset; legal: published, matched")
    return Config(words=dataset.words, items=dataset.items)


# CHANGE: what a conversation carries from turn to turn. Here a turn costs its own words alone, however long the history.
@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class State:
    """The words so far, summed."""

    total: Float[Array, "B W"]
    count: Int[Array, "B"]


# CHANGE: the layers. A Module's `__call__`, and every method marked `scoped`, is a row in the report's table of modules.
class Items(Module):
    """A vector per item."""

    def __init__(self, config: Config, rngs: nnx.Rngs) -> None:
        self.kernel = nnx.Param(nnx.initializers.lecun_normal()(rngs.params(), (config.width, config.items)))

    def __call__(self, query: Float[Array, "B W"]) -> Float[Array, "B I"]:
        """The score of every item."""
        return query @ self.kernel[...]


class Recommender(Module):
    """Words to item scores. `config` is needed by what follows."""

    def __init__(self, config: Config, rngs: nnx.Rngs) -> None:
        self.config = config
        self.table = nnx.Param(nnx.initializers.normal(1.0)(rngs.params(), (config.words, config.width)))
        self.items = Items(config, rngs)

    @scoped
    def read(self, words: Int[Array, "B P"]) -> State:
        """The words, summed; 0 is padding."""
        spoken = words != 0
        vectors = jnp.where(spoken[..., None], self.table[...][words], 0)
        return State(jnp.sum(vectors, axis=1), jnp.sum(spoken, axis=1))

    @scoped
    def add(self, state: State, newest: State) -> State:
        """The words of both."""
        return State(state.total + newest.total, state.count + newest.count)

    def __call__(self, state: State) -> Float[Array, "B I"]:
        """Scores from the mean word vector."""
        number = jnp.maximum(state.count, 1).astype(state.total.dtype)
        return self.items(state.total / number[:, None])


def build(config: Config, rngs: nnx.Rngs) -> Recommender:
    """The model with its first weights, every module named."""
    return name_scopes(Recommender(config, rngs), NAME)


# CHANGE: what a training step minimises. `key` is a random key of the step, such as for dropout.
def loss(model: Recommender, batch: dict[str, Array], key: Array) -> tuple[Array, dict[str, Array]]:
    """(mean cross-entropy of the sought item, figures for the log)."""
    del key
    scores = model(model.read(batch["words"]))
    hits = jnp.mean(jnp.argmax(scores, axis=-1) == batch["target"])
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(scores, batch["target"])), {"accuracy": hits}


def start(model: Recommender, side: None, batch: int) -> State:
    """The state of ``batch`` users before their requests."""
    del side
    return State(jnp.zeros((batch, model.config.width), model.table[...].dtype), jnp.zeros(batch, jnp.int32))


def turn(model: Recommender, side: None, state: State, utterance: dict[str, Array]) -> tuple[State, dict[str, Array]]:
    """Answer from the state and the newest words [B, P]; a row of zeros says nothing."""
    expect_state(state, jax.eval_shape(lambda: start(model, side, utterance["words"].shape[0])))
    state = model.add(state, model.read(utterance["words"]))
    return state, {"item_scores": model(state)}


def replay(model: Recommender, side: None, history: dict[str, Array]) -> dict[str, Array]:
    """Answer from all words so far, read again: what a model without a state pays."""
    del side
    return {"item_scores": model(model.read(history["words"]))}


# CHANGE: shapes of the inputs. Lengths are padded to a bucket, so that few programs serve all lengths.
def _words(work: Workload, t: int) -> int:
    """Words of turn t that 95% of the conversations have at most; turn 0 is the request."""
    return work.lengths.turn_words if t else work.lengths.request.p95


def utterance_inputs(config: Config, work: Workload, t: int, batch: int) -> Inputs:
    """The words of turn t."""
    del config
    return {"words": jax.ShapeDtypeStruct((batch, bucket(_words(work, t))), jnp.int32)}


def history_inputs(config: Config, work: Workload, t: int, batch: int) -> Inputs:
    """The words of all turns up to t."""
    del config
    return {"words": jax.ShapeDtypeStruct((batch, bucket(sum(_words(work, i) for i in range(t + 1)))), jnp.int32)}


def batch_inputs(config: Config, work: Workload, batch: int) -> Inputs:
    """A training batch: a history up to the last turn, and the item that was sought."""
    return {**history_inputs(config, work, work.turns, batch), "target": jax.ShapeDtypeStruct((batch,), jnp.int32)}


def positions(config: Config, work: Workload, t: int, mode: str) -> Positions:
    """Words that are read per user at turn t: those of a mean text, and those computed with the padding."""
    inputs = utterance_inputs if mode == "incremental" else history_inputs
    turns = range(t, t + 1) if mode == "incremental" else range(t + 1)
    mean = work.lengths
    useful = sum(mean.question.mean + mean.answer.mean if i else mean.request.mean for i in turns)
    return Positions(useful, inputs(config, work, t, 1)["words"].shape[1])


# CHANGE: examples for `crjax train`, from conversations about aspects and values. Leave `training` out of SPEC for a model that
# is only counted, and drop everything from here to SPEC.
def _spoken(talk: Conversation, turns: range, index: Index) -> list[int]:
    texts = [f"{talk.turns[t - 1].aspect} {talk.turns[t - 1].value}" if t else talk.request for t in turns]
    return index.encode(" ".join(texts).lower().split())


def _index(words: tuple[str, ...]) -> Index:
    return Index({word: 1 + number for number, word in enumerate(words)}, unknown=len(words) + 1)


def _pool(talks: Conversations, rows: States, index: Index, items: dict[str, int] | None) -> Pool:
    """The states ``rows`` of conversations, each with all words so far; with ``items`` each has its target."""
    fields = (list,) if items is None else (list, int)
    target = () if items is None else (items,)
    states = Encoded(
        talks, rows, lambda talk, t: (_spoken(talk, range(t + 1), index), *(known[talk.item] for known in target)), *fields
    )

    def make(chosen: np.ndarray, shape: Shape, rng: np.random.Generator) -> Arrays:
        del rng  # negatives and noise would be drawn from it
        words, *sought = states.columns(chosen)
        batch = {"words": words.padded(shape[0])}
        return batch | {"target": sought[0].astype(np.int32)} if sought else batch

    lengths = states.lengths()
    return Pool(kinds_of([lengths], len(rows)), make, lengths[:, 0], lambda shape: shape[0], np.broadcast_to(1.0, len(rows)))


def examples(corpus: Corpus, config: Config, seed: int) -> Examples:
    """Every turn from the first on as a training example; every turn, the request included, as a ranking."""
    del seed  # nothing is drawn
    train = corpus.conversations["train"]
    if not train:
        raise BadConfig(f"{corpus.dataset.name}: {NAME} reads turns of aspect and value; legal: aspect-value conversations")
    if len(corpus.items) != config.items:
        raise BadConfig(f"items={config.items}: legal: {len(corpus.items)}, the items of the conversations")
    items, aspects = ({text: n for n, text in enumerate(texts)} for texts in (corpus.items, corpus.aspects))
    index = _index(corpus.words)
    tests = {part: talks for part in PARTS[1:] if (talks := corpus.conversations[part])}
    return Examples(
        pools={"next_item": _pool(train, States(train, first=1), index, items)},
        items=None,
        rankings={
            part: ranking(_pool(talks, turn_rows(talks), index, None), talks, items, aspects) for part, talks in tests.items()
        },
    )


# For `crjax recommend`: the inputs of a conversation with the trained model.
def turn_encoder(assets: RecommenderAssets, config: Config) -> TurnEncoder:
    """The words of each turn; the state holds all of them, so that no conversation is too long."""
    del config
    index = _index(assets.words)

    def one_turn(talk: Conversation, t: int) -> Arrays:
        words = _spoken(talk, range(t, t + 1), index)
        return {"words": padded([words], len(words))}

    return TurnEncoder(
        items=None,
        turn=one_turn,
        past=lambda talk, t: False,
        histories=lambda given: _pool(talks := ConversationsInMemory(given), turn_rows(talks), index, None),
        knows=index.ids.__contains__,
    )


def objectives(config: Config) -> tuple[Objective, ...]:
    """The losses, each a training step of its own."""
    del config
    return (
        Objective(
            name="next_item",
            example="the words so far, the sought item",  # what one example of a batch is
            batch=64,  # --batch changes it
            supervised_turns=lambda config, work: 1.0,  # turns that one example teaches; None: it is not made of turns
            examples_per_epoch=lambda config, dataset: dataset.turns,
            trains=lambda path, variable: isinstance(variable, nnx.Param),  # which weights this loss updates
            loss=loss,
            optimizer=lambda config: optax.adam(config.learning_rate),
            inputs=batch_inputs,
        ),
    )


def published(config: Config) -> PublicNames:
    """Names of the weights in a public implementation, with the conversion of each; empty for a model without one."""
    del config
    return {"table": ("table", lambda array: array), "items": ("items.kernel", lambda array: array)}


SPEC = Spec(
    name=NAME,
    title=NAME,
    paper="none",  # CHANGE: authors, title and arXiv number
    code="none",  # CHANGE: the public implementation and its commit
    deviations=("none",),  # CHANGE: where this model differs from it
    config=Config,
    fields=FIELDS,
    configure=configure,
    build=build,
    objectives=objectives,
    conversation=ConversationalModel(
        items=lambda config, work: None,  # inputs of `precompute`, for a model that encodes item texts once
        precompute=lambda model, items: None,  # the item side, which `turn` and `replay` get as `side`
        start=start,
        turn=turn,
        replay=replay,
        utterance=utterance_inputs,
        history=history_inputs,
        positions=positions,
        carried="the sum of the word vectors and their number",  # None: `turn` reads its window again
        limits="none: every word counts",
    ),
    published=published,
    paper_count=lambda config, trainable: None,  # parameters by the paper's own way of counting
    scores_subset=False,  # True where `items_scored` may be below all items
    training=Training((Stage(("next_item",), epochs=3),), examples, turn_encoder),
)
