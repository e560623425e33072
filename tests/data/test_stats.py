"""Every layout of data as a profile, and every kind of fault: counted with its lines, skipped or refused."""

import json

import pytest

from cr_jax.catalog import load
from cr_jax.cli.main import app
from cr_jax.data.corpus import read_corpus
from cr_jax.data.find_dataset import find_dataset, read_dataset
from cr_jax.data.profile import document_text
from cr_jax.errors import BadInput
from cr_jax.records import Lengths


def dialogue(number, user=7, texts=("hello there", "hi", "a film please")):
    messages = [{"senderWorkerId": user if i % 2 == 0 else 9, "text": text} for i, text in enumerate(texts)]
    return json.dumps(
        {
            "conversationId": str(number),
            "initiatorWorkerId": user,
            "respondentWorkerId": 9,
            "movieMentions": {"5": "Film (1999)"},
            "messages": messages,
            "initiatorQuestions": {"5": {"suggested": 0, "seen": 1, "liked": 1}},
            "respondentQuestions": [],
        }
    )


def review(text, user="u1", item="i1"):
    return json.dumps({"reviewerID": user, "asin": item, "reviewText": text})


def hem_folder(folder, **changes):
    """Two users and two products; ``changes`` replace files by name."""
    files = {
        "users": "ann\nbob\n",
        "product": "p0\np1\n",
        "vocab": "screen\nbright\ncase\n",
        "query_split/query": "0 2\n",
        "query_split/train_query_idx": "0\n0\n",
        "query_split/train": "0\t0\t0 1\n1\t1\t2\n",
        "query_split/test": "0\t1\t0 1\n",
        "query_split/av.train.strict": "0@0,0|1|1\n1@0,2|1|-1\n",
        "query_split/av.test.strict": "0@1,0|1|1\n",
    } | changes
    for name, text in files.items():
        file = folder / f"{name}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def test_dialogues_counted_by_hand(tmp_path):
    file = tmp_path / "talks.jsonl"
    file.write_text(f"{dialogue(1)}\n{dialogue(2, texts=('one two three',))}\n")
    data, problems = find_dataset(str(file))
    assert (data.name, data.users, data.items, data.conversations, data.turns) == ("talks", 1, 1, 2, 2)
    assert (data.aspects, data.values, data.words) == (0, 0, 9)
    assert data.lengths.answer == Lengths(2.25, 2, 3, 3) and problems.total == 0
    assert data.origins["lengths.answer"].kind == "measured" and data.origins["lengths.item"].kind == "assumed"
    (tmp_path / "talks.json").write_text(document_text(data))
    assert load.load_dataset(tmp_path / "talks.json") == data
    # A folder is all of its files; what is in two of them counts once and is told.
    (tmp_path / "talks.json").unlink()
    (tmp_path / "also.jsonl").write_text(f"{dialogue(1)}\n{dialogue(3, user=8)}\n")
    data, problems = read_dataset(tmp_path)
    assert (data.conversations, data.users) == (3, 2) and problems.lines() == ["1 x duplicate in talks.jsonl: skipped (line 1)"]


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        (dialogue(2)[:50], "cut line"),
        ("{}\n", "malformed dialogue"),
        (dialogue(2, texts=()) + "\n", "no messages"),
        (dialogue(1) + "\n", "duplicate"),
        (b'{"x": "\xff"}\n', "not UTF-8"),
    ],
)
def test_faults_of_dialogues(tmp_path, bad, kind):
    file = tmp_path / "talks.jsonl"
    file.write_bytes(dialogue(1).encode() + b"\n" + (bad if isinstance(bad, bytes) else bad.encode()))
    assert read_dataset(file)[1].lines() == [f"1 x {kind}: skipped (line 2)"]
    with pytest.raises(BadInput, match=rf"talks\.jsonl, line 2: {kind}"):
        read_dataset(file, strict=True)


def test_reviews_with_a_lexicon(tmp_path):
    lexicon, file = tmp_path / "lexicon.txt", tmp_path / "reviews.json"
    lexicon.write_text("[1]\tscreen|bright\t5\t5\n[1]\tcase|big\t1\t1\n")
    file.write_text(
        "[" + review("A bright screen. Good!") + ",\n" + review("big case", item="i2") + ",\n" + review("", user="u3") + "\n]\n"
    )
    data, problems = read_dataset(file, lexicon_file=lexicon)
    assert (data.name, data.conversations, data.items, data.aspects, data.turns) == ("reviews", 1, 1, 1, 1)
    # i1: A bright screen Good and an empty review; i2: big case.
    assert data.lengths.item == Lengths(3.0, 2, 4, 4) and data.lengths.item_sentences == Lengths(1.5, 1, 2, 2)
    assert problems.lines() == ["1 x empty review: skipped (line 3)"]
    with pytest.raises(BadInput, match="line 3: empty review"):
        read_dataset(file, strict=True, lexicon_file=lexicon)
    with pytest.raises(BadInput, match="hold no conversations; legal: with --lexicon FILE"):
        find_dataset(str(file))
    with pytest.raises(BadInput, match="hold no conversations; legal: what crjax data derive writes"):
        read_corpus(file)  # what training and its estimate read
    with pytest.raises(BadInput, match="an aspect-value lexicon, no conversations"):
        read_corpus(lexicon)
    with pytest.raises(BadInput, match="an aspect-value lexicon, no conversations"):
        find_dataset(str(lexicon))
    talks = tmp_path / "talks.txt"
    talks.write_text("a@x,screen|bright|1\n")
    with pytest.raises(BadInput, match="derives conversations from 5-core reviews"):
        read_dataset(talks, lexicon_file=lexicon)
    data, _ = read_dataset(talks, reviews_file=file)
    assert data.lengths.item == Lengths(3.0, 2, 4, 4) and data.origins["lengths.item"].kind == "measured"


