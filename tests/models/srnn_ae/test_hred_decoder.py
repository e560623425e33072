"""The switching decoder: distributions, free running against forced, the loss."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cr_jax.errors import BadConfig
from cr_jax.models.srnn_ae.hred_decoder import END, PAD, START, UNKNOWN, SwitchingDecoder, response_loss

W, N, X, B = 12, 4, 3, 5
FORCED = nnx.jit(lambda model, *given: model(*given))
GREEDY = nnx.jit(lambda model, context, scores: model.greedy(context, scores, 4))


def decoder(peephole=False, hidden=X, seed=0):
    return SwitchingDecoder(W, 6, hidden, X, 2, peephole, rngs=nnx.Rngs(seed))


@pytest.mark.parametrize(("peephole", "hidden"), [(False, X), pytest.param(True, X + 2, marks=pytest.mark.slow)])
def test_log_probabilities_are_a_distribution_over_words_and_items(peephole, hidden):
    rng = np.random.default_rng(0)
    words, context = rng.integers(0, W, (B, 3)), rng.normal(size=(B, X)).astype(np.float32)
    given = jnp.asarray(words), jnp.array([3, 2, 1, 3, 3]), jnp.asarray(context)
    logs, states = FORCED(decoder(peephole, hidden), *given, jnp.asarray(rng.normal(size=(B, N)).astype(np.float32)))
    assert logs.shape == (B, 3, W + N) and states.shape == (B, 3, hidden)
    np.testing.assert_allclose(np.exp(logs).sum(-1), 1, atol=1e-5)
    assert not np.asarray(states[2, 1:]).any()


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)])
def test_greedy_repeats_forced_decoding_step_by_step(seed):
    model = decoder(peephole=True, hidden=4, seed=seed)
    rng = np.random.default_rng(seed)
    context = jnp.asarray(rng.normal(size=(B, X)).astype(np.float32)) * 3
    scores = jnp.asarray(rng.normal(size=(B, N)).astype(np.float32)) * 4
    tokens = np.asarray(GREEDY(model, context, scores))
    read = np.full((B, 1), W - START)
    ended = np.zeros(B, bool)
    for step in range(4):
        logs, _ = FORCED(model, jnp.asarray(read), jnp.full((B,), step + 1), context, scores)
        best = np.where(ended, W - PAD, np.asarray(logs[:, -1]).argmax(-1))
        np.testing.assert_array_equal(tokens[:, step], best)
        ended |= (best == W - END) | (best == W - PAD)
        read = np.concatenate([read, np.where(best >= W, W - UNKNOWN, best)[:, None]], 1)


def test_context_must_fit_unless_it_is_a_peephole():
    with pytest.raises(BadConfig, match="hidden size 5"):
        decoder(hidden=5)


def test_loss_is_a_mean_over_every_position_of_counted_responses():
    logs = jnp.log(jnp.array([[[0.5, 0.5], [0.25, 0.75]], [[0.1, 0.9], [0.1, 0.9]]]))
    loss = response_loss(logs, jnp.array([[0, 1], [0, 0]]), jnp.array([1.0, 0.0]))
    assert float(loss) == pytest.approx(-(np.log(0.5) + np.log(0.75)) / 2)
