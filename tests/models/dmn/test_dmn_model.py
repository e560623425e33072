"""DMN: sizes from named factors, and incremental answers equal to replayed ones."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cr_jax.catalog.dataset import Dataset
from cr_jax.errors import BadConfig
from cr_jax.models.dmn import model as dmn
from cr_jax.models.spec import override
from cr_jax.records import Lengths, TextLengths, Workload, bucket, plain
from cr_jax.targets.jaxpr import count_jaxpr

WORDS = Lengths(mean=3.5, p50=3, p95=5, max=9)
LENGTHS = TextLengths(request=WORDS, question=WORDS, answer=WORDS, item=WORDS, item_sentences=WORDS)
WORK = Workload(turns=3, lengths=LENGTHS, turn_histogram=(1, 1, 1))
#: Table II's DMN column and the classes that give it.
TABLE_II = {84_313: 8_177_095, 60_555: 5_896_327, 53_949: 5_262_151, 9_340: 979_687}


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


def trainable(config: dmn.Config) -> int:
    model = nnx.eval_shape(lambda: dmn.build(config, nnx.Rngs(0)))
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))


def by_hand(config: dmn.Config) -> dict[str, int]:
    """Weights from named factors: what feeds what, with its biases."""
    e, h, v = config.embedding, config.hidden, config.classes
    gates_and_candidate, features = 3, 7
    return {
        "encoder_gru": gates_and_candidate * (h * (e + h) + h),
        "attention_w1_b1_w2_b2": h * features * h + h + h + 1,
        "episode_rnn": gates_and_candidate * (h * (h + h) + h),
        "memory_rnn": gates_and_candidate * (h * (h + h) + h),
        "w_a": h * v,
    }


@pytest.mark.parametrize("size", [{}, dict(embedding=10, hidden=8), dict(embedding=7, hidden=5, hops=1)])
def test_trainable_parameters(size):
    config = dmn.Config(classes=13, items=10, facts=5, **size)
    e, h, v = config.embedding, config.hidden, config.classes
    formula = 3 * e * h + 22 * h**2 + 11 * h + 1 + h * v
    assert trainable(config) == sum(by_hand(config).values()) == formula


def test_public_counts(shared):
    counts = json.loads(shared("reference/counts.json").read_text())["DMN"]
    for key, classes in (("V100", 100), ("V9340", 9340)):
        config = dmn.Config(classes=classes, items=50, facts=5)
        assert trainable(config) == counts[key]["trainable"]
        assert dmn.SPEC.paper_count(config, trainable(config)) == counts[key]["global_"]
    parts = by_hand(dmn.Config(classes=9340, items=9000, facts=5))
    assert all(parts[name] == want for name, want in counts["parts"].items() if name != "w_a")


@pytest.mark.parametrize(("classes", "figure"), TABLE_II.items())
def test_the_papers_figures(classes, figure):
    config = dmn.configure(dataset(dmn_classes=classes), Workload(3, LENGTHS, (1,), preset="paper"))
    assert dmn.SPEC.paper_count(config, trainable(config)) == figure


def test_configure():
    config = dmn.configure(dataset(), WORK)
    assert (config.classes, config.items, config.facts, config.embedding) == (20 + 150, 20, 3 + 1, 50)
    with pytest.raises(BadConfig, match="no DMN figure"):
        dmn.configure(dataset(), Workload(3, LENGTHS, (1,), preset="paper"))
    with pytest.raises(BadConfig, match=r"classes=9: .*legal: 10"):
        dmn.Config(classes=9, items=10, facts=3)
    with pytest.raises(BadConfig, match="hidden=0"):
        dmn.Config(classes=9, items=9, facts=3, hidden=0)


TURN = nnx.jit(lambda model, state, utterance: dmn.turn(model, None, state, utterance))
REPLAY = nnx.jit(lambda model, history: dmn.replay(model, None, history))
CONFIG = dmn.Config(classes=13, items=10, facts=4, embedding=6, hidden=5)


@pytest.fixture(scope="module")
def model():
    return dmn.build(CONFIG, nnx.Rngs(3))


def talk(seed: int, users: int = 3, turns: int = 4):
    """Sentences and questions of random words: [user][turn] -> [words, E]."""
    rng = np.random.default_rng(seed)

    def words(longest: int):
        return rng.normal(size=(rng.integers(1, longest), CONFIG.embedding))

    def text(longest: int):
        return [[words(longest) for _ in range(turns)] for _ in range(users)]

    return text(6), text(4)


def padded(rows, length):
    out = np.zeros((len(rows), length, CONFIG.embedding), np.float32)
    for row, words in zip(out, rows, strict=True):
        row[: len(words)] = words
    return jnp.asarray(out)


def replayed(model, sentences, questions, at):
    """Scores of each user at its own turn ``at[user]`` from the whole text."""
    texts = [np.concatenate(s[: t + 1]) for s, t in zip(sentences, at, strict=True)]
    ends = np.zeros((len(at), CONFIG.facts), np.int32)
    for row, said, t in zip(ends, sentences, at, strict=True):
        row[: t + 1] = np.cumsum([len(s) for s in said[: t + 1]]) - 1
    asked = [q[t] for q, t in zip(questions, at, strict=True)]
    history = {"text": padded(texts, 24), "ends": jnp.asarray(ends), "question": padded(asked, 4)}
    return REPLAY(model, history)["item_scores"]


def said(sentences, questions, at):
    """The utterance of every user at its turn; ``None`` is a padded row."""
    nothing = np.zeros((0, CONFIG.embedding))
    words = [s[t] if t is not None else nothing for s, t in zip(sentences, at, strict=True)]
    asked = [q[t] if t is not None else nothing for q, t in zip(questions, at, strict=True)]
    lengths = jnp.asarray([len(w) for w in words], jnp.int32)
    return {"words": padded(words, 6), "lengths": lengths, "question": padded(asked, 4)}


def test_incremental_equals_replay_at_every_turn(model):
    sentences, questions = talk(0)
    state = dmn.start(model, None, 3)
    with jax.default_matmul_precision("highest"):
        for t in range(CONFIG.facts):
            state, outputs = TURN(model, state, said(sentences, questions, [t] * 3))
            want = replayed(model, sentences, questions, [t] * 3)
            np.testing.assert_allclose(outputs["item_scores"], want, atol=1e-5)
    assert outputs["item_scores"].shape == (3, CONFIG.items)


def test_users_at_different_turns_and_padded_rows(model):
    sentences, questions = talk(1)
    schedule = [(0, None, 0), (1, 0, None), (2, 1, 1), (None, None, 2), (3, 2, None)]
    state, seen = dmn.start(model, None, 3), 0
    with jax.default_matmul_precision("highest"):
        for at in schedule:
            before = state
            state, outputs = TURN(model, state, said(sentences, questions, at))
            here = [user for user, t in enumerate(at) if t is not None]
            want = replayed(model, sentences, questions, [t or 0 for t in at])
            np.testing.assert_allclose(outputs["item_scores"][np.array(here)], want[np.array(here)], atol=1e-5)
            for user in set(range(3)) - set(here):
                jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[user], b[user]), before, state)  # noqa: B023
            seen += len(here)
    assert seen == 10 and state.turns.tolist() == [4, 3, 3]


def test_past_the_last_slot_the_oldest_fact_goes(model):
    sentences, questions = talk(2, users=1, turns=6)
    state, facts = dmn.start(model, None, 1), []
    for t in range(6):
        state, outputs = TURN(model, state, said(sentences, questions, [t]))
        facts.append(np.asarray(state.facts[0]))
    np.testing.assert_array_equal(facts[4][:2], facts[3][1:3])
    np.testing.assert_array_equal(facts[5][:2], facts[4][1:3])
    assert not facts[5][-1].any() and facts[5][2].any() and np.isfinite(outputs["item_scores"]).all()


def test_a_padded_slot_is_not_masked(model):
    """Fewer slots give other scores: zero facts pass the gate and the episode GRU."""
    _, questions = talk(3, users=1)
    words = [np.ones((8, CONFIG.embedding))]
    history = {"text": padded(words, 8), "ends": jnp.asarray([[3, 7, 0, 0]]), "question": padded(questions[0][:1], 4)}
    scores = REPLAY(model, history)["item_scores"]
    fewer = REPLAY(model, history | {"ends": jnp.asarray([[3, 7]])})["item_scores"]
    assert float(jnp.abs(scores - fewer).max()) > 1e-4


def test_matmul_flops_by_hand(model):
    """Every product from named factors; the episode's input half once for all hops."""
    batch, words, asked = 2, 9, 4
    shapes = [(batch, words, CONFIG.embedding), (batch, CONFIG.facts), (batch, asked, CONFIG.embedding)]
    inputs = [jnp.zeros(shapes[0]), jnp.zeros(shapes[1], int), jnp.zeros(shapes[2])]
    e, h, v, f, hops, pair = CONFIG.embedding, CONFIG.hidden, CONFIG.classes, CONFIG.facts, CONFIG.hops, 2
    r_u_c, features = 3, 7
    by_part = {
        "encoder": (words + asked) * r_u_c * (e * h + h * h),
        "gate": hops * f * (features * h * h + h),
        "episode": f * r_u_c * h * h + hops * f * r_u_c * h * h,
        "memory": hops * r_u_c * (h * h + h * h),
        "answer": h * v,
    }
    counted = count_jaxpr(jax.make_jaxpr(model)(*inputs))
    assert counted.unknown_loops == 0 and counted.matmul_flops == pair * batch * sum(by_part.values())


