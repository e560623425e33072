"""Recurrent networks: loops over positions, in both directions, stacked and nested."""

import jax
import jax.numpy as jnp
from jax import lax

from battery.program import Program, array, product

BATCH, LENGTH, INPUT, HIDDEN = 3, 7, 5, 8


def _lstm(w, x, reverse=False):
    def step(carry, x):
        h, c = carry
        i, f, g, o = jnp.split(x @ w["x"] + h @ w["h"], 4, -1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    zero = jnp.zeros((x.shape[1], HIDDEN))
    return lax.scan(step, (zero, zero), x, reverse=reverse)[1]


def _cell(inputs=INPUT):
    return {"x": array(inputs, 4 * HIDDEN), "h": array(HIDDEN, 4 * HIDDEN)}


def _positions(inputs=INPUT):
    return product(BATCH, inputs, 4 * HIDDEN) + product(BATCH, HIDDEN, 4 * HIDDEN)


_X = array(LENGTH, BATCH, INPUT)


def lstm() -> Program:
    return Program(_lstm, (_cell(), _X), LENGTH * _positions())


def gradient_of_lstm() -> Program:
    """The input is data: the first product has one gradient. That of the first step's state, a constant, is computed in the loop
    all the same.
    """
    gates = product(BATCH, INPUT, 4 * HIDDEN), product(BATCH, HIDDEN, 4 * HIDDEN)
    return Program(jax.grad(lambda w, x: jnp.sum(_lstm(w, x) ** 2)), (_cell(), _X), LENGTH * (2 * gates[0] + 3 * gates[1]))


def bidirectional_and_stacked() -> Program:
    def encode(layers, x):
        for forward, backward in layers:
            x = jnp.concatenate([_lstm(forward, x), _lstm(backward, x, reverse=True)], -1)
        return x

    layers = [(_cell(), _cell()), (_cell(2 * HIDDEN), _cell(2 * HIDDEN))]
    return Program(encode, (layers, _X), LENGTH * 2 * (_positions() + _positions(2 * HIDDEN)))


def gru_with_input_products_outside() -> Program:
    def encode(w, x):
        gates = x @ w["x"]

        def step(h, gate):
            r, z, n = jnp.split(h @ w["h"], 3, -1)
            gr, gz, gn = jnp.split(gate, 3, -1)
            z = jax.nn.sigmoid(z + gz)
            h = (1 - z) * jnp.tanh(gn + jax.nn.sigmoid(r + gr) * n) + z * h
            return h, h

        return lax.scan(step, jnp.zeros((BATCH, HIDDEN)), gates)

    weights = {"x": array(INPUT, 3 * HIDDEN), "h": array(HIDDEN, 3 * HIDDEN)}
    return Program(encode, (weights, _X), LENGTH * (product(BATCH, INPUT, 3 * HIDDEN) + product(BATCH, HIDDEN, 3 * HIDDEN)))


def words_of_sentences_in_nested_loops() -> Program:
    sentences = 4

    def encode(w, x):
        def sentence(h, words):
            last = _lstm(w["words"], words)[-1]
            h = jnp.tanh(last @ w["in"] + h @ w["out"])
            return h, h

        return lax.scan(sentence, jnp.zeros((BATCH, HIDDEN)), x)

    weights = {"words": _cell(), "in": array(HIDDEN, HIDDEN), "out": array(HIDDEN, HIDDEN)}
    flops = sentences * (LENGTH * _positions() + 2 * product(BATCH, HIDDEN, HIDDEN))
    return Program(encode, (weights, array(sentences, LENGTH, BATCH, INPUT)), flops)


def unrolled_in_part() -> Program:
    """Seven positions, three at a time: two rounds and a rest."""

    def encode(w, x):
        return lax.scan(lambda h, x: (jnp.tanh(h @ w + x), None), jnp.zeros((BATCH, HIDDEN)), x, unroll=3)[0]

    return Program(encode, (array(HIDDEN, HIDDEN), array(LENGTH, BATCH, HIDDEN)), LENGTH * product(BATCH, HIDDEN, HIDDEN))


def attention_over_an_encoder() -> Program:
    def translate(w, x, y):
        memory = _lstm(w["encoder"], x)

        def step(h, y):
            weights = jax.nn.softmax(jnp.einsum("bh,tbh->bt", h @ w["match"], memory))
            h = jnp.tanh(jnp.einsum("bt,tbh->bh", weights, memory) @ w["in"] + y @ w["y"])
            return h, h @ w["words"]

        return lax.scan(step, memory[-1], y)[1]

    target, words = 4, 11
    weights = {"encoder": _cell(), "match": array(HIDDEN, HIDDEN), "in": array(HIDDEN, HIDDEN), "y": array(INPUT, HIDDEN)}
    step = 2 * product(BATCH, HIDDEN, HIDDEN) + 2 * product(BATCH, LENGTH, HIDDEN) + product(BATCH, INPUT, HIDDEN)
    flops = LENGTH * _positions() + target * (step + product(BATCH, HIDDEN, words))
    return Program(translate, (weights | {"words": array(HIDDEN, words)}, _X, array(target, BATCH, INPUT)), flops)
