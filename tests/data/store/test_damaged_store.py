"""A damaged store is made again or refused; it never gives other data. A killed builder leaves nothing behind."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cr_jax.data import corpus as corpora
from cr_jax.data.conversation import Problems
from cr_jax.data.corpus import PARTS, read_corpus
from cr_jax.data.demo import demo_text
from cr_jax.data.items_by_user import ItemsByUser
from cr_jax.data.store import checksums
from cr_jax.errors import BadConfig, NotWritten

pytest.importorskip("pyarrow")

from cr_jax.data.store import build as building
from cr_jax.data.store import open as opening


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """A file of conversations, the folder it is kept in, and what is read from it."""
    monkeypatch.setenv("CRJAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(corpora, "IN_MEMORY_BYTES", 100)
    path = tmp_path / "talks.txt"
    path.write_text(demo_text(seed=5, conversations=80), encoding="utf-8")
    found = read_corpus(path)
    (folder,) = (tmp_path / "cache" / "conversations").iterdir()
    return path, folder, _plain(found)


def _plain(found):
    return [
        *(tuple(found.conversations[part]) for part in PARTS),
        found.words,
        tuple(found.users),
        found.items,
        found.aspects,
        dict(found.descriptions),
        found.dataset,
        found.problems.lines(),
        dict(ItemsByUser.of(found.conversations["train"], found.users)),
    ]


def _damages(data):
    """The file's bytes, damaged in several ways and places."""
    for place in {0, len(data) // 3, len(data) // 2, len(data) - 1}:
        yield data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        yield data[:place] + bytes(8) + data[place + 8 :]
    yield from (data[:-1], data[: len(data) // 2], data[:-4], b"", data + b"\0\0\0\0", data + data, None)


BUILD = """
import sys
from pathlib import Path
from cr_jax.data.store.build import build
build(Path(sys.argv[1]), 0, False, Path(sys.argv[2]))
"""
NAMES = ("about.json", *(f"{name}.arrow" for name in ("users", "items", "aspects", "values", *PARTS)))


def test_every_damage_is_found(kept):
    _, folder, _ = kept
    assert sorted(os.listdir(folder)) == sorted([*NAMES, checksums.SUMS]) and checksums.fault(folder) is None
    for name in (*NAMES, checksums.SUMS):
        data = (folder / name).read_bytes()
        for damaged in _damages(data):
            if damaged == data:
                continue
            (folder / name).unlink() if damaged is None else (folder / name).write_bytes(damaged)
            assert checksums.fault(folder) is not None, name
            (folder / name).write_bytes(data)
    assert checksums.fault(folder) is None
    (folder / "another").write_text("")
    assert checksums.fault(folder) == "other files than were kept"


def test_a_damaged_store_is_made_again(kept):
    path, folder, wanted = kept
    for name in ("train.arrow", "about.json", checksums.SUMS):
        (folder / name).write_bytes((folder / name).read_bytes()[:-2] + b"9\n")
        assert _plain(read_corpus(path)) == wanted
        assert checksums.fault(folder) is None and os.listdir(folder.parent) == [folder.name]
    shutil.rmtree(folder)
    folder.write_text("a file")
    assert _plain(read_corpus(path, strict=True)) == wanted


def test_a_store_that_cannot_be_made_again_is_refused(kept, monkeypatch):
    path, folder, _ = kept
    (folder / "train.arrow").write_bytes(b"")
    monkeypatch.setattr(opening, "_build", lambda *_: None)
    with pytest.raises(NotWritten, match="damaged though it was just written"):
        read_corpus(path)


@pytest.mark.parametrize("wait", [0.0, 0.05, 0.3])
def test_a_killed_builder_leaves_nothing_behind(kept, tmp_path, wait):
    path, folder, _ = kept
    large = tmp_path / "large.txt"
    large.write_text("".join(demo_text(seed=seed, conversations=400).replace("user", f"u{seed}_") for seed in range(40)))
    root = str(Path(opening.__file__).parents[3])
    made = str(folder.with_name("large-0"))
    process = subprocess.Popen([sys.executable, "-c", BUILD, str(large), made], env=os.environ | {"PYTHONPATH": root})
    while not any(name.startswith(".large") for name in os.listdir(folder.parent)):
        assert process.poll() is None
        time.sleep(0.005)
    time.sleep(wait)
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = [name for name in os.listdir(folder.parent) if name.startswith(".large")]
    assert left or Path(made).is_dir()
    opening.open_store(path, 0, Problems(str(path)))  # the next run, of whatever file
    assert not any(name.startswith(".") for name in os.listdir(folder.parent))


def test_a_store_of_an_earlier_version_is_replaced(kept):
    path, folder, wanted = kept
    name, _, version = folder.name.rpartition("-")
    for earlier in range(1, int(version)):
        folder.with_name(f"{name}-{earlier}").mkdir()
        (folder.with_name(f"{name}-{earlier}") / "train.talks").write_bytes(b"rows of an earlier version")
    shutil.rmtree(folder)
    assert _plain(read_corpus(path)) == wanted
    assert os.listdir(folder.parent) == [folder.name]


def test_a_full_disk_is_one_line_and_leaves_nothing(kept, monkeypatch):
    path, folder, _ = kept
    shutil.rmtree(folder)

    def full(folder):
        raise OSError(errno.ENOSPC, "[Errno 28] Error writing bytes to file. Detail: [errno 28] No space left on device")

    monkeypatch.setattr(building, "seal", full)
    with pytest.raises(NotWritten, match=r"not written: No space left on device$"):
        building.build(path, 0, False, folder)
    assert not os.listdir(folder.parent)


def test_without_pyarrow_large_files_are_refused_and_small_ones_read(tmp_path, monkeypatch):
    path = tmp_path / "talks.txt"
    path.write_text(demo_text(seed=5, conversations=80), encoding="utf-8")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for name in ("cr_jax.data.store.open", "cr_jax.data.store.build"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert len(read_corpus(path).conversations["train"]) > 40
    monkeypatch.setattr(corpora, "IN_MEMORY_BYTES", 100)
    with pytest.raises(BadConfig, match=r"pip install 'cr-jax\[train\]'"):
        read_corpus(path)
