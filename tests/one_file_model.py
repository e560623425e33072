"""The text of a sixth model in one file: mean word vector of the conversation times the item vectors."""

MODEL = """
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from cr_jax.models.spec import ConversationalModel, Objective, Positions, Spec, expect_state, positive
from cr_jax.nn.module import Module, name_scopes, scoped
from cr_jax.records import bucket


@dataclass(frozen=True)
class Config:
    words: int
    items: int
    width: int = 7

    def __post_init__(self):
        positive(words=self.words, items=self.items, width=self.width)


class Items(Module):
    def __init__(self, config, rngs):
        self.kernel = nnx.Param(nnx.initializers.normal()(rngs.params(), (config.width, config.items)))

    def __call__(self, x):
        return x @ self.kernel[...]


class Bag(Module):
    def __init__(self, config, rngs):
        self.config = config
        self.table = nnx.Param(nnx.initializers.normal()(rngs.params(), (config.words, config.width)))
        self.items = Items(config, rngs)

    @scoped
    def total(self, words):
        return self.table[...][words].sum(1)


def loss(model, batch, key):
    logits = model.items(model.total(batch["words"]))
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, batch["target"])), {}


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class State:
    total: jax.Array


def start(model, side, batch):
    return State(jnp.zeros((batch, model.config.width)))


def turn(model, side, state, utterance):
    expect_state(state, jax.eval_shape(lambda: start(model, side, utterance["words"].shape[0])))
    state = State(state.total + model.total(utterance["words"]))
    return state, {"item_scores": model.items(state.total)}


def ints(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.int32)


def texts(config, work, t, batch):
    return {"words": ints(batch, bucket(work.lengths.request.p95 + t * work.lengths.turn_words))}


SPEC = Spec(
    name="bag",
    title="Bag of words",
    paper="none",
    code="github.com/nobody/bag@0123456",
    deviations=("none",),
    config=Config,
    fields={"words": "rows of the table", "items": "items scored", "width": "length of a vector"},
    configure=lambda dataset, work: Config(dataset.words, dataset.items),
    build=lambda config, rngs: name_scopes(Bag(config, rngs), "bag"),
    objectives=lambda config: (
        Objective(
            name="next_item",
            example="a conversation",
            batch=4,
            supervised_turns=lambda config, work: 1.0,
            examples_per_epoch=lambda config, dataset: dataset.conversations,
            trains=lambda path, variable: isinstance(variable, nnx.Param),
            loss=loss,
            optimizer=lambda config: optax.sgd(0.1),
            inputs=lambda config, work, batch: {**texts(config, work, work.turns, batch), "target": ints(batch)},
        ),
    ),
    conversation=ConversationalModel(
        items=lambda config, work: None,
        precompute=lambda model, items: None,
        start=start,
        turn=turn,
        replay=lambda model, side, history: turn(model, side, State(0 * model.total(history["words"])), history)[1],
        utterance=lambda config, work, t, batch: {"words": ints(batch, 4)},
        history=texts,
        positions=lambda config, work, t, mode: Positions(3.0, 4 if mode == "incremental" else 8 * (t + 1)),
        carried="the sum of the word vectors",
        limits="none",
    ),
    published=lambda config: {},
    paper_count=lambda config, trainable: None,
    scores_subset=False,
)
"""
