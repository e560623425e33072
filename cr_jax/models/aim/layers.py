"""AIM's generator and discriminator: word tables normalised at each use, CNN encoders, an LSTM decoder.

Axes: B batch, L words of a padded text, T decoder steps, V words of the dictionary, E embedding,
H units, Z noise, D = H + Z. Decoder outputs are time-major, so a loop's result is never transposed.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, PyTree

from cr_jax.models.aim.text_cnn import TextCNN, cnn_names
from cr_jax.models.aim.tf_lstm import LSTMCell, State
from cr_jax.nn.module import Module, PublicNames, scoped

PAD, GO = 0, 1


def normalised(x: Float[Array, "*rest E"]) -> Float[Array, "*rest E"]:
    """Rows scaled to length 1. No epsilon, as published: a zero row becomes NaN."""
    return x / jnp.sqrt(jnp.sum(x * x, axis=-1, keepdims=True))


class Tables(NamedTuple):
    """A generator's tables, computed once per set of weights."""

    words: Float[Array, "V E"]
    """The normalised words."""
    output: Float[Array, "H V"]
    """The tied output matrix."""


class Start(NamedTuple):
    """The start of a decoder run."""

    cell: Float[Array, "B H"]
    """The cell state H0."""
    gates: Float[Array, "B G"]
    """The terms of H0 and the bias in the gates of every step."""


class Synthetic(NamedTuple):
    """A generated text as weights over words.

    The GO step stays apart: joining it to the loop's stack would copy T B V numbers, and every use is a
    product whose result can be joined instead.
    """

    first: Float[Array, "B V"]
    rest: Float[Array, "S B V"]


class WordTable(Module):
    """Word vectors, L2-normalised at each use. ``table`` [V, E]."""

    def __init__(self, words: int, embedding: int, rngs: nnx.Rngs) -> None:
        self.table = nnx.Param(_small(rngs, (words, embedding)), table_axis=0)

    @scoped
    def all(self) -> Float[Array, "V E"]:
        """The whole table, normalised, for a step that multiplies by it."""
        return normalised(self.table[...])

    @scoped
    def of(self, words: Int[Array, "B L"]) -> Float[Array, "B L E"]:
        """Normalised vectors of these words only, for a step that does not need the whole table."""
        return normalised(_rows(self.table[...], words))

    @scoped
    def look_up(self, words: Int[Array, "*rest"], table: Float[Array, "V E"]) -> Float[Array, "*rest E"]:
        """Rows of the normalised table."""
        return _rows(table, words)

    @scoped
    def soft(self, weights: Float[Array, "*rest V"], table: Float[Array, "V E"]) -> Float[Array, "*rest E"]:
        """Averages of the normalised table."""
        return weights @ table

    @scoped
    def synthetic(self, text: Synthetic, table: Float[Array, "V E"], pads: int) -> Float[Array, "B L E"]:
        """A synthetic text as word vectors, left-padded with ``pads`` times word 0: L = pads + 1 + S."""
        first = (text.first @ table)[:, None]
        pad = jnp.broadcast_to(table[PAD][None, None], (first.shape[0], pads, first.shape[2]))
        return jnp.concatenate([pad, first, jnp.swapaxes(text.rest @ table, 0, 1)], axis=1)


class Affine(Module):
    """A fully connected layer. ``weight`` [D, H], ``bias`` [H]."""

    def __init__(self, inputs: int, outputs: int, rngs: nnx.Rngs) -> None:
        self.weight = nnx.Param(jax.nn.initializers.glorot_uniform()(rngs.params(), (inputs, outputs)))
        self.bias = nnx.Param(jnp.zeros(outputs))

    def __call__(self, x: Float[Array, "B D"]) -> Float[Array, "B H"]:
        """``x weight + bias``."""
        return x @ self.weight[...] + self.bias[...][None]


class TiedOutput(Module):
    """Logits ``h W E_norm^T + b``. ``weight`` [H, E], ``bias`` [V].

    ``W E_norm^T`` is multiplied first, as in the public code: a step then costs H V multiply-adds
    and reads H V weights, not E V, and both decoder passes share the product.
    """

    def __init__(self, hidden: int, embedding: int, words: int, rngs: nnx.Rngs) -> None:
        self.weight = nnx.Param(_small(rngs, (hidden, embedding)))
        self.bias = nnx.Param(jnp.zeros(words))

    @scoped
    def tie(self, table: Float[Array, "V E"]) -> Float[Array, "H V"]:
        """The output matrix, once per step."""
        return self.weight[...] @ table.T

    def __call__(self, h: Float[Array, "*rest H"], tied: Float[Array, "H V"]) -> Float[Array, "*rest V"]:
        """Logits of states ``h``; ``tied`` is ``W E_norm^T``."""
        logits = h @ tied
        return logits + jnp.broadcast_to(self.bias[...], logits.shape)


