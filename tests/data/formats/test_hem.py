"""The integer-id directory: ids become words; an id outside its table never stands for a word."""

import gzip

import pytest

from cr_jax.data.conversation import Conversation, Problems, Turn
from cr_jax.data.formats import hem
from cr_jax.errors import BadInput

FILES = {
    "users.txt": "ann\nbob\n",
    "product.txt": "case\nplug\n",
    "vocab.txt": "'\nbig\nscreen\nsize\nsmall\n",
    "query_split/query.txt": "2 0\n3\n",
    "query_split/train_query_idx.txt": "1 0\n\n",
    "query_split/train.txt": "0\t0\t1 2 3\n1\t0\t4 4\n1\t1\t2\n",
    "query_split/test.txt": "1\t1\t3\n",
    "query_split/av.train.strict.txt": "0@0,3|1|1:2 3|4|-1\n",
    "query_split/av.test.strict.txt": "1@1,3|4\n",
}


def make(folder, **changes):
    (folder / "query_split").mkdir()
    for name, text in {**FILES, **changes}.items():
        if name.endswith(".txt") and text is not None:
            (folder / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
    return folder


def open_all(folder):
    problems = Problems(str(folder))
    opened = hem.open_directory(folder, problems)
    return opened, list(hem.conversations(opened, problems)), problems


def test_ids_become_words(tmp_path):
    opened, found, problems = open_all(make(tmp_path))
    assert found == [
        Conversation("ann", "case", (Turn("size", "big", 1), Turn("screen size", "small", -1)), "size"),
        Conversation("bob", "plug", (Turn("size", "small", None),), ""),
    ]
    assert opened.queries == ("screen '", "size") and opened.product_queries == ((1, 0), ())
    assert hem.item_texts(opened, problems, limit=4) == [["big", "screen", "size", "small"], ["screen"]]
    assert problems.total == 0


def test_plain_files_read_like_packed_ones(tmp_path):
    make(tmp_path)
    for file in tmp_path.rglob("*.gz"):
        file.with_suffix("").write_bytes(gzip.decompress(file.read_bytes()))
        file.unlink()
    assert len(open_all(tmp_path)[1]) == 2


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("query_split/av.test.strict.txt", "1@1,3|4\n1@9,3|4\n", "unknown id in av.test.strict.txt.gz"),
        ("query_split/av.test.strict.txt", "1@1,3|4\nx@1,3|4\n", "unknown id in av.test.strict.txt.gz"),
        ("query_split/av.test.strict.txt", "1@1,3|4\n1@1,3|99\n", "unknown word id in av.test.strict.txt.gz"),
        ("query_split/av.test.strict.txt", "1@1,3|4\n1@1,-1|2\n", "unknown word id in av.test.strict.txt.gz"),
        ("query_split/train_query_idx.txt", "1 0\n7\n", "unknown query id in train_query_idx.txt.gz"),
        ("query_split/query.txt", "2 0\n99\n", "unknown word id in query.txt.gz"),
    ],
)
def test_an_id_outside_its_table_is_counted(tmp_path, name, text, kind):
    _, found, problems = open_all(make(tmp_path, **{name: text}))
    assert len(found) == 2
    assert problems.counts == {kind: 1} and problems.first[kind] == [2]


def test_malformed_reviews_are_counted(tmp_path):
    folder = make(tmp_path, **{"query_split/train.txt": "0\t0\t1\n0\t0\n0\t9\t1\n0\t0\t99\n"})
    opened, _, problems = open_all(folder)
    assert hem.item_texts(opened, problems, 128) == [["big"], []]
    assert problems.counts == {"malformed review in train.txt.gz": 3, "item without a description in product.txt.gz": 1}


def test_a_split_without_a_usable_conversation_and_a_missing_table_are_refused(tmp_path):
    make(tmp_path, **{"query_split/av.test.strict.txt": "9@9,3|4\n"})
    with pytest.raises(BadInput, match=r"av\.test\.strict\.txt\.gz: line 1: unknown id: 9@9"):
        open_all(tmp_path)
    (tmp_path / "vocab.txt.gz").unlink()
    with pytest.raises(BadInput, match=r"no vocab\.txt or vocab\.txt\.gz"):
        open_all(tmp_path)


def test_the_real_directory(shared):
    folder = shared("data/conversations/hem_format_cell_head")
    opened, found, problems = open_all(folder)
    assert (len(opened.users), len(opened.products), len(opened.vocabulary)) == (3_806, 326, 4_852)
    assert len(opened.queries) == 165
    assert len(found) == 3_018 and sum(len(c.turns) for c in found) == 5_931
    assert problems.total == 0
