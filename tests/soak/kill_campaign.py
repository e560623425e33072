"""The kills: ``crjax`` processes that get SIGKILL at a random time, then the same command again.

The rerun must succeed, give what a run that nobody killed gives, and leave nothing half-written behind.
"""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soak.outcomes import Outcome, Tally

ROOT = Path(__file__).resolve().parents[2]
#: Names of temporary files and folders, ours and those of the libraries.
TEMPORARY = re.compile(r"\.tmp|tmp\.|orbax-checkpoint-tmp|\.part$|^\.|~$")
CASES = ("store", "derive", "train", "profile")
#: A driver that keeps a corpus on disk and prints a digest of all that is read from it.
STORE = """
import hashlib, json, sys
from cr_jax.data import corpus
corpus.IN_MEMORY_BYTES = 100
found = corpus.read_corpus(sys.argv[1])
digest = hashlib.sha256()
for part, talks in found.conversations.items():
    for talk in talks:
        digest.update(repr((part, talk)).encode())
print(digest.hexdigest(), found.problems.lines())
"""


@dataclass(frozen=True)
class Case:
    """name; the command line in ``folder``; what the run made, without times; the files it may leave, as a pattern."""

    name: str
    command: Callable[[Path], list[str]]
    result: Callable[[Path, str], Any]
    after: Callable[[Path], list[str]] | None = None


def cases(talks: Path, many: Path, reviews: Path, lexicon: Path) -> list[Case]:
    crjax = [sys.executable, "-m", "cr_jax.cli.main"]
    small = ["--set", "hidden=4", "--set", "embedding=6"]
    train = ["train", "--model", "dmn", "--dataset", str(talks), "--steps", "30", "--batch", "8", "--checkpoint-steps", "10"]
    train += small
    return [
        Case(
            "train",
            lambda f: [*crjax, *train, "--out", str(f / "run")],
            _trained,
            lambda f: ["--resume"] if (f / "run" / "checkpoints").is_dir() else [],
        ),
        Case(
            "profile",
            lambda f: [*crjax, "profile", "--model", "dmn", "--turns", "1", *small, "--out", str(f / "report.json")],
            _profiled,
        ),
        Case(
            "derive",
            lambda f: [*crjax, "data", "derive", str(reviews), str(lexicon), "--out", str(f / "talks.txt")],
            lambda f, out: (f / "talks.txt").read_bytes(),
        ),
        Case("store", lambda f: [sys.executable, "-c", STORE, str(many)], lambda f, out: out),
    ]


def _trained(folder: Path, out: str) -> Any:
    run = folder / "run"
    losses = [
        {k: v for k, v in json.loads(line).items() if "second" not in k and not k.endswith("_s")}
        for line in (run / "log.jsonl").read_text().splitlines()
    ]
    odd = [path.name for path in (run / "checkpoints").iterdir() if not path.name.isdigit()]
    return losses, json.loads((run / "report.json").read_text())["test"], odd


def _profiled(folder: Path, out: str) -> Any:
    from msgspec import structs

    from cr_jax.report.document import read_report, without_times

    return structs.replace(without_times(read_report(folder / "report.json")), command=None)


def _environment(folder: Path) -> dict[str, str]:
    # One cache for all programs that JAX compiles makes the runs short; ours is the folder's own, to be killed in.
    return os.environ | {
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": str(ROOT),
        "CRJAX_CACHE": str(folder / "cache"),
        "CRJAX_PROFILES": str(folder.parent / "profiles"),
        "HOME": str(folder),
    }


def _finish(case: Case, folder: Path) -> tuple[Outcome | None, str]:
    command = [*case.command(folder), *(case.after(folder) if case.after else [])]
    try:
        done = subprocess.run(command, env=_environment(folder), cwd=ROOT, capture_output=True, text=True, timeout=300)
    except subprocess.TimeoutExpired:
        return Outcome("hang", f"{case.name}: the rerun"), ""
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        return Outcome("wrong", f"{case.name}: the rerun fails: {re.sub(r'[0-9]+', '_', last[0])[:120]}"), ""
    return None, done.stdout


def kill_once(case: Case, folder: Path, seconds: float, wanted: Any) -> Outcome:
    """Kill after ``seconds``, run again, look at what is there."""
    folder.mkdir()
    with subprocess.Popen(
        case.command(folder),
        env=_environment(folder),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        time.sleep(seconds)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    fault, out = _finish(case, folder)
    if fault is not None:
        return fault
    left = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if TEMPORARY.search(path.name))
    left = [name for name in left if not name.startswith(".") or name.endswith(".tmp")]
    if left:
        return Outcome("leftover", f"{case.name}: {Path(left[0]).parent}/...")
    try:
        found = case.result(folder, out)
    except (OSError, ValueError, KeyError) as error:
        return Outcome("corrupt", f"{case.name}: {type(error).__name__}")
    return Outcome("ok") if found == wanted else Outcome("wrong", f"{case.name}: another result than without the kill")


def run(count: int, seed: int, names: Sequence[str] = CASES) -> Tally:
    """``count`` kills, spread over the cases and over the time that each takes."""
    from soak.data_campaign import layouts
    from tiny import dataset_file

    from cr_jax.data.demo import demo_text

    tally, draw = Tally("kills"), random.Random(f"kills {seed}")
    base = Path(tempfile.mkdtemp(prefix="kills"))
    try:
        dataset_file(base / "profiles")
        (base / "talks.txt").write_text(demo_text(seed=3, conversations=400), encoding="utf-8")
        for name, data in layouts()["reviews"].items():
            (base / name).write_bytes(data * (2000 if name == "reviews.json" else 1))
        (base / "many.txt").write_text(demo_text(seed=4, conversations=30_000), encoding="utf-8")
        for case in cases(*(base / name for name in ("talks.txt", "many.txt", "reviews.json", "lexicon.txt"))):
            if case.name not in names:
                continue
            whole = base / f"{case.name}-whole"
            whole.mkdir()
            begun = time.monotonic()
            fault, out = _finish(case, whole)
            assert fault is None, fault
            took, wanted = time.monotonic() - begun, case.result(whole, out)
            place = names.index(case.name)
            for at in range(count // len(names) + (place < count % len(names))):
                folder = base / f"{case.name}-{at}"
                outcome = kill_once(case, folder, draw.uniform(0.2, 1.05) * took, wanted)
                tally.add(outcome, f"{case.name} {at}".encode())
                shutil.rmtree(folder, ignore_errors=True)
    finally:
        shutil.rmtree(base, ignore_errors=True)
    return tally
