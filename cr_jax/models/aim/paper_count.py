"""Trainable parameters of the public AIM and DAIM, built from their layers."""

from cr_jax.models.layer_counts import dense


def encoder(embedding: int = 300, filters: int = 300, width: int = 5, hidden: int = 100, longest: int = 49) -> int:
    """The three-layer CNN; the third layer spans what two strides of 2 leave of the window."""
    length = longest + 2 * (width - 1)
    for _ in range(2):
        length = (length - width) // 2 + 1
    first = dense(width * embedding, filters)
    return first + dense(width * filters, 2 * filters) + dense(length * 2 * filters, hidden)


def generator(words: int, embedding: int = 300, hidden: int = 100, noise: int = 10) -> int:
    """A generator: table and output bias, encoder, start of the state, LSTM, tied projection."""
    table = embedding * words + words
    lstm = 4 * dense(embedding + hidden + hidden, hidden)
    start = dense(hidden + noise, hidden)
    return table + encoder(embedding, hidden=hidden) + start + lstm + hidden * embedding


def discriminator(words: int, embedding: int = 300) -> int:
    """A discriminator: its own table, and a CNN for each side."""
    return embedding * words + 2 * encoder(embedding)


def aim(words: int) -> int:
    """One-sided AIM as published: forward and backward generator, one discriminator."""
    return 2 * generator(words) + discriminator(words)


def daim(words: int) -> int:
    """Two-sided DAIM: two generators, two discriminators."""
    return 2 * generator(words) + 2 * discriminator(words)
