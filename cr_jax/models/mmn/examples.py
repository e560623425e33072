"""MMN's and PMMN's examples: a conversation prefix, a positive and a negative item and aspect.

As in the public loader, a conversation of T turns gives T prefixes: the request and t of its turns,
for t = 0 to T − 1, with the aspect asked next. The negative item is one that the user has no training
conversation about; the negative aspect is one that the conversation does not ask. The public loader
draws negatives once; here they are drawn anew, seeded, whenever an example is taken.

A user's vector that was trained by a single conversation only encodes that conversation's item, and an
untrained one is noise. PMMN's users with fewer than ``KNOWN_FROM`` training conversations therefore
share a row of the user table; the table keeps its published size.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from cr_jax.data.conversation import Conversation
from cr_jax.data.conversations import Conversations, ConversationsInMemory
from cr_jax.data.corpus import PARTS, Corpus
from cr_jax.data.examples.distilled import SUPERVISED, ends, with_rows, with_whole
from cr_jax.data.examples.pool import Arrays, Examples, Index, Pool, Shape, padded, ranking, turn_rows
from cr_jax.data.examples.states import Encoded, Later, States, alike, counts, sums
from cr_jax.data.examples.turn_encoder import TurnEncoder
from cr_jax.data.items_by_user import ItemsByUser
from cr_jax.data.recommender_assets import RecommenderAssets
from cr_jax.errors import BadConfig
from cr_jax.models.mmn.config import MmnConfig, PmmnConfig

#: Words of a category and of a description that the public loader keeps.
CATEGORY_WORDS, DESCRIPTION_WORDS = 10, 100
#: Training conversations that a user needs for a row of their own.
KNOWN_FROM = 2
#: Users whose sets of items are kept for later batches.
USERS_KEPT = 1 << 16


def query(request: Sequence[str], turns: Iterable[tuple[str, str]]) -> list[str]:
    """The words of a prefix: the request, then ". aspect value" per turn; an aspect is one word."""
    words = list(request)
    for aspect, value in turns:
        words += [".", aspect, *value.split()]
    return words


def item_text(category: Sequence[str], words: Sequence[str]) -> list[str]:
    """An item's text as the public loader joins it: 10 words of category, 100 of description."""
    return [*category[:CATEGORY_WORDS], *words[:DESCRIPTION_WORDS]]


def description(words: Sequence[str], index: Index, limit: int, slots: int) -> tuple[list[int], list[int]]:
    """Ids of the first ``limit`` known words, and the positions of the first ``slots`` ends among them."""
    ids = index.encode(words)[:limit]
    end = index.ids["."]
    return ids, [i for i, word in enumerate(ids) if word == end][:slots]


def others(rng: np.random.Generator, number: int, taken: Sequence[Collection[int]]) -> np.ndarray:
    """For each collection in ``taken``, one of ``number`` integers that is not in it.

    All are drawn together; those that are taken are drawn again. Raises ``BadConfig`` if nothing is left to draw.
    """
    drawn = rng.integers(number, size=len(taken))
    again = [i for i, (one, mine) in enumerate(zip(drawn.tolist(), taken, strict=True)) if one in mine]
    while again:
        if any(len(taken[i]) >= number for i in again):
            raise BadConfig(f"no negative left among {number}; legal: more of them than one user's conversations hold")
        drawn[again] = rng.integers(number, size=len(again))
        again = [i for i in again if int(drawn[i]) in taken[i]]
    return drawn


def user_rows(items: ItemsByUser) -> dict[str, int]:
    """Each user's row of the user table; rare users share the row of the first of them."""
    few = items.counts < KNOWN_FROM
    rows = np.where(few, np.argmax(few), np.arange(len(few)))
    return dict(zip(items, rows.tolist(), strict=True))


def words_read(talks: Conversations, index: Index, limit: int) -> np.ndarray:
    """Known words in the window before each turn, ``limit`` at most: uint16 [turns]."""
    tables = talks.tables
    request, value = (
        counts(table, lambda text: len(index.encode(text.lower().split()))) for table in (tables.requests, tables.values)
    )
    aspect = counts(tables.aspects, lambda text: int(text.lower() in index.ids))
    parts = []
    for block in talks.blocks():
        own = aspect[block.aspect] + value[block.value] + int("." in index.ids)
        before = sums(block, own)[0] - own + np.repeat(request[block.request], block.turns)
        parts.append(np.minimum(limit, before).astype(np.uint16))
    return np.concatenate(parts)


