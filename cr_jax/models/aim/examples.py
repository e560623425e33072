"""AIM's examples: pairs of question and answer as word ids.

The question is the conversation so far, the request and "aspect value ." per turn, and the aspect
asked; the answer is the value. Ids: 0 padding, 1 GO, 2 unknown, then the words by frequency.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from cr_jax.data.conversation import Conversation
from cr_jax.data.conversations import Conversations, ConversationsInMemory
from cr_jax.data.corpus import PARTS, Corpus
from cr_jax.data.examples.pool import Arrays, Examples, Index, Pool, Shape, padded, ranking, turn_rows
from cr_jax.data.examples.states import Encoded, Later, States, alike, counts, sums
from cr_jax.data.examples.turn_encoder import TurnEncoder
from cr_jax.data.recommender_assets import RecommenderAssets
from cr_jax.errors import BadConfig

UNKNOWN, FIRST = 2, 3


def question(found: Conversation, t: int) -> list[str]:
    """The conversation before turn t (1-based) and the aspect that turn t asks."""
    return [*history(found, t - 1), *found.turns[t - 1].aspect.lower().split()]


def history(found: Conversation, t: int) -> list[str]:
    """Request and turns 1 to t in words."""
    words = found.request.lower().split()
    for turn in found.turns[:t]:
        words += [*turn.aspect.lower().split(), *turn.value.lower().split(), "."]
    return words


def words_read(found: Conversations, limit: int) -> np.ndarray:
    """Words of question and answer of every turn, ``limit`` each at most: uint16 [turns]."""
    tables = found.tables
    request, aspect, value = (
        counts(table, lambda text: len(text.split())) for table in (tables.requests, tables.aspects, tables.values)
    )
    parts = []
    for block in found.blocks():
        asked, said = aspect[block.aspect], value[block.value]
        own = asked + said + 1
        before = sums(block, own)[0] - own + np.repeat(request[block.request], block.turns)
        parts.append((np.minimum(limit, before + asked) + np.minimum(limit, said)).astype(np.uint16))
    return np.concatenate(parts)


def examples(corpus: Corpus, config: Any, seed: int) -> Examples:
    """One pool for both objectives, which train on the same batch."""
    if not corpus.conversations["train"]:
        raise BadConfig(f"{corpus.dataset.name}: aim reads turns of aspect and value; legal: aspect-value conversations")
    if config.words <= FIRST:
        raise BadConfig(f"words={config.words}: ids 0 to 2 are padding, GO and unknown; legal: {FIRST + 1} or more")
    index = _index(corpus.words, config)
    items = {item: number for number, item in enumerate(corpus.items)}
    aspects = {aspect: number for number, aspect in enumerate(corpus.aspects)}
    if len(items) != config.items:
        raise BadConfig(f"items={config.items}: legal: {len(items)}, the items of the conversations")
    train, limit, lead = corpus.conversations["train"], config.max_words, config.filter - 1

    rows = States(train, first=1)
    pairs = Encoded(
        train,
        rows,
        lambda one, t: (index.encode(question(one, t))[-limit:], index.encode(one.turns[t - 1].value.lower().split())[:limit]),
        list,
        list,
    )

    def pair(chosen: np.ndarray, shape: Shape, rng: np.random.Generator) -> Arrays:
        del shape, rng
        asked, answer = pairs.columns(chosen)
        return {"source": asked.padded(config.source_words, lead), "target": answer.padded(config.target_words)}

    useful = words_read(train, limit)
    both = config.source_words + config.target_words
    pool = Pool(alike(len(rows)), pair, useful, lambda shape: both, np.broadcast_to(1.0, len(rows)))
    return Examples(
        pools={"discriminator": pool, "generator": pool},
        items=_items(corpus, config, index),
        rankings=Later(
            {
                part: lambda found=found: ranking(_histories(found, config, index, seed), found, items, aspects)
                for part in PARTS[1:]
                if (found := corpus.conversations[part])
            }
        ),
        notes=("no training example holds an item description: scores come from the discriminator as it is",),
    )


def voice(kept: RecommenderAssets, config: Any) -> TurnEncoder:
    """Newest words and noise; the window forgets alike in both modes, so that nothing is ever past it."""
    index = _index(kept.words, config)

    def turn(found: Conversation, t: int) -> Arrays:
        new = found.request.lower().split() if t == 0 else history(replace(found, request="", turns=found.turns[t - 1 : t]), 1)
        ids = index.encode(new)[-config.max_words :]
        noise = np.random.default_rng([kept.seed, 1, t]).uniform(-1, 1, (1, config.noise)).astype(np.float32)
        return {"words": padded([ids], len(ids)), "lengths": np.array([len(ids)], np.int32), "z": noise}

    return TurnEncoder(
        _items(kept, config, index),
        turn,
        lambda found, t: False,
        lambda found: _histories(ConversationsInMemory(found), config, index, kept.seed),
        index.ids.__contains__,
    )


class Noise:
    """Rows of uniform noise in [−1, 1), as one array of all rows would hold them, drawn when they are asked for."""

    def __init__(self, seed: Sequence[int], size: int):
        self._start, self._size = np.random.PCG64(seed).state, size

    def rows(self, chosen: np.ndarray) -> np.ndarray:
        """Float32 [chosen, size]."""
        found = np.empty((len(chosen), self._size), np.float32)
        bits = np.random.PCG64(0)
        for row, number in zip(found, chosen.tolist(), strict=True):
            bits.state = self._start
            bits.advance(number * self._size)  # one draw a number
            row[:] = np.random.Generator(bits).uniform(-1, 1, self._size)
        return found


def _index(words: Sequence[str], config: Any) -> Index:
    return Index({word: FIRST + i for i, word in enumerate(words[: config.words - FIRST])}, UNKNOWN)


def _items(source: Corpus | RecommenderAssets, config: Any, index: Index) -> Arrays:
    words = np.zeros((len(source.items), config.max_words), np.int32)
    for row, item in enumerate(source.items):  # no list of all texts beside
        ids = index.encode(source.descriptions[item])[: config.max_words]
        words[row, : len(ids)] = ids
    return {"words": words}


def _histories(found: Conversations, config: Any, index: Index, seed: int) -> Pool:
    limit = config.max_words
    texts = Encoded(found, turn_rows(found), lambda one, t: (index.encode(history(one, t))[-limit:],), list)
    noise = Noise([seed, 1], config.noise)

    def make(chosen: np.ndarray, shape: Shape, rng: np.random.Generator) -> Arrays:
        del shape, rng
        (spoken,) = texts.columns(chosen)
        return {"words": spoken.padded(limit), "lengths": spoken.length, "z": noise.rows(chosen)}

    useful = texts.lengths()[:, 0].astype(np.uint16)
    return Pool(alike(len(texts)), make, useful, lambda shape: config.source_words, np.broadcast_to(1.0, len(texts)))
