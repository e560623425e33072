"""DMN's examples: facts so far and the newest question in word vectors, the item as answer class.

The word vectors are inputs, not parameters: fixed, drawn from N(0, 0.6²) by a seed of their own.
Sentence 0 is the request, sentence i "aspect value" of turn i, each with its "."; the question at
turn t is turn t's aspect (the request at t = 0). Older sentences than there are fact slots are left out.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from cr_jax.data.conversation import Conversation
from cr_jax.data.conversations import Conversations, ConversationsInMemory
from cr_jax.data.corpus import PARTS, Corpus
from cr_jax.data.examples.distilled import SUPERVISED, ends, with_rows
from cr_jax.data.examples.pool import Arrays, Examples, Index, Pool, Shape, padded, ranking, turn_rows
from cr_jax.data.examples.states import Encoded, Later, States, counts, kinds_of, sums
from cr_jax.data.examples.turn_encoder import TurnEncoder
from cr_jax.data.recommender_assets import RecommenderAssets
from cr_jax.errors import BadConfig
from cr_jax.models.dmn.config import Config

VECTOR_SEED = 50
#: Standard deviation of a component, near that of the 50-dimensional GloVe vectors.
SPREAD = 0.6


def word_vectors(words: int, size: int) -> np.ndarray:
    """Vectors [words + 2, size]: zeros for padding, then the words, then one for all unknown words."""
    rng = np.random.default_rng(VECTOR_SEED)
    table = rng.normal(size=(words + 2, size)).astype(np.float32) * np.float32(SPREAD)
    table[0] = 0
    return table


def state_of(talk: Conversation, t: int, slots: int, index: Index) -> tuple[list[int], list[int], list[int]]:
    """Words of the facts at turn t, the position of each sentence's ".", and words of the question."""
    texts = [talk.request, *(f"{turn.aspect} {turn.value}" for turn in talk.turns[:t])][-slots:]
    words: list[int] = []
    ends: list[int] = []
    for text in texts:
        words += index.encode([*text.lower().split(), "."])
        ends.append(len(words) - 1)
    question = talk.turns[t - 1].aspect if t else talk.request
    return words, ends, index.encode(question.lower().split())


def turn_lengths(talks: Conversations, slots: int) -> Iterator[np.ndarray]:
    """Lengths of text and question [turns, 2] at turn 1 and later, block by block."""
    tables = talks.tables
    request, aspect, value = (
        counts(table, lambda text: len(text.split())) for table in (tables.requests, tables.aspects, tables.values)
    )
    for block in talks.blocks():
        asked = aspect[block.aspect]
        text, t = sums(block, asked + value[block.value] + 1, slots)
        # The request counts as a sentence with its "." while it is among the newest.
        first = np.repeat(request[block.request] + 1, block.turns) * (t + 1 <= slots)
        yield np.stack([text + first, asked], axis=1)


def examples(corpus: Corpus, config: Config, seed: int) -> Examples:
    """Turns 1 to T as training examples; every turn, the request included, as a ranking.

    Raises ``BadConfig`` for a corpus without aspect-value conversations or with another number of items.
    """
    del seed  # There are no negatives to draw.
    if not corpus.conversations["train"]:
        raise BadConfig(f"{corpus.dataset.name}: dmn reads turns of aspect and value; legal: aspect-value conversations")
    items = {item: number for number, item in enumerate(corpus.items)}
    if len(items) != config.items:
        raise BadConfig(f"items={config.items}: legal: {len(items)}, the items of the conversations")
    aspects = {aspect: number for number, aspect in enumerate(corpus.aspects)}
    index, vectors = _index(corpus.words), word_vectors(len(corpus.words), config.embedding)

    train = corpus.conversations["train"]
    lengths = turn_lengths(train, config.facts)
    return Examples(
        pools={"answer": _pool(train, States(train, first=1), config, index, vectors, items, lengths)},
        items=None,
        rankings=Later(
            {
                part: lambda talks=talks: ranking(_pool(talks, turn_rows(talks), config, index, vectors), talks, items, aspects)
                for part in PARTS[1:]
                if (talks := corpus.conversations[part])
            }
        ),
        notes=(f"word vectors: fixed, N(0, {SPREAD}²), seed {VECTOR_SEED}; the public code takes GloVe's",),
    )


def distilled_examples(corpus: Corpus, config: Config, talks: Conversations) -> Pool:
    """Every turn, the request included, with its item; the published loss has no example of the request alone."""
    items = {item: number for number, item in enumerate(corpus.items)}
    vectors = word_vectors(len(corpus.words), config.embedding)
    pool = _pool(talks, turn_rows(talks), config, _index(corpus.words), vectors, items)
    supervised = 1 - ends(talks).first.astype(np.float32)
    return with_rows(pool, lambda chosen: {SUPERVISED: supervised.take(chosen)})


def histories(corpus: Corpus, config: Config, talks: Conversations) -> Pool:
    """The same rows without the item."""
    return _pool(talks, turn_rows(talks), config, _index(corpus.words), word_vectors(len(corpus.words), config.embedding))


def turn_encoder(assets: RecommenderAssets, config: Config) -> TurnEncoder:
    """Sentences and questions in word vectors; of a long conversation only the newest facts are encoded."""
    index, vectors = _index(assets.words), word_vectors(len(assets.words), config.embedding)

    def turn(talk: Conversation, t: int) -> Arrays:
        words, _, question = state_of(talk, t, 1, index)
        return {
            "words": vectors[[words]],
            "lengths": np.array([len(words)], np.int32),
            "question": vectors[padded([question], len(question))],
        }

    return TurnEncoder(
        None,
        turn,
        lambda talk, t: t + 1 > config.facts,
        lambda given: _pool(talks := ConversationsInMemory(given), turn_rows(talks), config, index, vectors),
        index.ids.__contains__,
    )


def _index(words: Sequence[str]) -> Index:
    return Index({word: 1 + i for i, word in enumerate(words)}, unknown=len(words) + 1)


def _pool(
    talks: Conversations,
    rows: States,
    config: Config,
    index: Index,
    vectors: np.ndarray,
    items: Mapping[str, int] | None = None,
    sizes: Iterable[np.ndarray] | None = None,
) -> Pool:
    """The states ``rows`` of conversations; with ``items`` each has its target. sizes: lengths of text and question, known
    without encoding.
    """
    slots = config.facts
    fields = (list, list, list) if items is None else (list, list, list, int)
    states = Encoded(
        talks, rows, lambda talk, t: (*state_of(talk, t, slots, index), *(() if items is None else (items[talk.item],))), *fields
    )

    def make(chosen: np.ndarray, shape: Shape, rng: np.random.Generator) -> Arrays:
        del rng
        text, question = shape
        words, ends, asked, *sought = states.columns(chosen)
        batch = {
            "text": vectors.take(words.padded(text), axis=0),
            "ends": ends.padded(slots),
            "question": vectors.take(asked.padded(question), axis=0),
        }
        return batch if items is None else batch | {"target": sought[0].astype(np.int32)}

    lengths = kinds_of([states.lengths()[:, [0, 2]]] if sizes is None else sizes, len(rows))
    useful = np.array([sum(size) for size in lengths.table], np.uint16)[lengths.code]
    return Pool(lengths, make, useful, sum, np.broadcast_to(1.0, len(rows)))
