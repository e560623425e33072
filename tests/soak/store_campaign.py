"""Damaged stores: what a corpus keeps on disk, with bytes changed, cut, added or files gone."""

import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from soak.kill_campaign import ROOT, STORE
from soak.outcomes import Outcome, Tally, guarded
from soak.workers import Worker


def _damage(folder: Path, draw: random.Random) -> str:
    """Damage one file; says which and how."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    file = draw.choice(files)
    data = file.read_bytes()
    place, how = draw.randrange(len(data) + 1), draw.choice(("flip", "cut", "delete", "add", "zero", "empty", "swap"))
    if how == "flip" and data:
        place = min(place, len(data) - 1)
        file.write_bytes(data[:place] + bytes([data[place] ^ (1 << draw.randrange(8))]) + data[place + 1 :])
    elif how == "cut":
        file.write_bytes(data[:place])
    elif how == "delete":
        file.unlink()
    elif how == "add":
        file.write_bytes(data + draw.randbytes(draw.choice((1, 4, 12, 16))))
    elif how == "zero":
        file.write_bytes(data[:place] + bytes(min(16, len(data) - place)) + data[place + 16 :])
    elif how == "empty":
        file.write_bytes(b"")
    else:
        other = draw.choice(files).read_bytes()
        file.write_bytes(other)
    return f"{how} {file.name}"


def read_store(task: tuple[str, str]) -> str:
    """The digest of everything read from the store, or how it was refused."""
    talks, cache = task
    environment = os.environ | {"PYTHONPATH": str(ROOT), "CRJAX_CACHE": cache, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", STORE, talks], env=environment, cwd=ROOT, capture_output=True, text=True)
    if done.returncode == 0:
        return done.stdout
    last = (done.stderr.strip().splitlines() or ["no message"])[-1]
    return ("refused " if re.match(r"cr_jax\.errors\.", last) else "traceback ") + last


def run(count: int, seed: int) -> Tally:
    """Damage ``count`` copies; reading one must give the same conversations, or refuse it."""
    from cr_jax.data.demo import demo_text

    tally, draw = Tally("stores"), random.Random(f"stores {seed}")
    worker: Worker[tuple[str, str], str] = Worker(read_store, 30.0)
    with tempfile.TemporaryDirectory() as base:
        talks, whole = f"{base}/talks.txt", f"{base}/whole"
        Path(talks).write_text(demo_text(seed=3, conversations=200), encoding="utf-8")
        wanted = read_store((talks, whole))
        assert not wanted.startswith(("refused", "traceback")), wanted
        for number in range(count):
            copy = f"{base}/copy"
            shutil.copytree(whole, copy)
            how = _damage(Path(copy), draw)
            outcome = guarded(lambda copy=copy, how=how: _judged(worker.ask((talks, copy)), wanted, how))
            if outcome.kind == "ok" and (left := [p.name for p in Path(copy).rglob("*") if ".tmp" in p.name]):
                outcome = Outcome("leftover", f"{how}: {left[0]}")
            tally.add(outcome, f"{number} {how}".encode())
            shutil.rmtree(copy)
    worker.stop()
    return tally


def _judged(found: str, wanted: str, how: str) -> Outcome:
    how = re.sub(r"[0-9a-f]{6,}", "_", how)
    if found == wanted:
        return Outcome("ok")
    if found.startswith("refused "):
        return Outcome("refused", found)
    if found.startswith("traceback "):
        return Outcome("traceback", f"{how}: {found[10:110]}")
    return Outcome("wrong", f"{how}: other conversations")
