"""sRNN-AE's losses: the class weights of "liked", and what the answers are judged by."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cr_jax.models.srnn_ae import losses
from cr_jax.models.srnn_ae import model as srnn_ae
from cr_jax.models.srnn_ae.hrnn import LIKED_WEIGHTS, Dialogue, sentiment_loss

CONFIG = srnn_ae.Config(
    items=5,
    words=11,
    encoder="table",
    embedding=3,
    sentence_hidden=3,
    sentence_layers=1,
    conversation_hidden=4,
    conversation_layers=1,
    autorec_layers="3",
)


def batch(n=6, c=2, length=4):
    rng = np.random.default_rng(0)
    forms = np.stack([rng.integers(0, k, n) for k in (2, 3, 3, 2, 3, 3)], axis=1).astype(np.int32)
    return {
        "words": jnp.asarray(rng.integers(0, 11, (n, c, length)), jnp.int32),
        "lengths": jnp.full((n, c), length, jnp.int32),
        "senders": jnp.ones((n, c)),
        "mentions": jnp.asarray(rng.integers(0, 2, (n, c, length)), jnp.float32),
        "utterances": jnp.full(n, c, jnp.int32),
        "forms": jnp.asarray(forms),
    }


@pytest.mark.parametrize(("weighed", "weights"), [(True, LIKED_WEIGHTS), (False, None)])
def test_the_loss_weighs_liked_as_configured(weighed, weights):
    model = srnn_ae.build(dataclasses.replace(CONFIG, liked_weights=weighed), nnx.Rngs(0))
    here = batch()
    outputs = model.sentiment(model.encode(Dialogue._make(here[k] for k in Dialogue._fields)).last[:, -1])
    loss, _ = losses.sentiment_objective(model, here, None)
    assert float(loss) == float(sentiment_loss(outputs, here["forms"], weights))
    other = sentiment_loss(outputs, here["forms"], None if weighed else LIKED_WEIGHTS)
    assert abs(float(loss) - float(other)) > 1e-4
    found = losses.classify(model, here)
    assert found["loss"].tolist() == pytest.approx([float(loss)] * 6)
    liked = np.asarray(outputs[2]) - (np.log(weights) if weights else 0)
    np.testing.assert_array_equal(found["likeliest"][:, 2], liked.argmax(1))
    np.testing.assert_array_equal(found["guesses"][:, 2], np.asarray(outputs[2]).argmax(1))
