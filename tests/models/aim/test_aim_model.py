"""AIM: sizes and matmuls from named factors, turns equal to replays, noise, and what is refused."""

import json
import math
import re
from collections import Counter
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from cr_jax.catalog.dataset import Dataset
from cr_jax.errors import BadConfig
from cr_jax.models.aim import losses
from cr_jax.models.aim import model as aim
from cr_jax.models.aim.layers import sequence_loss
from cr_jax.nn.module import module_paths
from cr_jax.records import Lengths, TextLengths, Workload

WORDS = Lengths(mean=3.5, p50=3, p95=5, max=9)
LENGTHS = TextLengths(request=WORDS, question=WORDS, answer=WORDS, item=WORDS, item_sentences=WORDS)
WORK = Workload(turns=3, lengths=LENGTHS, turn_histogram=(1, 1, 1))
TINY = aim.Config(
    items=7, words=31, embedding=6, features=5, filter=3, hidden=4, score_features=8, noise=2, max_words=9, softargmax_scale=50.0
)
B, ITEMS = 3, 7


def dataset() -> Dataset:
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
        paper={},
        origins={},
    )


def sizes(config: aim.Config) -> Counter[str]:
    """Weights of each top module."""
    model = nnx.eval_shape(lambda: aim.build(config, nnx.Rngs(0)))
    found: Counter[str] = Counter()
    for path, leaf in nnx.to_flat_state(nnx.state(model, nnx.Param)):
        found[str(path[0])] += math.prod(leaf.shape)
    return found


def cnn_size(c: aim.Config, outputs: int) -> int:
    length = c.max_words + 2 * (c.filter - 1)
    for _ in range(2):
        length = (length - c.filter) // 2 + 1
    f1, f2 = c.features, 2 * c.features
    return (c.filter * c.embedding * f1 + f1) + (c.filter * f1 * f2 + f2) + (length * f2 * outputs + outputs)


def generator_size(c: aim.Config) -> int:
    start = (c.hidden + c.noise) * c.hidden + c.hidden
    lstm = (c.embedding + c.hidden + c.hidden) * 4 * c.hidden + 4 * c.hidden
    output = c.hidden * c.embedding + c.words
    return c.words * c.embedding + cnn_size(c, c.hidden) + start + lstm + output


def discriminator_size(c: aim.Config) -> int:
    return c.words * c.embedding + 2 * cnn_size(c, c.score_features)


@pytest.mark.parametrize("words", [500, 20_002])
def test_public_sizes(words):
    c = aim.Config(items=1, words=words)
    assert generator_size(c) == 301 * words + 2_312_500
    assert discriminator_size(c) == 300 * words + 4_142_000
    one, two = sizes(c), sizes(replace(c, sides=2))
    assert one == {"generator": generator_size(c), "generator_rev": generator_size(c), "discriminator": discriminator_size(c)}
    assert one.total() == 902 * words + 8_767_000
    assert two == one | {"discriminator_rev": discriminator_size(c)}


@pytest.mark.parametrize("change", [{}, {"sides": 2}, {"mi_weight": 0.0}, {"mi_weight": 0.0, "sides": 2}])
def test_tiny_sizes(change):
    c = replace(TINY, **change)
    want = {"generator": generator_size(c), "discriminator": discriminator_size(c)}
    if c.mi_weight or c.sides == 2:
        want["generator_rev"] = generator_size(c)
    if c.sides == 2:
        want["discriminator_rev"] = discriminator_size(c)
    assert sizes(c) == want


