"""Readers of conversations: the quirks published files have, counted, skipped or refused."""

import gzip

import pytest

from cr_jax.data.conversation import Conversation, Problems, Turn, text_lines
from cr_jax.data.formats import aspect_value, reviews
from cr_jax.errors import BadInput

GOOD = "u1@i1,looks|good|1:case|too big|-1\n"


def read(tmp_path, content, strict=False):
    file = tmp_path / "talk.txt"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    problems = Problems(str(file), strict)
    return list(aspect_value.conversations(file, problems)), problems


@pytest.mark.parametrize(
    "line",
    [
        "u1@i1,looks|good|1:case|too big|-1",
        "u1@i1,looks|good|1, case|too big|-1",
        "u1@i1, looks|good|positive:case|too big|negative",
        "u1@i1,looks | good | Positive:case| too  big |NEGATIVE\r",
        "\ufeffu1@i1,looks|good|+1:case|too big|-1",
    ],
)
def test_every_published_spelling_reads_the_same(tmp_path, line):
    found, problems = read(tmp_path, line + "\n")
    turns = (Turn("looks", "good", 1), Turn("case", "too big", -1))
    assert found == [Conversation("u1", "i1", turns)]
    assert problems.total == 0


def test_an_absent_sentiment_is_unknown_and_a_user_may_hold_an_at_sign(tmp_path):
    found, problems = read(tmp_path, "a@b@i1,looks|good:case|big|")
    assert found == [Conversation("a@b", "i1", (Turn("looks", "good", None), Turn("case", "big", None)))]
    assert problems.total == 0


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        (b"u2@i2,looks|go", "cut line"),
        (b"u2@i2,looks|good|1:ca", "cut line"),
        (b"u2@i", "no turns"),
        (b"u2@i2,looks;good;1\n", "wrong separator or cut triple"),
        (b"u2@i2,looks|good|1;case|big|1\n", "wrong separator or cut triple"),
        (b"u2@i2,looks|good|1,case|big|1\n", "wrong separator or cut triple"),
        (b"u2@i2,|good|1\n", "wrong separator or cut triple"),
        (b"u2@i2,looks||1\n", "wrong separator or cut triple"),
        (b"u2@i2\tlooks\tgood\n", "no turns"),
        (b"u2,looks|good|1\n", "no USER@ITEM"),
        (b"@i2,looks|good|1\n", "no USER@ITEM"),
        (b"u2@,looks|good|1\n", "no USER@ITEM"),
        (b"u2@i2,\n", "no turns"),
        (b"u2@i2,looks|good|7\n", "unknown sentiment"),
        (b"u2@i2,looks|g\xffod|1\n", "not UTF-8"),
        (b"u1@i1,looks|good|1:case|too big|-1\n", "duplicate"),
        (b"x" * (1 << 20) + b"yy\n", "line too long"),
    ],
)
def test_each_bad_line_is_counted_with_its_line_number_or_refused(tmp_path, bad, kind):
    content = GOOD.encode() + b"\n" + b"u3@i3,sound|loud|1\n" + bad
    found, problems = read(tmp_path, content)
    assert [c.user for c in found] == ["u1", "u3"]
    assert problems.counts == {kind: 1} and problems.first == {kind: [4]}
    assert problems.lines() == [f"1 x {kind}: skipped (line 4)"]
    with pytest.raises(BadInput, match=r"talk\.txt, line 4: " + kind):
        read(tmp_path, content, strict=True)


def test_many_problems_keep_the_first_line_numbers(tmp_path):
    _, problems = read(tmp_path, GOOD + "junk\n" * 8)
    assert problems.lines() == ["8 x no USER@ITEM: skipped (lines 2, 3, 4, 5, 6, ...)"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "line 1: the file is empty"),
        (b"\n \n", "line 1: no conversation in this file"),
        (b"junk\n", "line 1: no USER@ITEM"),
        (b"\nu@i,\n", "line 2: no turns"),
        (b"\x00\x01\x02\x03", "line 1: no USER@ITEM"),
        ("u@i,a|b|1\n".encode("utf-16"), "line 1: not UTF-8: byte 0"),
        (gzip.compress(b"", mtime=0), "line 1: the file is empty"),
        (b"\x1f\x8bjunk", "line 1: cut or damaged archive"),
    ],
)
def test_a_file_without_a_conversation_is_refused(tmp_path, content, reason):
    with pytest.raises(BadInput) as caught:
        read(tmp_path, content)
    assert reason in str(caught.value) and "talk.txt" in str(caught.value)


def test_gzip_is_known_by_its_content_and_a_cut_archive_keeps_what_came_before(tmp_path):
    lines = "".join(f"u{n}@i{n % 7},looks|good{n * 7919 % 1000}|1\n" for n in range(5000))
    packed = gzip.compress(lines.encode())
    found, problems = read(tmp_path, packed)
    assert len(found) == 5000 and problems.total == 0
    found, problems = read(tmp_path, packed[: len(packed) // 2])
    assert 0 < len(found) < 5000 and problems.counts == {"cut or damaged archive": 1}


def test_reading_streams(tmp_path):
    file = tmp_path / "talk.txt"
    file.write_text(GOOD + "junk\n")
    problems = Problems(str(file))
    first = next(aspect_value.conversations(file, problems))
    assert first.user == "u1" and problems.total == 0


def test_a_missing_file_and_a_folder(tmp_path):
    for place in (tmp_path / "none", tmp_path):
        with pytest.raises(BadInput, match=r"No such file|Is a directory"):
            list(text_lines(place, Problems(str(place))))


REVIEW = '{"reviewerID": "u1", "asin": "i1", "reviewText": "Good. It works"}'


@pytest.mark.parametrize(
    ("content", "users", "counts"),
    [
        (REVIEW + "\n", ["u1"], {}),
        ("[" + REVIEW + ",\n" + REVIEW + "]\n", ["u1", "u1"], {}),
        ("[\n" + REVIEW + ",\n]\n", ["u1"], {}),
        (REVIEW + "\n" + REVIEW[:30], ["u1"], {"cut line": 1}),
        (REVIEW + "\n{}\n", ["u1"], {"malformed review": 1}),
        ('{"reviewerID": "u2", "asin": "i1", "reviewText": ""}\n', ["u2"], {}),
    ],
)
def test_reviews_as_they_come(tmp_path, content, users, counts):
    file = tmp_path / "reviews.json"
    file.write_text(content)
    problems = Problems(str(file))
    assert [r.user for r in reviews.reviews(file, problems)] == users
    assert problems.counts == counts


def test_sentences_count_those_that_end_within_the_limit(tmp_path):
    file = tmp_path / "reviews.json"
    # Positions: Good . It works . (5); the second review adds Good . It works . (10).
    file.write_text(REVIEW + "\n" + REVIEW + "\n")
    for limit, expected in ((1, 0), (2, 1), (4, 1), (5, 2), (9, 3), (10, 4), (99, 4)):
        assert reviews.sentences_per_item(file, Problems(""), limit) == {"i1": expected}
