"""An aspect-value lexicon as written by Sentires: one pair a line, TAB between the columns.

The columns are ``[sign]``, ``aspect|value``, and the pair's occurrences with the aspect first and with the value first. A public
lexicon has noise: values of stop words alone ("of the").
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cr_jax.data.conversation import Problems, text_lines
from cr_jax.data.formats.format import Format, Match, Place
from cr_jax.errors import BadInput

#: Pairs with fewer occurrences are left out by default.
MIN_COUNT = 10
#: The most words of an aspect or value, and digits of a count.
LONGEST, _DIGITS = 50, 18
#: Articles, prepositions, conjunctions, pronouns and auxiliaries: a value of these alone has no meaning.
_STOP_WORDS = (
    "a an the this that these those of in on at by for from to with into over under about as than then so if and or but nor "
    "i me my we us our you your he him his she her it its they them their who whom which what am is are was were be been being "
    "do does did have has had will would shall should can could may might must there here"
)
STOP_WORDS = frozenset(_STOP_WORDS.split())
_SIGNS = {"[1]": 1, "[-1]": -1}
_FORM = "legal: [1] or [-1], aspect|value, two counts, TAB between them"

Words = tuple[str, ...]


@dataclass(frozen=True)
class Lexicon:
    """signs: aspect -> value -> 1 liked, -1 disliked, all in words. pairs: valid pairs in the file;
    rare: of these, met too seldom; stop_words: of these, left out for a value of stop words alone
    (the aspect stays).
    """

    signs: Mapping[Words, Mapping[Words, int]]
    pairs: int
    rare: int
    stop_words: int

    @property
    def kept(self) -> int:
        """Pairs that are matched."""
        return sum(map(len, self.signs.values()))

    @property
    def values(self) -> int:
        """Distinct values among them."""
        return len({value for signs in self.signs.values() for value in signs})


def read_lexicon(path: str | Path, problems: Problems, min_count: int, keep_stop_words: bool = False) -> Lexicon:
    """The pairs with at least ``min_count`` occurrences in both orders together, of a plain or gzip file.

    Lines that are cut, wrongly separated, not UTF-8, of unknown sign or of an earlier pair are skipped and counted. Raises
    ``BadInput`` for a file without one pair that is kept.
    """
    signs: dict[Words, dict[Words, int]] = {}
    seen: set[tuple[Words, Words]] = set()
    rare = left_out = 0
    for number, text, ended in text_lines(path, problems):
        try:
            sign, aspect, value, count = _pair(text)
            if (aspect, value) in seen:
                raise _Refused("duplicate pair", f"{' '.join(aspect)}|{' '.join(value)}")
        except _Refused as error:
            kind, detail = error.args
            problems.add(kind if ended or kind == "duplicate pair" else "cut line", number, detail, str(path))
            continue
        seen.add((aspect, value))
        if count < min_count:
            rare += 1
        elif not keep_stop_words and STOP_WORDS.issuperset(value):
            left_out += 1
            signs.setdefault(aspect, {})  # still an aspect, which hides a shorter one
        else:
            signs.setdefault(aspect, {})[value] = sign
    if not seen:
        raise BadInput(str(path), problems.complaints.get(str(path), f"line 1: no pair in this file; {_FORM}"))
    if not any(signs.values()):
        raise BadInput(
            str(path),
            f"none of {len(seen)} pairs is kept: {rare} were met fewer than {min_count} times, {left_out} "
            "have a value of stop words alone; legal: a smaller --min-count",
        )
    return Lexicon(signs, len(seen), rare, left_out)


class _Refused(Exception):
    """A skipped line: its kind of problem, and the detail."""


def _pair(text: str) -> tuple[int, Words, Words, int]:
    columns = text.split("\t")
    pair = columns[1].lower().split("|") if len(columns) == 4 else []
    if len(pair) != 2 or not pair[0].split() or not pair[1].split():
        raise _Refused("wrong separator or cut pair", f"{text[:60]!r}; {_FORM}")
    if max(len(part.split()) for part in pair) > LONGEST:
        raise _Refused("pair too long", f"{text[:60]!r}; legal: {LONGEST} words each")
    if columns[0].strip() not in _SIGNS:
        raise _Refused("unknown sign", f"{columns[0][:20]!r}; {_FORM}")
    counts = [column.strip() for column in columns[2:]]
    if not all(count.isascii() and count.isdigit() and len(count) <= _DIGITS for count in counts):
        raise _Refused("unreadable count", f"{text[:60]!r}; {_FORM}")
    return _SIGNS[columns[0].strip()], tuple(pair[0].split()), tuple(pair[1].split()), sum(map(int, counts))


def _recognises(place: Place) -> Match:
    is_pair = re.match(r"\[-?\d+\]\t[^\t]*\|", place.first_line) is not None
    return Match.CERTAIN if is_pair and not place.has_json_lines_name else Match.NO


FORMAT = Format(
    "lexicon", _recognises, refusal="an aspect-value lexicon, no conversations; legal: reviews, with this as --lexicon"
)
