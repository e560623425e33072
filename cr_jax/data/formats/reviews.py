"""Amazon 5-core reviews: one JSON object a line, as published or wrapped into an array.

Accepted: a file wrapped in ``[`` and ``]``, commas after the objects, a cut last line, empty reviews.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cr_jax.data.conversation import Problems, text_lines
from cr_jax.data.formats.format import Format, Match, Place
from cr_jax.errors import BadInput
from cr_jax.json_text import NotJson, parse_line

#: A run of letters, apostrophes and hyphens is a word where it has a letter; asking so in the pattern itself
#: would take the square of the run's length.
_TOKEN = re.compile(r"[.!?]+|[\w'-]+")
_MARKS = "'-"


@dataclass(frozen=True)
class Review:
    """One user's review of one item; text and summary (its headline) may be empty."""

    user: str
    item: str
    text: str
    summary: str = ""


def reviews(path: str | Path, problems: Problems) -> Iterator[Review]:
    """The reviews of a plain or gzip file. Raises ``BadInput`` for a file without a valid one."""
    return (review for _, review in numbered(path, problems))


def numbered(path: str | Path, problems: Problems) -> Iterator[tuple[int, Review]]:
    """The reviews with their line numbers."""
    valid = 0
    for number, line, ended in text_lines(path, problems):
        text = line.strip().lstrip("[").rstrip("],").strip()
        if not text:
            continue
        try:
            record = parse_line(text)
            review = Review(record["reviewerID"], record["asin"], record.get("reviewText") or "", record.get("summary") or "")
            if not all(isinstance(field, str) for field in vars(review).values()):
                raise TypeError
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            kind = "malformed review" if ended else "cut line"
            problems.add(kind, number, _reason(error), str(path))
            continue
        valid += 1
        yield number, review
    if not valid:
        raise BadInput(str(path), problems.complaints.get(str(path), "line 1: no review in this file"))


def tokens(text: str) -> Iterator[str]:
    """Words of a text, and its sentence ends as runs of ``.``, ``!`` and ``?``."""
    return (token for token in _TOKEN.findall(text) if token.strip(_MARKS))


def _reason(error: Exception) -> str:
    if isinstance(error, NotJson):
        return f"column {error.column}: {error.reason}"
    if isinstance(error, KeyError):
        return f"{error} is missing"
    return "reviewerID, asin, reviewText and summary must be texts of one object"


def sentences_per_item(path: str | Path, problems: Problems, limit: int) -> dict[str, int]:
    """The sentences of ``sizes_per_item``."""
    return {item: sentences for item, (_, sentences) in sizes_per_item(path, problems, limit).items()}


def sizes_per_item(path: str | Path, problems: Problems, limit: int) -> dict[str, tuple[int, int]]:
    """Words and sentences of each item's description: its reviews joined.

    Words are cut at ``limit``. For sentences a position is a word or a sentence end, a review's end is a
    sentence end, and only sentences whose end lies within ``limit`` positions count, as in MMN, which
    reads a description's facts at the ends.
    """
    used: dict[str, int] = {}
    sizes: dict[str, tuple[int, int]] = {}
    for review in reviews(path, problems):
        at, (words, number) = used.get(review.item, 0), sizes.get(review.item, (0, 0))
        open_sentence = False
        for token in (*tokens(review.text), "."):
            end = token[0] in ".!?"
            words = min(limit, words + (not end))
            if at >= limit or (end and not open_sentence):
                continue
            at, number, open_sentence = at + 1, number + end, not end
        used[review.item], sizes[review.item] = at, (words, number)
    return sizes


def _recognises(place: Place) -> Match:
    return Match.LIKELY if place.is_json and not place.has_json_lines_name else Match.NO


FORMAT = Format("5-core reviews", _recognises)
