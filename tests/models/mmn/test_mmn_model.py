"""MMN and PMMN: sizes from named factors, and incremental answers equal to replayed ones."""

import dataclasses
import itertools
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cr_jax.catalog.dataset import Dataset
from cr_jax.errors import BadConfig
from cr_jax.models.mmn import model as mmn
from cr_jax.records import Lengths, TextLengths, Workload, bucket
from cr_jax.targets.jaxpr import count_jaxpr

WORDS = Lengths(mean=2.5, p50=2, p95=3, max=9)
ITEM = Lengths(mean=60.0, p50=50, p95=200, max=400)
LENGTHS = TextLengths(request=WORDS, question=WORDS, answer=WORDS, item=ITEM, item_sentences=WORDS)
WORK = Workload(turns=3, lengths=LENGTHS, turn_histogram=(1, 1, 1), question_items=4)
PAPER = dataclasses.replace(WORK, preset="paper")
#: Table II: words, users -> MMN, PMMN.
TABLE_II = [
    (309_421, 132, 30_979_543, 31_002_343),
    (263_873, 115, 26_424_743, 26_445_843),
    (122_972, 76, 12_334_643, 12_351_843),
    (51_272, 161, 5_164_643, 5_190_343),
]


def dataset(**paper: int) -> Dataset:
    return Dataset(
        "toy",
        "Toy",
        users=7,
        items=20,
        aspects=5,
        values=6,
        turns=40,
        conversations=18,
        words=50,
        lengths=LENGTHS,
        turn_histogram=(1, 1, 1),
        paper=paper,
        origins={},
    )


def trainable(spec, config) -> int:
    model = nnx.eval_shape(lambda: spec.build(config, nnx.Rngs(0)))
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))


