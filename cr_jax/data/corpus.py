"""A data set for training: conversations or dialogues in three parts, words and item texts.

Everything learned from text (the vocabulary, item descriptions) comes from the training part alone; users, items and aspects come
from all parts.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cr_jax.catalog import load
from cr_jax.catalog.dataset import Dataset
from cr_jax.data.conversation import Conversation, Problems
from cr_jax.data.conversations import Conversations, ConversationsInMemory
from cr_jax.data.corpus_stats import ITEM_WORDS, CorpusStats
from cr_jax.data.dialogue import Dialogue
from cr_jax.data.find_dataset import REVIEWS, STAND_IN, names_of, titles_of
from cr_jax.data.formats import aspect_value, reviews
from cr_jax.data.formats.format import Format
from cr_jax.data.formats.recognise import files_of, format_of
from cr_jax.data.profile import StatedSizes, profile
from cr_jax.data.profile_dialogues import profile_dialogues
from cr_jax.data.split import PARTS, fingerprint, part_of
from cr_jax.errors import BadConfig, BadInput
from cr_jax.files import exists, expanded, open_file, why

#: A larger file of aspect-value text is kept on disk; gzip counts this many times its size.
IN_MEMORY_BYTES, PACKED = 64 << 20, 8
#: Places in a word table beside the words: padding and the marks a model needs.
RESERVED = 5
_DRAWN = "by user and item, seed {}: 80, 10 and 10% of the conversations"


@dataclass(frozen=True)
class Corpus:
    """A data set in three parts. Conversations are empty for a corpus of dialogues, and the other way round."""

    #: Measured sizes, which configure a model.
    dataset: Dataset
    #: SHA-256 of the files' bytes.
    fingerprint: str
    #: The rule of the split, in words.
    split: str
    problems: Problems
    #: By part; those of a large file are on disk.
    conversations: Mapping[str, Conversations]
    #: By part.
    dialogues: Mapping[str, tuple[Dialogue, ...]]
    users: tuple[str, ...]
    items: tuple[str, ...]
    aspects: tuple[str, ...]
    #: Words of the training part, the most frequent first, then every aspect of more than one word.
    words: tuple[str, ...]
    #: Words of each item's description, "." at each sentence end.
    descriptions: Mapping[str, tuple[str, ...]]
    #: Titles of items, where the data has such.
    titles: Mapping[str, str] = field(default_factory=dict[str, str])


def read_corpus(path: str | Path, seed: int = 0, strict: bool = False, reviews_file: str | Path | None = None) -> Corpus:
    """The corpus in a file or folder of any layout.

    It is held in memory, except for aspect-value text of more than ``IN_MEMORY_BYTES``, which is stored in the cache first.
    reviews_file: 5-core reviews of the same items; those of training conversations become the descriptions. Without texts an
    item's description is its training conversations. Raises ``BadInput``, and ``BadConfig`` where PyArrow, which the cache needs,
    is not installed.
    """
    place = expanded(path)
    problems = Problems(str(path), strict)
    form = format_of(place)
    if form.dialogues is not None:
        return _of_dialogues(form, place, seed, problems)
    if form.open is None:
        raise BadInput(str(path), f"{REVIEWS}; legal: what crjax data derive writes from them")
    if form is aspect_value.FORMAT and _large(place):
        if reviews_file is not None:
            reason = f"over {IN_MEMORY_BYTES} bytes, which reviews are not joined to; legal: no reviews, or a smaller file"
            raise BadInput(str(path), reason)
        digest, stats, talks = _store(place)(place, seed, problems)
        return _corpus(place, digest, talks, stats, None, problems, _DRAWN.format(seed))
    source = form.open(place, problems)
    if source.test is None:
        parts, split = _parts(source.conversations(), seed), _DRAWN.format(seed)
    else:
        parts = _parts(source.conversations(), seed, ("train", "validation"))
        parts["test"] = list(source.test())
        split = f"test as published (query_split); validation 10% of the published training part, seed {seed}"
    texts = None
    if source.item_texts is not None:
        texts = {item: [*words, "."] for item, words in source.item_texts(ITEM_WORDS)}
    elif reviews_file is not None:
        texts = _review_texts(reviews_file, {(c.user, c.item) for c in parts["train"]}, problems)
    return _conversations(place, parts, texts, problems, split)


def sentences(text: str) -> tuple[str, ...]:
    """Lower-case words of a text, "." at each sentence end and at its end."""
    words: list[str] = []
    for token in (*reviews.tokens(text.lower()), "."):
        word = "." if token[0] in ".!?" else token
        if word != "." or (words and words[-1] != "."):
            words.append(word)
    return tuple(words)


def fingerprint_of(path: str | Path) -> str:
    """The fingerprint of the corpus in a file or folder, without reading it. Raises ``BadInput``."""
    place = expanded(path)
    if not exists(place):
        raise BadInput(str(path), "no such file or folder")
    return fingerprint(files_of(place))


def _parts(conversations: Iterable[Conversation], seed: int, only: Sequence[str] = PARTS) -> dict[str, list[Conversation]]:
    parts: dict[str, list[Conversation]] = {part: [] for part in PARTS}
    for one in conversations:
        part = part_of(seed, f"{one.user}@{one.item}")
        parts[part if part in only else "train"].append(one)
    return parts


def _review_texts(path: str | Path, pairs: set[tuple[str, str]], problems: Problems) -> dict[str, list[str]]:
    texts: dict[str, list[str]] = {}
    for review in reviews.reviews(path, problems):
        # A held-out conversation was derived from its user's review of the item.
        if (review.user, review.item) in pairs and len(text := texts.setdefault(review.item, [])) < ITEM_WORDS:
            text.extend(sentences(review.text))
    return texts


def _conversations(
    place: Path, parts: Mapping[str, list[Conversation]], texts: Mapping[str, list[str]] | None, problems: Problems, split: str
) -> Corpus:
    stats = CorpusStats()
    for part in PARTS:
        for one in parts[part]:
            stats.add(one, part == PARTS[0])
    requests = [one.request for part in PARTS for one in parts[part] if one.request]
    talks = {part: ConversationsInMemory(parts[part]) for part in PARTS}
    return _corpus(place, fingerprint(files_of(place)), talks, stats, texts, problems, split, requests)


def _corpus(
    place: Path,
    digest: str,
    parts: Mapping[str, Conversations],
    stats: CorpusStats,
    texts: Mapping[str, list[str]] | None,
    problems: Problems,
    split: str,
    requests: Sequence[str] = (),
) -> Corpus:
    _enough(place, {part: len(parts[part]) for part in PARTS})
    items, aspects = tuple(sorted(stats.items)), tuple(sorted(stats.aspects))
    described = stats.described if texts is None else texts
    descriptions = {item: tuple(described.get(item, ())[:ITEM_WORDS]) for item in items}
    users = tuple(sorted(stats.users))
    counted = stats.words()
    for words in descriptions.values():
        counted.update(words)
    words = _by_count(counted)
    known = set(words)
    words = (*words, *(aspect.lower() for aspect in aspects if aspect.lower() not in known))
    title, name = names_of(place)
    stated = StatedSizes(
        words=len(words) + RESERVED,
        requests=requests,
        item_words=[len(text) for text in descriptions.values()],
        item_sentences=[text.count(".") for text in descriptions.values()],
    )
    dataset = profile(stats, stated, name=name, title=title, source=place.name, assumed=load.dataset(STAND_IN))
    return Corpus(dataset, digest, split, problems, parts, dict.fromkeys(PARTS, ()), users, items, aspects, words, descriptions)


def _store(place: Path) -> Callable[..., Any]:
    try:
        from cr_jax.data.store.open import open_store
    except ImportError:
        reason = f"{place}: over {IN_MEMORY_BYTES} bytes, which are kept on disk by PyArrow, which is not installed"
        raise BadConfig(f"{reason}; pip install 'cr-jax[train]'") from None
    return open_store


def _large(place: Path) -> bool:
    try:
        with open_file(place) as file:
            packed = file.read(2) == b"\x1f\x8b"
            return os.fstat(file.fileno()).st_size * (PACKED if packed else 1) > IN_MEMORY_BYTES
    except OSError as error:
        raise BadInput(str(place), why(error)) from None


def _of_dialogues(form: Format, place: Path, seed: int, problems: Problems) -> Corpus:
    assert form.dialogues is not None
    files = files_of(place)
    parts: dict[str, dict[str, Dialogue]] = {part: {} for part in PARTS}
    for file in files:
        for one in form.dialogues(file, problems, None):
            parts[part_of(seed, one.user)].setdefault(one.key, one)
    _enough(place, {part: len(parts[part]) for part in PARTS})
    everything = [one for part in PARTS for one in parts[part].values()]
    mentioned = {item for one in everything for item in (*one.forms, *one.ratings)}
    titles = titles_of(form, place) or {}
    items = tuple(sorted(mentioned | set(titles)))
    words = _by_count(Counter(w for one in parts["train"].values() for u in one.utterances for w in u.words))
    users = tuple(sorted({one.user for one in everything}))
    dataset = profile_dialogues(
        everything,
        name=names_of(place)[1],
        source=place.name,
        assumed=load.dataset(STAND_IN),
        items=len(items),
        words=len(words) + RESERVED,
    )
    return Corpus(
        dataset,
        fingerprint(files),
        f"by user, seed {seed}: about 80, 10 and 10%",
        problems,
        {part: ConversationsInMemory() for part in PARTS},
        {part: tuple(parts[part].values()) for part in PARTS},
        users,
        items,
        (),
        words,
        {},
        titles,
    )


def _by_count(counted: Counter[str]) -> tuple[str, ...]:
    return tuple(sorted(counted, key=lambda word: (-counted[word], word)))


def _enough(place: Path, parts: Mapping[str, int]) -> None:
    empty = [part for part, number in parts.items() if not number]
    if empty:
        raise BadInput(str(place), f"nothing falls into the {' and '.join(empty)} part; legal: a larger file, or another seed")
