"""Data set profiles from conversations, and their JSON documents.

Figures of the shipped profiles that no table prints come from here: ``assume_from`` over the profile of a real sample of
conversations derives them again.
"""

import dataclasses
import json
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from msgspec import UNSET

from cr_jax.catalog.dataset import Dataset, Origin
from cr_jax.data.corpus_stats import ITEM_WORDS, CorpusStats
from cr_jax.documents.base import plain
from cr_jax.documents.dataset_profile import DatasetProfile, LengthFigures, PaperDimensions, PrintedParameters
from cr_jax.documents.figure import CountFigure, CountOrNoneFigure, Distribution, DistributionFigure, Figure, HistogramFigure
from cr_jax.records import Lengths, TextLengths

F = TypeVar("F", bound=Figure[Any])
_COUNTS = ("users", "items", "aspects", "values", "turns", "conversations", "words")
_KEYS = {
    "request": "request_words",
    "question": "question_words",
    "answer": "answer_words",
    "item": "item_words",
    "item_sentences": "item_sentences",
}
_HOW = {
    "request": "words of the distinct queries",
    "question": "words of the aspect, over all turns",
    "answer": "words of the value, over all turns",
    "item": f"words of an item's training reviews, joined and cut at {ITEM_WORDS}",
    "item_sentences": f"sentences that end within the first {ITEM_WORDS} positions of an item's reviews",
}


def lengths_of(counts: Iterable[int] | Counter[int]) -> Lengths:
    """The distribution of some lengths, given one by one or by frequency; quantile q is the ceil(q n)-th smallest."""
    number = counts if isinstance(counts, Counter) else Counter(counts)
    ordered = sorted(number)
    n = number.total()

    def quantile(q: float) -> int:
        below = 0
        for length in ordered:
            below += number[length]
            if below >= math.ceil(q * n):
                return length
        raise AssertionError("no lengths")

    total = sum(length * times for length, times in number.items())
    return Lengths(round(total / n, 4), quantile(0.5), quantile(0.95), ordered[-1])


@dataclass(frozen=True)
class StatedSizes:
    """Figures of a data set that its files state beside the conversations."""

    #: Lines of the tables of users, items and words; ``None``: those in the conversations are counted.
    users: int | None = None
    items: int | None = None
    words: int | None = None
    #: Texts of the requests.
    requests: Iterable[str] = ()
    #: Words and sentences of each item's description.
    item_words: Iterable[int] = ()
    item_sentences: Iterable[int] = ()


def profile(
    stats: CorpusStats, stated: StatedSizes, *, name: str, title: str, source: str, assumed: Dataset | None = None
) -> Dataset:
    """The profile of one or more conversations.

    source: their origin in words. A length on which neither ``stats`` nor ``stated`` has a figure is taken from
    ``assumed`` and tagged so.
    """
    aspects, values, turns = stats.aspects, stats.values, stats.turns
    asked = Counter(stated.requests)
    vocabulary = {word for text in (*asked, *aspects, *values) for word in text.split()}
    known = {
        "request": _word_counts(asked),
        "question": _word_counts(aspects),
        "answer": _word_counts(values),
        "item": Counter(stated.item_words),
        "item_sentences": Counter(stated.item_sentences),
    }
    counted = Origin("measured", f"counted in {source}")
    origins: dict[str, Origin] = dict.fromkeys(_COUNTS, counted)
    lengths: dict[str, Lengths] = {}
    for field, sizes in known.items():
        if any(sizes):
            lengths[field] = lengths_of(sizes)
            origins[f"lengths.{field}"] = Origin("measured", f"{_HOW[field]}; counted in {source}")
        else:
            assert assumed is not None, f"nothing states the lengths of {field}"
            lengths[field] = getattr(assumed.lengths, field)
            origins[f"lengths.{field}"] = Origin("assumed", f"not in {source}; taken from the profile {assumed.name}")
    origins["turn_histogram"] = counted
    return Dataset(
        name=name,
        title=title,
        users=len(stats.users) if stated.users is None else stated.users,
        items=len(stats.items) if stated.items is None else stated.items,
        aspects=len(aspects),
        values=len(values),
        turns=sum(n * c for n, c in turns.items()),
        conversations=sum(turns.values()),
        words=len(vocabulary) if stated.words is None else stated.words,
        lengths=TextLengths(**lengths),
        turn_histogram=tuple(turns[n] for n in range(1, max(turns) + 1)),
        paper={},
        origins=origins,
    )


