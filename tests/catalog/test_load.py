"""Profiles: the shipped ones hold the paper's tables, and each kind of fault is one clear line."""

import copy
import json
import subprocess
import sys
from pathlib import Path

import pytest

from cr_jax.catalog import load
from cr_jax.errors import BadInput, UnknownName
from cr_jax.resources import profile_files

ROOT = Path(__file__).resolve().parents[2]

# Table I of arXiv 2011.05302, typed from the paper: users, items, aspects, values, turns.
TABLE_I = {
    "electronics": (142_421, 53_278, 408, 493, 475_020),
    "cds-vinyl": (64_847, 60_405, 442, 724, 659_737),
    "kindle-store": (56_847, 53_907, 140, 338, 367_159),
    "cell-phones": (21_615, 9_292, 276, 395, 68_709),
}
TABLE_II = {
    "electronics": (8_177_095, 30_979_543, 31_002_343, 35_394_441, 39_168_003),
    "cds-vinyl": (5_896_327, 26_424_743, 26_445_843, 28_098_243, 31_357_475),
    "kindle-store": (5_262_151, 12_334_643, 12_351_843, 15_235_847, 18_564_869),
    "cell-phones": (979_687, 5_164_643, 5_190_343, 7_269_435, 10_841_169),
}


@pytest.fixture
def good():
    return json.loads(profile_files("datasets")["cell-phones"].read_text())


@pytest.mark.parametrize("name", TABLE_I)
def test_shipped_profiles_hold_the_papers_tables(name):
    data = load.dataset(name)
    assert (data.users, data.items, data.aspects, data.values, data.turns) == TABLE_I[name]
    assert tuple(data.paper_printed[m] for m in ("dmn", "mmn", "pmmn", "aim", "srnn_ae")) == TABLE_II[name]
    printed = ("users", "items", "aspects", "values", "turns")
    assert all(data.origins[key].kind == "printed" for key in printed)
    assert all(data.origins[f"paper.{key}"].kind == "solved" for key in data.paper)
    assert data.origins["words"].kind == "solved" and data.words == data.paper["mmn_words"]
    assert data.origins["lengths.request"].kind == data.origins["turn_histogram"].kind == "assumed"
    assert data.last_turn == 5


def test_every_number_has_an_origin():
    data = load.dataset("electronics")
    expected = {"users", "items", "aspects", "values", "turns", "conversations", "words", "turn_histogram"}
    expected |= {f"lengths.{k}" for k in ("request", "question", "answer", "item", "item_sentences")}
    expected |= {f"paper.{k}" for k in data.paper} | {f"paper_printed.{k}" for k in data.paper_printed}
    assert set(data.origins) == expected


def drop(*path):
    return lambda d: _at(d, path[:-1]).pop(path[-1])


def put(value, *path):
    return lambda d: _at(d, path[:-1]).__setitem__(path[-1], value)


def _at(document, path):
    for key in path:
        document = document[key]
    return document


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (drop("users"), "users: missing; legal: an object {value, kind, source}"),
        (drop("users", "source"), "users.source: missing"),
        (put(-3, "users", "value"), "users.value: -3: must be 1 or more"),
        (put(0, "items", "value"), "items.value: 0: must be 1 or more"),
        (put("many", "users", "value"), 'users.value: "many": must be of type integer'),
        (put(True, "users", "value"), "users.value: true: must be of type integer"),
        (put(1.5, "users", "value"), "users.value: 1.5: must be of type integer"),
        (put(None, "users", "value"), "users.value: null: must be of type integer"),
        (put(5, "users"), "users: 5: must be of type object"),
        (put({}, "usres"), "usres: unknown key; did you mean users"),
        (put(1, "users", "valeu"), "users.valeu: unknown key; did you mean value"),
        (put(1, "lengths", "request_words", "value", "p99"), "lengths.request_words.value.p99: unknown key"),
        (put("guessed", "users", "kind"), 'users.kind: "guessed": legal: "printed"'),
        (put("", "users", "source"), 'users.source: "": must not be empty'),
        (put("1.0", "schema"), 'schema: "1.0": legal: "urn:cr-jax:schema:dataset-profile:1.0"'),
        (put([], "turn_histogram", "value"), "turn_histogram.value: []: needs 1 or more entries"),
        (put(99, "turns", "value"), "turn_histogram.value: holds 68,709 turns; legal: turns.value, 99"),
        (put(9, "conversations", "value"), "turn_histogram.value: adds up to 34,954 conversations"),
        (put(1, "lengths", "item_words", "value", "p95"), "lengths.item_words.value: needs p50"),
        (put("other", "name"), "name: 'other' is not the file's name; legal: 'mine'"),
    ],
)
def test_each_fault_is_one_line_with_file_key_and_reason(tmp_path, good, change, expected):
    document = copy.deepcopy(good)
    document["name"] = "mine"
    change(document)
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(document))
    with pytest.raises(BadInput) as caught:
        load.load_dataset(file)
    message = str(caught.value)
    assert message.startswith(f"{file}: {expected}"), message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "line 1: the file is empty"),
        (b'{\n "name": "x",\n}', "line "),  # which line, and in which words, Python's own reader decides
        (b'{"name": "x"', "line 1"),
        (b"[1, 2]", "must be of type object"),
        (b'{"users": {"value": NaN}}', "NaN is not a JSON number"),
        (b'{"users": 1, "users": 2}', "key 'users' is given twice"),
        (b"\xff\xfe{}", "not UTF-8 at byte 0"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_malformed_json_names_the_file_and_the_reason(tmp_path, content, expected):
    file = tmp_path / "bad.json"
    file.write_bytes(content)
    with pytest.raises(BadInput) as caught:
        load.load_dataset(file)
    assert str(caught.value).startswith(f"{file}: ") and expected in str(caught.value)


def test_a_missing_file_and_an_unknown_name(tmp_path):
    with pytest.raises(BadInput, match=r"none\.json: No such file"):
        load.load_dataset(tmp_path / "none.json")
    with pytest.raises(UnknownName, match="unknown data set 'electronic': did you mean electronics"):
        load.dataset("electronic")


def test_a_users_profile_is_found_by_name(tmp_path, monkeypatch, good):
    good["name"], good["title"] = "shop", "My shop"
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "shop.json").write_text(json.dumps(good))
    monkeypatch.setenv("CRJAX_PROFILES", str(tmp_path))
    assert load.dataset("shop").title == "My shop"


def test_reading_profiles_does_not_import_jax():
    code = "import sys; from cr_jax.catalog import load\n"
    code += "load.dataset('electronics'); print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "False"
