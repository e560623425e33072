"""A damaged store is made again or refused; it never gives other data. A killed builder leaves nothing behind."""

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
from cr_jax.data.store import checksums
from cr_jax.data.store import conversations as store
from cr_jax.errors import NotWritten


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
        store.ItemsByUser(found.conversations["train"], found.users).items(),
    ]


def _damages(data):
    """The file's bytes, damaged in several ways and places."""
    for place in {0, len(data) // 3, len(data) // 2, len(data) - 1}:
        yield data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        yield data[:place] + bytes(8) + data[place + 8 :]
    yield from (data[:-1], data[: len(data) // 2], data[:-4], b"", data + b"\0\0\0\0", data + data, None)


NAMES = (
    "about.json",
    "items.json",
    "aspects.json",
    "values.json",
    "described.txt",
    "users.text",
    "users.ends",
    "users.order",
    "train.known",
    "train.ends",
    *(f"{part}.{kind}" for part in PARTS for kind in ("talks", "turns")),
)


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
    for name in ("train.turns", "about.json", checksums.SUMS):
        (folder / name).write_bytes((folder / name).read_bytes()[:-2] + b"9\n")
        assert _plain(read_corpus(path)) == wanted
        assert checksums.fault(folder) is None and os.listdir(folder.parent) == [folder.name]
    shutil.rmtree(folder)
    folder.write_text("a file")
    assert _plain(read_corpus(path, strict=True)) == wanted


def test_a_store_that_cannot_be_made_again_is_refused(kept, monkeypatch):
    path, folder, _ = kept
    (folder / "train.turns").write_bytes(b"")
    monkeypatch.setattr(store, "_made", lambda *_: None)
    with pytest.raises(NotWritten, match="not whole"):
        read_corpus(path)


@pytest.mark.parametrize("wait", [0.0, 0.05, 0.3])
def test_a_killed_builder_leaves_nothing_behind(kept, tmp_path, wait):
    path, folder, _ = kept
    large = tmp_path / "large.txt"
    large.write_text("".join(demo_text(seed=seed, conversations=400).replace("user", f"u{seed}_") for seed in range(40)))
    root = str(Path(store.__file__).parents[3])
    made = str(folder.with_name("large-0"))
    process = subprocess.Popen(
        [sys.executable, "-m", "cr_jax.data.store.conversations", str(large), "0", "0", made],
        env=os.environ | {"PYTHONPATH": root},
    )
    while not any(name.startswith(".large") for name in os.listdir(folder.parent)):
        assert process.poll() is None
        time.sleep(0.005)
    time.sleep(wait)
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = [name for name in os.listdir(folder.parent) if name.startswith(".large")]
    assert left or Path(made).is_dir()
    store.opened(path, 0, Problems(str(path)))  # the next run, of whatever file
    assert not any(name.startswith(".") for name in os.listdir(folder.parent))