def test_public_counts(shared):
    counts = json.loads(shared("reference/counts.json").read_text())["AIM"]["cases"]
    assert counts
    for name, case in counts.items():
        sides = 2 if name.startswith("twoside") else 1
        c = aim.Config(items=1, words=500, sides=sides, mi_weight=0.0 if "nomi" in name else 0.1)
        found = sizes(c)
        assert found.total() == case["trainable_total"]
        assert sum(n for top, n in found.items() if "generator" in top) == case["g_vars_total"]
        shapes = {k: tuple(shape) for group in case["groups"].values() for k, shape in group["params"]}
        names = aim.published(c)
        assert set(names) == set(shapes)
        model = nnx.eval_shape(lambda c=c: aim.build(c, nnx.Rngs(0)))
        leaves = nnx.to_flat_state(nnx.state(model, nnx.Param))
        ours = {".".join(map(str, path)): leaf.shape for path, leaf in leaves}
        assert {path: convert(np.zeros(shapes[k])).shape for k, (path, convert) in names.items()} == ours


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_words": 10}, "max_words=10 with filter=3: a source comes to 2 .* legal: such as 8, 9, 11"),
        ({"max_words": 1}, "max_words=1 with filter=3: the second convolution needs 3"),
        ({"sides": 3}, "sides=3: legal: 1"),
        ({"mi_weight": 1.5}, "mi_weight=1.5"),
        ({"supervised_weight": 0.0}, "supervised_weight=0.0"),
        ({"words": 1}, "words=1: .*legal: 2"),
        ({"hidden": 0}, "hidden=0"),
    ],
)
def test_refused(change, message):
    with pytest.raises(BadConfig, match=message):
        replace(TINY, **change)


def test_configure():
    assert aim.configure(dataset(), WORK) == aim.Config(items=20, words=20_002)
    assert aim.configure(dataset(), replace(WORK, preset="matched")).words == 50
    for preset, message in (("paper", "inconsistent with the public"), ("other", "legal: published")):
        with pytest.raises(BadConfig, match=message):
            aim.configure(dataset(), replace(WORK, preset=preset))


def filled(config: aim.Config) -> aim.AIM:
    """A model with weights large enough that words and scores differ."""
    graph, state = nnx.split(nnx.eval_shape(lambda: aim.build(config, nnx.Rngs(0))))
    rng = np.random.default_rng(6)
    return nnx.merge(graph, jax.tree.map(lambda w: jnp.asarray(rng.normal(size=w.shape) / 2, w.dtype), state))


@pytest.fixture(scope="module")
def model():
    return filled(TINY)


def ids(seed: int, *shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).integers(2, TINY.words, shape), jnp.int32)


def noise(seed: int, users: int = B) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).uniform(-1, 1, (users, TINY.noise)), jnp.float32)


def test_turns_equal_replays_past_the_window_and_for_padded_rows(model):
    side = aim.precompute(model, {"words": ids(0, ITEMS, TINY.max_words)})
    lengths = np.array([[4, 3, 5, 2], [1, 0, 0, 3], [0, 5, 5, 0]], np.int32)  # 14, 4 and 10 words; 9 fit
    state = aim.start(model, side, B)
    turn = jax.jit(lambda state, utterance: aim.turn(model, side, state, utterance))
    replay = jax.jit(lambda history: aim.replay(model, side, history))
    spoken: list[list[int]] = [[] for _ in range(B)]
    for t in range(4):
        words, z = ids(t + 1, B, 6), noise(t)
        utterance = {"words": words, "lengths": jnp.asarray(lengths[:, t]), "z": z}
        state, got = turn(state, utterance)
        for row, text in enumerate(spoken):
            text += np.asarray(words[row, : lengths[row, t]]).tolist()
            kept = text[-TINY.max_words :]
            assert np.asarray(state.words[row]).tolist() == kept + [0] * (TINY.max_words - len(kept))
        history = np.full((B, 20), 3, np.int32)  # what stands past a text's length is not read
        for row, text in zip(history, spoken, strict=True):
            row[: len(text)] = text
        count = jnp.asarray([len(text) for text in spoken], jnp.int32)
        want = replay({"words": jnp.asarray(history), "lengths": count, "z": z})
        np.testing.assert_allclose(got["item_scores"], want["item_scores"], atol=1e-5)
        assert np.array_equal(got["answer_tokens"], want["answer_tokens"])
    assert got["answer_tokens"].shape == (B, TINY.max_words) and got["item_scores"].shape == (B, ITEMS)


