"""Seconds of our five models beside the public implementations', at the same dimensions.

    python bench/public_code.py [--only dmn,mmn,aim,srnn-ae] [--seconds S] [--out]

Both ran on two threads of one class of machine, but not in one run: only ratios mean something.
Two canaries, a plain numpy matmul and a numpy copy, run in turn with every case, so a busy moment
meets all alike. ``x canary`` columns: ours over the canary's median beside it, theirs over the
canary at its fastest in this whole run (their run had none of its own). Above 1 we are faster:
ratio    theirs over ours on the clock
ratio n  the same over the canaries, by the one that was disturbed less
ratio p  from our processor time divided over the threads and corrected by the matmul's: what the
         clock would show if our threads never waited, the only one to trust far above two of load
Compiling and two warm-up runs are not timed; weights and optimizer state are donated; every run is waited for.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

THREADS = 2
os.environ.setdefault("JAX_PLATFORMS", "cpu")
for _library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{_library}_NUM_THREADS"] = str(THREADS)
if hasattr(os, "sched_setaffinity"):  # XLA takes its thread count from the processors it may use
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])

import jax  # noqa: E402
import numpy as np  # noqa: E402
from machine import ROOT, finish, table  # noqa: E402

sys.path.insert(0, str(ROOT))
from public_cases import GROUPS, Case  # noqa: E402

PUBLIC = json.loads(Path(__file__).with_name("public_timings.json").read_text())
MATMUL = 1024  # rows and columns: 2.1 GFLOP
COPY_MB = 64
BLOCK_S = 0.3  # of runs between two looks at the canaries
WARM_UP = 2


class Canaries:
    """Work that is never changed: what the machine gave at the moment."""

    def __init__(self) -> None:
        self.a = np.random.default_rng(0).random((MATMUL, MATMUL), np.float32)
        self.product = self.a @ self.a
        self.source = np.ones(COPY_MB << 18, np.float32)
        self.target = self.source.copy()
        self.seconds: dict[str, list[float]] = {"matmul": [], "copy": [], "matmul_cpu": []}

    def __call__(self) -> dict[str, float]:
        """Seconds of one matmul and one copy, and the processor seconds of the matmul."""
        before = time.process_time()
        now = {"matmul": _seconds(lambda: np.matmul(self.a, self.a, out=self.product))}
        now["matmul_cpu"] = time.process_time() - before
        now["copy"] = _seconds(lambda: np.copyto(self.target, self.source))
        for name, seconds in now.items():
            self.seconds[name].append(seconds)
        return now

    def fastest(self) -> dict[str, float]:
        """The nearest to a quiet machine that this run saw."""
        return {name: min(seconds) for name, seconds in self.seconds.items()}


def _seconds(work: Any) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measure(case: Case, canaries: Canaries, budget: float) -> dict[str, Any]:
    """Median seconds of runs filling ``budget`` (3 at least), in blocks between canaries."""
    run = case.build()
    first = _seconds(lambda: jax.block_until_ready(run()))
    warm = min(_seconds(lambda: jax.block_until_ready(run())) for _ in range(WARM_UP))
    per_block = max(1, int(BLOCK_S / warm))
    runs: list[float] = []
    processor: list[float] = []
    beside: dict[str, list[float]] = {name: [] for name in canaries.seconds}
    while sum(runs) < budget or len(runs) < 3:
        for name, seconds in canaries().items():
            beside[name].append(seconds)
        for _ in range(per_block):
            before = time.process_time()
            runs.append(_seconds(lambda: jax.block_until_ready(run())))
            processor.append(time.process_time() - before)
    return {
        "median_s": median(runs),
        "fastest_s": min(runs),
        "cpu_s": median(processor),
        "runs": len(runs),
        "first_call_s": first,
        "canary_s": {name: median(seconds) for name, seconds in beside.items()},
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(GROUPS), help=f"of {', '.join(GROUPS)}")
    parser.add_argument("--figure", default="", help="only figures whose name holds this")
    parser.add_argument("--seconds", type=float, default=3.0, help="of timed runs per figure")
    parser.add_argument("--out", action="store_true", help="write bench/results/public_code.json")
    options = parser.parse_args()
    wanted = options.only.split(",")
    if unknown := sorted(set(wanted) - set(GROUPS)):
        parser.error(f"--only {','.join(unknown)}: legal: {', '.join(GROUPS)}")
    canaries, found = Canaries(), []
    canaries(), canaries()
    for case in [case for group in wanted for case in GROUPS[group]() if options.figure in case.figure]:
        load = os.getloadavg()[0]
        ours = measure(case, canaries, options.seconds)
        jax.clear_caches()
        theirs = PUBLIC["seconds"][case.public][case.figure]
        found.append({"case": case.public, "figure": case.figure, "public_s": theirs, "load_average": load} | ours)
        print(f"{case.public} {case.figure}: {ours['median_s']:.4f} s, public {theirs:.4f} s", file=sys.stderr)
    if not found:
        parser.error(f"--figure {options.figure}: no figure of that name")
    quiet = canaries.fastest()
    report(found, quiet)
    note = f"public figures: {PUBLIC['note']}; with {PUBLIC['versions']}"
    print(f"\n{note}\nThey come from another run of a machine of this class: only the ratios mean something.")

    def below(ratio: str) -> str:
        return ", ".join(f"{row['case']} {row['figure']}" for row in found if row[ratio] < 1) or "none"

    print(f"slower than the public code, ratio n: {below('normalised_ratio')}\n  ratio p: {below('processor_ratio')}")
    figures = {"threads": THREADS, "public": note, "canary_fastest_s": quiet, "cases": found}
    finish("public_code", figures, options.out)
    return 1 if any(row["normalised_ratio"] < 1 for row in found) else 0


def report(found: list[dict[str, Any]], quiet: dict[str, float]) -> None:
    """Add the normalised figures to every row and print the table."""
    rows, clocks = [], ("matmul", "copy")
    for row in found:
        row |= {
            "ratio": row["public_s"] / row["median_s"],
            "over_canary": {name: row["median_s"] / row["canary_s"][name] for name in clocks},
            "public_over_canary": {name: row["public_s"] / quiet[name] for name in clocks},
        }
        # By the canary that was the less disturbed: the smaller claim.
        row["normalised_ratio"] = min(row["public_over_canary"][n] / row["over_canary"][n] for n in clocks)
        slowed = row["canary_s"]["matmul_cpu"] / quiet["matmul_cpu"]
        row["processor_ratio"] = row["public_s"] / (row["cpu_s"] / THREADS) * slowed
        rows.append(
            (
                row["case"],
                row["figure"],
                f"{row['median_s']:.4f}",
                f"{row['cpu_s']:.4f}",
                f"{row['public_s']:.4f}",
                f"{row['ratio']:.2f}",
                *(f"{row[side][name]:.2f}" for name in clocks for side in ("over_canary", "public_over_canary")),
                f"{row['normalised_ratio']:.2f}",
                f"{row['processor_ratio']:.2f}",
                str(row["runs"]),
                f"{row['load_average']:.1f}",
            )
        )
    header = (
        "dimensions",
        "figure",
        "ours s",
        "cpu s",
        "public s",
        "ratio",
        "ours x mm",
        "public x mm",
        "ours x cp",
        "public x cp",
        "ratio n",
        "ratio p",
        "runs",
        "load",
    )
    table(header, rows)


if __name__ == "__main__":
    sys.exit(main())
