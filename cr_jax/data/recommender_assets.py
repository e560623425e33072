"""What a trained model needs beside its weights to hold a conversation: words, items, aspects, users.

``crjax train`` writes it as JSON beside the checkpoints, so that a recommender works without the
data it was trained on.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from cr_jax.data.corpus import Corpus
from cr_jax.data.store.conversations import ItemsByUser, Talks
from cr_jax.records import Lengths, TextLengths
from cr_jax.resources import schema

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
    longest: Mapping[str, int]

    @property
    def lengths(self) -> TextLengths:
        """Lengths in which every text of the data set has room."""
        return room(self.longest["request"], self.longest["question"], self.longest["answer"])

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
    longest = {key: max(1, getattr(corpus.dataset.lengths, key).max) for key in ("request", "question", "answer")}
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


def document(kept: RecommenderAssets, model: str) -> dict[str, Any]:
    """The JSON document (schema ``recommender``). Items are numbers where they repeat."""
    return without_users(kept, model) | {"users": list(users(kept))}


def users(kept: RecommenderAssets) -> Iterator[dict[str, Any]]:
    """The document's rows ``users``, of which there may be many."""
    number = {item: i for i, item in enumerate(kept.items)}
    return ({"user": user, "items": [number[item] for item in items]} for user, items in kept.talks.items())


def without_users(kept: RecommenderAssets, model: str) -> dict[str, Any]:
    """The document without its last key, ``users``."""
    return {
        "schema": schema("recommender")["$id"],
        "kind": "recommender",
        "schema_version": "1.0",
        "model": model,
        "dataset": {"name": kept.dataset, "sha256": kept.sha256},
        "seed": kept.seed,
        "dialogues": kept.dialogues,
        "longest": dict(kept.longest),
        "words": list(kept.words),
        "aspects": [{"aspect": aspect, "values": list(values)} for aspect, values in kept.values.items()],
        "items": [
            {"item": item, "title": kept.titles.get(item), "description": " ".join(kept.descriptions.get(item, ()))}
            for item in kept.items
        ],
    }


def from_document(found: Mapping[str, Any]) -> RecommenderAssets:
    """The inverse of :func:`document`; raises ``IndexError`` for an item number that is none."""
    items = tuple(row["item"] for row in found["items"])
    values = {row["aspect"]: tuple(row["values"]) for row in found["aspects"]}
    return RecommenderAssets(
        found["dataset"]["name"],
        found["dataset"]["sha256"],
        found["seed"],
        found["dialogues"],
        tuple(found["words"]),
        items,
        tuple(sorted(values)),
        values,
        {row["item"]: tuple(row["description"].split(" ")) if row["description"] else () for row in found["items"]},
        {row["user"]: tuple(items[number] for number in row["items"]) for row in found["users"]},
        {row["item"]: row["title"] for row in found["items"] if row["title"] is not None},
        found["longest"],
    )
