"""What a trained model needs beside its weights to hold a conversation: words, items, aspects, users.

``crjax train`` writes it as JSON beside the checkpoints, so that a recommender works without the
data it was trained on.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from msgspec import structs

from cr_jax.data.corpus import Corpus
from cr_jax.data.store.conversations import ItemsByUser, Talks
from cr_jax.documents.recommender import AspectValues, DatasetFiles, KnownUser, LongestTexts, RecommendedItem, RecommenderDocument
from cr_jax.records import Lengths, TextLengths

#: Values kept per aspect, as examples of an answer.
VALUES = 8


@dataclass(frozen=True)
class RecommenderAssets:
    """sha256: of the data set's files. seed: of the run. dialogues: whether it was trained on free
    dialogues, which have no aspects.

    values: aspect -> values said in training, both the most frequent first; every aspect has an entry.
    talks: user -> items of their training conversations in order, every user has an entry. titles:
    item -> title, where the data has such. longest: words of the longest request, question and answer.
    words, items, aspects, descriptions: as in :class:`~cr_jax.data.corpus.Corpus`.
    """

    dataset: str
    sha256: str
    seed: int
    dialogues: bool
    words: tuple[str, ...]
    items: tuple[str, ...]
    aspects: tuple[str, ...]
    values: Mapping[str, tuple[str, ...]]
    descriptions: Mapping[str, tuple[str, ...]]
    talks: Mapping[str, tuple[str, ...]]
    titles: Mapping[str, str]
    longest: LongestTexts

    @property
    def lengths(self) -> TextLengths:
        """Lengths in which every text of the data set has room."""
        return room(self.longest.request, self.longest.question, self.longest.answer)

    def with_talks(self, talks: Mapping[str, tuple[str, ...]]) -> "RecommenderAssets":
        """The same with other users."""
        return replace(self, talks=talks)


def room(request: int, question: int, answer: int) -> TextLengths:
    """Text lengths for which a model's padded shapes hold texts of so many words."""
    one = lambda words: Lengths(words, words, words, words)  # noqa: E731
    return TextLengths(request=one(request), question=one(question), answer=one(answer), item=one(1), item_sentences=one(1))


def assets_of(corpus: Corpus, seed: int) -> RecommenderAssets:
    """What is kept of ``corpus``; the users' items of conversations on disk stay there."""
    train = corpus.conversations["train"]
    asked: Counter[str] = Counter()
    values: dict[str, Counter[str]] = {aspect: Counter() for aspect in corpus.aspects}
    talks: Mapping[str, tuple[str, ...]] = {}
    if isinstance(train, Talks):
        said, talks = train.said(), ItemsByUser(train, corpus.users)
    else:
        said = ((turn.aspect, turn.value, 1) for one in train for turn in one.turns)
        if train:
            listed: dict[str, list[str]] = {user: [] for user in corpus.users}
            for one in train:
                listed[one.user].append(one.item)
            talks = {user: tuple(items) for user, items in listed.items()}
    for aspect, value, number in said:
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


def document(kept: RecommenderAssets, model: str) -> RecommenderDocument:
    """The document. Items are numbers where they repeat."""
    return structs.replace(without_users(kept, model), users=tuple(users(kept)))


def users(kept: RecommenderAssets) -> Iterator[KnownUser]:
    """The document's rows ``users``, of which there may be many."""
    number = {item: i for i, item in enumerate(kept.items)}
    return (KnownUser(user=user, items=tuple(number[item] for item in items)) for user, items in kept.talks.items())


def without_users(kept: RecommenderAssets, model: str) -> RecommenderDocument:
    """The document with no rows in its last field, ``users``."""
    return RecommenderDocument(
        model=model,
        dataset=DatasetFiles(name=kept.dataset, sha256=kept.sha256),
        seed=kept.seed,
        dialogues=kept.dialogues,
        longest=kept.longest,
        words=kept.words,
        aspects=tuple(AspectValues(aspect=aspect, values=values) for aspect, values in kept.values.items()),
        items=tuple(
            RecommendedItem(item=item, title=kept.titles.get(item), description=" ".join(kept.descriptions.get(item, ())))
            for item in kept.items
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
        {row.user: tuple(items[number] for number in row.items) for row in document.users},
        {row.item: row.title for row in document.items if row.title is not None},
        document.longest,
    )
