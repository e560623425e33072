"""A small synthetic file of conversations, with which every command can run.

A seeded generator makes the words, users and items from syllables; nothing is taken from a published data set.
"""

import random
from pathlib import Path

SEED = 20201105
CONVERSATIONS = 200
_SYLLABLES = ("ba", "do", "fe", "gu", "ka", "li", "mo", "na", "pe", "ri", "so", "tu", "ve", "zo")


def demo_file() -> Path:
    """The file in the package: ``demo_text()``, written once."""
    return Path(__file__).resolve().parent / "sample" / "conversations.txt"


def demo_text(seed: int = SEED, conversations: int = CONVERSATIONS) -> str:
    """Conversations in the aspect-value text form, one a line; the same seed gives the same text.

    60 users, 30 items, 24 aspects of which every third has two words, 16 values; 1 to 6 turns, half
    of the conversations one turn; three of four values are liked.
    """
    draw = random.Random(seed)

    # random.random() alone keeps its sequence from one Python version to the next.
    def pick(number: int) -> int:
        return int(draw.random() * number)

    def word(syllables: int) -> str:
        return "".join(_SYLLABLES[pick(len(_SYLLABLES))] for _ in range(syllables))

    aspects = [word(2) if i % 3 else f"{word(2)} {word(3)}" for i in range(24)]
    values = [word(3) for _ in range(16)]
    lines: dict[str, None] = {}
    while len(lines) < conversations:
        turns = 1
        while turns < 6 and draw.random() < 0.5:
            turns += 1
        triples: list[str] = []
        for _ in range(turns):
            liked = 1 if draw.random() < 0.75 else -1
            triples.append(f"{aspects[pick(24)]}|{values[pick(16)]}|{liked}")
        lines[f"user{pick(60):02d}@item{pick(30):02d}," + ":".join(triples)] = None
    return "\n".join(lines) + "\n"