def test_a_split_without_conversations(tmp_path):
    (tmp_path / "train.qrels.gz").write_bytes(b"")
    with pytest.raises(BadInput, match=r"a split of queries and reviews \(qrels\), no conversations"):
        find_dataset(str(tmp_path))
    with pytest.raises(BadInput, match=r"a split of queries and reviews \(qrels\), no conversations"):
        read_corpus(tmp_path)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"query_split/train": "0\t0\t0 1\n1\t0\t2\n"}, "1 x item without a description in product.txt: kept (line 2)"),
        ({"users": "ann\nann\n"}, "1 x duplicate name in users.txt: kept (line 2)"),
        ({"product": "p0\np0\n"}, "1 x duplicate name in product.txt: kept (line 2)"),
        ({"query_split/train": "0\t0\t0 1\n1\t0\t\n"}, "1 x empty review in train.txt: skipped (line 2)"),
        ({"query_split/train": "0\t0\t0 1\n1 0 2\n"}, "1 x malformed review in train.txt: skipped (line 2)"),
        ({"query_split/train": "0\t0\t0 1\n1\t0\t2 99\n"}, "1 x malformed review in train.txt: skipped (line 2)"),
        ({"query_split/av.train.strict": "0@0,0|1\n1@0,99|1\n"}, "1 x unknown word id in av.train.strict.txt: skipped (line 2)"),
        ({"query_split/av.train.strict": "0@0,0|1|1\n9@0,0|1|1\n"}, "1 x unknown id in av.train.strict.txt: skipped (line 2)"),
        ({"query_split/av.train.strict": "0@0,0|1|1\n1@0,\n"}, "1 x no turns in av.train.strict.txt: skipped (line 2)"),
        ({"query_split/av.train.strict": "0@0,0|1|1\n1@0,0|"}, "1 x cut line in av.train.strict.txt: skipped (line 2)"),
        ({"query_split/query": "0 99\n"}, "1 x unknown word id in query.txt: skipped (line 1)"),
        ({"vocab": b"screen\nbright\nca\xffse\n"}, "1 x not UTF-8 in vocab.txt: skipped (line 3)"),
    ],
)
def test_faults_of_a_directory(tmp_path, changes, line):
    folder = hem_folder(tmp_path / "hem", **changes)
    assert line in read_dataset(folder)[1].lines()
    kind = line.split(" x ")[1].split(" in ")[0]
    with pytest.raises(BadInput, match=kind):
        read_dataset(folder, strict=True)


def test_a_directory_without_a_fault(tmp_path):
    data, problems = read_dataset(hem_folder(tmp_path), strict=True)
    assert (data.users, data.items, data.conversations, problems.total) == (2, 2, 3, 0)


def test_the_command_says_what_was_wrong(tmp_path, capsys):
    file = tmp_path / "talks.jsonl"
    file.write_text(dialogue(1) + "\n{}\n")
    app(["data", "stats", "--dataset", str(file), "--out", str(tmp_path / "p.json")], standalone_mode=False)
    shown = capsys.readouterr()
    assert "talks" in shown.out and "assumed" in shown.out and shown.err == "1 x malformed dialogue: skipped (line 2)\n"
    assert json.loads((tmp_path / "p.json").read_text())["kind"] == "dataset-profile"


def test_the_real_layouts(shared):
    data, problems = find_dataset(str(shared("data/redial")))
    assert (data.conversations, data.items) == (2_243, 6_924) and problems.counts == {"duplicate in test_data.jsonl": 62}
    file = shared("data/amazon/Cell_Phones_and_Accessories_5.head4776.json.gz")
    pairs = shared("data/lexicon/Cell_Phones_and_Accessories_5.strict.lexicon.txt")
    data, problems = read_dataset(file, strict=True, lexicon_file=pairs)
    assert (data.conversations, data.turns) == (2_970, 5_672)
    with pytest.raises(BadInput, match="no conversations"):
        find_dataset(str(shared("data/hem_cell")))
    assert read_dataset(shared("data/conversations/hem_format_cell_head"), strict=True)[1].total == 0
