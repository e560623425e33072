"""Word vectors of sRNN-AE: a trained table, or GenSen, a frozen bi-GRU over a frozen table.

Letters: N dialogues, C utterances, L words, E the vector of one word.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from cr_jax.models.srnn_ae.torch_gru import TorchGRU
from cr_jax.nn.module import Frozen, Module


class WordTable(Module):
    """PyTorch's ``Embedding`` [words, dimension], N(0, 1) at the start; no padding row."""

    def __init__(self, words: int, dimension: int, *, kind: type[nnx.Variable] = nnx.Param, rngs: nnx.Rngs) -> None:
        self.dimension = dimension
        self.table = kind(jax.random.normal(rngs.params(), (words, dimension)), table_axis=0)

    def __call__(self, words: Int[Array, "*B L"], lengths: Int[Array, "*B"]) -> Float[Array, "*B L E"]:
        """The rows of ``words``; ``lengths`` is not read, padding is looked up like any word."""
        return jnp.take(self.table[...], words, axis=0, mode="clip")


class GenSen(Module):
    """Subramanian et al. (ICLR 2018), single encoder: table [words, 512] and a bi-GRU 512 -> 2x1024.

    Every weight is :class:`Frozen` and no gradient passes. A word's vector is the output at the word,
    forward then backward; it is zero past the utterance's length.
    """

    def __init__(self, words: int, embedding: int, hidden: int, layers: int, *, rngs: nnx.Rngs) -> None:
        self.dimension = 2 * hidden
        self.embedding = WordTable(words, embedding, kind=Frozen, rngs=rngs)
        self.gru = TorchGRU(embedding, hidden, layers, bidirectional=True, kind=Frozen, rngs=rngs)

    def __call__(self, words: Int[Array, "N C L"], lengths: Int[Array, "N C"]) -> Float[Array, "N C L E"]:
        """Vectors of E numbers per word, without gradient, for N dialogues of C utterances of L words."""
        n, c, length = words.shape
        rows = self.embedding(words.reshape(n * c, length), lengths.reshape(n * c))
        vectors, _ = self.gru(rows, lengths.reshape(n * c))
        return jax.lax.stop_gradient(vectors.reshape(n, c, length, self.dimension))
