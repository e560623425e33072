"""The network of MMN and PMMN: tables, gate, episode and memory, and the two scoring heads.

A product with what depends on the item alone (a fact's share of the gate) or on the user alone (the
query's share of the heads) is computed separately and not repeated for every pair of user and item.
The results are those of the published concatenations.

Letters: B users, C candidates (items or aspects) per user, X = B or 1 where all users share the
candidates, N common items, P words of a description, S fact slots, Q words of the query window,
E embedding, H hidden, W units of a head.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from cr_jax.errors import BadConfig
from cr_jax.nn.bias import add_bias
from cr_jax.nn.module import Module, PublicNames, scoped
from cr_jax.nn.quantised import LOOKED_UP
from cr_jax.nn.tf_gru import GRU, fact_states, glorot, gru_names, until


class Table(Module):
    """Rows looked up by index; starts uniform in (-1, 1)."""

    def __init__(self, rows: int, embedding: int, rngs: nnx.Rngs) -> None:
        start = jax.random.uniform(rngs.params(), (rows, embedding), minval=-1, maxval=1)
        self.rows = nnx.Param(start, table_axis=0, **{LOOKED_UP: True})

    def __call__(self, index: Int[Array, "*B"]) -> Float[Array, "*B E"]:
        """The rows at ``index``."""
        return self.rows[...][index]


class Gate(Module):
    """``g = σ(w2·tanh(W1 [fact, memory, query] + b1) + b2)``."""

    def __init__(self, hidden: int, rngs: nnx.Rngs) -> None:
        h = self.hidden = hidden
        self.w1 = nnx.Param(glorot(rngs.params(), (3 * h, h)))
        self.b1 = nnx.Param(glorot(rngs.params(), (h, 1)).reshape(h))
        self.w2 = nnx.Param(glorot(rngs.params(), (h, 1)))
        self.b2 = nnx.Param(glorot(rngs.params(), (1, 1)).reshape(1))

    @scoped
    def share(self, facts: Float[Array, "*C S H"]) -> Float[Array, "*C S H"]:
        """The facts' term before the tanh, which is the same for every user."""
        return add_bias(facts @ self.w1[: self.hidden], self.b1[...])

    def __call__(
        self, share: Float[Array, "X C S H"], memory: Float[Array, "B H"], query: Float[Array, "B H"]
    ) -> Float[Array, "B C S"]:
        """The gate of each of S facts of C items, in (0, 1); X is B, or 1 where users share the facts."""
        asked = jnp.concatenate([memory, query], axis=-1) @ self.w1[self.hidden :]
        hidden = jnp.tanh(share + asked[:, None, None])
        return jax.nn.sigmoid(add_bias(hidden @ self.w2[...], self.b2[...]))[..., 0]


class Recall(NamedTuple):
    """The memory of each candidate, with the gates and the episode that led to it."""

    memory: Float[Array, "B C H"]
    gates: Float[Array, "B C S"]
    episode: Float[Array, "B C H"]


def _weighted(gates: Float[Array, "B C S"], facts: Float[Array, "X C S H"]) -> Float[Array, "B C H"]:
    """``Σ g·fact`` over the slots."""
    if facts.shape[0] != gates.shape[0]:
        return jnp.sum(gates[..., None] * facts, axis=-2)
    # One merged axis: XLA's CPU reduction is some thirty times slower behind an axis of length 1 (one user).
    b, c, s = gates.shape
    return jnp.sum(gates.reshape(b * c, s, 1) * facts.reshape(b * c, s, -1), axis=1).reshape(b, c, -1)


class EpisodicMemory(Module):
    """One hop: ``episode = Σ g·fact / Σ g`` over all slots, padding included; memory = GRU(episode,
    state = query).
    """

    def __init__(self, hidden: int, rngs: nnx.Rngs) -> None:
        self.gate = Gate(hidden, rngs)
        self.memory = GRU(hidden, hidden, rngs)

    def __call__(self, facts: Float[Array, "X C S H"], share: Float[Array, "X C S H"], query: Float[Array, "B H"]) -> Recall:
        """One hop: the memory after it, its gates and its episode."""
        gates = self.gate(share, query, query)
        episode = _weighted(gates, facts) / jnp.sum(gates, axis=-1, keepdims=True)
        return Recall(self.memory.step(episode, query[:, None]), gates, episode)


