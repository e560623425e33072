"""DMN: a dynamic memory network that answers with an item.

Paper: Kumar et al., "Ask Me Anything: Dynamic Memory Networks for Natural Language Processing"
(arXiv 1506.07285). Public code: github.com/DongjunLee/dmn-tensorflow, commit 09796bda, config
bAbi_task1. Word vectors are inputs, not parameters.

As a recommender, the facts at turn t are the request q0 and turns 1..t, each a sentence that ends
with "."; the question is turn t's (the request itself at t = 0); the answer classes are the items
and a few words. The encoder runs up to the *index* of the last sentence end, so the newest fact is
always the zero vector, as in the public code; padded slots are zero vectors that pass the gate and
the episode GRU like the others.

Letters: B batch, P words of the facts, Q words of the question, L words of one sentence, E word
vector, H hidden, F fact slots, V answer classes.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Float, Int

from cr_jax.data.examples.distilled import SUPERVISED
from cr_jax.models.dmn.config import FIELDS, Config, configure
from cr_jax.models.dmn.examples import distilled_examples, examples, histories, turn_encoder
from cr_jax.models.dmn.layers import EpisodicMemory, InputModule, answer
from cr_jax.models.dmn.paper_count import with_optimizer
from cr_jax.models.spec import ConversationalModel, Distillable, Inputs, Objective, Positions, Spec, Stage, Training, expect_state
from cr_jax.nn.module import Module, PublicNames, name_scopes
from cr_jax.nn.optimizers import tf_adam
from cr_jax.nn.quantised import in_type
from cr_jax.nn.soft_targets import mean_over
from cr_jax.nn.tf_gru import gru_names, until
from cr_jax.records import Workload, bucket


class DMN(Module):
    """Facts and question to logits over the answer classes."""

    def __init__(self, config: Config, rngs: nnx.Rngs) -> None:
        self.config = config
        self.input_module = InputModule(config.embedding, config.hidden, rngs)
        self.episodic = EpisodicMemory(config.hidden, config.hops, rngs)
        self.answer = answer(config, rngs)

    def __call__(
        self, text: Float[Array, "B P E"], ends: Int[Array, "B F"], question: Float[Array, "B Q E"]
    ) -> Float[Array, "B V"]:
        """Logits of V classes for texts of P words with F sentence ends, and questions of Q words."""
        facts = self.input_module(text, ends)
        return self.answer(self.episodic(facts, self.input_module.question(question)).memory)


def build(config: Config, rngs: nnx.Rngs) -> DMN:
    """A DMN with TensorFlow's initialisers (Glorot uniform; GRU gate bias 1, candidate bias 0)."""
    return in_type(name_scopes(DMN(config, rngs), "dmn"), config.weights)


def loss(model: DMN, batch: dict[str, Array], key: Array) -> tuple[Array, dict[str, Array]]:
    """Mean cross-entropy + ½·l2·Σw² over W1, w2 and w_a (its factors or centroids); ``key`` is unused (no dropout)."""
    return with_logits(model, batch, key)[:2]


def with_logits(model: DMN, batch: dict[str, Array], key: Array) -> tuple[Array, dict[str, Array], dict[str, Array]]:
    """The loss and its parts, and the items' logits. supervised [B]: the rows whose cross-entropy counts; absent: all."""
    del key
    logits = model(batch["text"], batch["ends"], batch["question"])
    cross_entropy = mean_over(optax.softmax_cross_entropy_with_integer_labels(logits, batch["target"]), batch.get(SUPERVISED))
    gate = model.episodic.gate
    squares = [jnp.sum(jnp.square(w[...])) for w in (gate.w1, gate.w2, *model.answer.kernels())]
    regulariser = model.config.l2 * sum(squares) / 2
    hits = jnp.mean(jnp.argmax(logits, axis=-1) == batch["target"])
    metrics = {"cross_entropy": cross_entropy, "regulariser": regulariser, "accuracy": hits}
    return cross_entropy + regulariser, metrics, {"items": logits[:, : model.config.items]}


def teacher(model: DMN, side: None, history: dict[str, Array]) -> dict[str, Array]:
    """The items' logits."""
    return {"items": replay(model, side, history)["item_scores"]}


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class State:
    """The state that is carried between turns."""

    encoder: Float[Array, "B H"]
    """The encoder's state before the last sentence end."""
    end: Float[Array, "B E"]
    """The word vector of that sentence end; zero before the request."""
    facts: Float[Array, "B F H"]
    """The facts so far; the newest is zero."""
    turns: Int[Array, "B"]
    """The turns so far, the request included."""


