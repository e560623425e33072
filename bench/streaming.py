"""Memory and time of reading conversations that are larger than memory should be.

    python bench/streaming.py [--bytes 1000000000] [--models dmn pmmn aim] [--steps 300] [--out]

Writes aspect-value text of so many bytes into a temporary folder, which is removed at the end, then runs, each in a
fresh process: ``crjax data stats``; the building of the store in the cache; the training input pipeline of each
model, which draws batches through Grain. Peak resident memory of each process, mapped files included; the aim is
under 1 GB. No model is trained: the memory of its weights does not depend on the input.
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from machine import ROOT, finish, fresh, table

LIMIT_BYTES = 1e9
USERS, ITEMS, ASPECTS, VALUES = 400_000, 60_000, 1500, 4000
BATCH = 64
#: In place of a model: the store alone is built.
STORE = "store"


def write(path: Path, size: int) -> int:
    """Conversations of 1 to 8 turns (1.3 on average, as in the real sample), ``size`` bytes; how many."""
    draw = random.Random(1)
    users = [f"A{draw.randrange(36**12):013X}" for _ in range(USERS)]
    items = [f"B{draw.randrange(36**9):09d}"[:10] for _ in range(ITEMS)]
    triples = []
    for _ in range(200_000):
        part = " part" * (draw.random() < 0.2)
        triples.append(f"aspect{draw.randrange(ASPECTS)}{part}|value{draw.randrange(VALUES)}|{draw.choice((1, 1, 1, -1))}")
    written = number = 0
    with open(path, "w", encoding="utf-8", buffering=1 << 20) as file:
        while written < size:
            turns = 1
            while turns < 8 and draw.random() < 0.24:
                turns += 1
            # Few items are most of the talk, as everywhere.
            item = items[int(ITEMS * draw.random() ** 3)]
            said = ":".join(triples[int(200_000 * draw.random())] for _ in range(turns))
            written += file.write(f"{users[int(USERS * draw.random())]}@{item},{said}\n")
            number += 1
    return number


def pipeline(path: str, model: str, steps: int) -> None:
    """In a process of its own: open, draw batches through Grain, print what it took."""
    from cr_jax.data.corpus import read_corpus
    from cr_jax.data.examples.batches import Batches, prefetched
    from cr_jax.models import spec as specs
    from cr_jax.records import Workload
    from cr_jax.resources import cache_root

    begin = time.perf_counter()
    corpus = read_corpus(path)
    opened = time.perf_counter()
    if model == STORE:
        print(json.dumps({"peak_bytes": _peak_bytes(), "open_s": opened - begin, "store_bytes": _size(cache_root())}))
        return
    spec, data = specs.find(model), corpus.dataset
    work = Workload(
        turns=data.last_turn,
        lengths=data.lengths,
        turn_histogram=data.turn_histogram,
        batch=BATCH,
        preset="published",
        question_items=10,
    )
    assert spec.training is not None
    examples = spec.training.examples(corpus, spec.configure(data, work), 0)
    pool = next(iter(examples.pools.values()))
    batches = Batches(pool, BATCH, 0)
    ready = time.perf_counter()
    for _ in prefetched(batches, batches.per_epoch // 2, batches.per_epoch // 2 + steps):
        pass
    done = time.perf_counter()
    print(
        json.dumps(
            {
                "peak_bytes": _peak_bytes(),
                "open_s": opened - begin,
                "examples_s": ready - opened,
                "batch_s": (done - ready) / steps,
                "examples": len(pool),
                "conversations": data.conversations,
                "padding_share": batches.padding_share(),
            }
        )
    )


def _peak_bytes() -> int:
    """Of this process and of the one that built the store."""
    return max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) * 1024


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def stats(path: Path) -> dict[str, Any]:
    """``crjax data stats`` in a fresh process."""
    begin = time.perf_counter()
    arguments = [sys.executable, "-m", "cr_jax.cli.main", "data", "stats", "--dataset", str(path)]
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": str(ROOT)})
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"crjax data stats: exit {process.returncode}")
    return {"seconds": time.perf_counter() - begin, "peak_bytes": usage.ru_maxrss * 1024}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bytes", type=int, default=10**9)
    parser.add_argument("--models", nargs="+", default=["dmn", "pmmn", "aim"])
    parser.add_argument("--steps", type=int, default=300, help="batches to draw")
    parser.add_argument("--out", action="store_true", help="write bench/results/streaming.json")
    parser.add_argument("--pipeline", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.pipeline:
        pipeline(*options.pipeline, options.steps)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "talks.txt"
        lines = write(path, options.bytes)
        print(f"{path.stat().st_size / 1e6:,.0f} MB, {lines:,} lines", file=sys.stderr, flush=True)
        counted = stats(path)
        print(f"data stats: {counted}", file=sys.stderr, flush=True)
        found: dict[str, Any] = {}
        for model in (STORE, *options.models):
            arguments = [__file__, "--pipeline", str(path), model, "--steps", str(options.steps)]
            found[model] = json.loads(fresh(arguments, CRJAX_CACHE=f"{folder}/cache").output)
            print(f"{model}: {found[model]}", file=sys.stderr, flush=True)
        size = path.stat().st_size
    rows = [("data stats", f"{counted['peak_bytes'] / 1e6:.0f}", f"{counted['seconds']:.0f}", "", "", "")]
    peaks = [counted["peak_bytes"]]
    store = found.pop(STORE)
    rows.append((STORE, f"{store['peak_bytes'] / 1e6:.0f}", f"{store['open_s']:.0f}", "", "", ""))
    peaks.append(store["peak_bytes"])
    for model, one in found.items():
        peaks.append(one["peak_bytes"])
        rows.append(
            (
                model,
                f"{one['peak_bytes'] / 1e6:.0f}",
                f"{one['open_s'] + one['examples_s']:.0f}",
                f"{one['examples']:,}",
                f"{1e3 * one['batch_s']:.2f}",
                f"{one['padding_share']:.0%}",
            )
        )
    table(("process", "peak MB", "s to the first batch", "examples", f"ms/batch of {BATCH}", "padding"), rows)
    over = [peak for peak in peaks if peak >= LIMIT_BYTES]
    print(f"\nunder {LIMIT_BYTES / 1e6:.0f} MB: {'no' if over else 'all'}")
    figures = {"bytes": size, "lines": lines, "limit_bytes": LIMIT_BYTES, "stats": counted, "store": store, "pipelines": found}
    finish("streaming", figures, options.out)
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
