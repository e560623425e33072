"""The assets that a trained model needs beside its weights for a conversation: words, items, aspects, users.

``crjax train`` writes them as JSON beside the checkpoints, so that a recommender works without the data of its training.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from msgspec import structs

from cr_jax.data.conversations import Conversations
from cr_jax.data.corpus import Corpus
from cr_jax.data.items_by_user import ItemsByUser
from cr_jax.documents.recommender import AspectValues, DatasetFiles, KnownUser, LongestTexts, RecommendedItem, RecommenderDocument
from cr_jax.records import Lengths, TextLengths

#: Values kept per aspect, as examples of an answer.
VALUES = 8


@dataclass(frozen=True)
class RecommenderAssets:
    """Vocabulary, items and users of a training run."""

    #: Name of the data set.
    dataset: str
    #: Of the data set's files.
    sha256: str
    #: Of the run.
    seed: int
    #: Whether the model was trained on free dialogues, which have no aspects.
    dialogues: bool
    #: As in :class:`~cr_jax.data.corpus.Corpus`, like items, aspects and descriptions.
    words: tuple[str, ...]
    items: tuple[str, ...]
    aspects: tuple[str, ...]
    #: Aspect -> values in training, both the most frequent first; every aspect has an entry.
    values: Mapping[str, tuple[str, ...]]
    descriptions: Mapping[str, tuple[str, ...]]
    #: The items of each user's training conversations; every user has an entry.
    talks: ItemsByUser
    #: Item -> title, where the data has such.
    titles: Mapping[str, str]
    #: Words of the longest request, question and answer.
    longest: LongestTexts

    @property
    def lengths(self) -> TextLengths:
        """Lengths that hold every text of the data set."""
        return room(self.longest.request, self.longest.question, self.longest.answer)

    def with_talks(self, talks: ItemsByUser) -> "RecommenderAssets":
        """The same with other users."""
        return replace(self, talks=talks)


def room(request: int, question: int, answer: int) -> TextLengths:
    """Text lengths for which a model's padded shapes hold texts of these numbers of words."""

    def one(words: int) -> Lengths:
        return Lengths(words, words, words, words)

    return TextLengths(request=one(request), question=one(question), answer=one(answer), item=one(1), item_sentences=one(1))


def assets_of(corpus: Corpus, seed: int) -> RecommenderAssets:
    """The assets of a corpus."""
    train = corpus.conversations["train"]
    asked: Counter[str] = Counter()
    values: dict[str, Counter[str]] = {aspect: Counter() for aspect in corpus.aspects}
    talks = ItemsByUser.of(train, corpus.users if train else ())
    for aspect, value, number in _said(train):
        asked[aspect] += number
        values[aspect][value] += number
    ordered = sorted(values, key=lambda aspect: (-asked[aspect], aspect))
    lengths = corpus.dataset.lengths
    longest = LongestTexts(
        request=max(1, lengths.request.max), question=max(1, lengths.question.max), answer=max(1, lengths.answer.max)
    )
    return RecommenderAssets(
        corpus.dataset.name,
        corpus.fingerprint,
        seed,
        not train,
        corpus.words,
        corpus.items,
        corpus.aspects,
        {aspect: tuple(value for value, _ in values[aspect].most_common(VALUES)) for aspect in ordered},
        corpus.descriptions,
        talks,
        corpus.titles,
        longest,
    )


def _said(conversations: Conversations) -> Iterator[tuple[str, str, int]]:
    """Aspects with values and their frequency, a pair once or more; in order of their first appearance."""
    aspects, values = conversations.tables.aspects, conversations.tables.values
    for block in conversations.blocks():
        codes = block.aspect * np.int64(len(values)) + block.value
        pairs, first, number = np.unique(codes, return_index=True, return_counts=True)
        for place in np.argsort(first):
            aspect, value = divmod(int(pairs[place]), len(values))
            yield aspects[aspect], values[value], int(number[place])


def document(assets: RecommenderAssets, model: str) -> RecommenderDocument:
    """The document. Items are numbers where they repeat."""
    return structs.replace(without_users(assets, model), users=tuple(users(assets)))


def users(assets: RecommenderAssets) -> Iterator[KnownUser]:
    """The document's rows ``users``, of which there may be many."""
    number = {item: i for i, item in enumerate(assets.items)}
    return (KnownUser(user=user, items=tuple(number[item] for item in items)) for user, items in assets.talks.items())


def without_users(assets: RecommenderAssets, model: str) -> RecommenderDocument:
    """The document with no rows in its last field, ``users``."""
    return RecommenderDocument(
        model=model,
        dataset=DatasetFiles(name=assets.dataset, sha256=assets.sha256),
        seed=assets.seed,
        dialogues=assets.dialogues,
        longest=assets.longest,
        words=assets.words,
        aspects=tuple(AspectValues(aspect=aspect, values=values) for aspect, values in assets.values.items()),
        items=tuple(
            RecommendedItem(item=item, title=assets.titles.get(item), description=" ".join(assets.descriptions.get(item, ())))
            for item in assets.items
        ),
        users=(),
    )


def from_document(document: RecommenderDocument) -> RecommenderAssets:
    """The inverse of :func:`document`; raises ``IndexError`` for an item number that is none."""
    items = tuple(row.item for row in document.items)
    values = {row.aspect: row.values for row in document.aspects}
    return RecommenderAssets(
        document.dataset.name,
        document.dataset.sha256,
        document.seed,
        document.dialogues,
        document.words,
        items,
        tuple(sorted(values)),
        values,
        {row.item: tuple(row.description.split(" ")) if row.description else () for row in document.items},
        _items_by_user({row.user: row.items for row in document.users}, items),
        {row.item: row.title for row in document.items if row.title is not None},
        document.longest,
    )


def _items_by_user(rows: Mapping[str, Sequence[int]], items: tuple[str, ...]) -> ItemsByUser:
    numbers = [number for row in rows.values() for number in row]
    return ItemsByUser(tuple(rows), np.array([len(row) for row in rows.values()], np.int64), np.array(numbers, np.int64), items)
