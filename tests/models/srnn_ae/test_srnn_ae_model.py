"""sRNN-AE: turn by turn against replay, matmuls, objectives, and states that are refused."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from srnn_ae_tiny import SMALL, workload

from cr_jax.errors import BadConfig
from cr_jax.models.srnn_ae import model as srnn_ae
from cr_jax.models.srnn_ae.model import SPEC
from cr_jax.nn.module import Frozen


class Talk:
    """Random conversations: users at different lengths, one with a missing utterance, and mentions
    that appear at different turns, in the first or second utterance, or never."""

    utterances = np.array([9, 6, 3, 1])
    first = np.array([[0, 3, 99], [4, 2, 5], [2, 0, 99], [99, 99, 99]])

    def __init__(self, config, seed=0):
        rng = np.random.default_rng(seed)
        b, c, length = 4, 9, 6
        there = np.arange(c)[None] < self.utterances[:, None]
        self.words = rng.integers(0, config.words, (b, c, length))
        self.lengths = rng.integers(1, length + 1, (b, c)) * there
        self.lengths[0, 5] = 0
        self.senders = np.where(np.arange(c) % 2 == 0, 1.0, -1.0)[None] * there
        bits = rng.integers(0, 2, (b, 3, c, length)).astype(float)
        bits[..., 0] = 1
        after = np.arange(c)[None, None] >= self.first[..., None]
        again = (np.arange(c)[None, None] == self.first[..., None]) | (rng.random((b, 3, c)) < 0.5)
        self.mentions = bits * (after & again & there[:, None])[..., None]
        self.items = np.array([[6, 2, 4], [0, 5, 1], [3, 0, 6], [1, 2, 3]])

    def part(self, begin, end, padded):
        """Utterances [begin, end) as a batch padded to ``padded`` of them."""

        def cut(x, axis):
            x = np.take(x, range(begin, end), axis)
            return np.pad(x, [(0, padded - (end - begin) if a == axis else 0) for a in range(x.ndim)])

        now = self.mentions[:, :, :end].any((2, 3))
        return {
            "words": jnp.asarray(cut(self.words, 1), jnp.int32),
            "lengths": jnp.asarray(cut(self.lengths, 1), jnp.int32),
            "senders": jnp.asarray(cut(self.senders, 1), jnp.float32),
            "mentions": jnp.asarray(cut(self.mentions, 2), jnp.float32),
            "utterances": jnp.asarray(np.clip(self.utterances - begin, 0, end - begin), jnp.int32),
            "items": jnp.asarray(np.where(now, self.items, -1), jnp.int32),
        }


def run(config, seed=0):
    """Outputs of every turn, incremental and replayed."""
    model = SPEC.build(config, nnx.Rngs(seed))
    model.sentiment.initiator_liked.kernel[...] *= 20.0  # so that the dialogue decides
    talk, say = Talk(config, seed), SPEC.conversation
    turn = jax.jit(lambda s, u: say.turn(model, None, s, u))
    replay = jax.jit(lambda h: say.replay(model, None, h))
    state, pairs = say.start(model, None, 4), []
    with jax.default_matmul_precision("highest"):
        for t in range(5):
            end = 1 + 2 * t
            state, outputs = turn(state, talk.part(max(0, end - 2), end, min(end, 2)))
            padded = srnn_ae.shapes.padded_utterances(t)
            pairs.append((outputs, replay(talk.part(0, end, padded))))
    return pairs


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, marks=pytest.mark.slow),
        {"encoder": "table", "new_items_only": True},
        pytest.param({"decoder": True}, marks=pytest.mark.slow),
    ],
)
def test_turn_by_turn_equals_replay_at_every_turn(changes):
    pairs = run(dataclasses.replace(SMALL, **changes))
    for outputs, replayed in pairs:
        assert outputs["item_scores"].shape == (4, SMALL.items)
        np.testing.assert_allclose(outputs["item_scores"], replayed["item_scores"], atol=1e-5)
        assert set(outputs) == ({"item_scores", "answer_tokens"} if changes.get("decoder") else {"item_scores"})
        if "answer_tokens" in outputs:
            np.testing.assert_array_equal(outputs["answer_tokens"], replayed["answer_tokens"])
    scores = np.array([outputs["item_scores"] for outputs, _ in pairs])
    moved = np.abs(np.diff(scores, axis=0)).max(-1) > 1e-6
    # Users who are still talking and have mentioned something move; those who are done stand still.
    np.testing.assert_array_equal(moved[:, 0], [True] * 4)
    np.testing.assert_array_equal(moved[:, 2:], [[True, False], [False, False], [False, False], [False, False]])


def test_the_fork_carries_what_was_said_before_the_mention():
    """Without the fork a slot that is first mentioned at t > 0 would start from an empty history."""
    model = SPEC.build(SMALL, nnx.Rngs(0))
    talk, say = Talk(SMALL), SPEC.conversation
    state, _ = jax.jit(lambda s: say.turn(model, None, s, talk.part(0, 1, 1)))(say.start(model, None, 4))
    emptied = state._replace(memory=state.memory.at[:, 0].set(0.0))
    new = talk.part(1, 3, 2)
    turn = jax.jit(lambda s: say.turn(model, None, s, new)[1]["item_scores"])
    after, lost = turn(state), turn(emptied)
    forked = ((talk.first > 0) & (talk.first < 3)).any(1)
    np.testing.assert_array_equal(np.abs(after - lost).max(-1) > 1e-6, forked)


def test_mentions_in_scores_and_slots():
    model = SPEC.build(SMALL, nnx.Rngs(0))
    ratings = model.ratings(jnp.array([[0.5, 0.25, 0.0]]), jnp.array([[6, 0, -1]]))
    np.testing.assert_array_equal(ratings, [[0.25, 0, 0, 0, 0, 0, 0.5]])
    new = model.only_new(jnp.ones((1, 7)), jnp.array([[True, False, True]]), jnp.array([[6, 0, -1]]))
    np.testing.assert_array_equal(new, [[1, 1, 1, 1, 1, 1, 0]])


def dots(jaxpr, times=1):
    """Multiply-adds of all matrix products, loops multiplied."""
    found = 0
    for e in jaxpr.eqns:
        if e.primitive.name == "dot_general":
            (contracted, _), _ = e.params["dimension_numbers"]
            inner = np.prod([e.invars[0].aval.shape[i] for i in contracted])
            found += times * int(inner * np.prod(e.outvars[0].aval.shape))
        for value in e.params.values():
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                found += dots(inner, times * (e.params["length"] if e.primitive.name == "scan" else 1))
    return found


def test_matmul_work_of_a_turn_and_of_a_replay_from_named_factors():
    c, users, t = dataclasses.replace(SMALL, mentions=2), 3, 2
    model, work, say = SPEC.build(c, nnx.Rngs(0)), workload(), SPEC.conversation

    def gru_work(inputs, hidden, layers, directions, steps):
        sizes = [inputs] + [directions * hidden] * (layers - 1)
        return steps * directions * sum(3 * hidden * (n + hidden) for n in sizes)

    def reads(dialogues, utterances, length, gensen_dialogues):
        words = 2 * c.gensen_hidden
        gensen = gru_work(c.gensen_embedding, c.gensen_hidden, 1, 2, utterances * length) * gensen_dialogues
        sentence = gru_work(words + 1, c.sentence_hidden, 2, 2, utterances * length)
        conversation = gru_work(2 * c.sentence_hidden + 1, c.conversation_hidden, 2, 1, utterances)
        return gensen + dialogues * (sentence + conversation)

    answer = users * (c.mentions * c.conversation_hidden * 3 + 2 * 5 * c.items)
    new = say.utterance(c, work, t, users)
    state = jax.eval_shape(lambda: say.start(model, None, users))
    turn = jax.make_jaxpr(lambda s, u: say.turn(model, None, s, u))(state, new)
    _, u, length = new["words"].shape
    assert dots(turn.jaxpr) == reads(users * (c.mentions + 1), u, length, users) + answer
    history = say.history(c, work, t, users)
    replay = jax.make_jaxpr(lambda h: say.replay(model, None, h))(history)
    _, n, length = history["words"].shape
    assert (u, n) == (2, 6)
    assert dots(replay.jaxpr) == reads(users * c.mentions, n, length, users * c.mentions) + answer


@pytest.mark.parametrize(("encoder", "decoder"), [pytest.param("gensen", True, marks=pytest.mark.slow), ("table", False)])
def test_objectives_train_their_own_part_and_nothing_frozen(encoder, decoder):
    config = dataclasses.replace(SMALL, encoder=encoder, decoder=decoder)
    model = SPEC.build(config, nnx.Rngs(0))
    graph, state = nnx.split(model)
    leaves = nnx.to_flat_state(state)
    trained = {}
    for objective in SPEC.objectives(config):
        rng = np.random.default_rng(0)
        batch = {
            k: jnp.asarray(rng.integers(0, 2, s.shape), s.dtype)
            for k, s in objective.inputs(config, workload(turns=1), 2).items()
        }
        if objective.name != "autorec":
            batch["lengths"] = batch["lengths"] * 0 + 3
            batch["utterances"] = batch["utterances"] * 0 + 4
            batch["senders"] = batch["senders"] * 0 + jnp.array([[1.0, -1.0, 1.0, -1.0]])
        if objective.name == "response":
            tokens = config.words + config.items
            batch["targets"] = jnp.asarray(rng.integers(0, tokens, batch["targets"].shape), jnp.int32)

        def loss(s, objective=objective, batch=batch):
            return objective.loss(nnx.merge(graph, s), batch, jax.random.key(0))[0]

        with jax.numpy_rank_promotion("raise"), jax.numpy_dtype_promotion("strict"):
            gradient = jax.jit(jax.grad(loss))(state)
        named = {p: np.asarray(v[...]) for p, v in nnx.to_flat_state(gradient)}
        mine = {path for path, v in leaves if objective.trains(path, v)}
        trained[objective.name] = {path[0] for path in mine}
        assert not {path for path in mine if not named[path].any()}
        assert all(objective.trains(p, v) or isinstance(v, Frozen) or p[0] not in trained[objective.name] for p, v in leaves)
        if objective.name != "response":
            assert not [p for p in named if p not in mine and named[p].any()]
    assert (trained.pop("sentiment"), trained.pop("autorec")) == ({"sentiment"}, {"autorec"})
    assert trained == ({"response": {"autorec", "hred", "decoder"}} if decoder else {})


def test_dropout_needs_a_key():
    model = SPEC.build(SMALL, nnx.Rngs(0))
    objective, _ = SPEC.objectives(SMALL)
    batch = {k: jnp.ones(s.shape, s.dtype) for k, s in objective.inputs(SMALL, workload(1), 2).items()}
    batch["utterances"] *= 3
    loss = jax.jit(lambda key: objective.loss(model, batch, key)[0])
    a, b, c = (float(loss(key)) for key in (None, None, jax.random.key(0)))
    assert a == b != c


def test_a_state_of_other_users_or_slots_is_refused():
    model, say = SPEC.build(SMALL, nnx.Rngs(0)), SPEC.conversation
    talk = Talk(SMALL)
    with pytest.raises(BadConfig, match="4 users"):
        say.turn(model, None, say.start(model, None, 3), talk.part(0, 1, 1))
    new = talk.part(0, 1, 1)
    new |= {"items": new["items"][:, :2], "mentions": new["mentions"][:, :2]}
    with pytest.raises(BadConfig, match="2 mention slots; legal: 3"):
        say.turn(model, None, say.start(model, None, 4), new)
