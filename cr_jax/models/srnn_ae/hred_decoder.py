"""The response decoder of the public recommender: a GRU over words, and a switch between word and item.

The context (the conversation state before the response) starts every GRU layer, or, with
``peephole``, is appended to every input. Log-probabilities cover words then items:
``log σ(s) + log softmax(word logits)`` and ``log σ(−s) + log softmax(item scores)``.
Letters: B responses, L words of a response, W vocabulary, n items, V = W + n tokens, H hidden,
X context, S layers.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from cr_jax.errors import BadConfig
from cr_jax.models.srnn_ae.torch_gru import TorchGRU, published_gru
from cr_jax.models.srnn_ae.torch_linear import TorchLinear, published_linear
from cr_jax.models.srnn_ae.word_vectors import WordTable
from cr_jax.nn.module import Module, scoped

#: Where the public vocabulary keeps its special words, counted from its end.
START, END, PAD, UNKNOWN = 5, 4, 3, 2


class SwitchingDecoder(Module):
    """Decodes a response, teacher-forced (``__call__``) or free-running (``greedy``)."""

    def __init__(
        self, words: int, embedding: int, hidden: int, context: int, layers: int, peephole: bool = False, *, rngs: nnx.Rngs
    ) -> None:
        if not peephole and context != hidden:
            raise BadConfig(
                f"decoder context {context} is not its hidden size {hidden}: the context starts the GRU; "
                "legal: equal sizes, or a peephole"
            )
        self.words, self.peephole = words, peephole
        self.embedding = WordTable(words, embedding, rngs=rngs)
        self.gru = TorchGRU(embedding + context * peephole, hidden, layers, rngs=rngs)
        self.language = TorchLinear(hidden, words, rngs=rngs)
        self.switch = TorchLinear(hidden + context, 1, rngs=rngs)

    def __call__(
        self, inputs: Int[Array, "B L"], lengths: Int[Array, "B"], context: Float[Array, "B X"], scores: Float[Array, "B n"]
    ) -> tuple[Float[Array, "B L {self.words}+n"], Float[Array, "B L H"]]:
        """Log-probabilities of the word after each given one, and the GRU's outputs."""
        hidden, _ = self.advance(inputs, lengths, context, self.begin(context))
        return self.choose(hidden, context, scores), hidden

    @scoped
    def begin(self, context: Float[Array, "B X"]) -> Float[Array, "B S H"]:
        """The GRU's states before the first word."""
        shape = (context.shape[0], self.gru.states, self.gru.hidden)
        return jnp.zeros(shape, context.dtype) if self.peephole else jnp.broadcast_to(context[:, None], shape)

    @scoped
    def advance(
        self, inputs: Int[Array, "B L"], lengths: Int[Array, "B"], context: Float[Array, "B X"], state: Float[Array, "B S H"]
    ) -> tuple[Float[Array, "B L H"], Float[Array, "B S H"]]:
        """Read given words."""
        rows = self.embedding(inputs, lengths)
        if self.peephole:
            beside = jnp.broadcast_to(context[:, None], (*inputs.shape, context.shape[1]))
            rows = jnp.concatenate([rows, beside.astype(rows.dtype)], axis=-1)
        return self.gru(rows, lengths, state.astype(rows.dtype))

    @scoped
    def choose(
        self, hidden: Float[Array, "B L H"], context: Float[Array, "B X"], scores: Float[Array, "B n"]
    ) -> Float[Array, "B L {self.words}+n"]:
        """Log-probabilities of words, then items."""
        b, length, _ = hidden.shape
        beside = jnp.broadcast_to(context[:, None], (b, length, context.shape[1])).astype(hidden.dtype)
        switch = self.switch(jnp.concatenate([beside, hidden], axis=-1)).astype(jnp.float32)
        words = jax.nn.log_softmax(self.language(hidden).astype(jnp.float32), axis=-1)
        items = jax.nn.log_softmax(scores.astype(jnp.float32), axis=-1)
        items = jnp.broadcast_to(items[:, None], (b, length, scores.shape[1]))
        return jnp.concatenate([jax.nn.log_sigmoid(switch) + words, jax.nn.log_sigmoid(-switch) + items], -1)

    @scoped
    def greedy(self, context: Float[Array, "B X"], scores: Float[Array, "B n"], steps: int) -> Int[Array, "B steps"]:
        """The most probable token at each of ``steps`` steps after ``<s>``; ids from W on are items.

        An item is read back as ``<unk>``; after ``</s>`` every token is ``<pad>``.
        """
        b = context.shape[0]
        one = jnp.ones((b,), jnp.int32)

        def step(carry: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], Array]:
            token, state = carry
            read = jnp.where(token >= self.words, self.words - UNKNOWN, token)
            hidden, state = self.advance(read[:, None], one, context, state)
            best = self.choose(hidden, context, scores)[:, 0].argmax(axis=-1).astype(jnp.int32)
            ended = (token == self.words - END) | (token == self.words - PAD)
            best = jnp.where(ended, self.words - PAD, best)
            return (best, state), best

        first = jnp.full((b,), self.words - START, jnp.int32)
        state = self.begin(context).astype(self.embedding.table.dtype)
        _, tokens = jax.lax.scan(step, (first, state), None, length=steps)
        return tokens.T


def response_loss(
    log_probabilities: Float[Array, "*B L V"], target: Int[Array, "*B L"], counted: Float[Array, "*B"]
) -> Float[Array, ""]:
    """Mean negative log-likelihood over every position of the ``counted`` responses, padding included
    (the public criterion ignores no index).
    """
    chosen = jnp.take_along_axis(log_probabilities, target[..., None], axis=-1)[..., 0]
    return -(chosen * counted[..., None]).sum() / jnp.maximum(counted.sum() * target.shape[-1], 1.0)


def published_decoder(name: str, path: str, layers: int) -> dict[str, tuple[str, bool]]:
    """The public parameter names under ``name`` -> (our dotted path, whether it is transposed)."""
    table = {f"{name}.decoder.embedding.weight": (f"{path}.embedding.table", False)}
    heads = published_linear(f"{name}.language_out", f"{path}.language") | published_linear(f"{name}.switch", f"{path}.switch")
    return table | published_gru(f"{name}.decoder.gru", f"{path}.gru", layers) | heads