def test_a_score_is_the_discriminators_cosine(model):
    """The item's description as the target of a training pair gives the same number."""
    items, words, f = ids(0, ITEMS, TINY.max_words), ids(1, ITEMS, TINY.max_words), TINY.filter - 1
    side = aim.precompute(model, {"words": items})
    utterance = {"words": words, "lengths": jnp.full(ITEMS, TINY.max_words), "z": noise(0, ITEMS)}
    scores = jax.jit(lambda u: aim.replay(model, side, u))(utterance)["item_scores"]
    batch = {"source": jnp.pad(words, ((0, 0), (f, f))), "target": jnp.pad(items, ((0, 0), (0, f)))}

    def judged(batch):
        (d,) = aim.directions(model, batch, jax.random.key(0))
        tables = d.answers.tables()
        return losses.scores(losses.judge(d, losses.synthesise(d, tables, losses.begin(d, tables))))[0]

    np.testing.assert_allclose(jnp.diagonal(scores), jax.jit(judged)(batch), atol=1e-5)
    assert np.std(np.asarray(scores)) > 0.01


def test_items_in_chunks(model, monkeypatch):
    items = {"words": ids(0, ITEMS, TINY.max_words)}
    whole = aim.precompute(model, items)
    for size in (3, 7):  # with and without a rest
        monkeypatch.setattr(aim, "ITEM_CHUNK", size)
        np.testing.assert_allclose(aim.precompute(model, items).items, whole.items, atol=1e-6)
    np.testing.assert_allclose(jnp.sum(whole.items**2, axis=1), 1, atol=1e-6)


def test_a_state_of_others_is_refused(model):
    side = aim.Side(jnp.zeros((ITEMS, TINY.score_features)), model.generator.tables())
    utterance = {"words": ids(0, B, 4), "lengths": jnp.full(B, 4), "z": noise(0)}
    with pytest.raises(BadConfig, match="state of 3 users"):
        aim.turn(model, side, aim.start(model, side, B + 1), utterance)


def pair() -> dict[str, jax.Array]:
    return {"source": ids(0, B, TINY.source_words), "target": ids(1, B, TINY.target_words)}


def test_noise_is_drawn_from_the_key_in_its_range_unless_given():
    wide = filled(replace(TINY, noise=500, sides=2))
    there, back = aim.directions(wide, pair(), jax.random.key(1))
    other = aim.directions(wide, pair(), jax.random.key(2))[0]
    assert -1 <= there.z.min() < -0.9 and 0.9 < there.z.max() <= 1
    assert np.array_equal(there.z, back.z) and not np.array_equal(there.z, other.z)
    for mi_z in (there.mi_z, back.mi_z):
        assert 0 <= mi_z.min() < 0.1 and 0.9 < mi_z.max() <= 1
    assert not np.array_equal(there.mi_z, back.mi_z)
    given = jnp.ones((B, 500))
    assert aim.directions(wide, pair() | {"z": given}, jax.random.key(1))[0].z is given


@pytest.mark.slow
def test_initial_weights():
    """U(-0.001, 0.001) for tables, output and first convolution; Glorot for the others; biases 0."""
    for path, leaf in nnx.to_flat_state(nnx.state(aim.build(TINY, nnx.Rngs(0)).generator, nnx.Param)):
        name, largest = ".".join(map(str, path)), np.abs(leaf[...]).max()
        if name.endswith("bias"):
            assert largest == 0, name
        elif name in ("embedding.table", "decoder.output.weight", "encoder.conv1.kernel"):
            assert 0.0008 < largest <= 0.001, name
        else:
            *width, inputs, outputs = leaf.shape
            bound = math.sqrt(6 / (math.prod(width) * (inputs + outputs)))
            assert 0.8 * bound < largest <= bound, name