def by_hand(config: mmn.MmnConfig) -> int:
    """Weights from named factors: what feeds what, with its biases."""
    e, h = config.embedding, config.hidden
    users = config.users if isinstance(config, mmn.PmmnConfig) else 0
    user = e if users else 0
    gates_and_candidate = 3

    def gru(inputs: int) -> int:
        return gates_and_candidate * (h * (inputs + h) + h)

    def head(inputs: int, width: int) -> int:
        return (inputs * width + width) + (width * (width // 2) + width // 2) + (width // 2 + 1)

    gate = (3 * h) * h + h + h + 1
    query, memory, aspect = h, h, e
    heads = head(query + memory + user, h) + head(query + memory + aspect + user, 2 * h)
    return (config.words + users) * e + gru(e) + gate + gru(h) + heads


PRECOMPUTE, TURN, REPLAY = nnx.jit(mmn.precompute), nnx.jit(mmn.turn), nnx.jit(mmn.replay)
SIZES = dict(
    words=30, items=9, aspects=6, item_words=14, facts=4, query_words=12, question_items=3, encode_chunk=4, score_chunk=7
)
SMALL = dict(SIZES, embedding=6, hidden=4)
BOTH = [(mmn.MMN_SPEC, mmn.MmnConfig(**SMALL)), (mmn.PMMN_SPEC, mmn.PmmnConfig(**SMALL, users=5))]
#: PMMN differs from MMN in one table: it is slow here, and has quick tests of that table.
both = pytest.mark.parametrize(
    ("spec", "config"), [pytest.param(*BOTH[0], id="mmn"), pytest.param(*BOTH[1], id="pmmn", marks=pytest.mark.slow)]
)


@cache
def built(name):
    """The model with its initial weights, for tests that leave it as it is."""
    return next(spec.build(config, nnx.Rngs(2)) for spec, config in BOTH if spec.name == name)


@pytest.mark.parametrize("size", [{}, dict(embedding=6, hidden=4), dict(embedding=9, hidden=10)])
def test_trainable_parameters(size):
    for spec, config in (
        (mmn.MMN_SPEC, mmn.MmnConfig(**SIZES, **size)),
        (mmn.PMMN_SPEC, mmn.PmmnConfig(**SIZES, **size, users=5)),
    ):
        e, h, w = config.embedding, config.hidden, config.words
        users, user_terms = (5, 3 * e * h) if spec.name == "pmmn" else (0, 0)
        formula = e * (w + users) + 5 * e * h + user_terms + 41 * h**2 // 2 + 14 * h + 3
        assert trainable(spec, config) == by_hand(config) == formula == spec.paper_count(config, formula)


@pytest.mark.parametrize(("words", "users", "plain", "personal"), TABLE_II)
def test_the_papers_figures(words, users, plain, personal):
    data = dataset(mmn_words=words, pmmn_users=users)
    assert trainable(mmn.MMN_SPEC, mmn.configure_mmn(data, PAPER)) == plain
    assert trainable(mmn.PMMN_SPEC, mmn.configure_pmmn(data, PAPER)) == personal


def test_configure():
    config = mmn.configure_pmmn(dataset(), WORK)
    assert (config.words, config.users, config.items, config.aspects, config.embedding) == (50, 7, 20, 5, 100)
    assert (config.item_words, config.facts, config.query_words) == (128, bucket(3), bucket(3 + 3 * (3 + 3 + 1)))
    for configure in (mmn.configure_mmn, mmn.configure_pmmn):
        with pytest.raises(BadConfig, match="no figure"):
            configure(dataset(), PAPER)
    with pytest.raises(BadConfig, match=r"question_items=21: must be 1 to 20"):
        mmn.configure_mmn(dataset(), dataclasses.replace(WORK, question_items=21))
    with pytest.raises(BadConfig, match="an even number"):
        mmn.MmnConfig(**SIZES, hidden=5)
    with pytest.raises(BadConfig, match=r"question_items=4: must be 1 to 3, the items scored"):
        mmn.item_inputs(mmn.configure_mmn(dataset(), WORK), dataclasses.replace(WORK, items_scored=3))


def catalogue(config):
    rng = np.random.default_rng(0)
    words = rng.integers(1, config.words, (config.items, config.item_words))
    ends = np.sort(rng.integers(0, config.item_words, (config.items, config.facts)), axis=1)
    ends[::3, 2:] = 0
    aspects = rng.integers(1, config.words, config.aspects)
    return {k: jnp.asarray(v, jnp.int32) for k, v in (("words", words), ("ends", ends), ("aspects", aspects))}


def talk(config, users):
    """Words of the request and three turns, per user; all of it fits the window."""
    rng = np.random.default_rng(1)
    return [[rng.integers(1, config.words, rng.integers(1, 4)).tolist() for _ in range(4)] for _ in range(users)]


def padded(rows, length):
    return jnp.asarray([[*row, *[0] * (length - len(row))] for row in rows], jnp.int32)


def users_of(config, users):
    return {"user": jnp.arange(users) % 5} if isinstance(config, mmn.PmmnConfig) else {}


@both
def test_incremental_equals_replay_with_users_at_different_turns(spec, config):
    model, said = built(spec.name), talk(config, 3)
    side = PRECOMPUTE(model, catalogue(config))
    state = mmn.start(model, side, 3)
    who = users_of(config, 3)
    with jax.default_matmul_precision("highest"):
        for at in [(0, None, 0), (1, 0, None), (2, 1, 1), (None, 2, 2), (3, 3, 3)]:
            words = [talk[t] if t is not None else [] for talk, t in zip(said, at, strict=True)]
            utterance = {"words": padded(words, 4), "lengths": jnp.asarray([len(w) for w in words], jnp.int32), **who}
            before = state
            state, outputs = TURN(model, side, state, utterance)
            here = np.array([user for user, t in enumerate(at) if t is not None])
            window = [list(itertools.chain(*talk[: (t or 0) + 1])) for talk, t in zip(said, at, strict=True)]
            want = REPLAY(model, side, {"query": padded(window, config.query_words), **who})
            for name in ("item_scores", "question_scores"):
                np.testing.assert_allclose(outputs[name][here], want[name][here], atol=1e-5)
            for user in set(range(3)) - set(here.tolist()):
                np.testing.assert_array_equal(state.query[user], before.query[user])
                assert state.words[user] == before.words[user]
    assert outputs["item_scores"].shape == (3, config.items)
    assert outputs["question_scores"].shape == (3, config.aspects)
    assert np.ptp(outputs["item_scores"]) > 1e-3  # the scores do tell items apart


@both
def test_padding_of_the_query_is_encoded(spec, config):
    model = built(spec.name)
    side, who = PRECOMPUTE(model, catalogue(config)), users_of(config, 3)
    scores = [REPLAY(model, side, {"query": padded([[3, 4]] * 3, n), **who})["item_scores"] for n in (2, 12)]
    assert float(jnp.abs(scores[0] - scores[1]).max()) > 1e-3


@both
def test_chunks_change_nothing(spec, config):
    model = nnx.clone(built(spec.name))
    query = {"query": padded([[3, 4], [5], [6]], config.query_words), **users_of(config, 3)}
    found = []
    for sizes in (dict(encode_chunk=4, score_chunk=7), dict(encode_chunk=100, score_chunk=10_000)):
        model.config = dataclasses.replace(config, **sizes)
        with jax.default_matmul_precision("highest"):
            found.append(REPLAY(model, PRECOMPUTE(model, catalogue(config)), query))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), *found)


def test_only_pmmn_knows_the_user():
    for spec, config in BOTH:
        model = built(spec.name)
        side = PRECOMPUTE(model, catalogue(config))
        query = {"query": padded([[3, 4]] * 3, config.query_words), **users_of(config, 3)}
        scores = REPLAY(model, side, query)["item_scores"]
        assert bool(jnp.allclose(scores[0], scores[1], atol=1e-6)) == (spec.name == "mmn")


