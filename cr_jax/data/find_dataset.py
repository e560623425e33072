"""A data set from a name, a profile or a file of conversations of any layout."""

import re
from pathlib import Path

from cr_jax.catalog import load
from cr_jax.catalog.dataset import Dataset
from cr_jax.data.conversation import Conversation, Problems
from cr_jax.data.corpus_stats import ITEM_WORDS, CorpusStats
from cr_jax.data.formats import derive, reviews
from cr_jax.data.formats.format import Format, Source
from cr_jax.data.formats.lexicon import MIN_COUNT, read_lexicon
from cr_jax.data.formats.recognise import files_of, format_of
from cr_jax.data.profile import StatedSizes, profile
from cr_jax.data.profile_dialogues import profile_dialogues
from cr_jax.errors import BadInput, UnknownName
from cr_jax.files import exists, expanded, is_file, is_folder, mode, open_file, why

#: The shipped profile that supplies text lengths which a file does not have.
STAND_IN = "cell-phones"
REVIEWS = "5-core reviews hold no conversations"


def find_dataset(text: str, strict: bool = False) -> tuple[Dataset, Problems]:
    """``--dataset``: the name of a profile, a profile's JSON file, or conversations (file or folder).

    Raises ``UnknownName`` for anything else, and ``BadInput`` for a file that is refused.
    """
    known = known_profile(text)
    return read_dataset(expanded(text), strict) if known is None else (known, Problems(text))


def known_profile(text: str) -> Dataset | None:
    """The profile named by ``text``, or in that file; ``None`` for conversations, which have to be read.

    Raises ``UnknownName`` for an unknown name that is no file, and ``BadInput`` for a profile that is refused.
    """
    if text in load.dataset_names():
        return load.dataset(text)
    path = expanded(text)
    if not exists(path):
        raise UnknownName("data set or file", text, load.dataset_names())
    if path.suffix == ".json" and is_file(path) and b'"dataset-profile"' in _head(path):
        return load.load_dataset(path)
    return None


def _head(path: Path) -> bytes:
    try:
        with open_file(path) as file:
            return file.read(2000)
    except OSError as error:
        raise BadInput(str(path), why(error)) from None


def read_dataset(
    path: str | Path, strict: bool = False, reviews_file: str | Path | None = None, lexicon_file: str | Path | None = None
) -> tuple[Dataset, Problems]:
    """The profile of a file or folder of conversations, and its faults.

    The profile's name is the file's stem. reviews_file: 5-core reviews of the same items, for the lengths of their descriptions.
    lexicon_file: derives conversations where ``path`` itself holds reviews. Figures that the files do not have are taken from the
    profile ``cell-phones`` and tagged ``assumed``. Raises ``BadInput``.
    """
    place, problems = Path(path), Problems(str(path), strict)
    form = format_of(place)
    if form.dialogues is not None and lexicon_file is None:
        return _of_dialogues(form, place, problems), problems
    if lexicon_file is not None and form is not reviews.FORMAT:
        raise BadInput(str(path), "a lexicon derives conversations from 5-core reviews (JSON lines), which this is not")
    if form.open is not None:
        source = form.open(place, problems)
    elif lexicon_file is None:
        raise BadInput(str(path), f"{REVIEWS}; legal: with --lexicon FILE, which derives them (crjax data derive writes them)")
    else:
        source, reviews_file = Source(_derived(place, Path(lexicon_file), problems).__iter__), place
    sizes: list[tuple[int, int]] = []
    if reviews_file is not None:
        # Reviews that conversations were derived from are read a second time: their faults are counted.
        again = problems if form is not reviews.FORMAT else Problems(str(place))
        sizes = list(reviews.sizes_per_item(reviews_file, again, ITEM_WORDS).values())
    read = [Path(file).name for file in (lexicon_file, reviews_file) if file is not None and file != place]
    title, name = names_of(place)
    if source.item_texts is None:
        item_words = [words for words, _ in sizes]
    else:
        item_words = [len(words) for _, words in source.item_texts(ITEM_WORDS)]
    stats = CorpusStats()
    for one in source.everything():
        stats.add(one)
    sentences = [number for _, number in sizes]
    stated = StatedSizes(source.users, source.items, source.words, source.requests, item_words, sentences)
    origin = " with ".join([place.name, *read])
    return profile(stats, stated, name=name, title=title, source=origin, assumed=load.dataset(STAND_IN)), problems


def _derived(place: Path, lexicon_file: Path, problems: Problems) -> list[Conversation]:
    pairs = read_lexicon(lexicon_file, problems, MIN_COUNT)
    talks = list(derive.conversations(place, pairs, problems))
    if not talks:
        raise BadInput(str(place), f"no review mentions one of the {pairs.kept:,} pairs of {lexicon_file}")
    return talks


def names_of(place: Path) -> tuple[str, str]:
    """Title and profile name of a file or folder: its stem, and the same in lower case with hyphens."""
    mode(place)  # where a loop of links is refused
    stem = re.sub(r"(\.jsonl|\.json|\.txt)$", "", place.resolve().name.removesuffix(".gz"))
    return stem, re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-") or "conversations"


def _of_dialogues(form: Format, place: Path, problems: Problems) -> Dataset:
    assert form.dialogues is not None
    seen: set[str] = set()
    talks = [one for file in files_of(place) for one in form.dialogues(file, problems, seen)]
    items = {item for one in talks for item in (*one.forms, *one.ratings)}
    titles = titles_of(form, place)
    words = {word for one in talks for spoken in one.utterances for word in spoken.words}
    return profile_dialogues(
        talks,
        name=names_of(place)[1],
        source=place.name if titles is None else f"{place.name} with {form.titles_file}",
        assumed=load.dataset(STAND_IN),
        items=len(items | set(titles or ())),
        words=len(words),
    )


def titles_of(form: Format, place: Path) -> dict[str, str] | None:
    """Titles of the items of dialogues, ``None`` without a file of them. Raises ``BadInput``."""
    table = (place if is_folder(place) else place.parent) / form.titles_file
    return form.titles(table) if form.titles is not None and is_file(table) else None
