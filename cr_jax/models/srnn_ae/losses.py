"""sRNN-AE's losses, and the forward passes of its validation. ``key=None`` switches dropout off.

Letters: N dialogues about one mentioned item each, n items.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from cr_jax.models.srnn_ae.autorec import reconstruction_loss
from cr_jax.models.srnn_ae.hred_decoder import response_loss
from cr_jax.models.srnn_ae.hrnn import HEADS, LIKED_WEIGHTS, Dialogue, likeliest, sentiment_loss
from cr_jax.models.srnn_ae.recommender import DialogueRecommender

SYSTEM = -1
Batch = dict[str, jax.Array]


def _weights(model: DialogueRecommender) -> tuple[float, ...] | None:
    return LIKED_WEIGHTS if model.config.liked_weights else None


def sentiment_objective(model: DialogueRecommender, batch: Batch, key: Array | None) -> tuple[Float[Array, ""], Batch]:
    """Sentiment loss of N dialogues with their forms [N, 6]."""
    return sentiment_with_heads(model, batch, key)[:2]


def sentiment_with_heads(
    model: DialogueRecommender, batch: Batch, key: Array | None
) -> tuple[Float[Array, ""], Batch, dict[str, Array]]:
    """The loss, and the logits of every head by its name: of no and yes [N, 2], or of three answers [N, 3]."""
    outputs = _heads(model, batch, key)
    return sentiment_loss(outputs, batch["forms"], _weights(model)), {}, _logits(outputs)


def teach_heads(model: DialogueRecommender, side: None, batch: Batch) -> dict[str, Array]:
    """The logits of every head, without dropout."""
    del side
    return _logits(_heads(model, batch, None))


def _heads(model: DialogueRecommender, batch: Batch, key: Array | None) -> tuple[Array, ...]:
    dialogue = Dialogue._make(batch[k] for k in Dialogue._fields)
    return model.sentiment(model.encode(dialogue, key=key).last[:, -1])


def _logits(outputs: tuple[Array, ...]) -> dict[str, Array]:
    pairs = zip(HEADS, outputs, strict=True)
    return {name: jnp.concatenate([jnp.zeros_like(x), x], axis=1) if classes == 1 else x for (name, classes), x in pairs}


def autorec_objective(model: DialogueRecommender, batch: Batch, key: Array | None) -> tuple[Float[Array, ""], Batch]:
    """Sum of squared errors of ``targets`` (−1 = unobserved) from ``ratings`` (0 = unknown)."""
    return autorec_with_ratings(model, batch, key)[:2]


def autorec_with_ratings(
    model: DialogueRecommender, batch: Batch, key: Array | None
) -> tuple[Float[Array, ""], Batch, dict[str, Array]]:
    """The loss, and the rating of every item."""
    del key  # The random noise is in the batch: cr_jax.models.srnn_ae.ratings.noise_inputs.
    ratings = model.autorec(batch["ratings"])
    loss, observed = reconstruction_loss(ratings, batch["targets"])
    metrics = {"observed": observed, "mean_squared_error": loss / jnp.maximum(observed, 1.0)}
    return loss, metrics, {"ratings": ratings}


def teach_ratings(model: DialogueRecommender, side: None, batch: Batch) -> dict[str, Array]:
    """The rating of every item."""
    del side
    return {"ratings": model.autorec(batch["ratings"])}


def response_objective(model: DialogueRecommender, batch: Batch, key: Array | None) -> tuple[Float[Array, ""], Batch]:
    """Log-likelihood of the system's utterances, each from the state and the scores before it."""
    log_probabilities = model.predict_responses(batch, key)
    counted = (batch["senders"] == SYSTEM).astype(jnp.float32)
    return response_loss(log_probabilities, batch["targets"], counted), {}


def classify(model: DialogueRecommender, batch: Batch) -> Batch:
    """Two kinds of answers [N, 6] beside the true ``forms``, and the batch's loss, repeated for each row.

    guesses: those of the largest outputs, as the public code judges. likeliest: the same with the outputs
    divided by the loss's class weights, without which rare answers are given too often.
    """
    outputs = _heads(model, batch, None)
    loss = sentiment_loss(outputs, batch["forms"], _weights(model))
    return {
        "guesses": likeliest(outputs, None),
        "likeliest": likeliest(outputs, _weights(model)),
        "forms": batch["forms"],
        "loss": jnp.broadcast_to(loss, batch["forms"].shape[:1]),
    }


def reconstruct(model: DialogueRecommender, batch: Batch) -> Batch:
    """AutoRec's ratings from ``ratings``, beside the ``targets``."""
    return {"predictions": model.autorec(batch["ratings"]), "targets": batch["targets"]}
