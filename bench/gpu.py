"""The grid on an accelerator in one go: five models, training and inference for 1 and 32 users.

    python bench/gpu.py [--device gpu] [--minutes 7.5] [--models dmn,aim] [--preset published]

Each cell runs in a process of its own; one that fails is a result. Cells that no time is left for are
listed. Writes bench/results/<device>.json (every bench report less its raw samples, which stay in
bench/results/<device>/) and the compiled programs of two models. Needs no network; bench/gpu.sh
installs the wheels that were carried along and calls this.
"""

import argparse
import json
import re
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from cr_jax.measure.case import Case  # noqa: E402
from cr_jax.measure.clock import Plan  # noqa: E402
from cr_jax.measure.sweep import Budget, cells, finished, run_cell  # noqa: E402
from cr_jax.resources import write_atomically  # noqa: E402

MODELS = ("dmn", "mmn", "pmmn", "aim", "srnn-ae")
#: Models whose compiled programs are kept.
KEPT = ("dmn", "mmn")
#: Seconds that a cell needs at least: nothing is begun with less left.
LEAST_S = 20.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="gpu", help="gpu, tpu or cpu")
    parser.add_argument("--minutes", type=float, default=7.5, help="for everything")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--users", default="1,32")
    parser.add_argument("--dataset", default="cell-phones")
    parser.add_argument("--seconds", type=float, default=1.0, help="of samples per step at least")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results")
    options = parser.parse_args()
    begun = time.monotonic()
    grid = cells(options.models.split(","), [options.dataset], ["infer", "train"], [int(u) for u in options.users.split(",")],
                 [None], ["float32"], device=options.device)  # fmt: skip
    grid.sort(key=lambda case: case.phase == "infer")  # a training step of every model first
    plan = Plan(seconds=options.seconds, limit_s=3 * options.seconds, most_runs=5000)
    place, left_out, reports = options.out / options.device, [], []
    place.mkdir(parents=True, exist_ok=True)
    for number, case in enumerate(grid, 1):
        left = 60 * options.minutes - (time.monotonic() - begun)
        if left < LEAST_S:
            left_out.append(case.slug())
            continue
        report = _cell(case, plan, place, left)
        reports.append(report)
        print(f"[{number}/{len(grid)}] {case.slug()}: {_line(report)}", flush=True)
    file = options.out / f"{_device(reports, options.device)}.json"
    summary = {"cells": [_without_samples(r) for r in reports], "left_out": left_out,
               "wall_s": time.monotonic() - begun}  # fmt: skip
    write_atomically(file, json.dumps(summary, indent=1) + "\n")
    failed = sum(r["status"] != "measured" for r in reports)
    print(f"{len(reports)} cells, {failed} failed, {len(left_out)} left out, {summary['wall_s']:.0f} s: {file.name}")
    return 1 if failed == len(reports) else 0


def _cell(case: Case, plan: Plan, place: Path, left: float) -> dict[str, Any]:
    file = place / f"{case.slug()}.json"
    hlo = str(place) if case.model in KEPT else None
    return finished(file) or run_cell(case, plan, file, Budget(cell_s=left, memory=case.device != "cpu", hlo=hlo))


def _line(report: dict[str, Any]) -> str:
    if report["error"]:
        return f"{report['error']['kind']}: {report['error']['reason'][:150]}"
    return ", ".join(f"{s['name']} {1e3 * s['time']['median_s']:.3f} ms" for s in report["steps"] if s["time"]["median_s"])


def _device(reports: list[dict[str, Any]], asked: str) -> str:
    kinds = {r["device"]["kind"] for r in reports if r["device"]}
    kind = kinds.pop() if len(kinds) == 1 else asked
    return re.sub(r"[^a-z0-9]+", "-", kind.lower()).strip("-")


def _without_samples(report: dict[str, Any]) -> dict[str, Any]:
    steps = [{k: v for k, v in s.items() if not k.endswith("samples_s")} for s in report["steps"]]
    return {k: v for k, v in report.items() if k != "definitions"} | {"steps": steps}


if __name__ == "__main__":
    sys.exit(main())
