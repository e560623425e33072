"""Aspect-value conversations in text form, one conversation a line.

``USER@ITEM,aspect|value|sentiment:aspect|value|sentiment``. The published description separates the
triples by ``, ``, the published code by ``:``; both are read. The sentiment is ``1``, ``-1``,
``positive``, ``negative`` or absent.
"""

import functools
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from cr_jax.data.conversation import Conversation, Problems, Turn, text_lines
from cr_jax.data.formats.format import Format, Match, Place, Source
from cr_jax.data.hash_set import HashSet
from cr_jax.errors import BadInput

_BETWEEN_TRIPLES = re.compile(r":|,\s+")
_KEPT_BELOW = 10_000
_SENTIMENTS = {"1": 1, "+1": 1, "positive": 1, "-1": -1, "negative": -1, "": None}
_FORM = "legal: USER@ITEM,aspect|value|sentiment:aspect|value|sentiment"


class Malformed(Exception):
    """A skipped line: its kind of problem, and the detail."""


def conversations(
    path: str | Path, problems: Problems, translate: Callable[[Conversation], Conversation] | None = None
) -> Iterator[Conversation]:
    """The conversations of a plain or gzip file, one by one.

    translate: applied to each conversation; it raises :class:`Malformed` for one to be skipped.

    Lines that are cut, wrongly separated, not UTF-8, without turns or equal to an earlier one are
    skipped and counted in ``problems``. Raises ``BadInput`` for an empty file and for a file
    without one valid conversation, and with ``problems.strict`` for the first such line.
    """
    seen = HashSet()
    always_rated, valid = True, 0
    for number, text, ended in text_lines(path, problems):
        try:
            conversation = parse_line(text) if translate is None else translate(parse_line(text))
            if not ended and always_rated and valid and conversation.turns[-1].sentiment is None:
                raise Malformed("cut line", "the last triple lost its sentiment")
            # The hash, not the line: twenty million conversations must fit.
            if not seen.add(hash(conversation)):
                raise Malformed("duplicate", "equal to an earlier line")
        except Malformed as error:
            kind, detail = error.args
            kind = "cut line" if not ended and kind == "wrong separator or cut triple" else kind
            problems.add(kind, number, detail, str(path))
            continue
        always_rated = always_rated and all(turn.sentiment is not None for turn in conversation.turns)
        valid += 1
        yield conversation
    if not valid:
        reason = "line 1: no conversation in this file; " + _FORM
        raise BadInput(str(path), problems.complaints.get(str(path), reason))


def parse_line(text: str) -> Conversation:
    """One conversation; raises :class:`Malformed`."""
    pair, comma, rest = text.partition(",")
    user, at, item = pair.strip().rpartition("@")
    if not at or not user or not item or "|" in pair:
        raise Malformed("no USER@ITEM", f"{_short(text)}; {_FORM}")
    if not comma or not rest.strip():
        raise Malformed("no turns", f"{_short(text)}; {_FORM}")
    # Long texts are not kept.
    read = _turn if len(text) <= _KEPT_BELOW else _turn.__wrapped__
    return Conversation(user, item, tuple(map(read, _BETWEEN_TRIPLES.split(rest.strip()))))


@functools.lru_cache(maxsize=1 << 15)  # most are said often
def _turn(triple: str) -> Turn:
    parts = [" ".join(part.split()) for part in triple.split("|")]
    if len(parts) not in (2, 3) or not parts[0] or not parts[1]:
        raise Malformed("wrong separator or cut triple", f"{_short(triple)}; {_FORM}")
    sentiment = parts[2].lower() if len(parts) == 3 else ""
    if sentiment not in _SENTIMENTS:
        raise Malformed("unknown sentiment", f"{_short(parts[2])}; legal: 1, -1, positive, negative or none")
    return Turn(parts[0], parts[1], _SENTIMENTS[sentiment])


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _recognises(place: Place) -> Match:
    return Match.NO if place.is_folder else Match.ANY


def _open(path: Path, problems: Problems) -> Source:
    return Source(lambda: conversations(path, problems))


FORMAT = Format("aspect-value text", _recognises, _open)
