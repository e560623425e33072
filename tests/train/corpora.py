"""Small corpora written to a folder, and ``crjax train`` on them in processes of its own."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cr_jax.data.corpus import Corpus, read_corpus
from cr_jax.data.demo import demo_text
from cr_jax.train.loop import Tick
from cr_jax.train.request import TrainingRequest
from cr_jax.train.run import Trained, train

ROOT = Path(__file__).resolve().parents[2]


def conversations(folder: Path, number: int = 120) -> Path:
    """A file of aspect-value conversations."""
    path = folder / "talks.txt"
    path.write_text(demo_text(seed=3, conversations=number), encoding="utf-8")
    return path


def train_on(
    model: str, path: Path, out: Path, *, resume: bool = False, tick: Callable[[Tick], None] | None = None, **choices: Any
) -> Trained:
    """A run in this process. choices: of ``TrainingRequest``, and ``checkpoint_steps``."""
    run = {name: choices.pop(name) for name in ("checkpoint_steps",) if name in choices}
    return train(TrainingRequest(model, path, **choices), out, resume=resume, tick=tick, **run)


def losses(folder: Path) -> list[dict[str, Any]]:
    """The rows of a run's log."""
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


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
        "conversationId": str(number),
        "initiatorWorkerId": worker,
        "respondentWorkerId": 99,
        "movieMentions": {one: "The Movie (1999)", two: "Another"},
        "messages": [{"senderWorkerId": who, "text": text} for who, text in messages],
        "initiatorQuestions": {one: form, two: other},
        "respondentQuestions": {one: form, two: other},
    } | changes


def redial_file(folder: Path, number: int = 60) -> Path:
    """A file of ReDial dialogues."""
    path = folder / "dialogues.jsonl"
    path.write_text("".join(json.dumps(dialogue(n)) + "\n" for n in range(number)), encoding="utf-8")
    return path


#: ``--set`` of each model so that it trains in a moment.
SMALL: dict[str, dict[str, str]] = {
    "dmn": {"embedding": "6", "hidden": "4"},
    "mmn": {"embedding": "6", "hidden": "4", "question_items": "3"},
    "aim": {
        "words": "60",
        "embedding": "6",
        "features": "5",
        "filter": "3",
        "hidden": "4",
        "score_features": "8",
        "noise": "2",
        "max_words": "9",
    },
    "srnn-ae": {
        "encoder": "table",
        "words": "80",
        "embedding": "3",
        "sentence_hidden": "3",
        "conversation_hidden": "4",
        "autorec_layers": "5",
    },
}
SMALL["pmmn"] = SMALL["mmn"]


def command(path: Path, out: Path, *more: str, model: str = "dmn", steps: int = 400) -> list[str]:
    """Arguments of a run, after the interpreter's name."""
    sets = [part for key, value in SMALL[model].items() for part in ("--set", f"{key}={value}")]
    return [
        "train",
        "--model",
        model,
        "--dataset",
        str(path),
        "--out",
        str(out),
        "--steps",
        str(steps),
        "--batch",
        "8",
        "--checkpoint-steps",
        "20",
        *sets,
        *more,
    ]


def crjax(*arguments: str) -> list[str]:
    """A command line of this checkout."""
    return [sys.executable, "-m", "cr_jax.cli.main", *arguments]


def environment(**more: str) -> dict[str, str]:
    """Of a process that runs this checkout on the CPU."""
    return os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)} | more