def test_states_of_others_are_refused(model):
    sentences, questions = talk(4)
    with pytest.raises(BadConfig, match=r"3 users was given a state of \[2\]"):
        dmn.turn(model, None, dmn.start(model, None, 2), said(sentences, questions, [0] * 3))


@pytest.mark.parametrize("t", range(WORK.turns + 1))
def test_executed_positions_are_those_of_the_inputs(t):
    for mode, inputs in (("replay", dmn.history_inputs), ("incremental", dmn.utterance_inputs)):
        shapes, positions = inputs(CONFIG, WORK, t, 2), dmn.positions(CONFIG, WORK, t, mode)
        text = shapes["text" if mode == "replay" else "words"].shape[1]
        assert positions.executed == text + shapes["question"].shape[1]
        assert 0 < positions.useful < positions.executed
    assert dmn.history_inputs(CONFIG, WORK, t, 2)["text"].shape == (2, bucket(5 + 1 + t * (5 + 5 + 1)), 6)


RANK, CODES, CENTROIDS = 2, 5, 3
COMPRESSED = [
    (dict(item_rank=RANK), RANK * (CONFIG.hidden + CONFIG.classes)),
    (dict(item_codes=CODES, item_centroids=CENTROIDS), CONFIG.hidden * CENTROIDS),
]


