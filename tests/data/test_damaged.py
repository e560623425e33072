"""Damaged files of every layout are read, refused in one line, or their lines skipped; none takes long."""

import gzip
import json
import os
import random
import re
import signal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cr_jax.data.conversation import Problems
from cr_jax.data.corpus import read_corpus, sentences
from cr_jax.data.demo import demo_text
from cr_jax.data.find_dataset import find_dataset, read_dataset
from cr_jax.data.formats import derive, hem, redial, reviews
from cr_jax.data.formats.lexicon import read_lexicon
from cr_jax.data.formats.recognise import format_of
from cr_jax.errors import BadInput, CrJaxError

MARKS = {str(100 + j): {"suggested": j % 2, "seen": 1, "liked": j} for j in range(3)}
DIALOGUE = {
    "movieMentions": {key: f"Film {key} (1999)" for key in MARKS},
    "initiatorQuestions": MARKS,
    "respondentQuestions": MARKS,
    "messages": [{"timeOffset": 1, "text": f"hello @{100 + m}", "senderWorkerId": m % 2, "messageId": m} for m in range(3)],
    "conversationId": "7",
    "respondentWorkerId": 1,
    "initiatorWorkerId": 0,
}
REVIEW = {"reviewerID": "u", "asin": "i", "reviewText": "great screen. good price!", "overall": 5.0, "summary": "nice"}
LEXICON = "[1]\tscreen|great\t20\t3\n[-1]\tprice|good\t12\t0\n"
HEM = {
    "users.txt": "u0\nu1\n",
    "product.txt": "p0\np1\n",
    "vocab.txt": "red\nlarge\nscreen\n",
    "query_split/query.txt": "0 1\n2\n",
    "query_split/train_query_idx.txt": "0\n1\n",
    "query_split/train.txt": "0\t0\t0 1 2\n1\t1\t2\n",
    "query_split/test.txt": "1\t0\t2 2\n",
    "query_split/av.train.strict.txt": "".join(f"{i % 2}@{i % 2},{i % 3}|{i // 3 % 3}|1:2|1|-1\n" for i in range(30)),
    "query_split/av.test.strict.txt": "0@1,2|1|1\n",
}
#: What a number, a name or a text is replaced by, or what is put between two bytes.
ODD = (
    b"9" * 400,
    b"9" * 5000,
    b"NaN",
    b"Infinity",
    b"1e400",
    b"-1",
    b"null",
    b"[]",
    b"{}",
    b'"',
    b"[" * 3000,
    b"\x00",
    b"\xff",
    b"\xed\xa0\x80",
    b"\\ud800",
    b"\x1b[2J",
    b"'" * 3000,
    b"\t",
    b"|",
    b"@",
    b",",
    b":",
    b"\n",
    b"",
)


def _hem(folder):
    for name, text in HEM.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def _read(folder, kind, data):
    """Read ``data`` as a file of ``kind`` in every way there is."""
    if kind == "hem":
        place = _hem(folder)
        (place / list(HEM)[len(data) % len(HEM)]).write_bytes(data)
    else:
        place = folder / {"talks": "talks.txt", "redial": "talks.jsonl", "reviews": "r.json", "lexicon": "l.txt"}[kind]
        place.write_bytes(data)
    (folder / "reviews").write_text(json.dumps(REVIEW))
    (folder / "lexicon").write_text(LEXICON)
    ways = [lambda: read_corpus(place), lambda: read_corpus(place, strict=True), lambda: find_dataset(str(place))]
    if kind == "reviews":
        ways += [lambda: read_dataset(place, False, None, folder / "lexicon")]
    if kind == "lexicon":
        ways += [lambda: read_dataset(folder / "reviews", False, None, place)]
    for way in ways:
        try:
            way()
        except CrJaxError as error:
            assert place.name in str(error) or "reviews" in str(error), error  # every message is a line; this one says of what


TEXTS = {
    "talks": demo_text(conversations=40),
    "redial": "\n".join(json.dumps(DIALOGUE | {"conversationId": n}) for n in range(9)),
    "reviews": "\n".join(json.dumps(REVIEW | {"asin": str(n)}) for n in range(9)),
    "lexicon": LEXICON,
    "hem": HEM["query_split/av.train.strict.txt"],
}


