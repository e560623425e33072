"""A data set from a name, a profile or a file of conversations, whatever its layout."""

import re
from pathlib import Path

from cr_jax.catalog import load
from cr_jax.catalog.dataset import Dataset
from cr_jax.data.conversation import Problems, text_lines
from cr_jax.data.corpus_stats import ITEM_WORDS
from cr_jax.data.formats import aspect_value, derive, hem, redial, reviews
from cr_jax.data.formats.lexicon import MIN_COUNT, read_lexicon
from cr_jax.data.profile import profile_conversations
from cr_jax.data.profile_dialogues import profile_dialogues
from cr_jax.errors import BadInput, UnknownName
from cr_jax.files import exists, expanded, is_file, is_folder, mode, names_in, open_file, why

#: The shipped profile whose text lengths stand in for what a file says nothing about.
STAND_IN = "cell-phones"
REVIEWS = "5-core reviews hold no conversations"


def find_dataset(text: str, strict: bool = False) -> tuple[Dataset, Problems]:
    """``--dataset``: the name of a profile, a profile's JSON file, or conversations (file or folder).

    Raises ``UnknownName`` for what is none of these, ``BadInput`` for a file that is refused.
    """
    known = known_profile(text)
    return read_dataset(expanded(text), strict) if known is None else (known, Problems(text))


def known_profile(text: str) -> Dataset | None:
    """The profile that ``text`` names, or is the file of; ``None`` for conversations, which are to be read.

    Raises ``UnknownName`` for what is neither a name nor there, ``BadInput`` for a profile that is refused.
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
    """The profile of a file or folder of conversations, and what was wrong with it.

    A folder is ReDial (``.jsonl`` files) or has the integer-id layout of Bi et al.; a file is ReDial,
    5-core reviews (conversations are then derived with ``lexicon_file``) or aspect-value text; the name
    is the file's stem. reviews_file: 5-core reviews of the same items, for the lengths of their
    descriptions. What the files say nothing about is taken from the profile ``cell-phones`` and tagged
    ``assumed``. Raises ``BadInput``.
    """
    place, problems = Path(path), Problems(str(path), strict)
    stem, name = names_of(place)
    stand_in, kind = load.dataset(STAND_IN), kind_of(place)
    if lexicon_file is not None and kind != "reviews":
        raise BadInput(str(path), "a lexicon derives conversations from 5-core reviews (JSON lines), which this is not")
    if kind == "redial":
        return _redial(place, name, stand_in, problems), problems
    if kind == "reviews":
        if lexicon_file is None:
            legal = "with --lexicon FILE, which derives them (crjax data derive writes them)"
            raise BadInput(str(path), f"{REVIEWS}; legal: {legal}")
        pairs = read_lexicon(lexicon_file, problems, MIN_COUNT)
        talks = list(derive.conversations(place, pairs, problems))
        if not talks:
            raise BadInput(str(path), f"no review mentions one of the {pairs.kept:,} pairs of {lexicon_file}")
        reviews_file = place
    else:
        talks = None
    sizes: list[tuple[int, int]] = []
    if reviews_file is not None:
        # Reviews that conversations were derived from are read a second time: their faults are counted.
        again = problems if kind != "reviews" else Problems(str(place))
        sizes = list(reviews.sizes_per_item(reviews_file, again, ITEM_WORDS).values())
    read = [Path(file).name for file in (lexicon_file, reviews_file) if file is not None and file != place]
    source = " with ".join([place.name, *read])
    words, ends = [words for words, _ in sizes], [sentences for _, sentences in sizes]
    if kind != "hem":
        found = aspect_value.conversations(place, problems) if talks is None else talks
        profile = profile_conversations(
            found, name=name, title=stem, source=source, assumed=stand_in, item_words=words, item_sentences=ends
        )
        return profile, problems
    opened = hem.open_directory(place, problems)
    profile = profile_conversations(
        hem.conversations(opened, problems),
        name=name,
        title=stem,
        source=source,
        assumed=stand_in,
        users=len(opened.users),
        items=len(opened.products),
        words=len(opened.vocabulary),
        requests=opened.queries,
        item_words=[len(words) for words in hem.item_texts(opened, problems, ITEM_WORDS)],
        item_sentences=ends,
    )
    return profile, problems


def names_of(place: Path) -> tuple[str, str]:
    """Title and profile name of a file or folder: its stem, and the same in lower case with hyphens."""
    mode(place)  # where a loop of links is refused
    stem = re.sub(r"(\.jsonl|\.json|\.txt)$", "", place.resolve().name.removesuffix(".gz"))
    return stem, re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-") or "conversations"


def kind_of(place: Path) -> str:
    """``redial``, ``reviews``, ``hem`` or ``text``; raises ``BadInput`` for a known file without conversations."""
    if is_folder(place):
        names = names_in(place)
        if any(".qrels" in name for name in names):
            raise BadInput(
                str(place),
                "a split of queries and reviews (qrels), no conversations; legal: a file of "
                "conversations, a folder in the layout of Bi et al. or of ReDial",
            )
        return "redial" if any(name.endswith((".jsonl", ".jsonl.gz")) for name in names) else "hem"
    if place.name.removesuffix(".gz").endswith(".jsonl"):
        return "redial"
    line = next(text_lines(place, Problems(str(place))), (0, "", True))[1]
    first = line.lstrip("[").strip()
    if first.startswith("{") or (not first and ".json" in place.suffixes):
        return "redial" if '"messages"' in first else "reviews"
    if re.match(r"\[-?\d+\]\t[^\t]*\|", line):
        raise BadInput(str(place), "an aspect-value lexicon, no conversations; legal: reviews, with this as --lexicon")
    return "text"


def _redial(place: Path, name: str, stand_in: Dataset, problems: Problems) -> Dataset:
    files = sorted(place.glob("*.jsonl*")) if is_folder(place) else [place]
    seen: set[str] = set()
    talks = [one for file in files for one in redial.dialogues(file, problems, seen)]
    table = (place if is_folder(place) else place.parent) / "movies_with_mentions.csv"
    items = {item for one in talks for item in (*one.forms, *one.ratings)}
    titled = is_file(table)
    items |= set(redial.movies(table)) if titled else set()
    words = {word for one in talks for spoken in one.utterances for word in spoken.words}
    source = place.name if not titled else f"{place.name} with {table.name}"
    return profile_dialogues(talks, name=name, source=source, assumed=stand_in, items=len(items), words=len(words))
