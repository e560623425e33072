"""DMN's layers: input module, attention gate, episodic memory and answer.

Letters: B batch, P words of the facts, Q words of the question, E word vector, H hidden, F fact
slots, V answer classes.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from cr_jax.models.dmn.config import Config
from cr_jax.nn.bias import add_bias
from cr_jax.nn.item_table import Dense, LowRank, ProductQuantised
from cr_jax.nn.module import Module, scoped
from cr_jax.nn.tf_gru import GRU, fact_states, glorot, until


class InputModule(Module):
    """One GRU for the facts text and the question."""

    def __init__(self, embedding: int, hidden: int, rngs: nnx.Rngs) -> None:
        self.encoder = GRU(embedding, hidden, rngs)

    def __call__(self, text: Float[Array, "B P E"], ends: Int[Array, "B F"]) -> Float[Array, "B F H"]:
        """The state at each sentence end; ends: word index of each ".", right-padded with 0."""
        valid = until(jnp.max(ends, axis=1), text.shape[1])
        outputs, _ = self.encoder(text.astype(self.encoder.dtype), valid, self.encoder.zeros(text.shape[0]))
        return fact_states(outputs, ends)

    @scoped
    def question(self, words: Float[Array, "B Q E"]) -> Float[Array, "B H"]:
        """The last state; the length is the number of words whose largest component is not 0."""
        lengths = jnp.sum(jnp.max(words, axis=2) != 0, axis=1)
        words = words.astype(self.encoder.dtype)
        return self.encoder.last(words, until(lengths, words.shape[1]), self.encoder.zeros(words.shape[0]))


class AttentionGate(Module):
    """``g = σ(w2·tanh(W1 z + b1) + b2)``, ``z = [c, m, q, c⊙q, c⊙m, (c−q)², (c−m)²]``."""

    def __init__(self, hidden: int, rngs: nnx.Rngs) -> None:
        h = hidden
        self.w1 = nnx.Param(glorot(rngs.params(), (7 * h, h)))
        self.b1 = nnx.Param(glorot(rngs.params(), (h, 1)).reshape(h))
        self.w2 = nnx.Param(glorot(rngs.params(), (h, 1)))
        self.b2 = nnx.Param(glorot(rngs.params(), (1, 1)).reshape(1))

    def __call__(
        self, facts: Float[Array, "B F H"], memory: Float[Array, "B H"], question: Float[Array, "B H"]
    ) -> Float[Array, "B F"]:
        """The gate of every fact, given the memory and the question."""
        c = facts
        m = jnp.broadcast_to(memory[:, None], c.shape)
        q = jnp.broadcast_to(question[:, None], c.shape)
        z = jnp.concatenate([c, m, q, c * q, c * m, (c - q) ** 2, (c - m) ** 2], axis=-1)
        hidden = jnp.tanh(add_bias(z @ self.w1[...], self.b1[...]))
        return jax.nn.sigmoid(add_bias(hidden @ self.w2[...], self.b2[...]))[..., 0]


class Recall(NamedTuple):
    """The result of all hops over the facts."""

    memory: Float[Array, "B H"]
    """The last memory."""
    gates: tuple[Float[Array, "B F"], ...]
    """The gates of every hop."""
    episodes: tuple[Float[Array, "B H"], ...]
    """The episode of every hop."""


class EpisodicMemory(Module):
    """Hops over the facts. All hops share the gate and both GRUs; the first memory is the question."""

    def __init__(self, hidden: int, hops: int, rngs: nnx.Rngs) -> None:
        self.hops = hops
        self.gate = AttentionGate(hidden, rngs)
        self.episode = GRU(hidden, hidden, rngs)
        self.memory = GRU(hidden, hidden, rngs)

    def __call__(self, facts: Float[Array, "B F H"], question: Float[Array, "B H"]) -> Recall:
        """The memory after the last hop, with the gates and episodes of every hop."""
        projected = self.episode.project(facts)  # the same at every hop
        memory, gates, episodes = question, [], []
        for _ in range(self.hops):
            gates.append(self.gate(facts, memory, question))
            episodes.append(self.episode.gated(projected, gates[-1], self.episode.zeros(facts.shape[0])))
            memory = self.memory.step(episodes[-1], memory)
        return Recall(memory, tuple(gates), tuple(episodes))


def answer(config: Config, rngs: nnx.Rngs) -> Dense | LowRank | ProductQuantised:
    """Logits ``m·w_a`` of V classes, without a bias; w_a as the configuration says."""
    sizes = config.hidden, config.classes
    if config.item_rank is not None:
        return LowRank(*sizes, config.item_rank, glorot, rngs=rngs)
    if config.item_codes is not None:
        return ProductQuantised(*sizes, config.item_codes, config.item_centroids, glorot, rngs)
    return Dense(*sizes, glorot, rngs)
