"""The hierarchical sentiment network: words -> sentence bi-GRU -> conversation GRU -> six heads.

Letters: N dialogues (one per mentioned item), C utterances, L words, E word vector,
Z = 2·sentence hidden + 1, H conversation hidden, K conversation layers.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Float, Int

from cr_jax.models.srnn_ae.torch_gru import TorchGRU, published_gru
from cr_jax.models.srnn_ae.torch_linear import TorchLinear, published_linear
from cr_jax.models.srnn_ae.word_vectors import GenSen, WordTable
from cr_jax.nn.module import Module, scoped

#: Heads in the order of a form's columns: did the initiator (the user) and the respondent (the
#: system) say the item was suggested, seen (no, yes, did not say), liked (no, yes, did not say)?
HEADS = (
    ("initiator_suggested", 1),
    ("initiator_seen", 3),
    ("initiator_liked", 3),
    ("respondent_suggested", 1),
    ("respondent_seen", 3),
    ("respondent_liked", 3),
)
#: Class weights of "liked", against 95 likes for 5 dislikes.
LIKED_WEIGHTS = (1 / 5, 1 / 80, 1 / 15)


class Dialogue(NamedTuple):
    """A batch of dialogues, each about one item."""

    words: Int[Array, "N C L"]
    """Word ids."""
    lengths: Int[Array, "N C"]
    """Words of each utterance; 0: there is no utterance."""
    senders: Float[Array, "N C"]
    """1 user, −1 system, 0 padding."""
    mentions: Float[Array, "N C L"] | None
    """1 where the word mentions the item; ``None`` for a network without that bit."""
    utterances: Int[Array, "N"]
    """Utterances of each dialogue."""


class Encoded(NamedTuple):
    """Encoded dialogues."""

    sentences: Float[Array, "N C Z"]
    """Each utterance, with its sender."""
    states: Float[Array, "N C H"]
    """The conversation after each utterance; zero past its end."""
    last: Float[Array, "N K H"]
    """Every layer's state at the end of the conversation."""


def dropout(x: Array, rate: float, key: Array | None) -> Array:
    """Inverted dropout; with ``key`` ``None`` (inference) ``x`` itself."""
    if key is None or rate == 0:
        return x
    keep = jax.random.bernoulli(key, 1 - rate, x.shape)
    return jnp.where(keep, x / (1 - rate), jnp.zeros_like(x))


class HRNN(Module):
    """Sentence bi-GRU and conversation GRU. With ``mention_bit`` each word vector has one more component."""

    def __init__(
        self,
        inputs: int,
        sentence: tuple[int, int],
        conversation: tuple[int, int],
        *,
        mention_bit: bool,
        dropout: float,
        rngs: nnx.Rngs,
    ) -> None:
        """``sentence`` and ``conversation`` are (hidden, layers)."""
        self.mention_bit, self.dropout = mention_bit, dropout
        self.sentence_encoder = TorchGRU(inputs + mention_bit, *sentence, bidirectional=True, rngs=rngs)
        self.conversation_encoder = TorchGRU(2 * sentence[0] + 1, *conversation, rngs=rngs)

    def __call__(
        self,
        vectors: Float[Array, "N C L E"],
        dialogue: Dialogue,
        state: Float[Array, "N K H"] | None = None,
        key: Array | None = None,
    ) -> Encoded:
        """Encode ``dialogue``, continuing from ``state``; ``key`` switches dropout on."""
        keys = (None, None, None) if key is None else jax.random.split(key, 3)
        n, c, length, _ = vectors.shape
        words = dropout(vectors, self.dropout, keys[0])
        if self.mention_bit:
            assert dialogue.mentions is not None
            words = jnp.concatenate([words, dialogue.mentions[..., None].astype(words.dtype)], axis=-1)
        lengths = dialogue.lengths.reshape(n * c)
        _, last = self.sentence_encoder(words.reshape(n * c, length, -1), lengths)
        # Backward first; an utterance of no words never leaves the zero state.
        sentences = jnp.concatenate([last[:, -1], last[:, -2]], axis=-1).reshape(n, c, -1)
        sentences = dropout(sentences, self.dropout, keys[1])
        senders = dialogue.senders[..., None].astype(sentences.dtype)
        sentences = jnp.concatenate([sentences, senders], axis=-1)
        states, last = self.conversation_encoder(sentences, dialogue.utterances, state)
        if keys[2] is not None:
            above, below = jax.random.split(keys[2])
            states = dropout(states, self.dropout, above)
            last = dropout(last, self.dropout, below)
        return Encoded(sentences, states, last)