class Decoder(Module):
    """LSTM whose every input is [word, H0]; it starts from c = H0, h = 0 with a GO step."""

    def __init__(self, words: int, embedding: int, hidden: int, noise: int, rngs: nnx.Rngs) -> None:
        self.embedding = embedding
        self.start = Affine(hidden + noise, hidden, rngs)
        self.cell = LSTMCell(embedding + hidden, hidden, rngs)
        self.output = TiedOutput(hidden, embedding, words, rngs)

    @scoped
    def begin(self, encoded: Float[Array, "B D"]) -> Start:
        """The start of a teacher-forced or free run; ``encoded`` is [encoder output, noise]."""
        h0 = self.start(encoded)
        return Start(h0, self.cell.project(h0, self.embedding) + self.cell.bias[...][None])

    @scoped
    def teacher(self, start: Start, tables: Tables, given: Float[Array, "B L E"]) -> Float[Array, "T B V"]:
        """Logits of the GO step and of one step per given word: T = L + 1."""
        state = self._go(start, tables)
        known = self.cell.project(jnp.swapaxes(given, 0, 1)) + start.gates[None]
        h = jnp.concatenate([state[1][None], self.cell.run(state, known)])
        return self.output(h, tables.output)

    @scoped
    def free(
        self,
        start: Start,
        tables: Tables,
        steps: int,
        choose: Callable[[Float[Array, "B V"]], Array],
        vector: Callable[[Array], Float[Array, "B E"]],
        emit: Callable[[Float[Array, "B V"], Array], PyTree],
    ) -> tuple[PyTree, PyTree]:
        """T = ``steps`` steps on the decoder's own words.

        choose(logits): the word fed back. vector(word): its embedding, computed only at the next step.
        emit(logits, word): the output of a step. Returns the output of the GO step, and those of the
        other steps, stacked along a leading axis T - 1.
        """
        state = self._go(start, tables)
        logits = self.output(state[1], tables.output)
        word = choose(logits)
        emitted = emit(logits, word)

        def body(carry: tuple[State, Array], _: None) -> tuple[tuple[State, Array], PyTree]:
            state, word = carry
            state = self.cell.step(state, self.cell.project(vector(word)) + start.gates)
            logits = self.output(state[1], tables.output)
            word = choose(logits)
            return (state, word), emit(logits, word)

        return emitted, jax.lax.scan(body, (state, word), None, length=steps - 1)[1]

    def _go(self, start: Start, tables: Tables) -> tuple[Array, Array]:
        return self.cell.first(start.cell, self.cell.project(tables.words[GO][None]) + start.gates)


class Generator(Module):
    """Encoder CNN and decoder over one word table (the paper's forward or backward model)."""

    def __init__(  # Nine parameters: independent sizes of the public configuration.
        self,
        words: int,
        embedding: int,
        features: int,
        filter: int,
        hidden: int,
        noise: int,
        length: int,
        scale: float,
        rngs: nnx.Rngs,
    ) -> None:
        self.pads, self.scale = filter - 1, scale
        self.embedding = WordTable(words, embedding, rngs)
        self.encoder = TextCNN(length, filter, embedding, features, hidden, rngs)
        self.decoder = Decoder(words, embedding, hidden, noise, rngs)

    @scoped
    def tables(self) -> Tables:
        """The tables that all uses in one step share."""
        words = self.embedding.all()
        return Tables(words, self.decoder.output.tie(words))

    @scoped
    def read(self, source: Int[Array, "B L"], z: Float[Array, "B Z"], tables: Tables) -> Float[Array, "B D"]:
        """[encoder output, noise] of a source of words."""
        return jnp.concatenate([self.encoder(self.embedding.look_up(source, tables.words)), z], axis=1)

    @scoped
    def read_synthetic(self, text: Synthetic, z: Float[Array, "B Z"], tables: Tables) -> Float[Array, "B D"]:
        """[encoder output, noise] of another generator's soft-argmax output."""
        x = self.embedding.synthetic(text, tables.words, self.pads)
        return jnp.concatenate([self.encoder(x), z], axis=1)

    @scoped
    def teacher(self, start: Start, tables: Tables, given: Int[Array, "B L"]) -> Float[Array, "T B V"]:
        """Logits with the true words fed: T = L + 1."""
        return self.decoder.teacher(start, tables, self.embedding.look_up(given, tables.words))

    @scoped
    def supervised(self, start: Start, tables: Tables, target: Int[Array, "B L"]) -> Float[Array, " B"]:
        """Masked cross-entropy per example of the target, teacher-forced."""
        return sequence_loss(self.teacher(start, tables, target[:, :-1]), target)

    @scoped
    def soft_argmax(self, start: Start, tables: Tables, steps: int) -> Synthetic:
        """``softmax(scale * logits)`` of every step, fed back as an average of word vectors."""
        return Synthetic(*self.free(start, tables, steps, lambda logits, word: word))

    @scoped
    def answer(self, start: Start, tables: Tables, steps: int) -> Int[Array, "B T"]:
        """The most likely word of every step of :meth:`soft_argmax`."""
        return _joined(self.free(start, tables, steps, lambda logits, word: most_likely(logits)))

    @scoped
    def free(self, start: Start, tables: Tables, steps: int, emit: Callable[[Array, Array], PyTree]) -> tuple[PyTree, PyTree]:
        """The soft-argmax pass; ``emit`` gives the output of a step (see :meth:`Decoder.free`)."""
        return self.decoder.free(
            start,
            tables,
            steps,
            lambda logits: jax.nn.softmax(self.scale * logits),
            lambda word: self.embedding.soft(word, tables.words),
            emit,
        )

    @scoped
    def greedy(self, start: Start, tables: Tables, steps: int) -> Int[Array, "B T"]:
        """The most likely word of every step, fed back as one word. No loss uses it."""
        return _joined(
            self.decoder.free(
                start,
                tables,
                steps,
                most_likely,
                lambda word: self.embedding.look_up(word, tables.words),
                lambda logits, word: word,
            )
        )


