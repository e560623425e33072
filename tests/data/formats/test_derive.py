"""Conversations from reviews and a lexicon: every rule on made-up sentences, and the real sample to the byte."""

import gzip
import json

import pytest

from cr_jax.cli.main import app
from cr_jax.data.conversation import Conversation, Problems, Turn
from cr_jax.data.formats import aspect_value, derive
from cr_jax.data.formats.lexicon import read_lexicon
from cr_jax.errors import BadInput, NotWritten
from cr_jax.resources import write_atomically

LEXICON = """[1]\tscreen|great\t4\t8
[1]\tscreen|very bright\t9\t3
[-1]\tscreen|dim\t10\t0
[1]\tscreen protector|free\t0\t11
[1]\tquality|sound\t0\t40
[-1]\tsound|tinny\t6\t4
[1]\tsound quality|great\t5\t5
[-1]\tcase|of the\t30\t1
[1]\tcase|good\t3\t6
"""


def lexicon(tmp_path, content=LEXICON, min_count=10, keep=False, strict=False):
    file = tmp_path / "lexicon.txt"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    problems = Problems(str(file), strict)
    return read_lexicon(file, problems, min_count, keep), problems


def review(text, summary="", user="u1", item="i1"):
    return json.dumps({"reviewerID": user, "asin": item, "reviewText": text, "summary": summary}) + "\n"


@pytest.mark.parametrize(
    ("text", "summary", "expected"),
    [
        ("A great screen.", "", "screen|great|1"),
        ("The SCREEN: great!", "", "screen|great|1"),
        ("great-screen", "", "screen|great|1"),
        ("screen one two three four great", "", "screen|great|1"),  # four words between
        ("screen one two three four five great", "", ""),
        ("great new screen", "", ""),  # behind, a value must be adjacent
        ("screen. great", "", ""),  # another sentence
        ("screen great and dim", "", "screen|great|1"),  # the nearest
        ("dim screen great", "", "screen|dim|-1"),  # before goes first
        ("screen is very bright", "", "screen|very bright|1"),
        ("great screen. a dim screen", "", "screen|dim|-1"),  # the last mention
        ("great screen. a screen", "", "screen|great|1"),  # that has a value
        ("screen dim", "great screen", "screen|great|1"),  # the summary comes last
        ("good screen", "", ""),  # not a pair
        ("free screen protector", "", "screen protector|free|1"),
        ("the screen protector is great", "", ""),  # the longer aspect hides the one it starts with
        ("great sound quality", "", "sound quality|great|1:quality|sound|1"),  # not the one inside
        ("tinny sound quality", "", "quality|sound|1"),
        ("great screen, tinny sound, great screen", "", "screen|great|1:sound|tinny|-1"),  # place of the first
        ("not a great screen", "", "screen|not great|-1"),
        ("not so very great screen", "", "screen|not great|-1"),
        ("not one two three great screen", "", "screen|great|1"),  # too far
        ("the screen isn't dim", "", "screen|not dim|1"),
        ("screen never dim", "", "screen|not dim|1"),
        ("never. great screen", "", "screen|great|1"),
        ("'great' screen", "", ""),  # an apostrophe belongs to the word
        ("the case of the phone", "", ""),
        ("", "", ""),
    ],
)
def test_rules(tmp_path, text, summary, expected):
    found = derive.Matcher(lexicon(tmp_path)[0]).turns((text, summary))
    assert derive.line(Conversation("u", "i", found)) == f"u@i,{expected}"


def test_what_is_kept_of_the_lexicon(tmp_path):
    found, problems = lexicon(tmp_path)
    assert (found.pairs, found.rare, found.stop_words, found.kept, found.values) == (9, 1, 1, 7, 6)
    assert len(found.signs) == 6 and problems.total == 0
    found, _ = lexicon(tmp_path, keep=True, min_count=1)
    assert (found.rare, found.stop_words, found.kept) == (0, 0, 9)
    assert derive.Matcher(found).turns(["the case of the phone"]) == (Turn("case", "of the", -1),)
    with pytest.raises(BadInput, match=r"none of 9 pairs is kept: 9 were met fewer than 99 times"):
        lexicon(tmp_path, min_count=99)


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        (b"[1]\tcase|bad\t5", "cut line"),
        (b"[1]\tcase|bad\t5\n", "wrong separator or cut pair"),
        (b"[1] case|bad 5 5\n", "wrong separator or cut pair"),
        (b"[1]\tcase\t5\t5\n", "wrong separator or cut pair"),
        (b"[1]\t|bad\t5\t5\n", "wrong separator or cut pair"),
        (b"[0]\tcase|bad\t5\t5\n", "unknown sign"),
        (b"[1]\tcase|bad\t5\t-5\n", "unreadable count"),
        (b"[1]\tcase|b\xffd\t5\t5\n", "not UTF-8"),
        (b"[-1]\tscreen|great\t50\t5\n", "duplicate pair"),
    ],
)
def test_bad_lines_of_a_lexicon(tmp_path, bad, kind):
    found, problems = lexicon(tmp_path, LEXICON.encode() + bad)
    assert found.kept == 7 and found.signs["screen",]["great",] == 1
    assert problems.lines() == [f"1 x {kind}: skipped (line 10)"]
    with pytest.raises(BadInput, match=rf"lexicon\.txt, line 10: {kind}"):
        lexicon(tmp_path, LEXICON.encode() + bad, strict=True)