def _word_counts(texts: Counter[str]) -> Counter[int]:
    counts: Counter[int] = Counter()
    for text, number in texts.items():
        counts[len(text.split())] += number
    return counts


def scaled_histogram(histogram: tuple[int, ...], turns: int) -> tuple[int, ...]:
    """The histogram scaled to hold exactly ``turns`` turns.

    Each bin of two turns and more is scaled and rounded; conversations of one turn take the rest.
    """
    factor = turns / sum(n * c for n, c in enumerate(histogram, 1))
    longer = [round(c * factor) for c in histogram[1:]]
    while longer and not longer[-1]:
        longer.pop()
    return (turns - sum(n * c for n, c in enumerate(longer, 2)), *longer)


def assume_from(profile: Dataset, sample: Dataset, described: str) -> Dataset:
    """``profile`` with the figures that no table prints taken from a ``sample``, tagged ``assumed``.

    These are the text lengths (copied), the turn histogram (scaled to the profile's turns) and the
    number of conversations (its sum). described: the sample in words, for the sources.
    """
    histogram = scaled_histogram(sample.turn_histogram, profile.turns)
    origins = dict(profile.origins)
    for field in _KEYS:
        origins[f"lengths.{field}"] = Origin("assumed", f"not in the paper; as in {described}: {_HOW[field]}")
    rule = f"turns per conversation as in {described}, scaled to this data set's turns"
    origins["turn_histogram"] = Origin("assumed", f"not in the paper; {rule}")
    origins["conversations"] = Origin("assumed", "the sum of the assumed turn histogram")
    return dataclasses.replace(
        profile, lengths=sample.lengths, turn_histogram=histogram, conversations=sum(histogram), origins=origins
    )


def document(profile: Dataset) -> DatasetProfile:
    """The profile as its JSON document."""

    def entry(figure: type[F], name: str, value: object) -> F:
        origin = profile.origins[name]
        return figure(value=value, kind=origin.kind, source=origin.source, date=origin.date or UNSET)

    def lengths(field: str) -> DistributionFigure:
        figures: Lengths = getattr(profile.lengths, field)
        return entry(DistributionFigure, f"lengths.{field}", Distribution(**dataclasses.asdict(figures)))

    def table(key: str, values: dict[str, int]) -> dict[str, CountFigure]:
        return {name: entry(CountFigure, f"{key}.{name}", value) for name, value in values.items()}

    return DatasetProfile(
        name=profile.name,
        title=profile.title,
        users=entry(CountFigure, "users", profile.users),
        items=entry(CountFigure, "items", profile.items),
        aspects=entry(CountOrNoneFigure, "aspects", profile.aspects),
        values=entry(CountOrNoneFigure, "values", profile.values),
        turns=entry(CountFigure, "turns", profile.turns),
        conversations=entry(CountFigure, "conversations", profile.conversations),
        words=entry(CountFigure, "words", profile.words),
        lengths=LengthFigures(**{key: lengths(field) for field, key in _KEYS.items()}),
        turn_histogram=entry(HistogramFigure, "turn_histogram", profile.turn_histogram),
        paper=PaperDimensions(**table("paper", profile.paper)) if profile.paper else UNSET,
        paper_printed=PrintedParameters(**table("paper_printed", profile.paper_printed)) if profile.paper_printed else UNSET,
    )


def document_text(profile: Dataset) -> str:
    """The JSON document as text, one number with its origin a line."""
    return _object(plain(document(profile)), "") + "\n"


def _object(fields: dict[str, Any], indent: str) -> str:
    inner = indent + "  "
    lines: list[str] = []
    for key, value in fields.items():
        nested = cast(dict[str, Any], value) if isinstance(value, dict) and "value" not in value else None
        text = json.dumps(value, ensure_ascii=False) if nested is None else _object(nested, inner)
        lines.append(f"{inner}{json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
