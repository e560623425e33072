"""The cache: what is in it comes back, what is broken is a miss, writers do not disturb each other."""

import dataclasses
import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cr_jax.errors import BadConfig, NotWritten
from cr_jax.records import MemoryFigures
from cr_jax.resources import cache_root
from cr_jax.targets.cache import Cache, key
from cr_jax.targets.compilation import Compilation, from_json, to_json

ROOT = Path(__file__).resolve().parents[2]
FOUND = Compilation("HloModule m\n", MemoryFigures(1, 2, 3, 4, None, 6), 1.5, None, 2.0, "ab", "cd", {"compile": 0.25})
KEY = key({"program": "p"})


def test_what_goes_in_comes_out(tmp_path):
    cache = Cache(tmp_path / "not" / "there")
    assert cache.get(KEY) is None
    cache.put(KEY, FOUND)
    assert cache.get(KEY) == FOUND
    assert cache.get(key({"program": "q"})) is None
    cache.put(KEY, dataclasses.replace(FOUND, hlo="HloModule n\n"))
    assert cache.get(KEY) == dataclasses.replace(FOUND, hlo="HloModule n\n")


def test_json_is_held_to_its_types():
    assert from_json(json.loads(json.dumps(to_json(FOUND)))) == FOUND
    for change in (
        {"hlo": 3},
        {"hlo": ""},
        {"program_sha256": None},
        {"arguments_sha256": 3},
        {"memory": None},
        {"xla_flops": "1"},
        {"more": 1},
        {"durations_s": []},
        {"durations_s": {"a": "b"}},
        {"memory": []},
    ):
        with pytest.raises(ValueError, match="not a compilation"):
            from_json(to_json(FOUND) | change)
    for junk in (None, 3, [], "x", {}, {"memory": {}}):
        with pytest.raises(ValueError, match="not a compilation"):
            from_json(junk)


@pytest.mark.parametrize("harm", ["cut", "bits", "empty", "text", "moved", "changed", "folder"])
def test_a_broken_entry_is_a_miss_and_is_replaced(tmp_path, harm):
    cache = Cache(tmp_path)
    cache.put(KEY, FOUND)
    path = cache.path(KEY)
    whole = path.read_bytes()
    if harm == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif harm == "bits":
        path.write_bytes(whole[:40] + bytes([whole[40] ^ 255]) + whole[41:])
    elif harm == "empty":
        path.write_bytes(b"")
    elif harm == "text":
        path.write_text("no gzip")
    elif harm == "moved":  # the entry of another key
        cache.put(key({"program": "q"}), FOUND)
        path.write_bytes(cache.path(key({"program": "q"})).read_bytes())
    elif harm == "changed":
        document = json.loads(gzip.decompress(whole))
        document["compilation"]["xla_flops"] = 3.0
        path.write_bytes(gzip.compress(json.dumps(document).encode()))
    else:
        path.unlink()
        path.mkdir()
    assert cache.get(KEY) is None
    if harm != "folder":
        cache.put(KEY, FOUND)
        assert cache.get(KEY) == FOUND


def test_a_disk_that_refuses_keeps_the_old_entry(tmp_path, monkeypatch):
    cache = Cache(tmp_path)
    cache.put(KEY, FOUND)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NotWritten, match="No space left"):
        cache.put(KEY, dataclasses.replace(FOUND, hlo="HloModule n\n"))
    monkeypatch.undo()
    assert cache.get(KEY) == FOUND
    assert [p.name for p in cache.path(KEY).parent.iterdir()] == [cache.path(KEY).name]


def test_every_part_of_a_key_counts():
    parts = {"program": "p", "target": {"config": "c"}, "versions": {"jax": "1"}, "precision": "default"}
    keys = {key(parts)} | {key(parts | {name: "other"}) for name in parts}
    assert len(keys) == 1 + len(parts)
    assert key(dict(reversed(parts.items()))) == key(parts)


def test_two_processes_on_one_entry(tmp_path):
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[2]);"
        "from cr_jax.targets.cache import Cache; from cr_jax.targets.compilation import Compilation;"
        "from cr_jax.records import MemoryFigures\n"
        "found = Compilation('HloModule m ' + 'x' * 200000, MemoryFigures(1, 2, 3, 4, 5, 6), 1., 1., 1., 'a', 'b', {})\n"
        "cache = Cache(Path(sys.argv[1]))\n"
        "for n in range(40):\n"
        "    cache.put('ab' * 32, found)\n"
        "    assert cache.get('ab' * 32) == found\n"
    )
    both = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(ROOT)]) for _ in range(2)]
    assert [process.wait(timeout=120) for process in both] == [0, 0]
    assert [p.name for p in (tmp_path / "ab").iterdir()] == [f"{'ab' * 32}.json.gz"]


def test_where_the_cache_lies(monkeypatch, tmp_path):
    monkeypatch.delenv("CRJAX_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_root() == tmp_path / "crjax"
    monkeypatch.setenv("CRJAX_CACHE", str(tmp_path / "mine"))
    assert cache_root() == tmp_path / "mine"
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CRJAX_CACHE", str(tmp_path / "file"))
    with pytest.raises(BadConfig, match="not a folder"):
        cache_root()