class Scored(NamedTuple):
    """The second layer's output, and the logit."""

    hidden: Float[Array, "B C W//2"]
    logits: Float[Array, "B C"]


class Head(Module):
    """``[before, own, after] → W elu → W/2 elu → 1``.

    ``own`` belongs to the candidate; ``before`` and ``after`` (the user's vector, or nothing) belong to the user.
    """

    def __init__(self, before: int, own: int, after: int, width: int, rngs: nnx.Rngs) -> None:
        self.before, self.own = before, own
        half = width // 2
        self.w1 = nnx.Param(glorot(rngs.params(), (before + own + after, width)))
        self.b1 = nnx.Param(glorot(rngs.params(), (1, width)).reshape(width))
        self.w2 = nnx.Param(glorot(rngs.params(), (width, half)))
        self.b2 = nnx.Param(glorot(rngs.params(), (1, half)).reshape(half))
        self.w3 = nnx.Param(glorot(rngs.params(), (half, 1)))
        self.b3 = nnx.Param(glorot(rngs.params(), (1, 1)).reshape(1))

    @scoped
    def share(self, own: Float[Array, "*C D"]) -> Float[Array, "*C W"]:
        """The candidates' term in the first layer."""
        return own @ self.w1[self.before : self.before + self.own]

    def __call__(self, before: Float[Array, "B N"], share: Float[Array, "X C W"], after: Float[Array, "B E"] | None) -> Scored:
        """The score of each of C items; ``after`` is the part behind the items' own, where there is one."""
        asked = add_bias(before @ self.w1[: self.before], self.b1[...])
        if after is not None:
            asked = asked + after @ self.w1[self.before + self.own :]
        hidden = jax.nn.elu(add_bias(jax.nn.elu(share + asked[:, None]) @ self.w2[...], self.b2[...]))
        return Scored(hidden, add_bias(hidden @ self.w3[...], self.b3[...])[..., 0])

    def squares(self) -> Float[Array, ""]:
        """Σw² of all six arrays, biases included, as the published loss regularises them."""
        weights = (self.w1, self.b1, self.w2, self.b2, self.w3, self.b3)
        return sum((jnp.sum(jnp.square(w[...])) for w in weights), start=jnp.zeros((), self.w1.dtype))


class Answers(NamedTuple):
    """Everything that is computed for a training batch; items are [positive, negative]."""

    query: Float[Array, "B H"]
    facts: Float[Array, "B 2 S H"]
    recall: Recall
    search: Scored
    common_facts: Float[Array, "N S H"]
    common: Recall
    question: Scored