def start(model: DMN, side: None, batch: int) -> State:
    """The state of ``batch`` users before their requests."""
    del side
    c, encoder = model.config, model.input_module.encoder.zeros(batch)
    end = jnp.zeros((batch, c.embedding), encoder.dtype)
    facts = jnp.zeros((batch, c.facts, c.hidden), encoder.dtype)
    return State(encoder, end, facts, jnp.zeros(batch, jnp.int32))


def turn(model: DMN, side: None, state: State, utterance: dict[str, Array]) -> tuple[State, dict[str, Array]]:
    """Answer the newest sentence.

    utterance: ``words`` [B, L, E], the sentence with its "." as the last of ``lengths`` [B] words;
    ``question`` [B, Q, E], zero-padded. Users may be at different turns; a row of length 0 keeps
    its state. A user past the last slot forgets the oldest fact.
    """
    del side
    encoder = model.input_module.encoder
    words, lengths = utterance["words"].astype(encoder.dtype), utterance["lengths"]
    expect_state(state, jax.eval_shape(lambda: start(model, None, words.shape[0])))
    slots = model.config.facts
    spoke, later = lengths > 0, (lengths > 0) & (state.turns > 0)
    # The previous sentence end is encoded only now, when it is no longer the last one; the new end waits.
    fact = jnp.where(later[:, None], encoder.step(state.end, state.encoder), state.encoder)
    words_before_end = until(lengths - 1, words.shape[1] - 1)
    reached = encoder.last(words[:, :-1], words_before_end, fact)

    full = (later & (state.turns >= slots))[:, None, None]
    shifted = jnp.concatenate([state.facts[:, 1:], jnp.zeros_like(state.facts[:, :1])], axis=1)
    facts = jnp.where(full, shifted, state.facts)
    slot = jnp.minimum(state.turns - 1, slots - 2)
    moved, at = later[:, None], slot[:, None]
    here = moved & (jnp.arange(slots)[None] == at)
    facts = jnp.where(here[..., None], fact[:, None], facts)

    newest = jnp.take_along_axis(words, jnp.maximum(lengths - 1, 0)[:, None, None], axis=1)[:, 0]
    end = jnp.where(spoke[:, None], newest, state.end)
    recall = model.episodic(facts, model.input_module.question(utterance["question"]))
    scores = model.answer(recall.memory)[:, : model.config.items]
    return State(reached, end, facts, state.turns + spoke.astype(jnp.int32)), {"item_scores": scores}


def replay(model: DMN, side: None, history: dict[str, Array]) -> dict[str, Array]:
    """Answer from the whole text so far: ``text``, ``ends`` and ``question`` as in training."""
    del side
    logits = model(history["text"], history["ends"], history["question"])
    return {"item_scores": logits[:, : model.config.items]}


def _sentence(work: Workload, t: int) -> int:
    """Padded words of sentence t with its end."""
    return bucket(work.lengths.turn_words if t else work.lengths.request.p95 + 1)


def _question(work: Workload, t: int) -> int:
    return bucket(work.lengths.question.p95 if t else work.lengths.request.p95)


def _text(work: Workload, t: int) -> int:
    return bucket(work.lengths.request.p95 + 1 + t * work.lengths.turn_words)


