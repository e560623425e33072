"""Parameters of the public DMN, built from its layers. E embedding, H hidden units, V answer classes."""

from cr_jax.models.layer_counts import dense, tf_gru


def trainable(classes: int, embedding: int = 50, hidden: int = 32) -> int:
    """Trainable weights, word vectors given: encoder, gate on seven features, episode and memory GRU, answer."""
    gate = dense(7 * hidden, hidden) + dense(hidden, 1)
    return tf_gru(embedding, hidden) + gate + 2 * tf_gru(hidden, hidden) + hidden * classes


def with_optimizer(weights: int) -> int:
    """Every TensorFlow variable: the trainable ``weights``, Adam's two moments of each, and four scalars
    (global_step, learning_rate, beta1_power, beta2_power).
    """
    return 3 * weights + 4
