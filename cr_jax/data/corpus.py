"""A data set ready to train on: conversations or dialogues in three parts, words and item texts.

Everything that is learned from text (the vocabulary, item descriptions) comes from the training
part alone; users, items and aspects are the catalogue and come from all parts.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cr_jax.catalog import load
from cr_jax.catalog.dataset import Dataset
from cr_jax.data import aspect_value, hem, redial, reviews
from cr_jax.data.conversation import Conversation, Problems
from cr_jax.data.detect import STAND_IN
from cr_jax.data.dialogue import Dialogue
from cr_jax.data.profile import ITEM_WORDS, profile_conversations
from cr_jax.data.profile_dialogues import profile_dialogues
from cr_jax.errors import BadInput

PARTS = ("train", "validation", "test")
#: Shares of validation and test where the file states no split.
VALIDATION, TEST = 0.1, 0.1
#: Places in a word table beside the words: padding and the marks a model needs.
RESERVED = 5
_SENTENCE = re.compile(r"[.!?]+|[\w'-]*\w[\w'-]*")


@dataclass(frozen=True)
class Corpus:
    """dataset: its measured sizes, what ``configure`` is given. fingerprint: of the files' bytes.

    conversations: of aspects and values, by part, empty for a corpus of dialogues; dialogues: the
    other way round. words: of the training part, the most frequent first, then every aspect of more
    than one word. descriptions: words of an item with "." at each sentence end. split: in words.
    titles: of items, where the data has such.
    """

    dataset: Dataset
    fingerprint: str
    split: str
    problems: Problems
    conversations: Mapping[str, tuple[Conversation, ...]]
    dialogues: Mapping[str, tuple[Dialogue, ...]]
    users: tuple[str, ...]
    items: tuple[str, ...]
    aspects: tuple[str, ...]
    words: tuple[str, ...]
    descriptions: Mapping[str, tuple[str, ...]]
    titles: Mapping[str, str] = field(default_factory=dict)


def read_corpus(path: str | Path, seed: int = 0, strict: bool = False, reviews_file: str | Path | None = None) -> Corpus:
    """The corpus in a file or folder, whatever its layout, held in memory.

    A folder with ``users.txt`` is the directory of Bi et al. with its published test part; a
    ``.jsonl`` file, or a folder of such, is ReDial; any other file is aspect-value text. reviews_file:
    5-core reviews of the same items; those of training conversations become the descriptions. Without
    texts an item's description is its training conversations. Raises ``BadInput``.
    """
    place = Path(path).expanduser()
    problems = Problems(str(path), strict)
    if place.is_dir() and not any(place.glob("*.jsonl")):
        return _hem(place, seed, problems)
    if place.is_dir() or place.name.removesuffix(".gz").endswith(".jsonl"):
        return _redial(place, seed, problems)
    parts = _parts(aspect_value.conversations(place, problems), seed)
    texts = None
    if reviews_file is not None:
        kept = {(c.user, c.item) for c in parts["train"]}
        texts = _review_texts(reviews_file, kept, problems)
    return _conversations(place, parts, texts, problems, f"by user and item, seed {seed}: 80, 10 and 10% of the conversations")


def part_of(seed: int, key: str) -> str:
    """The part that a user and item, or a user, belong to; the same in any order of the file."""
    digest = hashlib.sha256(f"{seed}|{key}".encode()).digest()
    where = int.from_bytes(digest[:8], "big") / 2**64
    return "validation" if where < VALIDATION else "test" if where < VALIDATION + TEST else "train"


def sentences(text: str) -> tuple[str, ...]:
    """Lower-case words of a text, "." at each sentence end and at its end."""
    found: list[str] = []
    for token in (*_SENTENCE.findall(text.lower()), "."):
        word = "." if token[0] in ".!?" else token
        if word != "." or (found and found[-1] != "."):
            found.append(word)
    return tuple(found)


def fingerprint(files: Iterable[Path]) -> str:
    """SHA-256 of the bytes of ``files``, in order."""
    digest = hashlib.sha256()
    for file in files:
        with open(file, "rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def fingerprint_of(path: str | Path) -> str:
    """The fingerprint of the corpus in a file or folder, without reading it. Raises ``BadInput``."""
    place = Path(path).expanduser()
    if not place.exists():
        raise BadInput(str(path), "no such file or folder")
    return fingerprint(_files(place))


def _files(place: Path) -> list[Path]:
    if not place.is_dir():
        return [place]
    return sorted(place.glob("*.jsonl")) or sorted(file for file in place.rglob("*") if file.is_file())


def _parts(found: Iterable[Conversation], seed: int, only: Sequence[str] = PARTS) -> dict[str, list[Conversation]]:
    parts: dict[str, list[Conversation]] = {part: [] for part in PARTS}
    for one in found:
        part = part_of(seed, f"{one.user}@{one.item}")
        parts[part if part in only else "train"].append(one)
    return parts


def _review_texts(path: str | Path, kept: set[tuple[str, str]], problems: Problems) -> dict[str, list[str]]:
    texts: dict[str, list[str]] = {}
    for review in reviews.reviews(path, problems):
        # A held-out conversation was derived from its user's review of the item.
        if (review.user, review.item) in kept and len(text := texts.setdefault(review.item, [])) < ITEM_WORDS:
            text.extend(sentences(review.text))
    return texts


def _hem(place: Path, seed: int, problems: Problems) -> Corpus:
    opened = hem.open_directory(place, problems)
    parts = _parts(hem.conversations(opened, problems, ("train",)), seed, ("train", "validation"))
    parts["test"] = list(hem.conversations(opened, problems, ("test",)))
    texts = {
        item: [*words, "."] for item, words in zip(opened.products, hem.item_texts(opened, problems, ITEM_WORDS), strict=True)
    }
    split = f"test as published (query_split); validation 10% of the published training part, seed {seed}"
    return _conversations(place, parts, texts, problems, split)


def _conversations(
    place: Path, parts: Mapping[str, list[Conversation]], texts: Mapping[str, list[str]] | None, problems: Problems, split: str
) -> Corpus:
    everything = [one for part in PARTS for one in parts[part]]
    _enough(place, {part: len(parts[part]) for part in PARTS})
    items = tuple(sorted({one.item for one in everything}))
    aspects = tuple(sorted({turn.aspect for one in everything for turn in one.turns}))
    described: dict[str, list[str]] = {item: [] for item in items}
    if texts is None:
        for one in parts["train"]:
            for turn in one.turns:
                described[one.item] += [*turn.aspect.lower().split(), *turn.value.lower().split(), "."]
    else:
        described |= {item: list(words) for item, words in texts.items() if item in described}
    descriptions = {item: tuple(words[:ITEM_WORDS]) for item, words in described.items()}
    counted: Counter[str] = Counter()
    for words in descriptions.values():
        counted.update(words)
    for one in parts["train"]:
        counted.update(one.request.lower().split())
        for turn in one.turns:
            counted.update((".", *turn.aspect.lower().split(), *turn.value.lower().split()))
    words = _by_count(counted)
    known = set(words)
    words = (*words, *(aspect.lower() for aspect in aspects if aspect.lower() not in known))
    name = place.resolve().name.removesuffix(".gz").removesuffix(".txt")
    dataset = profile_conversations(
        everything, name=name, title=name, source=place.name, assumed=load.dataset(STAND_IN),
        words=len(words) + RESERVED, requests=[one.request for one in everything if one.request],
        item_words=[len(text) for text in descriptions.values()],
        item_sentences=[text.count(".") for text in descriptions.values()],
    )  # fmt: skip
    return Corpus(
        dataset, fingerprint(_files(place)), split, problems, {part: tuple(parts[part]) for part in PARTS},
        {part: () for part in PARTS}, tuple(sorted({one.user for one in everything})), items, aspects, words, descriptions,
    )  # fmt: skip


def _redial(place: Path, seed: int, problems: Problems) -> Corpus:
    files = _files(place)
    parts: dict[str, dict[str, Dialogue]] = {part: {} for part in PARTS}
    for file in files:
        for one in redial.dialogues(file, problems):
            parts[part_of(seed, one.user)].setdefault(one.key, one)
    _enough(place, {part: len(parts[part]) for part in PARTS})
    everything = [one for part in PARTS for one in parts[part].values()]
    table = (place if place.is_dir() else place.parent) / "movies_with_mentions.csv"
    mentioned = {item for one in everything for item in (*one.forms, *one.ratings)}
    titles = redial.movies(table) if table.is_file() else {}
    items = tuple(sorted(mentioned | set(titles)))
    words = _by_count(Counter(w for one in parts["train"].values() for u in one.utterances for w in u.words))
    users = tuple(sorted({one.user for one in everything}))
    name = place.resolve().name.removesuffix(".gz").removesuffix(".jsonl")
    dataset = profile_dialogues(everything, name=name, source=place.name, assumed=load.dataset(STAND_IN), items=len(items),
                                words=len(words) + RESERVED)  # fmt: skip
    return Corpus(
        dataset, fingerprint(files), f"by user, seed {seed}: about 80, 10 and 10%", problems,
        {part: () for part in PARTS}, {part: tuple(parts[part].values()) for part in PARTS}, users, items, (), words, {}, titles,
    )  # fmt: skip


def _by_count(counted: Counter[str]) -> tuple[str, ...]:
    return tuple(sorted(counted, key=lambda word: (-counted[word], word)))


def _enough(place: Path, parts: Mapping[str, int]) -> None:
    empty = [part for part, number in parts.items() if not number]
    if empty:
        raise BadInput(str(place), f"nothing falls into the {' and '.join(empty)} part; legal: a larger file, or another seed")
