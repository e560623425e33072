"""Conversations of aspects and values from reviews and a lexicon, one review at a time.

The rules reproduce a published-style derivation to the byte (``tests/data/test_derive.py``):

- a review's text is read first, then its summary, in lower case; sentences end at ``.``, ``!`` or
  ``?``, a word is letters, digits and apostrophes, everything else separates words;
- at every word the longest aspect that starts there is taken; another aspect may start inside it
  ("sound quality" hides "sound", not "quality");
- a mention's value is the one right before it ("great screen"), else the nearest of those that start
  at most four words behind it in the sentence ("screen is really great"), else it has none;
- an aspect is one turn, at the place of its first mention with a value, with the value of its last;
- the sentiment is the lexicon's sign; after not, no, never or a word in n't among the three words
  before the value it is the opposite one and the value is "not VALUE".
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from cr_jax.data.conversation import Conversation, Problems, Turn
from cr_jax.data.formats import reviews
from cr_jax.data.formats.lexicon import Lexicon, Words

#: The most words between an aspect and a value behind it, and before a value in which a negation counts.
BETWEEN, NEGATED = 4, 3
_SENTENCE_END = re.compile(r"[.!?]+")
_WORD = re.compile(r"[\w']+")
_NEGATIONS = frozenset(("not", "no", "never"))


class Matcher:
    """Finds a lexicon's pairs in texts."""

    def __init__(self, lexicon: Lexicon) -> None:
        self._signs = lexicon.signs
        self._longest = max(map(len, lexicon.signs))
        # Lengths of each aspect's values, the longest first.
        self._sizes = {a: sorted({len(v) for v in values}, reverse=True) for a, values in lexicon.signs.items()}

    def turns(self, texts: Iterable[str]) -> tuple[Turn, ...]:
        """The turns in ``texts``, one per aspect."""
        turns_by_aspect: dict[Words, Turn] = {}
        for text in texts:
            for sentence in _SENTENCE_END.split(text.lower()):
                self._sentence(_WORD.findall(sentence), turns_by_aspect)
        return tuple(turns_by_aspect.values())

    def _sentence(self, words: list[str], turns_by_aspect: dict[Words, Turn]) -> None:
        for start in range(len(words)):
            aspect = self._aspect(words, start)
            if aspect is None:
                continue
            place = self._value(words, start, aspect)
            if place is None:
                continue
            at, value = place
            sign, text = self._signs[aspect][value], " ".join(value)
            if any(word in _NEGATIONS or word.endswith("n't") for word in words[max(0, at - NEGATED) : at]):
                sign, text = -sign, f"not {text}"
            # A dict keeps the place of the first and the value of the last.
            turns_by_aspect[aspect] = Turn(" ".join(aspect), text, sign)

    def _aspect(self, words: list[str], start: int) -> Words | None:
        for size in range(min(self._longest, len(words) - start), 0, -1):
            aspect = tuple(words[start : start + size])
            if aspect in self._signs:
                return aspect
        return None

    def _value(self, words: list[str], start: int, aspect: Words) -> tuple[int, Words] | None:
        """The start of the mention's value, and the value."""
        values, sizes, end = self._signs[aspect], self._sizes[aspect], start + len(aspect)
        places = [(start - size, size) for size in sizes if size <= start]
        places += [(at, size) for at in range(end, end + BETWEEN + 1) for size in sizes]
        for at, size in places:
            value = tuple(words[at : at + size])
            if value in values:
                return at, value
        return None


def conversations(path: str | Path, lexicon: Lexicon, problems: Problems) -> Iterator[Conversation]:
    """A conversation per review that mentions a pair, in the order of the file, which is streamed.

    Counted and skipped are malformed and cut lines, empty reviews, a user's second review of an item
    and identifiers that the text form cannot hold; a review without a pair is none of these.
    """
    matcher, seen = Matcher(lexicon), set[int]()
    for number, review in reviews.numbered(path, problems):
        if not review.text.strip() and not review.summary.strip():
            problems.add("empty review", number, f"{review.user}@{review.item} says nothing", str(path))
            continue
        if not _fits(review.user, review.item):
            problems.add(
                "unwritable name",
                number,
                f"{review.user!r}, {review.item!r}: legal: no comma, | or line break, no @ in the item, no space at the ends",
                str(path),
            )
            continue
        # The hash, not the names: millions of them must fit.
        if (key := hash((review.user, review.item))) in seen:
            problems.add("second review", number, f"{review.user}@{review.item} has one in an earlier line", str(path))
            continue
        seen.add(key)
        if turns := matcher.turns((review.text, review.summary)):
            yield Conversation(review.user, review.item, turns)


def line(conversation: Conversation) -> str:
    """The conversation in the aspect-value text form, without a line end."""
    return f"{conversation.user}@{conversation.item}," + ":".join(
        f"{t.aspect}|{t.value}|{t.sentiment}" for t in conversation.turns
    )


def _fits(user: str, item: str) -> bool:
    names = f"{user}@{item}"
    return bool(user and item and "@" not in item and not any(c in names for c in ",|\n\r") and names == names.strip())
