"""MMN and PMMN: multi-memory networks that search an item and choose the next question.

Paper: Zhang et al., "Towards Conversational Search and Recommendation: System Ask, User Respond"
(CIKM 2018). Public code: github.com/evison/Conversational, commit 77a8f20. PMMN is the personalised
model with a user table; MMN drops the user's vector from both heads and the table.

One GRU encodes item descriptions and the query. A description's facts are its states at the "."
positions, up to the *index* of the last one, so that one is a zero vector. The query is the request
and ". aspect value" per turn, padded to a fixed window: word 0 is an ordinary row and *is* encoded,
so the length is always the window's.

Letters: B users, P words of a description, S fact slots, Q words of the query window, L new words,
I items, N items whose memories are averaged, A aspects, E embedding, H hidden.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from cr_jax.data.examples.distilled import SUPERVISED
from cr_jax.errors import BadConfig
from cr_jax.models.mmn.chunks import in_chunks
from cr_jax.models.mmn.config import FIELDS, LONGEST_DESCRIPTION, MmnConfig, PmmnConfig, configure_mmn, configure_pmmn
from cr_jax.models.mmn.examples import distilled_examples, examples, histories, turn_encoder
from cr_jax.models.mmn.layers import Answers, MultiMemory, public_names
from cr_jax.models.spec import ConversationalModel, Distillable, Inputs, Objective, Positions, Spec, Stage, Training, expect_state
from cr_jax.nn.module import name_scopes
from cr_jax.nn.optimizers import tf_adam
from cr_jax.nn.quantised import in_type
from cr_jax.nn.soft_targets import mean_over
from cr_jax.records import Workload, bucket

#: Most bytes of temporaries of a program at the published sizes, by phase: of ``precompute`` beside a
#: copy of its result, of ``infer`` for up to 16 users, however many items there are.
TEMPORARY_BYTES = {"precompute": 32 * 2**20, "infer": 48 * 2**20}


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Side:
    """The item side, computed once per set of weights."""

    facts: Float[Array, "I S H"]
    """The items' facts."""
    shares: Float[Array, "I S H"]
    """The facts' shares of the gate."""
    aspects: Float[Array, "A 2*H"]
    """The aspects' shares of the question head."""


class MMN(MultiMemory):
    """The network at a configuration's sizes; PMMN where the configuration has users."""

    def __init__(self, config: MmnConfig, rngs: nnx.Rngs) -> None:
        users = config.users if isinstance(config, PmmnConfig) else None
        super().__init__(config.words, users, config.embedding, config.hidden, rngs)
        self.config = config


def build(config: MmnConfig, rngs: nnx.Rngs) -> MMN:
    """With the published initialisers: tables uniform in (-1, 1), the rest Glorot uniform, biases
    of gate and heads included; GRU gate bias 1, candidate bias 0.
    """
    return in_type(name_scopes(MMN(config, rngs), "pmmn" if isinstance(config, PmmnConfig) else "mmn"), config.weights)


def ranking_loss(logits: Float[Array, "B 2"]) -> Float[Array, "B"]:
    """``−log σ(s⁺) − log σ(−s⁻)``."""
    return -jax.nn.log_sigmoid(logits[:, 0]) - jax.nn.log_sigmoid(-logits[:, 1])


def loss(model: MMN, batch: dict[str, Array], key: Array) -> tuple[Array, dict[str, Array]]:
    """Mean ranking loss of items plus that of aspects, plus ½·l2·Σw² over the gate's two matrices
    and both heads, biases included; ``key`` is unused (no dropout).
    """
    del key
    return _published(model, model(batch), None)


def _published(model: MMN, scored: Answers, supervised: Array | None) -> tuple[Array, dict[str, Array]]:
    """The loss and its parts. supervised [B]: the rows whose ranking losses count; ``None``: all."""
    search, question = ranking_loss(scored.search.logits), ranking_loss(scored.question.logits)
    regulariser = model.config.l2 * model.regularised() / 2
    metrics = {"search": jnp.mean(search), "question": jnp.mean(question), "regulariser": regulariser}
    return mean_over(search + question, supervised) + regulariser, metrics


def with_logits(model: MMN, batch: dict[str, Array], key: Array) -> tuple[Array, dict[str, Array], dict[str, Array]]:
    """The loss and its parts, and the logits of the whole catalogue and of all aspects after the same queries.

    batch: with the item side's inputs as ``catalogue_words``, ``catalogue_ends`` and ``catalogue_aspects``.
    """
    del key
    scored = model(batch)
    side = precompute(model, {name: batch[f"catalogue_{name}"] for name in ("words", "ends", "aspects")})
    logits = answers(model, side, scored.query, batch.get("user"), lambda x: x)
    return *_published(model, scored, batch[SUPERVISED]), _taught(logits)