class MultiMemory(Module):
    """MMN (``users`` is ``None``) and PMMN."""

    def __init__(self, words: int, users: int | None, embedding: int, hidden: int, rngs: nnx.Rngs) -> None:
        e, h, u = embedding, hidden, 0 if users is None else embedding
        self.words = Table(words, e, rngs)
        self.users = None if users is None else Table(users, e, rngs)
        self.encoder = GRU(e, h, rngs)
        self.episodic = EpisodicMemory(h, rngs)
        self.search = Head(before=h, own=h, after=u, width=h, rngs=rngs)
        self.question = Head(before=2 * h, own=e, after=u, width=2 * h, rngs=rngs)

    @scoped
    def facts(self, words: Int[Array, "C P"], ends: Int[Array, "C S"]) -> Float[Array, "C S H"]:
        """Descriptions encoded; ends: word index of each ".", right-padded with 0."""
        valid = until(jnp.max(ends, axis=1), words.shape[1])
        outputs, _ = self.encoder(self.words(words), valid, self.encoder.zeros(words.shape[0]))
        return fact_states(outputs, ends)

    @scoped
    def query(self, words: Int[Array, "B Q"]) -> Float[Array, "B H"]:
        """The state after the whole window, padding included."""
        return self.encoder.last(self.words(words), jnp.ones(words.shape, bool), self.encoder.zeros(words.shape[0]))

    def user(self, users: Int[Array, "B"] | None) -> Float[Array, "B E"] | None:
        """The users' vectors; ``None`` in MMN. Raises ``BadConfig`` if PMMN is given no users."""
        if self.users is None:
            return None
        if users is None:
            raise BadConfig("pmmn was given no users; legal: 'user', the users' row numbers, beside the words")
        return self.users(users)

    def search_items(
        self,
        facts: Float[Array, "X C S H"],
        shares: Float[Array, "X C S H"],
        query: Float[Array, "B H"],
        user: Float[Array, "B E"] | None,
    ) -> tuple[Recall, Scored]:
        """Memory and score of each candidate item."""
        recall = self.episodic(facts, shares, query)
        return recall, self.search(query, self.search.share(recall.memory), user)

    @scoped
    def next_question(
        self,
        common: Float[Array, "B N H"],
        query: Float[Array, "B H"],
        aspects: Float[Array, "X C 2*H"],
        user: Float[Array, "B E"] | None,
    ) -> Scored:
        """Score of each candidate aspect, from the mean memory over the N common items."""
        return self.question(jnp.concatenate([query, jnp.mean(common, axis=1)], axis=-1), aspects, user)

    def __call__(self, batch: dict[str, Array]) -> Answers:
        """The answers to a training batch; all descriptions are encoded in one run.

        batch: ``query`` [B, Q]; ``positive_words`` [B, P], ``positive_ends`` [B, S] and the same of
        ``negative``; ``common_words`` [N, P], ``common_ends`` [N, S]; ``positive_aspect`` [B] and
        ``negative_aspect`` [B], word ids; PMMN also ``user`` [B].
        """
        b = batch["query"].shape[0]
        words = [batch[f"{name}_words"] for name in ("positive", "negative", "common")]
        ends = [batch[f"{name}_ends"] for name in ("positive", "negative", "common")]
        facts = self.facts(jnp.concatenate(words), jnp.concatenate(ends))
        shares = self.episodic.gate.share(facts)
        query, user = self.query(batch["query"]), self.user(batch.get("user"))

        def pairs(x: Array) -> Array:
            return jnp.stack([x[:b], x[b : 2 * b]], axis=1)

        recall, search = self.search_items(pairs(facts), pairs(shares), query, user)
        common = self.episodic(facts[None, 2 * b :], shares[None, 2 * b :], query)
        aspects = self.words(jnp.stack([batch["positive_aspect"], batch["negative_aspect"]], axis=1))
        question = self.next_question(common.memory, query, self.question.share(aspects), user)
        return Answers(query, pairs(facts), recall, search, facts[2 * b :], common, question)

    def regularised(self) -> Float[Array, ""]:
        """Σw² over the gate's two matrices and both heads, which the published loss regularises."""
        gate = self.episodic.gate
        matrices = jnp.sum(jnp.square(gate.w1[...])) + jnp.sum(jnp.square(gate.w2[...]))
        return matrices + self.search.squares() + self.question.squares()


def public_names(users: bool) -> PublicNames:
    """Public variable name -> path here and conversion; ``users``: with the user table."""

    def same(w: np.ndarray) -> np.ndarray:
        return w

    def turned(w: np.ndarray) -> np.ndarray:
        return w.T

    def flat(w: np.ndarray) -> np.ndarray:
        return w.reshape(-1)

    names = {"word_embedding": ("words.rows", same)} | ({"user_embedding": ("users.rows", same)} if users else {})
    names |= gru_names("input-module/build_uniencoder/multi_rnn_cell/cell_0/gru_cell", "encoder")
    for leaf, convert in {"w1": turned, "b1": flat, "w2": turned, "b2": flat}.items():
        names[f"episodic-memory-module/attention_weight/{leaf}"] = (f"episodic.gate.{leaf}", convert)
    names |= gru_names("episodic-memory-module/memory_rnn", "episodic.memory")
    for head in ("search", "question"):
        for leaf, convert in {"w1": same, "b1": flat, "w2": same, "b2": flat}.items():
            names[f"{head}-module/{leaf}"] = (f"{head}.{leaf}", convert)
        names |= {f"{head}_loss/w": (f"{head}.w3", same), f"{head}_loss/b": (f"{head}.b3", flat)}
    return names