def test_which_targets_count():
    """k < 2, or target k - 2 is not padding: in explicit loops."""
    rng = np.random.default_rng(0)
    logits, target = rng.normal(size=(6, 2, 5)), np.array([[3, 2, 0, 4, 0, 0], [0, 0, 0, 0, 0, 0]], np.int32)
    want = []
    for b in range(2):
        costs = [
            np.log(np.exp(logits[k, b]).sum()) - logits[k, b, target[b, k]] for k in range(6) if k < 2 or target[b, k - 2] != 0
        ]
        want.append(np.mean(costs))
    got = sequence_loss(jnp.asarray(logits, jnp.float32), jnp.asarray(target))
    np.testing.assert_allclose(got, want, rtol=1e-5)


def gradient(model, objective):
    """The gradient of the objective's cost of :func:`pair` as a function of the trained weights, and them."""
    graph, trained, rest = nnx.split(model, objective.trains, ...)

    def cost(w):
        return objective.loss(nnx.merge(graph, w, rest), pair(), jax.random.key(0))[0]

    return jax.jit(jax.grad(cost)), trained


@pytest.mark.slow
def test_every_weight_has_one_objective_and_moves(model):
    d, g = aim.objectives(TINY)
    assert (d.name, g.name, d.batch, d.shared_counter) == ("discriminator", "generator", 32, True)
    paths = nnx.to_flat_state(nnx.state(model, nnx.Param))
    assert all(d.trains(p, v) != g.trains(p, v) for p, v in paths)
    for o in (d, g):
        function, trained = gradient(model, o)
        largest = {path: np.abs(v[...]).max() for path, v in nnx.to_flat_state(function(trained))}
        assert not [path for path, value in largest.items() if not value > 0]


def test_the_rate_follows_the_shared_counter():
    d, g = aim.objectives(TINY)
    w = {"w": jnp.ones(1)}
    for o, rate in ((d, 1e-4), (g, 2e-5)):
        adam = o.optimizer(replace(TINY, decay=0.5, decay_steps=10))
        assert isinstance(adam, optax.GradientTransformationExtraArgs)
        steps = [adam.update(w, adam.init(w), w, counter=jnp.int32(n))[0] for n in (0, 10)]
        np.testing.assert_allclose(jax.tree.leaves(steps), [[-rate], [-rate / 2]], rtol=1e-5)


# Matmuls, leaf by leaf. W1, W2: positions after the first and the second convolution (13 and 14 words alike).
V, E, F, f, H, SCORE, Z = (TINY.words, TINY.embedding, TINY.features, TINY.filter, TINY.hidden, TINY.score_features, TINY.noise)
W1, W2, T = 6, 2, TINY.target_words
GATES = 4 * H


def cnn(path: str, rows: int, outputs: int) -> dict[str, int]:
    return {
        f"{path}.conv1": 2 * rows * W1 * f * E * F,
        f"{path}.conv2": 2 * rows * W2 * f * F * 2 * F,
        f"{path}.conv3": 2 * rows * W2 * 2 * F * outputs,
    }


def free_pass(path: str, steps: int) -> dict[str, int]:
    """Start, LSTM, tied output and soft-argmax feedback; nothing is fed back after the last step."""
    loop = steps - 1
    return {
        f"{path}.decoder.start": 2 * B * (H + Z) * H,
        f"{path}.decoder.cell": 2 * B * H * GATES + 2 * E * GATES + loop * 2 * B * (E + H) * GATES,
        f"{path}.decoder.output": 2 * H * E * V + steps * 2 * B * H * V,
        f"{path}.embedding": loop * 2 * B * V * E,
    }


