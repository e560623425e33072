"""Padded shapes of a dialogue's texts under a workload.

An utterance is ``<s>``, its words, ``</s>``; the request q0 is one utterance (the user's), a turn is
two (the system's question, the user's answer). Histories are padded to bucketed numbers of
utterances. Letters: B users, M mention slots, C utterances of a history, U new ones, L words.
"""

import jax
import jax.numpy as jnp

from cr_jax.data.examples.dialogue_columns import UTTERANCES, WORDS
from cr_jax.records import Lengths, Workload, bucket

Shapes = dict[str, jax.ShapeDtypeStruct]


def new_texts(work: Workload, t: int) -> tuple[Lengths, ...]:
    """Lengths of the texts that turn t adds."""
    return (work.lengths.request,) if t == 0 else (work.lengths.question, work.lengths.answer)


def texts(work: Workload, t: int) -> tuple[Lengths, ...]:
    """Lengths of all texts up to turn t."""
    return tuple(text for turn in range(t + 1) for text in new_texts(work, turn))


def padded_words(some: tuple[Lengths, ...]) -> int:
    """L: bucketed words in which 95% of each of ``some`` have room, within the limit."""
    return min(WORDS, bucket(max(text.p95 for text in some) + 2))


def padded_utterances(t: int) -> int:
    """C: bucketed utterances of a history up to turn t, within the limit."""
    return min(UTTERANCES, bucket(1 + 2 * t))


def mean_words(some: tuple[Lengths, ...]) -> float:
    """Mean number of words of ``some`` texts together, each within its limit."""
    return sum(min(text.mean + 2, padded_words((text,))) for text in some)


def dialogue_inputs(rows: int, utterances: int, words: int, slots: tuple[int, ...] = ()) -> Shapes:
    """Shapes of ``rows`` dialogues; mention bits have an axis of ``slots`` after the rows."""
    shape = (rows, utterances, words)
    struct = jax.ShapeDtypeStruct
    return {
        "words": struct(shape, jnp.int32),
        "lengths": struct(shape[:2], jnp.int32),
        "senders": struct(shape[:2], jnp.float32),
        "mentions": struct((rows, *slots, *shape[1:]), jnp.float32),
        "utterances": struct((rows,), jnp.int32),
    }


def user_inputs(users: int, utterances: int, words: int, mentions: int) -> Shapes:
    """Shapes of users' dialogues with ``mentions`` slots, and each slot's item (−1: none)."""
    items = {"items": jax.ShapeDtypeStruct((users, mentions), jnp.int32)}
    return {**dialogue_inputs(users, utterances, words, (mentions,)), **items}
