"""From dialogues to item scores: sentiment about each mentioned item, AutoRec, and the response.

Letters: B users, M mention slots of a user (each holds one item), C utterances of a history,
U new utterances, L words, n items, K layers and H units of the conversation encoder, X units of
the response encoder, V tokens of a response (words, then items).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from cr_jax.models.srnn_ae.autorec import AutoRec
from cr_jax.models.srnn_ae.config import Config
from cr_jax.models.srnn_ae.hred_decoder import SwitchingDecoder
from cr_jax.models.srnn_ae.hrnn import HRNN, Dialogue, Encoded, Sentiment
from cr_jax.nn.module import Module, scoped

Batch = dict[str, jax.Array]


class ConversationState(NamedTuple):
    """The state that is carried between turns."""

    memory: Float[Array, "B M+1 K H"]
    """The conversation encoder's states; that of slot 0 has read no mention."""
    mentioned: Bool[Array, "B M"]
    """Whether each slot's item was mentioned."""
    items: Int[Array, "B M"]
    """Each slot's item, −1 for an empty slot."""
    hred: Float[Array, "B 1 X"] | None
    """The response encoder's state; ``None`` without a decoder."""


class DialogueRecommender(Module):
    """The sentiment network and AutoRec; with ``response``, the HRED encoder and decoder as well.

    A batch of histories has words, lengths, senders and utterances as in :class:`Dialogue`, with B
    for N, and by slot mentions [B, M, C, L] and items [B, M], −1 for an empty slot.
    """

    #: The configuration it was built from, set by ``model.build``.
    config: Config

    def __init__(
        self,
        sentiment: Sentiment,
        autorec: AutoRec,
        response: tuple[HRNN, SwitchingDecoder] | None,
        mentions: int,
        new_items_only: bool,
        response_words: int,
    ) -> None:
        self.sentiment, self.autorec = sentiment, autorec
        self.mentions, self.new_items_only, self.response_words = mentions, new_items_only, response_words
        self.hred, self.decoder = (None, None) if response is None else response

    @scoped
    def start(self, batch: int) -> ConversationState:
        """The state of ``batch`` users before the request."""
        encoder = self.sentiment.encoder.conversation_encoder
        dtype = encoder.forward[0].hidden_kernel.dtype
        memory = jnp.zeros((batch, self.mentions + 1, encoder.states, encoder.hidden), dtype)
        hred = None
        if self.hred is not None:
            encoder = self.hred.conversation_encoder
            hred = jnp.zeros((batch, encoder.states, encoder.hidden), dtype)
        mentioned = jnp.zeros((batch, self.mentions), bool)
        return ConversationState(memory, mentioned, jnp.full(mentioned.shape, -1, jnp.int32), hred)

    @scoped
    def encode(self, dialogue: Dialogue, state: Array | None = None, key: Array | None = None) -> Encoded:
        """Word vectors, sentences and conversations of the sentiment network."""
        vectors = self.sentiment.words(dialogue.words, dialogue.lengths)
        return self.sentiment.encoder(vectors, dialogue, state, key)

    @scoped
    def ratings(self, likes: Float[Array, "B M"], items: Int[Array, "B M"]) -> Float[Array, "B n"]:
        """AutoRec's input: each slot's value at its item, 0 elsewhere; an empty slot has item −1."""
        n = self.autorec.decoder.bias.shape[0]
        empty = jnp.zeros((items.shape[0], n), likes.dtype)
        rows = jnp.arange(items.shape[0])[:, None]
        return empty.at[rows, jnp.where(items < 0, n, items)].set(likes, mode="drop")

    @scoped
    def score(self, likes: Float[Array, "B M"], mentioned: Bool[Array, "B M"], items: Int[Array, "B M"]) -> Float[Array, "B n"]:
        """Item scores from the liked probabilities of the items mentioned so far."""
        scores = self.autorec.raw(self.ratings(jnp.where(mentioned, likes, 0.0), items))
        return self.only_new(scores, mentioned, items) if self.new_items_only else scores

    def only_new(self, scores: Array, mentioned: Array, items: Array) -> Float[Array, "B n"]:
        """Scores with 0 for the items mentioned so far."""
        return scores * (1 - self.ratings(mentioned.astype(scores.dtype), items))

    @scoped
    def recommend_each(self, batch: Batch, key: Array | None = None) -> tuple[Array, Array, Array]:
        """Every utterance of whole dialogues: scores [B, C, n], likes and mentioned so far [B, M, C].

        likes: liked probability, 0 before the first mention. At padded utterances it is that of a zero
        state, as in the public code. ``new_items_only`` does not apply.
        """
        b, m, c, _ = batch["mentions"].shape
        states = self.encode(per_slot(batch), key=key).states.reshape(b, m, c, -1)
        mentioned = jnp.cumsum((batch["mentions"] > 0).any(-1).astype(jnp.int32), axis=2) > 0
        likes = jnp.where(mentioned, self.sentiment.liked(states), 0.0)
        ratings = jax.vmap(self.ratings, in_axes=(2, None), out_axes=1)(likes, batch["items"])
        return self.autorec.raw(ratings), likes, mentioned

    @scoped
    def replay(self, batch: Batch) -> Batch:
        """Outputs after the last utterance, the whole dialogue read once per slot."""
        b, m = batch["items"].shape
        last = self.encode(per_slot(batch)).last[:, -1].reshape(b, m, -1)
        mentioned = (batch["mentions"] > 0).any((2, 3))
        scores = self.score(self.sentiment.liked(last), mentioned, batch["items"])
        if self.hred is None:
            return {"item_scores": scores}
        return self.respond(self.encode_response(batch).last, scores)

    @scoped
    def turn(self, state: ConversationState, new: Batch) -> tuple[ConversationState, Batch]:
        """Read the new utterances on every state; a first mention forks from the state without mentions."""
        b, m = new["items"].shape
        fork = jnp.where(state.mentioned[:, :, None, None], state.memory[:, 1:], state.memory[:, :1])
        memory = jnp.concatenate([state.memory[:, :1], fork], axis=1)
        bits = jnp.concatenate([jnp.zeros_like(new["mentions"][:, :1]), new["mentions"]], axis=1)
        copies = per_slot(new | {"mentions": bits})
        # Word vectors do not depend on mentions: GenSen reads an utterance once.
        vectors = self.sentiment.words(new["words"], new["lengths"])
        vectors = repeat(vectors, m + 1)
        last = self.sentiment.encoder(vectors, copies, memory.reshape(b * (m + 1), *memory.shape[2:])).last
        memory = last.reshape(memory.shape)
        mentioned = state.mentioned | (new["mentions"] > 0).any((2, 3))
        items = jnp.where(new["items"] >= 0, new["items"], state.items)
        scores = self.score(self.sentiment.liked(memory[:, 1:, -1]), mentioned, items)
        if state.hred is None:
            return ConversationState(memory, mentioned, items, None), {"item_scores": scores}
        hred = self.encode_response(new, state.hred).last
        return ConversationState(memory, mentioned, items, hred), self.respond(hred, scores)

    @scoped
    def predict_responses(self, batch: Batch, key: Array | None = None) -> Float[Array, "B C L V"]:
        """Log-probabilities of every utterance, from the state and the scores before it (0 at first).

        The sentiment network is frozen here, but, as in the public code, its dropout is on with ``key``.
        """
        scores, _, _ = self.recommend_each(batch, key)
        states = self.encode_response(batch).states
        b, c, length = batch["words"].shape

        def before(x: Array) -> Array:
            return jnp.concatenate([jnp.zeros_like(x[:, :1]), x[:, :-1]], axis=1).reshape(b * c, -1)

        assert self.decoder is not None
        words, lengths = batch["words"].reshape(b * c, length), batch["lengths"].reshape(b * c)
        log_probabilities, _ = self.decoder(words, lengths, before(states), before(scores))
        return log_probabilities.reshape(b, c, length, -1)

    def encode_response(self, batch: Batch, state: Array | None = None) -> Encoded:
        """The HRED encoder, over the sentiment network's word vectors."""
        assert self.hred is not None
        dialogue = Dialogue(batch["words"], batch["lengths"], batch["senders"], None, batch["utterances"])
        vectors = jax.lax.stop_gradient(self.sentiment.words(dialogue.words, dialogue.lengths))
        return self.hred(vectors, dialogue, state)

    def respond(self, hred: Float[Array, "B 1 X"], scores: Float[Array, "B n"]) -> Batch:
        """Item scores and a greedy response."""
        assert self.decoder is not None
        tokens = self.decoder.greedy(hred[:, -1], scores, self.response_words)
        return {"item_scores": scores, "answer_tokens": tokens}


def repeat(x: Array, copies: int) -> Array:
    """[B, ...] -> [B·copies, ...], copies of a row side by side."""
    return jnp.broadcast_to(x[:, None], (x.shape[0], copies, *x.shape[1:])).reshape(-1, *x.shape[1:])


def per_slot(batch: Batch) -> Dialogue:
    """Dialogues of B users -> one copy per mention slot, each with the slot's mention bits."""
    bits = batch["mentions"]
    copies = {k: repeat(batch[k], bits.shape[1]) for k in ("words", "lengths", "senders", "utterances")}
    return Dialogue(mentions=bits.reshape(-1, *bits.shape[2:]), **copies)
