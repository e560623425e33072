"""Formats are told apart in one place; a new one is one file."""

import gzip
import json
import sys

import pytest

from cr_jax.data import formats
from cr_jax.data.corpus import read_corpus
from cr_jax.data.demo import demo_text
from cr_jax.data.find_dataset import read_dataset
from cr_jax.data.formats.recognise import format_of, known_formats
from cr_jax.errors import BadInput

DIALOGUE = {"messages": [], "movieMentions": {}}
NEW = '''
"""Tables of USER;ITEM;ASPECT;VALUE, a turn a line, under a heading."""

from cr_jax.data.conversation import Conversation, Turn, text_lines
from cr_jax.data.formats.format import Format, Match, Source


def _conversations(path, problems):
    for number, text, _ in text_lines(path, problems):
        if number > 1:
            user, item, aspect, value = text.split(";")
            yield Conversation(user, item, (Turn(aspect, value, None),))


FORMAT = Format(
    "table of turns",
    lambda place: Match.CERTAIN if place.first_line == "USER;ITEM;ASPECT;VALUE" else Match.NO,
    lambda path, problems: Source(lambda: _conversations(path, problems)),
)
'''


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("talks.txt", demo_text(conversations=3), "aspect-value text"),
        ("talks.txt", "anything\n", "aspect-value text"),
        ("talks.jsonl", "anything\n", "ReDial"),
        ("talks.json", json.dumps(DIALOGUE), "ReDial"),
        ("reviews.json", '{"asin": "B1"}\n', "5-core reviews"),
        ("reviews", '[{"asin": "B1"},\n', "5-core reviews"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_files(tmp_path, name, text, expected, packed):
    path = tmp_path / (name + ".gz" * packed)
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    assert format_of(path).name == expected


@pytest.mark.parametrize(
    ("names", "expected"), [(["users.txt"], "directory of Bi et al."), (["a.jsonl"], "ReDial"), (["a.jsonl.gz"], "ReDial")]
)
def test_folders(tmp_path, names, expected):
    for name in names:
        (tmp_path / name).write_bytes(b"")
    assert format_of(tmp_path).name == expected


def test_what_holds_no_conversations_is_refused(tmp_path):
    (tmp_path / "pairs").write_text("[1]\tscreen|bright\t20\t3\n")
    with pytest.raises(BadInput, match="an aspect-value lexicon"):
        format_of(tmp_path / "pairs")


def test_a_new_format_is_one_new_file(tmp_path, monkeypatch):
    (tmp_path / "turn_table.py").write_text(NEW)
    monkeypatch.setattr(formats, "__path__", [*formats.__path__, str(tmp_path)])
    known_formats.cache_clear()
    try:
        path = tmp_path / "talks.csv"
        rows = [f"u{n % 20};i{n % 7};aspect{n % 5};value{n % 3}" for n in range(140)]
        path.write_text("\n".join(["USER;ITEM;ASPECT;VALUE", *rows]))
        data, problems = read_dataset(path)
        assert (data.conversations, data.users, data.items, problems.total) == (140, 20, 7, 0)
        found = read_corpus(path)
        assert sum(map(len, found.conversations.values())) == 140 and found.dataset.aspects == 5
        from cr_jax.cli.recommend import _read

        assert len(list(_read(_Trained(dialogues=False), path, problems))) == 140
        with pytest.raises(BadInput, match="table of turns, which this model was not trained on; legal: free dialogues"):
            list(_read(_Trained(dialogues=True), path, problems))
    finally:
        known_formats.cache_clear()
        sys.modules.pop("cr_jax.data.formats.turn_table", None)


class _Trained:
    """A recommender as far as reading looks at it."""

    def __init__(self, dialogues):
        self.assets = type("Assets", (), {"dialogues": dialogues})


def test_a_folder_of_packed_dialogues_is_the_same_to_profiles_training_and_recommending(tmp_path):
    from cr_jax.cli.recommend import _read

    form = {"suggested": 0, "seen": 1, "liked": 1}
    lines = [
        json.dumps(
            {
                "conversationId": n,
                "initiatorWorkerId": n,
                "movieMentions": {"5": "Film (1999)"},
                "messages": [{"senderWorkerId": n, "text": "a film please"}, {"senderWorkerId": -1, "text": "@5 perhaps"}],
                "initiatorQuestions": {"5": form},
                "respondentQuestions": {"5": form},
            }
        )
        for n in range(60)
    ]
    for name, part in (("a", lines[:30]), ("b", lines[30:])):
        (tmp_path / f"{name}.jsonl.gz").write_bytes(gzip.compress("\n".join(part).encode()))
    data, problems = read_dataset(tmp_path)
    held = read_corpus(tmp_path).dialogues
    answered = [one.key for _, one in _read(_Trained(dialogues=True), tmp_path, problems)]
    assert data.conversations == len(answered) == 60 and problems.total == 0
    assert sorted(answered) == sorted(one.key for part in held.values() for one in part)
