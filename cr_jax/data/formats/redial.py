"""ReDial dialogues, one JSON object a line (Li et al., NeurIPS 2018; CC BY 4.0).

Accepted as published: questions that are ``[]`` instead of ``{}``, identifiers that are texts or numbers, movies named as
``@123``. The seeker is the sender that is ``initiatorWorkerId``; successive messages of one sender are one utterance, joined by a
line break.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from cr_jax.data.conversation import Problems, text_lines
from cr_jax.data.dialogue import NOT_SAID, SYSTEM, USER, Dialogue, Form, Utterance
from cr_jax.data.formats.format import Format, Match, Place
from cr_jax.errors import BadInput
from cr_jax.files import open_file
from cr_jax.json_text import NotJson, parse_line
from cr_jax.printable import short

LINE_BREAK = "\n"
_TOKEN = re.compile(r"@\d+|[\w']+|[^\w\s]")
_YEAR = re.compile(r"\(\d{4}\)\s*$")
#: The most words of a title that replace a mention, so that a frequent long title does not fill the memory.
TITLE_WORDS = 40
_QUESTIONS = ("suggested", "seen", "liked")


class _Refused(Exception):
    """A skipped dialogue: its kind of problem, and the detail."""


def dialogues(path: str | Path, problems: Problems, seen: set[str] | None = None) -> Iterator[Dialogue]:
    """The dialogues of a plain or gzip file; each ``conversationId`` once, those in ``seen`` not again.

    Lines that are cut, malformed, without messages or seen before are skipped and counted. Raises
    ``BadInput`` for a file without one valid dialogue.
    """
    seen = set() if seen is None else seen
    for number, text, ended in text_lines(path, problems):
        try:
            dialogue = parse(text)
            if dialogue.key in seen:
                raise _Refused("duplicate", f"conversationId {dialogue.key}")
        except _Refused as error:
            problems.add(error.args[0], number, error.args[1], str(path))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            kind = "malformed dialogue" if ended else "cut line"
            problems.add(kind, number, _reason(error), str(path))
        else:
            seen.add(dialogue.key)
            yield dialogue
    if not seen:
        raise BadInput(str(path), problems.complaints.get(str(path), "line 1: no dialogue in this file"))


def parse(text: str) -> Dialogue:
    """One dialogue from its JSON object. Raises ``ValueError``, ``KeyError``, ``TypeError`` and ``AttributeError``."""
    record = parse_line(text)
    titles = {str(k): str(v) for k, v in _table(record["movieMentions"]).items()}
    seeker = record["initiatorWorkerId"]
    _identifier(record, "initiatorWorkerId")
    spoken: list[Utterance] = []
    for message in record["messages"]:
        sender = USER if message["senderWorkerId"] == seeker else SYSTEM
        words, mentions = words_of_text(message["text"], titles)
        if spoken and spoken[-1].sender == sender:
            before = spoken.pop()
            words = (*before.words, LINE_BREAK, *words)
            mentions = (*before.mentions, None, *mentions)
        spoken.append(Utterance(sender, words, mentions))
    if not spoken:
        raise _Refused("no messages", f"conversationId {_identifier(record, 'conversationId')}")
    asked, answered = _table(record["initiatorQuestions"]), _table(record["respondentQuestions"])
    # A movie that one of the two filled in no form for has no complete set of targets.
    forms = {str(k): _form(asked[k], answered[k]) for k in asked if k in answered}
    ratings = {str(k): float(liked) for k, v in asked.items() if (liked := _answer(v, "liked")) != NOT_SAID}
    return Dialogue(_identifier(record, "conversationId"), str(seeker), tuple(spoken), forms, ratings)


def movies(path: str | Path) -> dict[str, str]:
    """``movies_with_mentions.csv``: movie id -> title. Raises ``BadInput``."""
    try:
        with io.TextIOWrapper(cast(Any, open_file(path)), encoding="utf-8", newline="") as file:
            table = {row["movieId"]: row["movieName"].strip() for row in csv.DictReader(file)}
    except (OSError, KeyError, AttributeError, UnicodeDecodeError, csv.Error) as error:
        reason = f"the column {error} is missing" if isinstance(error, KeyError) else str(error)
        raise BadInput(str(path), f"no table of movieId and movieName: {reason}") from None
    if None in table:
        raise BadInput(str(path), "no table of movieId and movieName: a line without a movieId")
    return table


def _table(value: Any) -> Mapping[str, Any]:
    return {} if value == [] else value


def _form(asked: Mapping[str, int], answered: Mapping[str, int]) -> Form:
    a, b, c = (_answer(asked, q) for q in _QUESTIONS)
    d, e, f = (_answer(answered, q) for q in _QUESTIONS)
    return (int(a == 1), b, c, int(d == 1), e, f)


def _answer(form: Mapping[str, Any], question: str) -> int:
    """A form's answer: 0, 1, or 2 for not said, also where it is absent."""
    value = form.get(question, NOT_SAID)
    if type(value) is not int or value not in (0, 1, NOT_SAID):
        raise ValueError(f"{question} is {short(value)}; legal: 0, 1 or 2, or absent")
    return value


def _identifier(record: Mapping[str, Any], key: str) -> str:
    """A text or a whole number, as text."""
    value = record[key]
    if type(value) not in (str, int):
        raise ValueError(f"{key} is {short(value)}; legal: a text or a whole number")
    return str(value)


def _reason(error: Exception) -> str:
    if isinstance(error, NotJson):
        return f"column {error.column}: {error.reason}"
    if isinstance(error, KeyError):
        return f"{error} is missing"
    return str(error) if type(error) is ValueError else f"not laid out as ReDial's dialogues are: {error}"


def _title(title: str) -> list[str]:
    return _TOKEN.findall(_YEAR.sub("", title.strip()).lower())[:TITLE_WORDS]


def words_of_text(text: str, titles: Mapping[str, str]) -> tuple[tuple[str, ...], tuple[str | None, ...]]:
    """Words of a message in lower case, and per word the item it names: ``@123`` becomes that item's title."""
    words: list[str] = []
    mentions: list[str | None] = []
    spoken: dict[str, list[str]] = {}
    for token in _TOKEN.findall(text.lower()):
        item = token[1:] if token[0] == "@" and len(token) > 1 else None
        if item is not None and item in titles:
            named = spoken[item] if item in spoken else spoken.setdefault(item, _title(titles[item]) or [token])
        else:
            item, named = None, [token]
        words += named
        mentions += [item] * len(named)
    return tuple(words), tuple(mentions)


def _recognises(place: Place) -> Match:
    if place.is_json and '"messages"' in place.first_line:
        return Match.CERTAIN
    return Match.LIKELY if place.has_json_lines_name else Match.NO


FORMAT = Format("ReDial", _recognises, dialogues=dialogues, titles_file="movies_with_mentions.csv", titles=movies)
