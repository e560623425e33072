"""The newest words of a conversation: a window of fixed size, which the model reads again at each turn."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class WordWindow:
    """The newest words of B conversations, and their number."""

    words: Int[Array, "B M"]
    """The words, followed by zeros."""
    count: Int[Array, " B"]
    """The words that are there."""


def empty_window(batch: int, size: int) -> WordWindow:
    """The window of ``batch`` users before their first words; ``size`` is M."""
    return WordWindow(jnp.zeros((batch, size), jnp.int32), jnp.zeros(batch, jnp.int32))


def append(window: WordWindow, words: Int[Array, "B U"], lengths: Int[Array, " B"]) -> WordWindow:
    """The window with the first ``lengths`` of ``words`` appended; the oldest words fall out."""
    size = window.words.shape[1]
    total = window.count + lengths
    index = jnp.arange(size)[None] + jnp.maximum(total - size, 0)[:, None]
    fresh = index - window.count[:, None]
    old = _pick(window.words, index)
    window_words = jnp.where(fresh < 0, old, jnp.where(index < total[:, None], _pick(words, fresh), 0))
    return WordWindow(window_words, jnp.minimum(total, size))


def _pick(words: Int[Array, "B N"], index: Int[Array, "B M"]) -> Int[Array, "B M"]:
    """``words`` at ``index``, which may lie outside where the result is not used."""
    return jnp.take_along_axis(words, jnp.clip(index, 0, words.shape[1] - 1), axis=1, mode="clip")