def examples(corpus: Corpus, config: MmnConfig, seed: int) -> Examples:
    """Training prefixes, item texts and histories; the query window keeps its newest words."""
    del seed  # Negatives are drawn from the pipeline's generator.
    if not corpus.conversations["train"]:
        raise BadConfig(f"{corpus.dataset.name}: mmn reads turns of aspect and value; legal: aspect-value conversations")
    known, train = _Known.of(corpus, config), corpus.conversations["train"]
    users, row = known.users, known.row
    for name, wanted in (("items", len(known.items)), ("aspects", len(known.aspects)), ("users", len(users or ()))):
        if getattr(config, name, wanted) < wanted:
            raise BadConfig(f"{name}={getattr(config, name)}: legal: {wanted} or more, those of the conversations")
    if config.question_items > len(known.items):
        raise BadConfig(f"question_items={config.question_items}: legal: 1 to {len(known.items)}, the items of the conversations")
    bare = sum(not corpus.descriptions[item] for item in corpus.items)
    return Examples(
        pools={
            "joint": _training(train, States(train, short=1), known, config, words_read(train, known.index, config.query_words))
        },
        items=known.side,
        rankings=Later(
            {
                part: lambda talks=talks: ranking(_histories(talks, row, known.index, config), talks, known.items, known.aspects)
                for part in PARTS[1:]
                if (talks := corpus.conversations[part])
            }
        ),
        notes=(
            "negatives: one item without a training conversation of the user, one aspect not in the conversation, per example",
            *(
                []
                if users is None
                else [
                    f"{len(set(users.values())) - 1} of {len(users)} users have a user row alone; those "
                    f"with fewer than {KNOWN_FROM} training conversations share one"
                ]
            ),
            f"{bare} of {len(known.items)} items have no description: no training text names them",
        ),
    )


def distilled_examples(corpus: Corpus, config: MmnConfig, talks: Conversations) -> Pool:
    """Every state with the whole catalogue, the last one included, of which the published loss has no example: nothing is asked
    after it.
    """
    known = _Known.of(corpus, config)
    pool = _training(talks, turn_rows(talks), known, config)
    supervised = 1 - ends(talks).last.astype(np.float32)
    catalogue = {f"catalogue_{name}": array for name, array in known.side.items()}
    return with_whole(with_rows(pool, lambda chosen: {SUPERVISED: supervised.take(chosen)}), **catalogue)


def histories(corpus: Corpus, config: MmnConfig, talks: Conversations) -> Pool:
    """The same rows as queries."""
    known = _Known.of(corpus, config)
    return _histories(talks, known.row, known.index, config)


@dataclass(frozen=True)
class _Known:
    """Numbers of items, aspects and users, the items of each user's training conversations, and the item side's inputs."""

    index: Index
    items: Mapping[str, int]
    aspects: Mapping[str, int]
    items_by_user: ItemsByUser
    users: Mapping[str, int] | None
    side: Arrays

    @classmethod
    def of(cls, corpus: Corpus, config: MmnConfig) -> "_Known":
        items, aspects = ({text: number for number, text in enumerate(texts)} for texts in (corpus.items, corpus.aspects))
        items_by_user = ItemsByUser.of(corpus.conversations["train"], corpus.users)
        users = user_rows(items_by_user) if isinstance(config, PmmnConfig) else None
        index = _index(corpus.words, config)
        return cls(index, items, aspects, items_by_user, users, _items(corpus, config, index))

    @property
    def row(self) -> Callable[[str], int] | None:
        """A user's row of the user table; ``None`` in MMN."""
        return None if self.users is None else self.users.__getitem__


def _training(talks: Conversations, rows: States, known: _Known, config: MmnConfig, useful: np.ndarray | None = None) -> Pool:
    """The prefixes ``rows``, each before its next turn, with the negatives drawn for it. A prefix without a next turn repeats its
    last aspect. useful: known words in each window; ``None``: counted from the windows.
    """
    items, aspects = known.items, known.aspects
    words, ends, aspect_words = (known.side[name] for name in ("words", "ends", "aspects"))
    common = {"common_words": words[: config.question_items], "common_ends": ends[: config.question_items]}

    @lru_cache(maxsize=USERS_KEPT)
    def theirs(user: str) -> frozenset[int]:
        return frozenset(items[item] for item in known.items_by_user[user])

    def state(talk: Conversation, t: int) -> tuple[list[int], int, int, str, tuple[int, ...]]:
        asked = tuple({aspects[turn.aspect] for turn in talk.turns})
        following = talk.turns[min(t, len(talk.turns) - 1)].aspect
        return _window(talk, t, known.index, config.query_words), items[talk.item], aspects[following], talk.user, asked

    states = Encoded(talks, rows, state, list, int, int, str, tuple)

    def make(chosen: np.ndarray, shape: Shape, rng: np.random.Generator) -> Arrays:
        del shape
        windows, target, asked, speakers, taken = states.columns(chosen)
        negative = others(rng, len(items), [theirs(user) for user in speakers])
        unasked = others(rng, len(aspects), taken)
        batch = {
            "query": windows.padded(config.query_words),
            "positive_words": words.take(target, axis=0),
            "positive_ends": ends.take(target, axis=0),
            "negative_words": words.take(negative, axis=0),
            "negative_ends": ends.take(negative, axis=0),
            **common,
            "positive_aspect": aspect_words.take(asked),
            "negative_aspect": aspect_words.take(unasked),
        }
        return batch | _users(known.row, speakers)

    useful = states.lengths()[:, 0].astype(np.uint16) if useful is None else useful
    return _pool(useful, make, config, tuple(common))


