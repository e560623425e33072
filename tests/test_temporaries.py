"""What killed writers leave goes with the next write of the same file; what others are writing stays."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cr_jax import temporaries
from cr_jax.resources import write_atomically

#: Writes without end, and says when it has begun.
WRITER = """
import sys
from cr_jax.resources import write_atomically

def parts():
    yield "begun"
    print("begun", flush=True)
    while True:
        yield "x" * 1000

write_atomically(sys.argv[1], parts())
"""


def start(target):
    root = str(Path(temporaries.__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(target)], stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": root}
    )
    assert process.stdout is not None and process.stdout.readline() == b"begun\n"
    return process


def test_a_killed_writers_file_goes_with_the_next_write(tmp_path):
    target = tmp_path / "report.json"
    target.write_text("old")
    for _ in range(2):
        with start(target) as process:
            process.kill()
    assert len(os.listdir(tmp_path)) == 2  # the second writer removed what the first one left
    assert target.read_text() == "old"
    write_atomically(target, "new")
    assert os.listdir(tmp_path) == ["report.json"] and target.read_text() == "new"


def test_a_running_writers_file_stays(tmp_path):
    target = tmp_path / "report.json"
    with start(target) as process:
        write_atomically(target, "new")
        assert len(os.listdir(tmp_path)) == 2
        process.kill()


def test_whose_it_is(tmp_path, monkeypatch):
    mine = temporaries.name_for("a.json")
    place = mine.split(".")[-2].split("-")[0]
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    kept = [
        mine,
        f".a.json.{place}-1-{'0' * 12}.tmp",
        f".a.json.{'f' * 8}-{dead.pid}-{'0' * 12}.tmp",
        ".a.json.0123456789ab.tmp",
        f".b.json.{place}-{dead.pid}-{'0' * 12}.tmp",
        "a.json",
        ".a.json.swp",
    ]
    gone = [
        f".a.json.{place}-{dead.pid}-{'0' * 12}.tmp",
        f".a.json.{place}-{os.getpid()}-{'0' * 12}.tmp",
        f".a.json.{place}-9999999999-{'0' * 12}.tmp",
    ]
    for name in (*kept, *gone):
        (tmp_path / name).write_text("")
    temporaries.sweep(tmp_path, "a.json")
    assert sorted(os.listdir(tmp_path)) == sorted(kept)
    old = time.time() - temporaries.OLD_S - 60
    for name in kept:
        os.utime(tmp_path / name, (old, old))
    temporaries.sweep(tmp_path, "a.json")
    assert sorted(os.listdir(tmp_path)) == sorted([mine, kept[4], "a.json", ".a.json.swp"])
    temporaries.sweep(tmp_path)  # a folder of our own
    assert sorted(os.listdir(tmp_path)) == sorted([mine, "a.json"])
    temporaries.remove(tmp_path / mine)
    assert os.listdir(tmp_path) == ["a.json"]


@pytest.mark.parametrize("name", ["a" * 250, "😀" * 60, "größe.json"])
def test_names_of_any_length(tmp_path, name):
    for text in ("one", "two"):
        write_atomically(tmp_path / name, text)
    assert os.listdir(tmp_path) == [name] and (tmp_path / name).read_text() == "two"


def test_a_process_that_only_waits_to_be_collected_has_ended():
    import subprocess

    child = subprocess.Popen(["true"], stdin=subprocess.DEVNULL)
    try:
        for _ in range(200):
            if temporaries._ended(child.pid):
                break
            time.sleep(0.05)
        assert temporaries._ended(child.pid) and not temporaries._runs(child.pid)
    finally:
        child.wait()
    assert not temporaries._ended(os.getpid())