class Sentiment(Module):
    """The two speakers' answers about one item. ``words`` gives the word vectors, ``encoder`` the state."""

    def __init__(self, words: WordTable | GenSen, encoder: HRNN, *, rngs: nnx.Rngs) -> None:
        self.words, self.encoder = words, encoder
        hidden = encoder.conversation_encoder.hidden
        self.initiator_suggested = TorchLinear(hidden, 1, rngs=rngs)
        self.initiator_seen = TorchLinear(hidden, 3, rngs=rngs)
        self.initiator_liked = TorchLinear(hidden, 3, rngs=rngs)
        self.respondent_suggested = TorchLinear(hidden, 1, rngs=rngs)
        self.respondent_seen = TorchLinear(hidden, 3, rngs=rngs)
        self.respondent_liked = TorchLinear(hidden, 3, rngs=rngs)

    def __call__(self, last: Float[Array, "N H"]) -> tuple[Float[Array, "N _"], ...]:
        """The six outputs of :data:`HEADS`: logits [N, 1], or log-probabilities [N, 3]."""
        outputs = []
        for name, classes in HEADS:
            logits = getattr(self, name)(last).astype(jnp.float32)
            outputs.append(logits if classes == 1 else jax.nn.log_softmax(logits, axis=-1))
        return tuple(outputs)

    @scoped
    def liked(self, states: Float[Array, "*B H"]) -> Float[Array, "*B"]:
        """Probability that the user said they liked the item, at each given conversation state."""
        return jax.nn.softmax(self.initiator_liked(states).astype(jnp.float32), axis=-1)[..., 1]


def sentiment_loss(
    outputs: tuple[Array, ...], forms: Int[Array, "N 6"], liked_weights: tuple[float, ...] | None
) -> Float[Array, ""]:
    """Cross-entropies of both speakers: binary (suggested), 3 classes (seen, liked), each a mean.

    ``liked_weights`` weigh the classes of "liked" (a weighted mean); ``None`` = all alike.
    """
    total = jnp.zeros((), jnp.float32)
    for column, (name, classes) in enumerate(HEADS):
        target = forms[:, column]
        if classes == 1:
            logits = outputs[column][:, 0]
            total += optax.sigmoid_binary_cross_entropy(logits, target.astype(jnp.float32)).mean()
            continue
        chosen = jax.nn.one_hot(target, classes)
        if liked_weights is not None and name.endswith("liked"):
            chosen = chosen * jnp.asarray(liked_weights, jnp.float32)[None]
        total += -(chosen * outputs[column]).sum() / chosen.sum()
    return total


def likeliest(outputs: tuple[Array, ...], liked_weights: tuple[float, ...] | None) -> Int[Array, "N 6"]:
    """The answers with the largest outputs.

    liked_weights: the class weights of the loss that trained the outputs. A weighted loss learns
    probabilities multiplied by the weights; dividing by the weights restores those of the data.
    """
    answers = []
    for (name, classes), output in zip(HEADS, outputs, strict=True):
        if liked_weights is not None and name.endswith("liked"):
            output = output - jnp.log(jnp.asarray(liked_weights, jnp.float32))[None]
        answers.append((output[:, 0] > 0).astype(jnp.int32) if classes == 1 else jnp.argmax(output, axis=1).astype(jnp.int32))
    return jnp.stack(answers, axis=1)


def published_hrnn(name: str, path: str, sentence_layers: int, conversation_layers: int) -> dict[str, tuple[str, bool]]:
    """The public names of an :class:`HRNN`'s encoders -> (our dotted path, whether transposed)."""
    sentence = published_gru(f"{name}.sentence_encoder", f"{path}.sentence_encoder", sentence_layers, True)
    return sentence | published_gru(f"{name}.conversation_encoder", f"{path}.conversation_encoder", conversation_layers)


def published_heads(name: str, path: str) -> dict[str, tuple[str, bool]]:
    """The public names of the heads (``Iliked``, ``Rliked``) -> (our path, whether transposed)."""
    pairs: dict[str, tuple[str, bool]] = {}
    for head, _ in HEADS:
        who, _, what = head.partition("_")
        pairs |= published_linear(f"{name}.{who[0].upper()}{what}", f"{path}.{head}")
    return pairs