def turn_encoder(assets: RecommenderAssets, config: MmnConfig) -> TurnEncoder:
    """The request, then ". aspect value" per turn, each cut to the newest words of the window."""
    index, row = _index(assets.words, config), None
    if isinstance(config, PmmnConfig):
        few = assets.talks.counts < KNOWN_FROM
        # A user who is unknown from training has the rare users' row.
        rare = int(np.argmax(few)) if few.any() else 0
        rows = dict(zip(assets.talks, np.where(few, rare, np.arange(len(few))).tolist(), strict=True))
        row = lambda user: rows.get(user, rare)  # noqa: E731

    def turn(talk: Conversation, t: int) -> Arrays:
        said = query((), [_turn_words(talk, t - 1)]) if t else talk.request.lower().split()
        ids = index.encode(said)[-config.query_words :]
        return {"words": padded([ids], len(ids)), "lengths": np.array([len(ids)], np.int32)} | _users(row, [talk.user])

    return TurnEncoder(
        _items(assets, config, index),
        turn,
        lambda talk, t: len(_window(talk, t, index, None)) > config.query_words,
        lambda talks: _histories(ConversationsInMemory(talks), row, index, config),
        index.ids.__contains__,
        row is not None,
        True,
    )


def _index(words: Sequence[str], config: MmnConfig) -> Index:
    return Index({word: 1 + i for i, word in enumerate(words[: config.words - 1])} | {"": 0})


def _items(source: Corpus | RecommenderAssets, config: MmnConfig, index: Index) -> Arrays:
    words, ends = (np.zeros((len(source.items), size), np.int32) for size in (config.item_words, config.facts))
    for row, item in enumerate(source.items):  # one at a time: a list of all texts would be held in memory
        ids, places = description(item_text((), source.descriptions[item]), index, config.item_words, config.facts)
        words[row, : len(ids)], ends[row, : len(places)] = ids, places
    return {
        "words": words,
        "ends": ends,
        "aspects": np.array([index.ids.get(aspect.lower(), 0) for aspect in source.aspects], np.int32),
    }


def _histories(talks: Conversations, users: Callable[[str], int] | None, index: Index, config: MmnConfig) -> Pool:
    states = Encoded(talks, turn_rows(talks), lambda talk, t: (_window(talk, t, index, config.query_words), talk.user), list, str)

    def make(chosen: np.ndarray, shape: Shape, rng: np.random.Generator) -> Arrays:
        del shape, rng
        windows, speakers = states.columns(chosen)
        return {"query": windows.padded(config.query_words)} | _users(users, speakers)

    return _pool(states.lengths()[:, 0].astype(np.uint16), make, config)


def _pool(
    useful: np.ndarray,
    make: Callable[[np.ndarray, Shape, np.random.Generator], Arrays],
    config: MmnConfig,
    whole: tuple[str, ...] = (),
) -> Pool:
    number = len(useful)
    return Pool(alike(number), make, useful, lambda shape: config.query_words, np.broadcast_to(1.0, number), whole)


def _window(talk: Conversation, t: int, index: Index, size: int | None) -> list[int]:
    ids = index.encode(query(talk.request.lower().split(), [_turn_words(talk, i) for i in range(t)]))
    return ids if size is None else ids[-size:]


def _turn_words(talk: Conversation, turn: int) -> tuple[str, str]:
    return talk.turns[turn].aspect.lower(), talk.turns[turn].value.lower()


def _users(row: Callable[[str], int] | None, names: Sequence[str]) -> Arrays:
    return {} if row is None else {"user": np.array([row(name) for name in names], np.int32)}