@pytest.mark.parametrize(("choice", "table"), COMPRESSED)
def test_a_compressed_table_by_hand(choice, table):
    """Only the answer's weights and products change, and the public code has no name for them."""
    config = dataclasses.replace(CONFIG, **choice)
    assert trainable(config) == trainable(CONFIG) - CONFIG.hidden * CONFIG.classes + table
    assert set(dmn.published(CONFIG)) - set(dmn.published(config)) == {"answer-module/w_a"}
    batch = 2
    full, model = (dmn.build(c, nnx.Rngs(0)) for c in (CONFIG, config))
    inputs = [
        jnp.zeros((batch, 9, CONFIG.embedding)),
        jnp.zeros((batch, CONFIG.facts), int),
        jnp.zeros((batch, 4, CONFIG.embedding)),
    ]
    before, after = (count_jaxpr(jax.make_jaxpr(m)(*inputs)).matmul_flops for m in (full, model))
    assert before - after == 2 * batch * (CONFIG.hidden * CONFIG.classes - table)


def test_the_regulariser_of_a_compressed_table_is_that_of_what_is_trained():
    model = dmn.build(dataclasses.replace(CONFIG, item_rank=RANK), nnx.Rngs(0))
    batch = {
        "text": jnp.ones((2, 9, CONFIG.embedding)),
        "ends": jnp.zeros((2, CONFIG.facts), int),
        "question": jnp.ones((2, 4, CONFIG.embedding)),
        "target": jnp.zeros(2, int),
    }
    gate, answer = model.episodic.gate, model.answer
    squares = sum(float(np.sum(np.square(w[...]))) for w in (gate.w1, gate.w2, answer.a, answer.b))
    np.testing.assert_allclose(dmn.loss(model, batch, jax.random.key(0))[1]["regulariser"], CONFIG.l2 * squares / 2, rtol=1e-5)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"item_rank": "5"}, r"item_rank=5: is not below both sides of the table of 5 x 13; legal: 1 to 4, or none"),
        ({"item_rank": "0"}, r"item_rank=0: must be 1 or more"),
        ({"item_rank": "few"}, r"item_rank='few': legal: a whole number, or none"),
        ({"item_codes": "3"}, r"item_codes=3: does not divide the 5 inputs of the table; legal: 1, 5, or none"),
        ({"item_codes": "5", "item_rank": "2"}, r"item_rank=2 and item_codes=5: legal: one of the two"),
        ({"item_codes": "5", "item_centroids": "257"}, r"item_centroids=257: a code is a byte; legal: 2 to 256"),
        ({"item_rank": "1", "hidden": "1"}, r"item_rank=1: .* 1 x 13; legal: none"),
    ],
)
def test_tables_that_cannot_be_are_refused(settings, words):
    with pytest.raises(BadConfig, match=words):
        override(dmn.SPEC, CONFIG, settings)


def test_the_full_table_is_no_choice_that_a_document_shows():
    assert not {"item_rank", "item_codes", "item_centroids"} & set(plain(CONFIG))
    config = override(dmn.SPEC, CONFIG, {"item_rank": "2"})
    assert plain(config)["item_rank"] == 2 and dmn.Config(**plain(config)) == config
    assert override(dmn.SPEC, config, {"item_rank": "none"}) == CONFIG
