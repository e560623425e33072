import json

import numpy as np
import pytest
from train.corpora import corpus

from cr_jax.data.examples.pool import Index
from cr_jax.data.items_by_user import ItemsByUser
from cr_jax.errors import BadConfig
from cr_jax.models.mmn.config import PmmnConfig
from cr_jax.models.mmn.examples import description, examples, item_text, others, query, user_rows


@pytest.fixture
def loader(shared):
    return json.loads(shared("reference/extra_loader_metrics.json").read_text())


def rows(found, part):
    """What our functions make of the published dictionaries: the first prefixes, as the loader keeps."""
    d = found["dictionaries"]
    aspects, values = ({number: word for word, number in d[key].items()} for key in ("feature_id_dict", "opinion_id_dict"))
    index = Index(d["word_id_dict"])
    for pair, talk in d[f"{part}_dict"].items():
        user, item = pair.split("@")
        words, request = d["item_category_dict"][item].split("||")
        text = item_text(words.split("-"), d["item_description_dict"][item].split("-"))
        turns = [tuple(map(int, turn.split("|")[:2])) for turn in talk.split(":")]
        for t, (aspect, _) in enumerate(turns):
            said = [(aspects[a], values[v]) for a, v in turns[:t]]
            yield user, index.encode(query([request], said)), text, aspects[aspect], index


@pytest.mark.parametrize("kind", ["search", "question"])
def test_the_published_loader_on_training_pairs(loader, kind):
    case = loader[kind]
    limit, slots = case["max_description_word_length"], case["max_description_sentence_length"]
    ours = list(rows(loader, "train"))
    assert len(ours) == case["n_train"]
    kept = case["train"]
    assert len(kept["answers"]) == 6
    for i in range(len(kept["answers"])):
        user, asked, text, aspect, index = ours[i]
        ids, ends = description(text, index, limit, slots)
        assert case["users_all"][user] == kept["users"][i]
        assert asked + [0] * (case["max_answer_word_length"] - len(asked)) == kept["answers"][i]
        assert ids + [0] * (limit - len(ids)) == kept["pos_descriptions"][i]
        assert ends + [0] * (slots - len(ends)) == kept["pos_descriptions_masks"][i]
        assert index.ids[aspect] == kept["pos_questions"][i]


def test_the_published_loader_on_whole_conversations(loader):
    case, d = loader["search"], loader["dictionaries"]
    index, found = Index(d["word_id_dict"]), case["test"]
    limit, slots = case["max_description_word_length"], case["max_description_sentence_length"]
    aspects, values = ({number: word for word, number in d[key].items()} for key in ("feature_id_dict", "opinion_id_dict"))
    turns = [turn.split("|") for turn in d["test_dict"]["0@8"].split(":")]
    for i, item in enumerate(case["item_candidates"][: len(found["answers"])]):
        words, request = d["item_category_dict"][str(item)].split("||")
        # All turns but the last, whose question is still to be asked.
        asked = index.encode(query([request], [(aspects[int(a)], values[int(v)]) for a, v, _ in turns[:-1]]))
        assert asked + [0] * (case["max_answer_word_length"] - len(asked)) == found["answers"][i]
        text = item_text(words.split("-"), d["item_description_dict"][str(item)].split("-"))
        ids, ends = description(text, index, limit, slots)
        assert ids + [0] * (limit - len(ids)) == found["pos_descriptions"][i]
        assert ends + [0] * (slots - len(ends)) == found["pos_descriptions_masks"][i]


def config(data, **changes):
    sizes = dict(
        words=data.dataset.words,
        items=len(data.items),
        aspects=len(data.aspects),
        users=len(data.users),
        item_words=24,
        facts=6,
        query_words=16,
        question_items=4,
    )
    return PmmnConfig(**sizes | changes)


def test_negatives_are_none_of_the_users(tmp_path):
    data = corpus(tmp_path)
    found = examples(data, config(data), 0)
    pool, train = found.pools["joint"], data.conversations["train"]
    assert len(pool) == sum(len(one.turns) for one in train)
    batch = pool.make(np.arange(len(pool)), (), np.random.default_rng(4))
    rows = [(one, turn) for one in train for turn in one.turns]
    texts = {tuple(words): item for words, item in zip(found.items["words"].tolist(), data.items, strict=True)}
    aspects = dict(zip(found.items["aspects"].tolist(), data.aspects, strict=True))
    mine = {user: {one.item for one in train if one.user == user} for user in data.users}
    for i, (one, turn) in enumerate(rows):
        assert texts[tuple(batch["positive_words"][i])] == one.item
        assert texts[tuple(batch["negative_words"][i])] not in mine[one.user]
        assert aspects[batch["positive_aspect"][i]] == turn.aspect
        assert aspects[batch["negative_aspect"][i]] not in {other.aspect for other in one.turns}
        assert batch["user"][i] == user_rows(ItemsByUser.of(data.conversations["train"], data.users))[one.user]


def test_the_window_keeps_its_newest_words(tmp_path):
    data = corpus(tmp_path)
    wide, narrow = (examples(data, config(data, query_words=n), 0) for n in (64, 5))
    every = np.arange(len(wide.pools["joint"]))
    rng = np.random.default_rng
    long, short = (e.pools["joint"].make(every, (), rng(0))["query"] for e in (wide, narrow))
    for whole, cut in zip(long, short, strict=True):
        assert [w for w in whole if w][-5:] == [w for w in cut if w]


def test_held_out_words_are_unknown(tmp_path):
    data = corpus(tmp_path)
    said = {w for one in data.conversations["train"] for turn in one.turns for w in (*turn.aspect.split(), *turn.value.split())}
    assert set(data.words) <= said | {".", *data.aspects}


def test_rare_users_share_a_row(tmp_path):
    data = corpus(tmp_path)
    talks = [one.user for one in data.conversations["train"]]
    found = user_rows(ItemsByUser.of(data.conversations["train"], data.users))
    rare = {found[user] for user in data.users if talks.count(user) < 2}
    known = [found[user] for user in data.users if talks.count(user) >= 2]
    assert len(rare) == 1 and known and not rare & set(known) and len(set(known)) == len(known)
    assert all(data.users[found[user]] == user for user in data.users if talks.count(user) >= 2)


def test_no_negative_left():
    with pytest.raises(BadConfig, match="no negative left among 2"):
        others(np.random.default_rng(0), 2, [{0}, frozenset({0, 1})])
    assert others(np.random.default_rng(0), 3, [frozenset({0, 2}), (1, 2), frozenset({0, 1})]).tolist() == [1, 0, 2]


def test_negatives_are_as_likely_as_one_another_and_depend_on_the_generator_alone():
    taken = [(), (3,), frozenset({0, 1, 2, 4}), (0, 1, 2, 3)] * 5000
    found = others(np.random.default_rng(6), 5, taken)
    assert (found == others(np.random.default_rng(6), 5, taken)).all()
    for kind in range(4):
        left = [i for i in range(5) if i not in taken[kind]]
        counts = np.bincount(found[kind::4], minlength=5)
        assert counts.sum() == counts[left].sum() == 5000
        # Five standard deviations of a binomial count.
        assert (abs(counts[left] - 5000 / len(left)) <= 5 * np.sqrt(5000 / len(left))).all()


def test_more_question_items_than_items_are_refused(tmp_path):
    data = corpus(tmp_path)
    with pytest.raises(BadConfig, match=f"question_items=999: legal: 1 to {len(data.items)}"):
        examples(data, config(data, items=1000, question_items=999), 0)
