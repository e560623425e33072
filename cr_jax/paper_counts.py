"""Trainable parameters of the five published implementations, built from their layers.

Letters: E embedding, H hidden units, W words, U users, V answer classes, n items. A dense layer
holds inputs x outputs weights and one bias per output. The public code is named in the model files;
here only its sizes are used.
"""


def dense(inputs: int, outputs: int) -> int:
    """Weights and biases of a fully connected layer."""
    return inputs * outputs + outputs


def tf_gru(inputs: int, hidden: int) -> int:
    """TensorFlow's ``GRUCell``: three gates on [input, state], one bias each."""
    return 3 * dense(inputs + hidden, hidden)


def torch_gru(inputs: int, hidden: int) -> int:
    """One direction of one layer of PyTorch's ``GRU``: two biases per gate."""
    return 3 * (dense(inputs, hidden) + dense(hidden, hidden))


def dmn(classes: int, embedding: int = 50, hidden: int = 32) -> int:
    """DMN, word vectors given: encoder, gate on seven features, episode and memory GRU, answer."""
    gate = dense(7 * hidden, hidden) + dense(hidden, 1)
    return tf_gru(embedding, hidden) + gate + 2 * tf_gru(hidden, hidden) + hidden * classes


def dmn_global_variables(classes: int) -> int:
    """Every TensorFlow variable of DMN: weights, Adam's two moments of each, and four scalars
    (global_step, learning_rate, beta1_power, beta2_power)."""
    return 3 * dmn(classes) + 4


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


def aim_encoder(embedding: int = 300, filters: int = 300, width: int = 5, hidden: int = 100, longest: int = 49) -> int:
    """AIM's three-layer CNN; the third layer spans what two strides of 2 leave of the window."""
    length = longest + 2 * (width - 1)
    for _ in range(2):
        length = (length - width) // 2 + 1
    first = dense(width * embedding, filters)
    return first + dense(width * filters, 2 * filters) + dense(length * 2 * filters, hidden)


def aim_generator(words: int, embedding: int = 300, hidden: int = 100, noise: int = 10) -> int:
    """A generator: table and output bias, encoder, start of the state, LSTM, tied projection."""
    table = embedding * words + words
    lstm = 4 * dense(embedding + hidden + hidden, hidden)
    start = dense(hidden + noise, hidden)
    return table + aim_encoder(embedding, hidden=hidden) + start + lstm + hidden * embedding


def aim_discriminator(words: int, embedding: int = 300) -> int:
    """A discriminator: its own table, a CNN for each side."""
    return embedding * words + 2 * aim_encoder(embedding)


def aim(words: int) -> int:
    """One-sided AIM as published: forward and backward generator, one discriminator."""
    return 2 * aim_generator(words) + aim_discriminator(words)


def daim(words: int) -> int:
    """Two-sided DAIM: two generators, two discriminators."""
    return 2 * aim_generator(words) + 2 * aim_discriminator(words)


def hrnn(vector: int = 2048, hidden: int = 512, layers: int = 2) -> int:
    """sRNN-AE's hierarchical encoder: bidirectional over words (a vector and one bit each), then
    over sentences (both directions and the sender)."""
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


def srnn_ae_table(words: int, items: int) -> int:
    """A reading that is not the public one: a trainable 300-d word table, one layer each."""
    return 300 * words + hrnn(vector=300, layers=1) + sentiment_heads() + autorec(items)