def reviews_file(tmp_path, text):
    file = tmp_path / "reviews.json"
    file.write_text(text)
    return file


def test_problems_of_reviews_are_counted(tmp_path):
    pairs, _ = lexicon(tmp_path)
    text = (
        review("great screen")
        + review(" ", "")
        + review("nothing here", user="u2")
        + review("dim screen")
        + review("great screen", user="a,b")
        + review("dim screen", user="u3", item="i@3")
        + "{}\n"
        + review("dim screen", user="u4")
        + review("dim screen", user="u5")[:40]
    )
    file = reviews_file(tmp_path, text)
    problems = Problems(str(file))
    assert list(map(derive.line, derive.conversations(file, pairs, problems))) == ["u1@i1,screen|great|1", "u4@i1,screen|dim|-1"]
    assert problems.first == {
        "empty review": [2],
        "second review": [4],
        "unwritable name": [5, 6],
        "malformed review": [7],
        "cut line": [9],
    }
    for line in (2, 4, 5, 7):
        # Each of them as the first fault.
        single = reviews_file(tmp_path, text.splitlines(keepends=True)[0] + text.splitlines(keepends=True)[line - 1])
        with pytest.raises(BadInput, match=r"reviews\.json, line 2"):
            list(derive.conversations(single, pairs, Problems(str(single), strict=True)))


def test_reviews_are_streamed_and_what_is_written_reads_back(tmp_path):
    pairs, _ = lexicon(tmp_path)
    file = reviews_file(tmp_path, review("great screen, tinny sound") + review("dim screen", user="u@2") + "junk\n")
    problems = Problems(str(file))
    talks = derive.conversations(file, pairs, problems)
    first = next(talks)
    assert problems.total == 0  # the last line is not read yet
    assert [aspect_value.parse_line(derive.line(one)) for one in (first, *talks)] == [
        Conversation("u1", "i1", (Turn("screen", "great", 1), Turn("sound", "tinny", -1))),
        Conversation("u@2", "i1", (Turn("screen", "dim", -1),)),
    ]
    assert problems.counts == {"malformed review": 1}


def run(*arguments):
    return app([str(a) for a in arguments], standalone_mode=False)


def test_the_command(tmp_path, capsys):
    lexicon(tmp_path)
    (tmp_path / "reviews.json.gz").write_bytes(gzip.compress((review("great screen") + "junk\n").encode()))
    given, out = (tmp_path / "reviews.json.gz", tmp_path / "lexicon.txt"), tmp_path / "out.txt"
    run("data", "derive", *given, "--out", out)
    said = capsys.readouterr().err
    assert out.read_text() == "u1@i1,screen|great|1\n"
    assert "lexicon: 7 of 9 pairs; left out: 1 met fewer than 10 times, 1 with a value of stop words alone" in said
    assert "1 x malformed review: skipped (line 2)" in said and "1 conversations, 1 turns" in said
    run("data", "derive", *given, "--out", "-")
    assert capsys.readouterr().out == out.read_text()
    before = out.read_text()
    with pytest.raises(BadInput, match="line 2: malformed review"):
        run("data", "derive", *given, "--out", out, "--strict")
    with pytest.raises(BadInput, match="no review mentions one of the 1 pairs"):
        run("data", "derive", *given, "--out", out, "--min-count", "40")
    assert out.read_text() == before and sorted(p.name for p in tmp_path.iterdir()) == [
        "lexicon.txt",
        "out.txt",
        "reviews.json.gz",
    ]


def test_texts_are_written_one_by_one_or_not_at_all(tmp_path):
    file = tmp_path / "file"
    write_atomically(file, (f"{i}\n" for i in range(3)))
    assert file.read_text() == "0\n1\n2\n"

    def cut():
        yield "half"
        raise BadInput("x", "refused")

    with pytest.raises(BadInput):
        write_atomically(file, cut())
    with pytest.raises(NotWritten):
        write_atomically(file, iter(["\ud800"]))
    assert file.read_text() == "0\n1\n2\n" and list(tmp_path.iterdir()) == [file]


def test_the_real_sample_to_the_byte(shared):
    wanted = shared("data/conversations/cell_head_av_min10.txt").read_text().splitlines()
    given = shared("data/amazon/Cell_Phones_and_Accessories_5.head4776.json.gz")
    pairs = shared("data/lexicon/Cell_Phones_and_Accessories_5.strict.lexicon.txt")
    problems = Problems(str(given), strict=True)
    whole = read_lexicon(pairs, problems, 10, keep_stop_words=True)
    assert (whole.pairs, len(whole.signs), whole.values) == (11_801, 271, 386)
    assert [derive.line(one) for one in derive.conversations(given, whole, problems)] == wanted
    # Without stop words nothing else is lost, and what is new takes the place of such a value.
    clean = list(derive.conversations(given, read_lexicon(pairs, problems, 10), problems))
    theirs = {(line.split(",")[0], *triple.split("|")) for line in wanted for triple in line.split(",", 1)[1].split(":")}
    ours = {(f"{one.user}@{one.item}", t.aspect, t.value, str(t.sentiment)) for one in clean for t in one.turns}
    assert {value for *_, value, _ in theirs - ours} == {"of the", "not of the"} and len(theirs - ours) == 311
    assert {row[:2] for row in ours - theirs} < {row[:2] for row in theirs - ours} and len(ours - theirs) == 52
    assert len(clean) == 2_970
