"""The integer-id directory of Bi et al. (CIKM 2019): conversations, queries and item texts.

``users.txt``, ``product.txt`` and ``vocab.txt`` give an id by line number; ``query_split`` holds the
queries, the queries of each product, the reviews and the conversations, split into train and test,
all in ids. Every file may be plain or gzip (``.gz``).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cr_jax.data.conversation import Conversation, Problems, Turn, text_lines
from cr_jax.data.formats import aspect_value
from cr_jax.data.formats.format import Format, Match, Place, Source
from cr_jax.errors import BadInput
from cr_jax.files import is_file

SPLITS = ("train", "test")
#: The most digits of an id; no table has as many lines.
_ID_DIGITS = 18


@dataclass(frozen=True)
class HemDirectory:
    """An open directory. queries: the texts; product_queries[i]: query ids of product i."""

    path: Path
    users: tuple[str, ...]
    products: tuple[str, ...]
    vocabulary: tuple[str, ...]
    queries: tuple[str, ...]
    product_queries: tuple[tuple[int, ...], ...]


def open_directory(path: str | Path, problems: Problems) -> HemDirectory:
    """Read the tables of a directory. Raises ``BadInput`` for a missing or empty table."""
    folder = Path(path)
    users, products, vocabulary = (_table(folder, f"{name}.txt", problems) for name in ("users", "product", "vocab"))
    queries: list[str] = []
    file = _file(folder, "query_split/query.txt")
    for number, text, _ in text_lines(file, problems):
        words = _words(text, vocabulary)
        if words is None:
            problems.add("unknown word id", number, text[:60], str(file))
        queries.append(words or "")
    of_product = _product_queries(_file(folder, "query_split/train_query_idx.txt"), queries, problems)
    missing = len(products) - len(of_product)
    return HemDirectory(folder, users, products, vocabulary, tuple(queries), tuple(of_product) + ((),) * max(0, missing))


def conversations(hem: HemDirectory, problems: Problems, splits: Sequence[str] = SPLITS) -> Iterator[Conversation]:
    """The conversations of the given splits as words; the request is the product's first query.

    Lines with an id outside the tables are skipped and counted like malformed ones. Raises
    ``BadInput`` for a split without one valid conversation.
    """
    for split in splits:
        file = _file(hem.path, f"query_split/av.{split}.strict.txt")
        yield from aspect_value.conversations(file, problems, lambda conversation: _named(hem, conversation))


def reviews(hem: HemDirectory, problems: Problems, splits: Sequence[str] = SPLITS) -> Iterator[tuple[int, int, str]]:
    """Reviews of the given splits: user index, product index, words (stop words already left out)."""
    for split in splits:
        file = _file(hem.path, f"query_split/{split}.txt")
        for number, text, _ in text_lines(file, problems):
            user, product, ids = (*text.split("\t"), "", "", "")[:3]
            at, of = _index(user, hem.users), _index(product, hem.products)
            words = _words(ids, hem.vocabulary)
            if at is None or of is None or words is None or text.count("\t") != 2:
                problems.add("malformed review", number, text[:60], str(file))
                continue
            if not words:
                problems.add("empty review", number, text[:60], str(file))
                continue
            yield at, of, words


def item_texts(hem: HemDirectory, problems: Problems, limit: int, split: str = "train") -> list[list[str]]:
    """Words of each product: its reviews in order, joined, cut at ``limit`` words."""
    texts: list[list[str]] = [[] for _ in hem.products]
    for _, product, text in reviews(hem, problems, (split,)):
        room = limit - len(texts[product])
        if room > 0:
            texts[product].extend(text.split()[:room])
    for number, words in enumerate(texts, 1):
        if not words:
            problems.add(
                "item without a description",
                number,
                f"no {split} review of {hem.products[number - 1]!r} says anything",
                str(_file(hem.path, "product.txt")),
                kept=True,
            )
    return texts


def _named(hem: HemDirectory, conversation: Conversation) -> Conversation:
    user, item = _index(conversation.user, hem.users), _index(conversation.item, hem.products)
    if user is None or item is None:
        raise aspect_value.Malformed("unknown id", f"{conversation.user}@{conversation.item}")
    turns: list[Turn] = []
    for turn in conversation.turns:
        aspect, value = _words(turn.aspect, hem.vocabulary), _words(turn.value, hem.vocabulary)
        if not aspect or not value:
            raise aspect_value.Malformed("unknown word id", f"{turn.aspect}|{turn.value}")
        turns.append(Turn(aspect, value, turn.sentiment))
    asked = hem.product_queries[item]
    request = hem.queries[asked[0]] if asked else ""
    return Conversation(hem.users[user], hem.products[item], tuple(turns), request)


def _file(folder: Path, name: str) -> Path:
    for candidate in (folder / name, folder / f"{name}.gz"):
        if is_file(candidate):
            return candidate
    raise BadInput(str(folder), f"no {name} or {name}.gz: not a directory in the layout of Bi et al.")


def _table(folder: Path, name: str, problems: Problems) -> tuple[str, ...]:
    # An id is a line number, so a line that cannot be read must keep its place.
    table: list[str] = []
    seen: set[str] = set()
    for number, text, _ in text_lines(_file(folder, name), problems):
        table.extend("" for _ in range(number - 1 - len(table)))
        table.append(text.strip())
        if table[-1] in seen:
            problems.add("duplicate name", number, f"{table[-1]!r} has an earlier id too", str(_file(folder, name)), kept=True)
        seen.add(table[-1])
    return tuple(table)


def _product_queries(file: Path, queries: Sequence[str], problems: Problems) -> list[tuple[int, ...]]:
    by_product: list[tuple[int, ...]] = []
    for number, text, _ in text_lines(file, problems):
        by_product.extend(() for _ in range(number - 1 - len(by_product)))
        ids = [_index(word, queries) for word in text.split()]
        known = tuple(index for index in ids if index is not None)
        if len(known) < len(ids):
            problems.add("unknown query id", number, text[:60], str(file))
        by_product.append(known)
    return by_product


def _index(text: str, table: Sequence[str]) -> int | None:
    if not (text.isascii() and text.isdigit() and len(text) <= _ID_DIGITS):
        return None
    return int(text) if int(text) < len(table) else None


def _words(ids: str, vocabulary: Sequence[str]) -> str | None:
    indices = [_index(word, vocabulary) for word in ids.split()]
    if None in indices:
        return None
    return " ".join(vocabulary[index] for index in indices if index is not None)


def _recognises(place: Place) -> Match:
    return Match.ANY if place.is_folder else Match.NO


def _open(path: Path, problems: Problems) -> Source:
    opened = open_directory(path, problems)
    return Source(
        lambda: conversations(opened, problems, SPLITS[:1]),
        lambda: conversations(opened, problems, SPLITS[1:]),
        lambda limit: list(zip(opened.products, item_texts(opened, problems, limit), strict=True)),
        opened.queries,
        len(opened.users),
        len(opened.products),
        len(opened.vocabulary),
    )


FORMAT = Format("directory of Bi et al.", _recognises, _open)
