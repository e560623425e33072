"""Trainable parameters of the public sRNN-AE, built from its layers."""

from cr_jax.models.layer_counts import dense


def torch_gru(inputs: int, hidden: int) -> int:
    """One direction of one layer of PyTorch's ``GRU``: two biases per gate."""
    return 3 * (dense(inputs, hidden) + dense(hidden, hidden))


def hrnn(vector: int = 2048, hidden: int = 512, layers: int = 2) -> int:
    """The hierarchical encoder: bidirectional over words (a vector and one bit each), then over
    sentences (both directions and the sender).
    """
    words = sum(2 * torch_gru(vector + 1 if layer == 0 else 2 * hidden, hidden) for layer in range(layers))
    sentences = sum(torch_gru(2 * hidden + 1 if layer == 0 else hidden, hidden) for layer in range(layers))
    return words + sentences


def sentiment_heads(hidden: int = 512) -> int:
    """Six heads: suggested (1), seen (3) and liked (3), for each of two speakers."""
    return 2 * sum(dense(hidden, outputs) for outputs in (1, 3, 3))


def autorec(items: int, hidden: int = 1000) -> int:
    """AutoRec over ``items`` ratings."""
    return dense(items, hidden) + dense(hidden, items)


def srnn_ae(items: int) -> int:
    """sRNN-AE as published; the GenSen word vectors are frozen and not counted."""
    return hrnn() + sentiment_heads() + autorec(items)


def with_word_table(words: int, items: int) -> int:
    """A reading that is not the public one: a trainable 300-d word table, one layer per encoder."""
    return 300 * words + hrnn(vector=300, layers=1) + sentiment_heads() + autorec(items)