def teacher(model: MMN, side: Side, history: dict[str, Array]) -> dict[str, Array]:
    """The logits of all items and of all aspects after a query."""
    return _taught(answers(model, side, model.query(history["query"]), history.get("user"), lambda x: x))


def _taught(logits: dict[str, Array]) -> dict[str, Array]:
    # A logit is log p(item | query) + constant where the ranking loss is least, so that its softmax is the posterior.
    return {"items": logits["item_scores"], "questions": logits["question_scores"]}


def precompute(model: MMN, items: dict[str, Array]) -> Side:
    """Encode the items (``words`` [I, P], ``ends`` [I, S]) and the aspects (word ids [A])."""
    rows = (items["words"], items["ends"])
    facts = in_chunks(lambda part: model.facts(*part), rows, model.config.encode_chunk, axis=0)
    aspects = model.question.share(model.words(items["aspects"]))
    return Side(facts, model.episodic.gate.share(facts), aspects)


def answers(
    model: MMN, side: Side, query: Float[Array, "B H"], users: Array | None, score: Callable[[Array], Array] = jax.nn.log_sigmoid
) -> dict[str, Array]:
    """Scores of all items on the side and of all aspects. score: of a logit."""
    user, n = model.user(users), model.config.question_items

    def scores(part: tuple[Array, Array]) -> Array:
        facts, shares = part
        return score(model.search_items(facts[None], shares[None], query, user)[1].logits)

    chunk = max(1, model.config.score_chunk // query.shape[0])
    items = in_chunks(scores, (side.facts, side.shares), chunk, axis=1)
    common = model.episodic(side.facts[None, :n], side.shares[None, :n], query).memory
    question = model.next_question(common, query, side.aspects[None], user)
    return {"item_scores": items, "question_scores": score(question.logits)}


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class State:
    """The state that is carried between turns."""

    query: Float[Array, "B H"]
    """The query's state at its true length."""
    words: Int[Array, "B"]
    """That length."""
    model: str = field(metadata={"static": True})
    """The model's name: a state of MMN does not fit PMMN."""


def start(model: MMN, side: Side | None, batch: int) -> State:
    """The state of ``batch`` users before their requests."""
    del side
    return State(model.encoder.zeros(batch), jnp.zeros(batch, jnp.int32), model.scope)


def turn(model: MMN, side: Side, state: State, utterance: dict[str, Array]) -> tuple[State, dict[str, Array]]:
    """Answer after new words.

    utterance: ``words`` [B, L], the first ``lengths`` [B] of them new: the request, or ". aspect
    value"; PMMN also ``user`` [B]. A row of length 0 keeps its state. One loop encodes the new words
    and then the rest of the window as padding; the state that is carried is the one between the two.
    """
    words, lengths = utterance["words"], utterance["lengths"]
    batch, longest = words.shape
    expect_state(state, jax.eval_shape(lambda: start(model, side, batch)))
    new = model.encoder.project(model.words(words))
    padding = model.encoder.project(model.words(jnp.zeros((1, 1), jnp.int32)))
    source = jnp.concatenate([new, jnp.broadcast_to(padding, (batch, 1, padding.shape[-1]))], axis=1)
    step = jnp.arange(max(longest, model.config.query_words))
    said = lengths[:, None]
    fresh = step[None] < said
    inputs = jnp.take_along_axis(source, jnp.where(fresh, step, longest)[..., None], axis=1)
    valid = fresh | (state.words[:, None] + step[None] < model.config.query_words)
    outputs, query = model.encoder.unroll(inputs, valid, state.query)
    last = jnp.take_along_axis(outputs, jnp.maximum(lengths - 1, 0)[:, None, None], axis=1)[:, 0]
    reached = jnp.where(lengths[:, None] > 0, last, state.query)
    return State(reached, state.words + lengths, state.model), answers(model, side, query, utterance.get("user"))


def replay(model: MMN, side: Side, history: dict[str, Array]) -> dict[str, Array]:
    """Answer from the whole window: ``query`` [B, Q] word ids, padded with 0; PMMN also ``user``."""
    return answers(model, side, model.query(history["query"]), history.get("user"))


def _ints(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.int32)


def _users(config: MmnConfig, batch: int) -> Inputs:
    return {"user": _ints(batch)} if isinstance(config, PmmnConfig) else {}


def _descriptions(config: MmnConfig, name: str, rows: int) -> Inputs:
    return {f"{name}words": _ints(rows, config.item_words), f"{name}ends": _ints(rows, config.facts)}


def item_inputs(config: MmnConfig, work: Workload) -> Inputs:
    """Descriptions of the items scored, and the aspects' word ids."""
    scored = config.items if work.items_scored is None else work.items_scored
    if scored < config.question_items:
        raise BadConfig(f"question_items={config.question_items}: must be 1 to {scored}, the items scored")
    return {**_descriptions(config, "", scored), "aspects": _ints(config.aspects)}


def batch_inputs(config: MmnConfig, work: Workload, batch: int) -> Inputs:
    """A training batch (see ``MultiMemory``)."""
    del work
    return {
        "query": _ints(batch, config.query_words),
        **_descriptions(config, "positive_", batch),
        **_descriptions(config, "negative_", batch),
        **_descriptions(config, "common_", config.question_items),
        "positive_aspect": _ints(batch),
        "negative_aspect": _ints(batch),
        **_users(config, batch),
    }


def distilled_inputs(config: MmnConfig, work: Workload, batch: int) -> Inputs:
    """A training batch with the whole catalogue, and the rows that the ranking losses are taken of."""
    catalogue = {
        f"catalogue_{name}": one for name, one in item_inputs(config, dataclasses.replace(work, items_scored=None)).items()
    }
    return {**batch_inputs(config, work, batch), SUPERVISED: jax.ShapeDtypeStruct((batch,), jnp.float32), **catalogue}


def history_inputs(config: MmnConfig, work: Workload, t: int, batch: int) -> Inputs:
    """The query window: of one length at every turn, because its padding is encoded."""
    del work, t
    return {"query": _ints(batch, config.query_words), **_users(config, batch)}


def utterance_inputs(config: MmnConfig, work: Workload, t: int, batch: int) -> Inputs:
    """The request, or one turn as ". aspect value"."""
    longest = bucket(work.lengths.turn_words if t else work.lengths.request.p95)
    return {"words": _ints(batch, longest), "lengths": _ints(batch), **_users(config, batch)}


def positions(config: MmnConfig, work: Workload, t: int, mode: str) -> Positions:
    """Query words per user. Both modes loop over the whole window; ``incremental`` projects only the new words."""
    mean = work.lengths
    turn_words = mean.question.mean + mean.answer.mean + 1
    if mode == "replay":
        return Positions(mean.request.mean + t * turn_words, config.query_words)
    longest = utterance_inputs(config, work, t, 1)["words"].shape[1]
    return Positions(turn_words if t else mean.request.mean, max(longest, config.query_words))


def objectives(config: MmnConfig) -> tuple[Objective, ...]:
    """One: both heads feed one loss."""
    del config
    return (
        Objective(
            name="joint",
            example="one conversation prefix with a positive and a negative item and aspect",
            batch=5,
            supervised_turns=lambda config, work: 1.0,
            examples_per_epoch=lambda config, dataset: dataset.turns,
            trains=lambda path, variable: isinstance(variable, nnx.Param),
            loss=loss,
            optimizer=lambda config: tf_adam(config.learning_rate),
            inputs=batch_inputs,
        ),
    )


DISTILLABLE = Distillable(
    distilled_examples,
    histories,
    distilled_inputs,
    lambda config, work, batch: history_inputs(config, work, work.turns, batch),
    with_logits,
    teacher,
)

MMN_SPEC = Spec(
    name="mmn",
    title="MMN",
    paper="Zhang et al., Towards Conversational Search and Recommendation: System Ask, User Respond, CIKM 2018",
    code="github.com/evison/Conversational@77a8f20",
    deviations=(
        "the published code has no MMN: it is PMMN without the user's vector",
        "E = 100 as in the paper's figures; the public default is 40",
        "the common items and the query are encoded once per step, not once per user and head (the same numbers)",
    ),
    config=MmnConfig,
    fields=FIELDS,
    configure=configure_mmn,
    build=build,
    objectives=objectives,
    conversation=ConversationalModel(
        items=item_inputs,
        precompute=precompute,
        start=start,
        turn=turn,
        replay=replay,
        utterance=utterance_inputs,
        history=history_inputs,
        positions=positions,
        carried="the query's state at its true length; item facts are precomputed",
        limits="a conversation: the newest words of the query window in replay, everything in the carried state; "
        f"a description: its first words, {LONGEST_DESCRIPTION} at most",
    ),
    published=lambda config: public_names(users=isinstance(config, PmmnConfig)),
    paper_count=lambda config, trainable: trainable if config.weights == "float32" else None,
    scores_subset=True,
    training=Training((Stage(("joint",), epochs=3),), examples, turn_encoder, distillation={"joint": DISTILLABLE}),
)

PMMN_SPEC = dataclasses.replace(
    MMN_SPEC,
    name="pmmn",
    title="PMMN",
    deviations=(
        "a row for every user; the public loader keeps those of its first 200 pairs, a slice left in",
        *MMN_SPEC.deviations[1:],
    ),
    config=PmmnConfig,
    fields=FIELDS | {"users": "rows U of the user table"},
    configure=configure_pmmn,
)
