import json

import pytest

from cr_jax.data.conversation import Problems
from cr_jax.data.dialogue import SYSTEM, USER
from cr_jax.data.formats import redial
from cr_jax.errors import BadInput

FORM = {"suggested": 1, "seen": 1, "liked": 1}
ONE = {
    "conversationId": "7",
    "initiatorWorkerId": 1,
    "respondentWorkerId": 2,
    "movieMentions": {"5": "Big Fish (2003)", "6": "Up"},
    "messages": [
        {"senderWorkerId": 1, "text": "Hi"},
        {"senderWorkerId": 1, "text": "I like @5."},
        {"senderWorkerId": 2, "text": "@6 or @999"},
    ],
    "initiatorQuestions": {"5": FORM, "6": {"suggested": 1, "seen": 0, "liked": 2}},
    "respondentQuestions": {"5": FORM},
}


def test_messages_joined_and_mentions_marked():
    found = redial.parse(json.dumps(ONE))
    first, second = found.utterances
    assert (first.sender, second.sender) == (USER, SYSTEM)
    assert first.words == ("hi", "\n", "i", "like", "big", "fish", ".")
    assert first.mentions == (None, None, None, None, "5", "5", None)
    assert second.words == ("up", "or", "@999") and second.mentions == ("6", None, None)


def test_forms_need_both_speakers_and_ratings_the_user_alone():
    found = redial.parse(json.dumps(ONE))
    assert found.forms == {"5": (1, 1, 1, 1, 1, 1)}
    assert found.ratings == {"5": 1.0}  # movie 6: did not say


def test_empty_questions_may_be_lists():
    found = redial.parse(json.dumps(ONE | {"initiatorQuestions": [], "respondentQuestions": []}))
    assert found.forms == found.ratings == {}


def test_faults_are_counted(tmp_path):
    whole = json.dumps(ONE)
    lines = [
        whole,
        whole,
        json.dumps(ONE | {"conversationId": "8", "messages": []}),
        '{"a": 1}',
        json.dumps(ONE | {"conversationId": "9", "initiatorQuestions": {"5": FORM | {"liked": 7}}}),
    ]
    path = tmp_path / "d.jsonl"
    path.write_text("\n".join(lines) + "\n" + whole[:40])
    problems = Problems(str(path))
    assert [one.key for one in redial.dialogues(path, problems)] == ["7"]
    assert problems.counts == {"duplicate": 1, "no messages": 1, "malformed dialogue": 2, "cut line": 1}
    with pytest.raises(BadInput, match="line 2: duplicate"):
        list(redial.dialogues(path, Problems(str(path), strict=True)))


@pytest.mark.parametrize(("name", "number"), [("fixture_62", 62), ("valid_data", 901)])
def test_real_files(shared, name, number):
    path = shared(f"data/redial/{name}.jsonl")
    problems = Problems(str(path))
    found = list(redial.dialogues(path, problems))
    assert len(found) == number and not problems.total
    # Counted without the reader.
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rated = sum(a["liked"] != 2 for row in rows for a in dict(row["initiatorQuestions"] or {}).values())
    assert sum(len(one.ratings) for one in found) == rated


def test_movies(shared):
    assert len(redial.movies(shared("data/redial/movies_with_mentions.csv"))) == 6924
