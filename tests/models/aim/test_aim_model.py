"""AIM: turns equal to replays, noise, objectives, and states that are refused."""

import math
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from aim_tiny import ITEMS, TINY, B, filled, gradient, ids, noise, pair
from flax import nnx

from cr_jax.errors import BadConfig
from cr_jax.models.aim import losses
from cr_jax.models.aim import model as aim
from cr_jax.models.aim.layers import sequence_loss


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
