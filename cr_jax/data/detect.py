"""A data set from a name, a profile or a file of conversations, whatever its layout."""

import re
from pathlib import Path

from cr_jax.catalog import load
from cr_jax.catalog.dataset import Dataset
from cr_jax.data import aspect_value, hem, reviews
from cr_jax.data.conversation import Problems
from cr_jax.data.profile import profile_conversations
from cr_jax.data.tally import ITEM_WORDS
from cr_jax.errors import UnknownName

#: The shipped profile whose text lengths stand in for what a file says nothing about.
STAND_IN = "cell-phones"


def find_dataset(text: str, strict: bool = False) -> tuple[Dataset, Problems]:
    """``--dataset``: the name of a profile, a profile's JSON file, or conversations (file or folder).

    Raises ``UnknownName`` for what is none of these, ``BadInput`` for a file that is refused.
    """
    if text in load.dataset_names():
        return load.dataset(text), Problems(text)
    path = Path(text).expanduser()
    if not path.exists():
        raise UnknownName("data set or file", text, load.dataset_names())
    if path.suffix == ".json":
        return load.load_dataset(path), Problems(str(path))
    return read_dataset(path, strict)


def read_dataset(
    path: str | Path, strict: bool = False, reviews_file: str | Path | None = None
) -> tuple[Dataset, Problems]:
    """The profile of a file or folder of conversations, and what was skipped while reading it.

    A folder has the integer-id layout of Bi et al., a file the aspect-value text form; the name is
    the file's stem. reviews_file: 5-core reviews of the same items, for the sentences of their
    descriptions. What the files say nothing about is taken from the profile ``cell-phones`` and
    tagged ``assumed``. Raises ``BadInput``.
    """
    place = Path(path)
    problems = Problems(str(path), strict)
    stem = place.resolve().name.removesuffix(".gz").removesuffix(".txt")
    name = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-") or "conversations"
    sentences: list[int] = []
    if reviews_file is not None:
        sentences = list(reviews.sentences_per_item(reviews_file, problems, ITEM_WORDS).values())
    stand_in = load.dataset(STAND_IN)
    source = place.name if reviews_file is None else f"{place.name} with {Path(reviews_file).name}"
    if not place.is_dir():
        found = aspect_value.conversations(place, problems)
        profile = profile_conversations(
            found, name=name, title=stem, source=source, assumed=stand_in, item_sentences=sentences
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
        item_sentences=sentences,
    )
    return profile, problems
