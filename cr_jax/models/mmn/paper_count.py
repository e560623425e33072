"""Trainable parameters of the public MMN and PMMN, built from their layers.

Letters: E embedding, H hidden units, W words, U users.
"""

from cr_jax.models.layer_counts import dense, tf_gru


def mmn(words: int, embedding: int = 100, hidden: int = 32) -> int:
    """MMN: word table, encoder, gate on three vectors, memory GRU, search and question head."""
    return embedding * words + _memory(embedding, hidden) + _heads(embedding, hidden, user=0)


def pmmn(words: int, users: int, embedding: int = 100, hidden: int = 32) -> int:
    """PMMN: MMN with a user table, the user's vector an input of both heads."""
    tables = embedding * (words + users)
    return tables + _memory(embedding, hidden) + _heads(embedding, hidden, user=embedding)


def _memory(embedding: int, hidden: int) -> int:
    gate = dense(3 * hidden, hidden) + dense(hidden, 1)
    return tf_gru(embedding, hidden) + gate + tf_gru(hidden, hidden)


def _heads(embedding: int, hidden: int, user: int) -> int:
    search = dense(2 * hidden + user, hidden) + dense(hidden, hidden // 2) + dense(hidden // 2, 1)
    asked = 2 * hidden + embedding + user
    question = dense(asked, 2 * hidden) + dense(2 * hidden, hidden) + dense(hidden, 1)
    return search + question
