"""AIM's examples: pairs of question and answer as word ids.

The question is the conversation so far, the request and "aspect value ." per turn, and the aspect
asked; the answer is the value. Ids: 0 padding, 1 GO, 2 unknown, then the words by frequency.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cr_jax.data.conversation import Conversation
from cr_jax.data.conversations import Conversations, ConversationsInMemory
from cr_jax.data.corpus import PARTS, Corpus
from cr_jax.data.examples.pool import Arrays, Examples, Index, Pool, Shape, padded, ranking, turn_rows
from cr_jax.data.examples.states import Encoded, Later, States, alike, counts, sums
from cr_jax.data.examples.turn_encoder import TurnEncoder
from cr_jax.data.recommender_assets import RecommenderAssets
from cr_jax.errors import BadConfig
from cr_jax.models.aim.config import Config

UNKNOWN, FIRST = 2, 3


def question(talk: Conversation, t: int) -> list[str]:
    """The conversation before turn t (1-based) and the aspect that turn t asks."""
    return [*history(talk, t - 1), *talk.turns[t - 1].aspect.lower().split()]


def history(talk: Conversation, t: int) -> list[str]:
    """Request and turns 1 to t in words."""
    words = talk.request.lower().split()
    for turn in talk.turns[:t]:
        words += [*turn.aspect.lower().split(), *turn.value.lower().split(), "."]
    return words


def words_read(talks: Conversations, limit: int) -> np.ndarray:
    """Words of question and answer of every turn, ``limit`` each at most: uint16 [turns]."""
    tables = talks.tables
    request, aspect, value = (
        counts(table, lambda text: len(text.split())) for table in (tables.requests, tables.aspects, tables.values)
    )
    parts = []
    for block in talks.blocks():
        asked, said = aspect[block.aspect], value[block.value]
        own = asked + said + 1
        before = sums(block, own)[0] - own + np.repeat(request[block.request], block.turns)
        parts.append((np.minimum(limit, before + asked) + np.minimum(limit, said)).astype(np.uint16))
    return np.concatenate(parts)


def examples(corpus: Corpus, config: Config, seed: int) -> Examples:
    """One pool for both objectives, which train on the same batch.

    Raises ``BadConfig`` for a corpus without aspect-value conversations, too small a dictionary or another number of items.
    """
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
        lambda talk, t: (index.encode(question(talk, t))[-limit:], index.encode(talk.turns[t - 1].value.lower().split())[:limit]),
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
                part: lambda talks=talks: ranking(_histories(talks, config, index, seed), talks, items, aspects)
                for part in PARTS[1:]
                if (talks := corpus.conversations[part])
            }
        ),
        notes=("no training example holds an item description: scores come from the discriminator as it is",),
    )


def turn_encoder(assets: RecommenderAssets, config: Config) -> TurnEncoder:
    """Newest words and noise. Both modes read the same window, so no conversation is ever past what the tests keep."""
    index = _index(assets.words, config)

    def turn(talk: Conversation, t: int) -> Arrays:
        new = talk.request.lower().split() if t == 0 else history(replace(talk, request="", turns=talk.turns[t - 1 : t]), 1)
        ids = index.encode(new)[-config.max_words :]
        noise = np.random.default_rng([assets.seed, 1, t]).uniform(-1, 1, (1, config.noise)).astype(np.float32)
        return {"words": padded([ids], len(ids)), "lengths": np.array([len(ids)], np.int32), "z": noise}

    return TurnEncoder(
        _items(assets, config, index),
        turn,
        lambda talk, t: False,
        lambda talks: _histories(ConversationsInMemory(talks), config, index, assets.seed),
        index.ids.__contains__,
    )


class Noise:
    """Rows of uniform noise in [−1, 1), equal to the rows of one large array but drawn only on demand."""

    def __init__(self, seed: Sequence[int], size: int) -> None:
        self._start, self._size = np.random.PCG64(seed).state, size

    def rows(self, chosen: np.ndarray) -> np.ndarray:
        """Float32 [chosen, size]."""
        noise = np.empty((len(chosen), self._size), np.float32)
        bits = np.random.PCG64(0)
        for row, number in zip(noise, chosen.tolist(), strict=True):
            bits.state = self._start
            bits.advance(number * self._size)  # one draw a number
            row[:] = np.random.Generator(bits).uniform(-1, 1, self._size)
        return noise


def _index(words: Sequence[str], config: Config) -> Index:
    return Index({word: FIRST + i for i, word in enumerate(words[: config.words - FIRST])}, UNKNOWN)


def _items(source: Corpus | RecommenderAssets, config: Config, index: Index) -> Arrays:
    words = np.zeros((len(source.items), config.max_words), np.int32)
    for row, item in enumerate(source.items):  # one at a time: a list of all texts would be held in memory
        ids = index.encode(source.descriptions[item])[: config.max_words]
        words[row, : len(ids)] = ids
    return {"words": words}


def _histories(talks: Conversations, config: Config, index: Index, seed: int) -> Pool:
    limit = config.max_words
    texts = Encoded(talks, turn_rows(talks), lambda talk, t: (index.encode(history(talk, t))[-limit:],), list)
    noise = Noise([seed, 1], config.noise)

    def make(chosen: np.ndarray, shape: Shape, rng: np.random.Generator) -> Arrays:
        del shape, rng
        (words,) = texts.columns(chosen)
        return {"words": words.padded(limit), "lengths": words.length, "z": noise.rows(chosen)}

    useful = texts.lengths()[:, 0].astype(np.uint16)
    return Pool(alike(len(texts)), make, useful, lambda shape: config.source_words, np.broadcast_to(1.0, len(texts)))