def matmuls(function, *arguments) -> Counter[str]:
    """FLOPs of dots and (undilated) convolutions by innermost scope, loops multiplied by their length."""
    found: Counter[str] = Counter()
    known = set(module_paths(aim.build(replace(TINY, sides=2), nnx.Rngs(0))))

    def walk(jaxpr, times: int, outer: str) -> None:
        for e in jaxpr.eqns:
            parts = re.split(r"[/()]", str(e.source_info.name_stack))
            scope = next((p for p in reversed(parts) if p in known), outer)
            if e.primitive.name == "dot_general":
                (contract, _), _ = e.params["dimension_numbers"]
                inner = math.prod(e.invars[0].aval.shape[i] for i in contract)
                found[scope] += times * 2 * math.prod(e.outvars[0].aval.shape) * inner
            elif e.primitive.name == "conv_general_dilated":
                inner = math.prod(e.invars[1].aval.shape[:2])
                found[scope] += times * 2 * math.prod(e.outvars[0].aval.shape) * inner
            rounds = times * (e.params["length"] if e.primitive.name == "scan" else 1)
            for value in jax.tree.leaves(list(e.params.values()), is_leaf=lambda v: hasattr(v, "eqns")):
                if hasattr(value, "eqns"):
                    walk(value, rounds, scope)

    walk(jax.make_jaxpr(function)(*arguments).jaxpr, 1, "")
    return +found


def test_matmuls_of_a_turn_and_of_the_items(model):
    side, words = aim.Side(jnp.zeros((ITEMS, SCORE)), model.generator.tables()), ids(0, B, 6)
    utterance = {"words": words, "lengths": jnp.full(B, 6), "z": noise(0)}
    want = cnn("discriminator.source", B, SCORE) | {"discriminator": 2 * B * SCORE * ITEMS}
    want |= cnn("generator.encoder", B, H) | free_pass("generator", TINY.max_words)
    tied = 2 * H * E * V  # belongs to the weights, not to the turn
    want["generator.decoder.output"] -= tied
    assert matmuls(lambda u: aim.replay(model, side, u), utterance) == want
    want = cnn("discriminator.target", ITEMS, SCORE) | {"generator.decoder.output": tied}
    assert matmuls(lambda w: aim.precompute(model, {"words": w}), ids(0, ITEMS, 9)) == want


def test_matmuls_of_the_costs(model):
    key, batch = jax.random.key(0), pair()
    common = cnn("generator.encoder", B, H) | free_pass("generator", T + 1)
    common |= cnn("discriminator.source", B, SCORE)
    common |= cnn("discriminator.target", 2 * B, SCORE) | {"discriminator.embedding": 2 * B * (T + 1) * V * E}
    assert matmuls(lambda b: aim.discriminator_loss(model, b, key)[0], batch) == common

    def teacher(path: str) -> Counter[str]:
        known = 2 * E * GATES + (T - 1) * 2 * B * (E + H) * GATES
        return Counter({f"{path}.decoder.cell": known, f"{path}.decoder.output": T * 2 * B * H * V})

    backward = (
        Counter(cnn("generator_rev.encoder", B, H))
        + teacher("generator_rev")
        + Counter(
            {
                "generator_rev.embedding": 2 * B * (T + 1) * V * E,
                "generator_rev.decoder.start": 2 * B * (H + Z) * H,
                "generator_rev.decoder.cell": 2 * B * H * GATES,
                "generator_rev.decoder.output": 2 * H * E * V,
            }
        )
    )
    want = Counter(common) + teacher("generator") + backward
    assert matmuls(lambda b: aim.generator_loss(model, b, key)[0], batch) == want


def dots(function, *arguments) -> int:
    return sum(n for scope, n in matmuls(function, *arguments).items() if ".conv" not in scope)


def test_matmuls_of_the_gradients(model):
    """A product of two trained quantities costs three times in a step, one with a constant factor twice,
    one that no trained weight reaches once (convolutions aside: their gradients are dilated)."""
    d, g = aim.objectives(TINY)
    generated, judged = sum(free_pass("", T + 1).values()), 2 * B * (T + 1) * V * E
    assert dots(*gradient(model, d)) == generated + 2 * judged
    forward = dots(lambda b: aim.generator_loss(model, b, jax.random.key(0))[0], pair())
    assert dots(*gradient(model, g)) == 3 * (forward - judged) + 2 * judged