@given(data=st.data(), kind=st.sampled_from(sorted(TEXTS)), packed=st.sampled_from(["plain", "gzip", "cut gzip", "bad gzip"]))
@settings(deadline=None, max_examples=150)
def test_no_damage_is_a_traceback(tmp_path_factory, data, kind, packed):
    text = bytearray(TEXTS[kind].encode())
    for _ in range(data.draw(st.integers(1, 4))):
        begin = data.draw(st.integers(0, len(text)))
        text[begin : begin + data.draw(st.integers(0, 40))] = data.draw(st.sampled_from(ODD) | st.binary(max_size=5))
    content = bytes(text)
    if packed != "plain":
        content = gzip.compress(content)
        content = content[: len(content) // 2] if packed == "cut gzip" else content
        content = content[:15] + b"\0\xff" + content[17:] if packed == "bad gzip" else content
    _read(tmp_path_factory.mktemp("damaged"), kind, content)


@pytest.mark.parametrize("answer", [float("nan"), float("inf"), 3, -1, 1.0, True, None, "1", [], 10**400])
def test_what_is_said_of_a_film_is_0_1_2_or_nothing(tmp_path, answer):
    questions = MARKS | {"100": {"suggested": 0, "seen": 1, "liked": answer}}
    line = json.dumps(DIALOGUE | {"initiatorQuestions": questions, "conversationId": "8"})
    place = tmp_path / "talks.jsonl"
    place.write_text(f"{json.dumps(DIALOGUE)}\n{line}\n")
    problems = Problems(str(place))
    assert [one.key for one in redial.dialogues(place, problems)] == ["7"]
    assert problems.first == {"malformed dialogue": [2]}
    with pytest.raises(BadInput, match=r"talks\.jsonl, line 2: malformed dialogue"):
        list(redial.dialogues(place, Problems(str(place), strict=True)))


def test_an_answer_that_is_absent_is_not_said():
    asked = {key: {name: value for name, value in form.items() if name != "liked"} for key, form in MARKS.items()}
    found = redial.parse(json.dumps(DIALOGUE | {"initiatorQuestions": asked}))
    assert found.ratings == {} and found.forms["101"] == (1, 1, 2, 1, 1, 1)
    assert redial.parse(json.dumps(DIALOGUE)).ratings == {"100": 0.0, "101": 1.0}


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ("movieId,x\n1,2\n", "'movieName' is missing"),
        ("movieName\nA\n", "'movieId' is missing"),
        ("movieName,movieId\nA\n", "without a movieId"),
    ],
)
def test_tables_of_films(tmp_path, table, reason):
    (tmp_path / "m.csv").write_text(table)
    with pytest.raises(BadInput, match=reason):
        redial.movies(tmp_path / "m.csv")


def test_ids_and_counts_of_many_digits(tmp_path):
    problems, folder = Problems("x"), _hem(tmp_path)
    (folder / "query_split/train.txt").write_text(f"0\t{'9' * 5000}\t0\n0\t0\t{'9' * 400}\n0\t0\t1\n")
    opened = hem.open_directory(folder, problems)
    assert list(hem.reviews(opened, problems, ("train",))) == [(0, 0, "large")] and sum(problems.counts.values()) == 2
    (tmp_path / "lexicon").write_text(f"[1]\ta|b\t{'9' * 5000}\t1\n[1]\tc|d\t20\t{'1' * 400}\n[1]\te|f\t20\t1\n")
    problems = Problems("x")
    assert read_lexicon(tmp_path / "lexicon", problems, 10).pairs == 1 and problems.counts == {"unreadable count in lexicon": 2}


def test_an_aspect_of_very_many_words_is_no_pair(tmp_path, no_hang):
    long = "a " * 100_000
    (tmp_path / "lexicon").write_text(f"[1]\t{long}|b\t20\t1\n{LEXICON}")
    problems = Problems("x")
    found = read_lexicon(tmp_path / "lexicon", problems, 10)
    assert found.pairs == 2 and problems.counts == {"pair too long in lexicon": 1}
    derive.Matcher(found).turns([long * 5])


#: Lines of a megabyte that a pattern could walk again and again.
LINES = (
    "'" * 10**6,
    "-'" * 500_000,
    "." * 10**6,
    ", " * 500_000,
    "(1999" * 200_000,
    "(1999)" * 160_000,
    " " * 10**6,
    "a" * 10**6,
    "a'" * 500_000,
    "@" * 10**6,
    "@1" * 500_000,
    "|" * 10**6,
    "a|b:" * 250_000,
    "[1]\t" * 250_000,
    "(1999)" + " " * 10**6 + "x",
)


@pytest.fixture
def no_hang():
    """Ends a test that would take minutes, as each of these did where a pattern took the square of a line's length."""

    def stop(*_):
        raise TimeoutError("not linear")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("line", LINES, ids=lambda line: repr(line[:6]))
def test_adversarial_lines_take_linear_time(tmp_path, line, no_hang):
    list(sentences(line))
    redial.words_of_text(line, {"1": line})
    derive.Matcher(read_lexicon(_file(tmp_path, "l", LEXICON), Problems("x"), 10)).turns([line])
    ways = (
        lambda place: find_dataset(str(place)),
        lambda place: reviews.sizes_per_item(place, Problems("x"), 128),
        lambda place: read_lexicon(place, Problems("x"), 10),
        format_of,
    )
    for text in (line, f"u@i,{line}", f"[1]\ta|{line}\t20\t1", json.dumps(REVIEW | {"reviewText": line[:900_000]})):
        place = _file(tmp_path, "x.txt", text[: (1 << 20) - 1] + "\n")
        for read in ways:
            try:
                read(place)
            except CrJaxError as error:
                assert place.name in str(error), error


def _file(folder, name, text):
    (folder / name).write_text(text)
    return folder / name


def test_words_are_those_that_have_a_letter():
    assert sentences("It's '' -- re-read, 'tis; o'--'o. '") == ("it's", "re-read", "'tis", "o'--'o", ".")
    rng = random.Random(4)
    slow = re.compile(r"[.!?]+|[\w'-]*\w[\w'-]*")
    for _ in range(300):
        text = "".join(rng.choice("ab'-. !é_9") for _ in range(30))
        assert list(reviews.tokens(text)) == slow.findall(text)


def test_odd_places_for_data(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "jsonl").mkdir()
    (tmp_path / "jsonl" / "a.jsonl").mkdir()
    for name in ("pipe", "loop", "empty", "jsonl", "n" * 5000, "nothing", "empty/x", "pipe.jsonl"):
        for read in (read_corpus, lambda place: find_dataset(str(place)), lambda place: read_dataset(place, lexicon_file=place)):
            with pytest.raises(CrJaxError) as caught:
                read(tmp_path / name)
            assert name[:9] in str(caught.value), caught.value
