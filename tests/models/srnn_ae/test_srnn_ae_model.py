"""sRNN-AE: parameter counts, turn by turn against replay, objectives, shapes, refusals."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cr_jax.errors import BadConfig
from cr_jax.models.srnn_ae import model as srnn_ae
from cr_jax.models.srnn_ae.model import SPEC, Config
from cr_jax.nn.module import Frozen, module_paths
from cr_jax.records import Lengths, TextLengths, Workload

SMALL = Config(
    items=7,
    words=13,
    gensen_embedding=3,
    gensen_hidden=2,
    embedding=3,
    sentence_hidden=3,
    conversation_hidden=4,
    autorec_layers="5",
    mentions=3,
    decoder_hidden=4,
    response_words=3,
)


def workload(turns=4, **changes):
    def about(mean):
        return Lengths(mean=mean, p50=int(mean), p95=int(2 * mean), max=int(4 * mean))

    lengths = TextLengths(about(5.0), about(1.5), about(2.0), about(40.0), about(4.0))
    return Workload(turns=turns, lengths=lengths, turn_histogram=(3, 2, 0, 1, 2), **changes)


@dataclasses.dataclass(frozen=True)
class Data:
    items: int = 31
    words: int = 17
    conversations: int = 20
    users: int = 11


def sizes(config):
    """Elements of every leaf, without allocating them."""
    model = nnx.eval_shape(lambda: srnn_ae.build(config, nnx.Rngs(0)))
    return {".".join(map(str, path)): (v, int(np.prod(v.shape))) for path, v in nnx.to_flat_state(nnx.state(model))}


def gru(inputs, hidden, directions=1):
    gates, biases = 3, 6
    return directions * (gates * hidden * (inputs + hidden) + biases * hidden)


def total(config, root, frozen=False):
    return sum(n for path, (v, n) in sizes(config).items() if path.startswith(root) and isinstance(v, Frozen) == frozen)


@pytest.mark.parametrize(("items", "words"), [(9292, 15005), (53278, 100)])
def test_published_parameter_counts(items, words):
    h, bit, sender, two = 512, 1, 1, 2

    def sentence(d):
        return gru(d + bit, h, two) + gru(two * h, h, two)

    conversation = gru(two * h + sender, h) + gru(h, h)
    heads = two * (h + 1) * (1 + 3 + 3)
    autorec = 1000 * items + 1000 + 1000 * items + items
    config = Config(items=items, words=words)
    assert sentence(2048) + conversation == total(config, "sentiment.encoder") == 16_538_112
    assert heads == total(config, "sentiment") - total(config, "sentiment.encoder") == 7_182
    assert autorec == total(config, "autorec") == 2001 * items + 1000
    gensen = words * 512 + gru(512, 1024, two)
    assert gensen == total(config, "sentiment.words", frozen=True) == total(config, "", frozen=True)
    table = dataclasses.replace(config, encoder="table")
    assert sentence(300) + conversation + heads + 300 * words == total(table, "sentiment")
    assert total(table, "") == 11_175_438 + 300 * words + autorec
    assert total(table, "", frozen=True) == 0
    decoder = dataclasses.replace(config, decoder=True)
    x = 256
    hred = gru(2048, x, two) + gru(two * x + sender, x)
    switching = words * 512 + gru(512, x) + (x + 1) * words + (two * x + 1)
    assert (total(decoder, "hred"), total(decoder, "decoder")) == (hred, switching)


def test_counts_of_the_public_implementation(shared):
    want = json.loads(shared("reference/counts.json").read_text())["sRNN_AE"]
    gensen, parts = Config(items=11), want["sentiment_2048_parts"]
    table = Config(items=9292, encoder="table", decoder=True)
    assert total(gensen, "sentiment.encoder.sentence_encoder") == parts["sentence_encoder"]
    assert total(gensen, "sentiment.encoder.conversation_encoder") == parts["conversation_encoder"]
    assert total(gensen, "sentiment") == want["sentiment_2048_gensen_frozen_excluded"]
    assert total(gensen, "autorec") == want["AutoRec"]["movies11_hidden1000"]
    assert total(table, "sentiment") == want["sentiment_embedding300"]["total_V15005"]
    assert total(table, "autorec") == want["AutoRec"]["movies9292_hidden1000"]
    assert total(table, "decoder") == want["switching_decoder_V15005"]
    assert total(Config(items=11, decoder=True), "hred") == want["recommender_HRNN_256_1layer_2048"]
    assert total(dataclasses.replace(gensen, autorec_layers="7"), "autorec") == want["AutoRec"]["movies11_hidden7"]


@pytest.mark.parametrize("encoder", ["gensen", "table"])
@pytest.mark.parametrize("decoder", [False, True])
def test_published_names_reach_every_leaf_once(encoder, decoder):
    config = dataclasses.replace(SMALL, encoder=encoder, decoder=decoder, autorec_layers="5,4")
    paths = [path for path, _ in SPEC.published(config).values()]
    assert sorted(paths) == sorted(sizes(config))
    for name, (path, convert) in SPEC.published(config).items():
        turned = "weight" in name and "embedding" not in name
        assert convert(np.zeros((2, 3))).shape == ((3, 2) if turned else (2, 3)), path


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


def test_public_batches_and_examples():
    sentiment, autorec = SPEC.objectives(SMALL)
    assert (sentiment.batch, autorec.batch) == (16, 64)
    # Dialogues of 1, 1, 1, 2, 2, 4, 5, 5 pairs, cut at T = 4.
    assert sentiment.supervised_turns(SMALL, workload()) == (3 * 1 + 2 * 2 + 4 + 2 * 4) / 8
    assert autorec.supervised_turns(SMALL, workload()) is None
    assert (sentiment.examples_per_epoch(SMALL, Data()), autorec.examples_per_epoch(SMALL, Data())) == (60, 11)


def test_dropout_needs_a_key():
    model = SPEC.build(SMALL, nnx.Rngs(0))
    objective, _ = SPEC.objectives(SMALL)
    batch = {k: jnp.ones(s.shape, s.dtype) for k, s in objective.inputs(SMALL, workload(1), 2).items()}
    batch["utterances"] *= 3
    loss = jax.jit(lambda key: objective.loss(model, batch, key)[0])
    a, b, c = (float(loss(key)) for key in (None, None, jax.random.key(0)))
    assert a == b != c


def test_padded_shapes_and_word_positions():
    config, work, say = SMALL, workload(), SPEC.conversation
    request, pair = 5 + 2, (1.5 + 2) + (2 + 2)
    assert say.utterance(config, work, 0, 9)["mentions"].shape == (9, 3, 1, 12)
    assert say.utterance(config, work, 3, 9)["words"].shape == (9, 2, 6)
    history = say.history(config, work, 3, 9)
    assert history["mentions"].shape == (9, 3, 8, 12) and history["items"].shape == (9, 3)
    replay, new = (say.positions(config, work, 3, mode) for mode in ("replay", "incremental"))
    assert (replay.useful, replay.executed) == (3 * (request + 3 * pair), 3 * 8 * 12)
    assert (new.useful, new.executed) == (4 * pair, 4 * 2 * 6)
    assert say.history(config, workload(19), 19, 1)["words"].shape[1] == 40
    assert say.items(config, work) is None


def test_presets():
    assert SPEC.configure(Data(), workload()) == Config(items=31, words=15_005)
    assert SPEC.configure(Data(), workload(preset="matched")) == Config(items=31, words=17)
    with pytest.raises(BadConfig, match="legal: published, matched"):
        SPEC.configure(Data(), workload(preset="paper"))
    with pytest.raises(BadConfig, match=r"turns=20.*at most 19"):
        SPEC.configure(Data(), workload(turns=20))
    with pytest.raises(BadConfig, match=r"items_scored=5.*31"):
        SPEC.configure(Data(), workload(items_scored=5))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoder": "bert"}, "legal: gensen, table"),
        ({"mentions": 0}, "mentions=0"),
        ({"dropout": 1.0}, "dropout=1.0"),
        ({"decoder": True, "words": 5}, "legal: 6 or more"),
        ({"autorec_layers": "x"}, "autorec_layers='x'"),
    ],
)
def test_bad_dimensions_are_refused(change, message):
    with pytest.raises(BadConfig, match=message):
        SPEC.build(dataclasses.replace(SMALL, **change), nnx.Rngs(0))


def test_a_state_of_other_users_or_slots_is_refused():
    model, say = SPEC.build(SMALL, nnx.Rngs(0)), SPEC.conversation
    talk = Talk(SMALL)
    with pytest.raises(BadConfig, match="4 users"):
        say.turn(model, None, say.start(model, None, 3), talk.part(0, 1, 1))
    new = talk.part(0, 1, 1)
    new |= {"items": new["items"][:, :2], "mentions": new["mentions"][:, :2]}
    with pytest.raises(BadConfig, match="2 mention slots; legal: 3"):
        say.turn(model, None, say.start(model, None, 4), new)


def test_every_module_has_its_own_row():
    paths = set(module_paths(SPEC.build(SMALL, nnx.Rngs(0))))
    leaves = {"sentiment.words.gru.forward.0", "sentiment.encoder.sentence_encoder.backward.1", "autorec.decoder"}
    assert leaves | {"srnn_ae", "sentiment.words", "sentiment.initiator_liked", "autorec.encoder.0"} <= paths
    assert set(SPEC.fields) == {f.name for f in dataclasses.fields(Config)}