class Discriminator(Module):
    """Own word table, one CNN for the source and one for the target; their cosine is the score."""

    def __init__(self, words: int, embedding: int, features: int, filter: int, outputs: int, length: int, rngs: nnx.Rngs) -> None:
        self.embedding = WordTable(words, embedding, rngs)
        self.source = TextCNN(length, filter, embedding, features, outputs, rngs)
        self.target = TextCNN(length, filter, embedding, features, outputs, rngs)

    @scoped
    def source_vector(self, words: Int[Array, "B L"]) -> Float[Array, "B O"]:
        """Source texts as vectors of length 1; only the words that occur are normalised."""
        return normalised(self.source(self.embedding.of(words)))

    @scoped
    def target_vector(self, words: Int[Array, "B L"]) -> Float[Array, "B O"]:
        """Left-padded target texts as vectors of length 1."""
        return normalised(self.target(self.embedding.of(words)))

    @scoped
    def score(self, sources: Float[Array, "B O"], targets: Float[Array, "I O"]) -> Float[Array, "B I"]:
        """Cosine of every source with every target, both of length 1."""
        return sources @ targets.T


def most_likely(logits: Float[Array, "*rest V"]) -> Int[Array, "*rest"]:
    """The first word with the largest logit, int32; V if a logit is NaN.

    Two plain reductions: on a processor one ``argmax`` takes ten times as long.
    """
    words = jax.lax.broadcasted_iota(jnp.int32, logits.shape, logits.ndim - 1)
    largest = jnp.max(logits, axis=-1, keepdims=True)
    return jnp.min(jnp.where(logits == largest, words, logits.shape[-1]), axis=-1)


def cosine(a: Float[Array, "B O"], b: Float[Array, "B O"]) -> Float[Array, " B"]:
    """Cosine of matching rows."""
    return jnp.sum(normalised(a) * normalised(b), axis=1)


def sequence_loss(logits: Float[Array, "T B V"], target: Int[Array, "B T"]) -> Float[Array, " B"]:
    """Mean cross-entropy over the targets k that count: k < 2, or target k - 2 is not padding."""
    target = target.T
    picked = jnp.take_along_axis(logits, target[..., None], axis=2, mode="clip")[..., 0]
    mask = jnp.concatenate([jnp.ones_like(target[:2], bool), target[:-2] != PAD]).astype(logits.dtype)
    cost = jax.nn.logsumexp(logits, axis=2) - picked
    return jnp.sum(cost * mask, axis=0) / (jnp.sum(mask, axis=0) + 1e-12)


def _rows(table: Float[Array, "V E"], words: Int[Array, "*rest"]) -> Float[Array, "*rest E"]:
    return jnp.take(table, words, axis=0, mode="clip")


def _joined(words: tuple[Int[Array, " B"], Int[Array, "S B"]]) -> Int[Array, "B T"]:
    return jnp.concatenate([words[0][None], words[1]]).T


def _small(rngs: nnx.Rngs, shape: tuple[int, ...]) -> Array:
    """The public initialiser of tables and output weights, U(-0.001, 0.001)."""
    return jax.random.uniform(rngs.params(), shape, minval=-1e-3, maxval=1e-3)


def generator_names(theirs: str, ours: str) -> PublicNames:
    """Public TensorFlow names of a :class:`Generator` at ``ours``: path and conversion."""
    lstm = "embedding_rnn_decoder/rnn_decoder/lstm_cell"
    leaves = {
        "weights": "start.weight",
        "biases": "start.bias",
        "W": "output.weight",
        "b": "output.bias",
        f"{lstm}/kernel": "cell.kernel",
        f"{lstm}/bias": "cell.bias",
    }
    names = {f"{theirs}lstm_decoder/{name}": f"{ours}.decoder.{path}" for name, path in leaves.items()}
    names[f"{theirs}embed/W"] = f"{ours}.embedding.table"
    return cnn_names(theirs, f"{ours}.encoder") | {name: (path, lambda w: w) for name, path in names.items()}


def discriminator_names(theirs: str, ours: str) -> PublicNames:
    """Public TensorFlow names of a :class:`Discriminator` at ``ours``: path and conversion."""
    return (
        {f"{theirs}embed/W": (f"{ours}.embedding.table", lambda w: w)}
        | cnn_names(f"{theirs}src_", f"{ours}.source")
        | cnn_names(f"{theirs}tgt_", f"{ours}.target")
    )