def test_pmmn_without_users_is_refused():
    spec, config = BOTH[1]
    model = built(spec.name)
    side = PRECOMPUTE(model, catalogue(config))
    with pytest.raises(BadConfig, match="pmmn was given no users"):
        mmn.replay(model, side, {"query": padded([[3, 4]], config.query_words)})


@pytest.mark.slow
def test_question_score_follows_the_common_items():
    """The mean memory is that of the first ``question_items`` items, by a loop over them."""
    spec, config = BOTH[1]
    model = built(spec.name)
    items = catalogue(config)
    side = mmn.precompute(model, items)
    history = {"query": padded([[3, 4]], config.query_words), "user": jnp.asarray([1])}
    got = REPLAY(model, side, history)["question_scores"]
    query, user = model.query(history["query"]), model.users(history["user"])
    memories = [
        model.episodic(side.facts[None, i : i + 1], side.shares[None, i : i + 1], query).memory[:, 0]
        for i in range(config.question_items)
    ]
    head, mean = model.question, sum(memories) / config.question_items
    for aspect, word in enumerate(np.asarray(items["aspects"])):
        z = jnp.concatenate([query, mean, model.words(jnp.asarray([word])), user], axis=1)
        hidden = jax.nn.elu(jax.nn.elu(z @ head.w1[...] + head.b1[None]) @ head.w2[...] + head.b2[None])
        want = jax.nn.log_sigmoid(hidden @ head.w3[...] + head.b3[None])[0, 0]
        assert float(got[0, aspect]) == pytest.approx(float(want), abs=1e-5)


@both
def test_matmul_flops_of_a_turn_by_hand(spec, config):
    """Every product from named factors: the item side is precomputed, the query is a user's own."""
    config = dataclasses.replace(config, score_chunk=10_000)
    model, users = nnx.clone(built(spec.name)), 2
    model.config = config
    side = PRECOMPUTE(model, catalogue(config))
    query = {"query": jnp.zeros((users, config.query_words), int), **users_of(config, users)}
    e, h, s, a, n, i = (config.embedding, config.hidden, config.facts, config.aspects, config.question_items, config.items)
    u, r_u_c, r_u, half, pair = (e if spec.name == "pmmn" else 0), 3, 2, h // 2, 2

    def recall(items: int) -> int:
        gate = 2 * h * h + items * s * h
        return gate + items * r_u_c * h * h + r_u * h * h + items * h * h  # the last: r·h differs by item

    by_part = {
        "query": config.query_words * r_u_c * (e * h + h * h),
        "recall": recall(i) + recall(n),
        "search": (h + u) * h + i * (h * h + h * half + half),
        "question": (2 * h + u) * 2 * h + a * (2 * h * h + h),
    }
    counted = count_jaxpr(jax.make_jaxpr(lambda q: mmn.replay(model, side, q))(query))
    assert counted.unknown_loops == 0 and counted.matmul_flops == pair * users * sum(by_part.values())


@both
def test_abstract_inputs_run(spec, config):
    """Training, item side and both modes trace at the shapes that the model states."""
    talks, objective = spec.conversation, spec.objectives(config)[0]
    work = dataclasses.replace(WORK, items_scored=7)

    def everything(model, batch, items, history, utterance):
        loss, _ = objective.loss(model, batch, jax.random.key(0))
        side = talks.precompute(model, items)
        state, answered = talks.turn(model, side, talks.start(model, side, 2), utterance)
        return loss, state, answered, talks.replay(model, side, history)

    model = nnx.eval_shape(lambda: spec.build(config, nnx.Rngs(0)))
    for t in range(WORK.turns + 1):
        shapes = [
            objective.inputs(config, work, 3),
            talks.items(config, work),
            talks.history(config, work, t, 2),
            talks.utterance(config, work, t, 2),
        ]
        loss, state, answered, again = nnx.eval_shape(everything, model, *map(dict, shapes))
        assert loss.shape == () and state.query.shape == (2, config.hidden)
        assert answered["item_scores"].shape == again["item_scores"].shape == (2, 7)
        assert talks.positions(config, work, t, "replay").executed == shapes[2]["query"].shape[1]


def test_a_state_of_another_batch_is_refused():
    spec, config = BOTH[0]
    model = spec.build(config, nnx.Rngs(0))
    utterance = {"words": padded([[1]] * 3, 4), "lengths": jnp.ones(3, jnp.int32)}
    with pytest.raises(BadConfig, match=r"3 users was given a state of \[2\]"):
        mmn.turn(model, PRECOMPUTE(model, catalogue(config)), mmn.start(model, None, 2), utterance)