def _vectors(config: Config, work: Workload, batch: int, words: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((batch, words, config.embedding), jnp.dtype(work.dtype))


def history_inputs(config: Config, work: Workload, t: int, batch: int) -> Inputs:
    """The facts text up to turn t, its sentence ends and the question."""
    return {
        "text": _vectors(config, work, batch, _text(work, t)),
        "ends": jax.ShapeDtypeStruct((batch, config.facts), jnp.int32),
        "question": _vectors(config, work, batch, _question(work, t)),
    }


def batch_inputs(config: Config, work: Workload, batch: int) -> Inputs:
    """A training batch, padded to the last turn."""
    return {
        **history_inputs(config, work, work.turns, batch),
        "question": _vectors(config, work, batch, max(_question(work, 0), _question(work, 1))),
        "target": jax.ShapeDtypeStruct((batch,), jnp.int32),
    }


def distilled_inputs(config: Config, work: Workload, batch: int) -> Inputs:
    """A training batch with the rows that the cross-entropy is taken of."""
    return {**batch_inputs(config, work, batch), SUPERVISED: jax.ShapeDtypeStruct((batch,), jnp.float32)}


def read_inputs(config: Config, work: Workload, batch: int) -> Inputs:
    """A training batch without targets."""
    return {name: one for name, one in batch_inputs(config, work, batch).items() if name != "target"}


def utterance_inputs(config: Config, work: Workload, t: int, batch: int) -> Inputs:
    """Sentence t, its length and the question."""
    return {
        "words": _vectors(config, work, batch, _sentence(work, t)),
        "lengths": jax.ShapeDtypeStruct((batch,), jnp.int32),
        "question": _vectors(config, work, batch, _question(work, t)),
    }


def positions(config: Config, work: Workload, t: int, mode: str) -> Positions:
    """Words encoded per user: of the facts text (all of it, or the new sentence) and the question."""
    del config
    mean = work.lengths
    sentence = mean.question.mean + mean.answer.mean + 1 if t else mean.request.mean + 1
    question = mean.question.mean if t else mean.request.mean
    if mode == "incremental":
        return Positions(sentence + question, _sentence(work, t) + _question(work, t))
    text = mean.request.mean + 1 + t * (mean.question.mean + mean.answer.mean + 1)
    return Positions(text + question, _text(work, t) + _question(work, t))


def published(config: Config) -> PublicNames:
    """Names in the public TensorFlow graph; the gate's matrices are transposed there."""
    theirs, gate = "episodic-memory-module", "episodic.gate"
    full = config.item_rank is None and config.item_codes is None
    return {
        **gru_names("input-module/encoder/multi_rnn_cell/cell_0/gru_cell", "input_module.encoder"),
        f"{theirs}/w1": (f"{gate}.w1", lambda w: w.T),
        f"{theirs}/b1": (f"{gate}.b1", lambda w: w.reshape(-1)),
        f"{theirs}/w2": (f"{gate}.w2", lambda w: w.T),
        f"{theirs}/b2": (f"{gate}.b2", lambda w: w.reshape(-1)),
        **gru_names(f"{theirs}/memory-update/episode_rnn", "episodic.episode"),
        **gru_names(f"{theirs}/memory_rnn", "episodic.memory"),
        **({"answer-module/w_a": ("answer.kernel", lambda w: w)} if full else {}),
    }


def objectives(config: Config) -> tuple[Objective, ...]:
    """One: the answer."""
    del config
    return (
        Objective(
            name="answer",
            example="facts so far, question, answer",
            batch=16,
            supervised_turns=lambda config, work: 1.0,
            examples_per_epoch=lambda config, dataset: dataset.turns,
            trains=lambda path, variable: isinstance(variable, nnx.Param),
            loss=loss,
            optimizer=lambda config: tf_adam(config.learning_rate),
            inputs=batch_inputs,
        ),
    )


DISTILLABLE = Distillable(distilled_examples, histories, distilled_inputs, read_inputs, with_logits, teacher)

SPEC = Spec(
    name="dmn",
    title="DMN",
    paper="Kumar et al., Ask Me Anything: Dynamic Memory Networks for Natural Language Processing, arXiv 1506.07285",
    code="github.com/DongjunLee/dmn-tensorflow@09796bda",
    deviations=(
        "answers are items (and a few words) instead of bAbI words; facts are the request and the turns",
        "the episode GRU's input projection is computed once for all hops (the same numbers)",
    ),
    config=Config,
    fields=FIELDS,
    configure=configure,
    build=build,
    objectives=objectives,
    conversation=ConversationalModel(
        items=lambda config, work: None,
        precompute=lambda model, items: None,
        start=start,
        turn=turn,
        replay=replay,
        utterance=utterance_inputs,
        history=history_inputs,
        positions=positions,
        carried="the encoder's state before the last sentence end, and the facts",
        limits="the newest facts, one slot per turn and one for the request",
    ),
    published=published,
    paper_count=lambda config, trainable: with_optimizer(trainable) if config.weights == "float32" else None,
    scores_subset=False,
    training=Training((Stage(("answer",), steps=100_000),), examples, turn_encoder, distillation={"answer": DISTILLABLE}),
)
