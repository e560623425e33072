"""Small corpora written to a folder."""

import json
from pathlib import Path
from typing import Any

from cr_jax.data.corpus import Corpus, read_corpus
from cr_jax.data.demo import demo_text


def conversations(folder: Path, number: int = 120) -> Path:
    """A file of aspect-value conversations."""
    path = folder / "talks.txt"
    path.write_text(demo_text(seed=3, conversations=number), encoding="utf-8")
    return path


def corpus(folder: Path) -> Corpus:
    return read_corpus(conversations(folder))


def dialogue(number: int, **changes: Any) -> dict[str, Any]:
    """A ReDial dialogue with two movies: liked, and disliked by every fourth user."""
    one, two = str(100 + number % 7), str(110 + number % 5)
    form = {"suggested": 1, "seen": 1, "liked": 1}
    other = {"suggested": 0, "seen": 0, "liked": 0 if number % 4 == 0 else 2}
    worker = 200 + number % 47
    messages = [(worker, "hello there"), (worker, f"I liked @{one}"), (99, f"try @{two} !"), (worker, "thanks")]
    return {
        "conversationId": str(number), "initiatorWorkerId": worker, "respondentWorkerId": 99,
        "movieMentions": {one: "The Movie (1999)", two: "Another"},
        "messages": [{"senderWorkerId": who, "text": text} for who, text in messages],
        "initiatorQuestions": {one: form, two: other}, "respondentQuestions": {one: form, two: other},
    } | changes  # fmt: skip


def redial_file(folder: Path, number: int = 60) -> Path:
    """A file of ReDial dialogues."""
    path = folder / "dialogues.jsonl"
    path.write_text("".join(json.dumps(dialogue(n)) + "\n" for n in range(number)), encoding="utf-8")
    return path


#: ``--set`` of each model so that it trains in a moment.
SMALL: dict[str, dict[str, str]] = {
    "dmn": {"embedding": "6", "hidden": "4"},
    "mmn": {"embedding": "6", "hidden": "4", "question_items": "3"},
    "aim": {"words": "60", "embedding": "6", "features": "5", "filter": "3", "hidden": "4", "score_features": "8", "noise": "2",
            "max_words": "9"},
    "srnn-ae": {"encoder": "table", "words": "80", "embedding": "3", "sentence_hidden": "3", "conversation_hidden": "4",
                "autorec_layers": "5"},
}  # fmt: skip
SMALL["pmmn"] = SMALL["mmn"]
