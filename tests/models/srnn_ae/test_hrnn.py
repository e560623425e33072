"""Word vectors, dropout, heads and loss of the sentiment network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cr_jax.models.srnn_ae.hrnn import HEADS, HRNN, Dialogue, Sentiment, dropout, likeliest, sentiment_loss
from cr_jax.models.srnn_ae.word_vectors import GenSen, WordTable
from cr_jax.nn.module import Frozen

W, E, HS, HC = 9, 3, 4, 2
DIALOGUE = Dialogue(
    words=jnp.arange(12).reshape(1, 3, 4) % W,
    lengths=jnp.array([[4, 0, 2]]),
    senders=jnp.array([[1.0, -1.0, 1.0]]),
    mentions=jnp.zeros((1, 3, 4)),
    utterances=jnp.array([3]),
)


def network(rate=0.4):
    rngs = nnx.Rngs(0)
    encoder = HRNN(E, (HS, 2), (HC, 2), mention_bit=True, dropout=rate, rngs=rngs)
    return Sentiment(WordTable(W, E, rngs=rngs), encoder, rngs=rngs)


@pytest.mark.slow
def test_an_utterance_without_words_is_a_zero_vector_and_its_sender():
    model = network()
    vectors = model.words(DIALOGUE.words, DIALOGUE.lengths)
    for key in (None, jax.random.key(0)):
        sentences = model.encoder(vectors, DIALOGUE, key=key).sentences
        np.testing.assert_array_equal(sentences[0, 1], [0] * (2 * HS) + [-1])
    assert np.abs(model.encoder(vectors, DIALOGUE).sentences[0, 0, :-1]).min() > 0


@pytest.mark.slow
def test_the_mention_bit_is_read_where_the_word_counts():
    model = network()
    vectors = model.words(DIALOGUE.words, DIALOGUE.lengths)
    plain = model.encoder(vectors, DIALOGUE)
    marked = model.encoder(vectors, DIALOGUE._replace(mentions=DIALOGUE.mentions.at[0, 2, 1].set(1.0)))
    beyond = model.encoder(vectors, DIALOGUE._replace(mentions=DIALOGUE.mentions.at[0, 2, 3].set(1.0)))
    assert np.abs(marked.sentences - plain.sentences)[0, 2].max() > 1e-3
    np.testing.assert_array_equal(marked.states[0, :2], plain.states[0, :2])
    np.testing.assert_array_equal(beyond.sentences, plain.sentences)


def test_dropout_scales_what_it_keeps_and_is_off_without_a_key():
    x = jnp.ones((200, 100))
    kept = np.asarray(dropout(x, 0.4, jax.random.key(1)))
    assert set(np.unique(kept)) == {np.float32(0), np.float32(1 / 0.6)}
    assert abs((kept > 0).mean() - 0.6) < 0.01
    assert dropout(x, 0.4, None) is x


def test_dropout_acts_on_words_sentences_and_conversation():
    model = network()
    vectors = model.words(DIALOGUE.words, DIALOGUE.lengths)
    encode = jax.jit(lambda key: model.encoder(vectors, DIALOGUE, key=key))
    encoded = [encode(jax.random.key(i)) for i in range(12)]
    assert any((np.asarray(e.sentences[0, 0, :-1]) == 0).any() for e in encoded)
    assert any((np.asarray(e.last[:, -1]) == 0).any() for e in encoded)
    assert len({e.last.tobytes() for e in encoded}) > 6


def test_loss_by_hand_in_float64():
    rng = np.random.default_rng(0)
    outputs, forms, total = [], rng.integers(0, 3, (4, 6)), 0.0
    forms[:, [0, 3]] = [[0, 1], [1, 1], [0, 0], [1, 0]]
    weights = (0.2, 0.5, 0.1)
    for column, (name, classes) in enumerate(HEADS):
        logits, y = rng.normal(size=(4, classes)), forms[:, column]
        if classes == 1:
            p = 1 / (1 + np.exp(-logits[:, 0]))
            total += -np.mean(np.where(y == 1, np.log(p), np.log(1 - p)))
        else:
            logits -= np.log(np.exp(logits).sum(-1, keepdims=True))
            w = np.array(weights)[y] if name.endswith("liked") else np.ones(4)
            total += -(w * logits[np.arange(4), y]).sum() / w.sum()
        outputs.append(jnp.asarray(logits, jnp.float32))
    assert float(sentiment_loss(tuple(outputs), jnp.asarray(forms), weights)) == pytest.approx(total, abs=1e-6)


def test_dividing_the_weights_out_gives_the_answers_of_the_data():
    """Without features a weighted loss is least at w·share / Σ w·share; its largest answer is not the data's."""
    weights, shares = np.array([1 / 5, 1 / 80, 1 / 15]), np.array([0.1, 0.8, 0.1])
    learned = weights * shares / (weights * shares).sum()
    forms = np.repeat([[0, 0, c, 0, 0, c] for c in range(3)], (1000 * shares).astype(int), axis=0).astype(np.int32)
    one = np.zeros((len(forms), 1), np.float32)

    def outputs(shares):
        row = np.broadcast_to(np.log(np.asarray(shares, np.float32)), (len(forms), 3))
        even = np.broadcast_to(np.log(np.full(3, 1 / 3, np.float32)), (len(forms), 3))
        return tuple(jnp.asarray(x) for x in (one, even, row, one, even, row))

    here = float(sentiment_loss(outputs(learned), jnp.asarray(forms), tuple(weights)))
    for other in (shares, learned * [1.1, 1, 1], learned * [1, 1, 0.9]):
        other = other / other.sum()
        assert here < float(sentiment_loss(outputs(other), jnp.asarray(forms), tuple(weights)))
    assert likeliest(outputs(learned), None)[0].tolist() == [0, 0, 0, 0, 0, 0]
    assert likeliest(outputs(learned), tuple(weights))[0].tolist() == [0, 0, 1, 0, 0, 1]


@pytest.mark.slow
def test_gensen_is_frozen_reads_each_utterance_to_its_length_and_passes_no_gradient():
    gensen = GenSen(W, E, 5, 1, rngs=nnx.Rngs(0))
    vectors = gensen(DIALOGUE.words, DIALOGUE.lengths)
    assert vectors.shape == (1, 3, 4, 2 * 5)
    np.testing.assert_array_equal(np.abs(vectors).sum(-1)[0] > 0, np.arange(4)[None] < DIALOGUE.lengths[0][:, None])
    graph, state = nnx.split(gensen)
    variables = [v for _, v in nnx.to_flat_state(state)]
    assert all(isinstance(v, Frozen) for v in variables)
    bi_gru = 2 * (3 * 5 * (E + 5) + 6 * 5)
    assert sum(v[...].size for v in variables) == W * E + bi_gru
    gradient = jax.grad(lambda s: nnx.merge(graph, s)(DIALOGUE.words, DIALOGUE.lengths).sum())(state)
    assert not any(np.asarray(g).any() for g in jax.tree.leaves(gradient))
