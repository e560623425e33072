"""One go on an accelerator: the sweep of ``crjax calibrate``, then five models, training and inference for 1 and 32 users.

    python bench/gpu.py [--device gpu] [--minutes 7.5] [--models dmn,aim]

Each cell runs in a process of its own; one that fails is a result. Cells that no time is left for are listed. Every step's
compiled text is predicted twice, with the shipped constants and with the anchors of the sweep, and compared with its clock.
What is there already is not run again. Writes bench/results/<device>.json (every bench report less its raw samples, the
anchors, predicted against measured) and, gzipped, the compiled programs of two models to bench/results/<device>/; what a
second run goes on from stays in bench/results/runs-<device>/. Needs no network; bench/gpu.sh installs the wheels that were
carried along and calls this. On a CPU it is a rehearsal: tiny sizes, compared with a card that is not attached.
"""

import argparse
import gzip
import json
import re
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from cr_jax.catalog.accelerator import Accelerator  # noqa: E402
from cr_jax.catalog.load import load_accelerator  # noqa: E402
from cr_jax.cost.operations.operation_list import operations  # noqa: E402
from cr_jax.documents.accelerator_profile import AnchorsBlock  # noqa: E402
from cr_jax.errors import CrJaxError  # noqa: E402
from cr_jax.json_text import read_json  # noqa: E402
from cr_jax.measure.case import Case  # noqa: E402
from cr_jax.measure.clock import Plan  # noqa: E402
from cr_jax.measure.sweep import Budget, cells, finished, run_cell  # noqa: E402
from cr_jax.predict.program_time import Prediction, predict  # noqa: E402
from cr_jax.resources import shipped_profile, write_atomically  # noqa: E402

MODELS = ("dmn", "mmn", "pmmn", "aim", "srnn-ae")
#: Models whose compiled programs are kept.
KEPT = ("dmn", "mmn")
#: Seconds that a cell needs at least: nothing is begun with less left. And those that predicting takes in the end.
LEAST_S, PREDICTING_S = 20.0, 30.0
#: The card that a rehearsal on a CPU is compared with.
REHEARSED = "h100"


def main() -> int:
    options = _options()
    begun = time.monotonic()
    place, texts = options.out / f"runs-{options.device}", options.out / f"runs-{options.device}" / "texts"
    texts.mkdir(parents=True, exist_ok=True)
    if options.sweep:
        return sweep(options.device, options.profile, options.sweep_seconds, place / "sweep.json")
    swept = _swept(options, place / "sweep.json")
    grid = cells(
        options.models.split(","),
        [options.dataset],
        ["infer", "train"],
        [int(u) for u in options.users.split(",")],
        [None],
        ["float32"],
        device=options.device,
    )
    grid.sort(key=lambda case: case.phase == "infer")  # a training step of every model first
    plan = Plan(seconds=options.seconds, limit_s=3 * options.seconds, most_runs=5000)
    left_out, reports = [], []
    for number, case in enumerate(grid, 1):
        left = 60 * options.minutes - PREDICTING_S - (time.monotonic() - begun)
        file = place / f"{case.slug()}.json"
        if left < LEAST_S and finished(file) is None:
            left_out.append(case.slug())
            continue
        report = _cell(case, plan, file, texts, left)
        reports.append(report)
        print(f"[{number}/{len(grid)}] {case.slug()}: {_line(report)}", flush=True)
    name = _device(reports, options.device)
    compared = compare(reports, texts, swept)
    _keep(texts, options.out / name)
    summary = {
        "rehearsal": options.device == "cpu",
        "cells": [_without_samples(r) for r in reports],
        "left_out": left_out,
        "sweep": swept,
        "predicted": compared,
        "wall_s": time.monotonic() - begun,
    }
    write_atomically(options.out / f"{name}.json", json.dumps(summary, indent=1) + "\n")
    print(table(compared))
    failed = sum(r["status"] != "measured" for r in reports)
    print(f"{len(reports)} cells, {failed} failed, {len(left_out)} left out, {summary['wall_s']:.0f} s: {name}.json")
    return 1 if reports and failed == len(reports) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="gpu", choices=("gpu", "tpu", "cpu"))
    parser.add_argument("--minutes", type=float, default=7.5, help="for everything")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--users", default="1,32")
    parser.add_argument("--dataset", default="cell-phones")
    parser.add_argument("--seconds", type=float, default=1.0, help="of samples per step at least")
    parser.add_argument("--sweep-seconds", type=float, default=90.0, help="that the sweep may take")
    parser.add_argument("--profile", help="the card's, where the catalog does not know its title")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results")
    parser.add_argument("--sweep", action="store_true", help=argparse.SUPPRESS)  # in a process of its own
    options = parser.parse_args()
    if options.device == "cpu":
        options.sweep_seconds = min(options.sweep_seconds, 15 * options.minutes)
    return options


def _swept(options: argparse.Namespace, file: Path) -> dict[str, Any] | None:
    """The sweep's result, made in a process that gives the card's memory back; ``None``: it failed."""
    if not file.exists():
        command = [
            sys.executable,
            __file__,
            "--sweep",
            "--device",
            options.device,
            "--sweep-seconds",
            str(options.sweep_seconds),
            "--out",
            str(options.out),
        ]
        command += ["--profile", options.profile] if options.profile else []
        try:
            subprocess.run(command, check=True, timeout=options.sweep_seconds + 90)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            print(f"no sweep: {type(error).__name__}; the models' steps are predicted without anchors", file=sys.stderr)
            return None
    return read_json(file)


def sweep(device: str, profile: str | None, seconds: float, file: Path) -> int:
    """Measure and write {profile, anchors}."""
    from cr_jax.cli import calibrate_accelerator as calibrate
    from cr_jax.measure import accelerator_cases as points
    from cr_jax.measure import accelerator_sweep as measure
    from cr_jax.measure.device import attached
    from cr_jax.predict.accelerator.anchors import block

    rehearsal = device == "cpu"
    tuning, sizes = measure.Tuning(limit_s=seconds), points.FULL
    if rehearsal:
        sizes = points.SMALL
        tuning = measure.Tuning(seconds, 0.6, call_s=1e-4, most_turns=4, passes=2, workers=1, memory_bytes=2e9)
    try:
        found = attached(device).device
        name = profile or (REHEARSED if rehearsal else calibrate.known(found))
        accelerator = _accelerator(name)
        swept = measure.sweep(found, accelerator, points.points(accelerator, sizes), tuning)
        anchors = measure.anchors(swept, accelerator)
    except CrJaxError as error:
        print(f"gpu.py: {error}", file=sys.stderr)
        return 2
    told = block(anchors, measure.about(found, swept), swept.skipped)
    write_atomically(file, json.dumps({"profile": name, "rehearsal": rehearsal, "anchors": told}, indent=1) + "\n")
    print(("rehearsal, " if rehearsal else "") + calibrate.summary(anchors, told), end="", flush=True)
    return 0


def _accelerator(name: str) -> Accelerator:
    """The shipped profile, or one in a JSON file, without anchors."""
    path = Path(name) if name.endswith(".json") else shipped_profile("accelerators", name)
    return replace(load_accelerator(path), anchors=None)


def compare(reports: list[dict[str, Any]], texts: Path, swept: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Every measured step, predicted from its compiled text without anchors and with them."""
    if swept is None:
        from cr_jax.targets.resolve import profile_name

        title = next((r["device"]["kind"] for r in reports if r["device"]), "")
        name = profile_name(title, "cuda") or profile_name(title, "tpu")
        swept = {"profile": name, "anchors": None} if name else None
    found = []
    for report in reports if swept is not None else ():
        plain = _accelerator(swept["profile"])  # type: ignore[index]
        anchored = replace(plain, anchors=msgspec.convert(swept["anchors"], AnchorsBlock)) if swept["anchors"] else None  # type: ignore[index]
        for step in report["steps"]:
            case = Case(**{k: v for k, v in report["case"].items() if k != "turns"})
            file = next(texts.glob(f"*{case.slug()}_{step['name'].replace('/', '-')}.txt.gz"), None)
            if file is None or not step["time"]["median_s"]:
                continue
            program = operations(gzip.decompress(file.read_bytes()).decode())
            found.append(
                {"cell": case.slug(), "step": step["name"], "measured_s": step["time"]["median_s"]}
                | {
                    name: _plain(predict(program, at, case.precision, case.dtype))
                    for name, at in (("shipped", plain), ("anchored", anchored))
                    if at is not None
                }
            )
    return found


def _plain(found: Prediction) -> dict[str, Any]:
    classes = found.validated_on["classes"] if not isinstance(found.validated_on, str) else ()
    return {
        "seconds": found.seconds,
        "low_s": found.low_s,
        "high_s": found.high_s,
        "coverage": found.coverage,
        "reason": found.reason,
        "shares": dict(found.shares),
        "classes": {one["class"]: one["seconds"] for one in classes},
    }


def table(compared: list[dict[str, Any]]) -> str:
    """Measured over predicted, a line per step, and the medians."""
    lines = [f"{'step':58} {'measured':>10} {'shipped':>10} {'anchored':>10}   ratios measured/predicted"]
    ratios: dict[str, list[float]] = {"shipped": [], "anchored": []}
    held: dict[str, int] = {"shipped": 0, "anchored": 0}
    for row in compared:
        shown = []
        for name, some in ratios.items():
            one = row.get(name) or {}
            if one.get("seconds"):
                some.append(row["measured_s"] / one["seconds"])
                held[name] += one["low_s"] <= row["measured_s"] <= one["high_s"]
                shown.append((1e3 * one["seconds"], f"{some[-1]:.2f}"))
            else:
                shown.append((float("nan"), "-"))
        what = f"{row['cell']} {row['step']}"[-58:]
        lines.append(
            f"{what:58} {1e3 * row['measured_s']:7.3f} ms "
            + " ".join(f"{ms:7.3f} ms" for ms, _ in shown)
            + "   "
            + " ".join(ratio for _, ratio in shown)
        )
    lines += [
        f"{name}: median ratio {median(some):.2f}, median error {median(abs(1 / r - 1) for r in some):.0%}, "
        f"{held[name]} of {len(some)} in their intervals"
        for name, some in ratios.items()
        if some
    ]
    return "\n".join(lines)


def _cell(case: Case, plan: Plan, file: Path, texts: Path, left: float) -> dict[str, Any]:
    return finished(file) or run_cell(case, plan, file, Budget(cell_s=left, memory=case.device != "cpu", hlo=str(texts)))


def _keep(texts: Path, folder: Path) -> None:
    """The compiled programs of two models, beside the results."""
    some = [file for model in KEPT for file in sorted(texts.glob(f"{model}_*.txt.gz"))]
    if some:
        folder.mkdir(parents=True, exist_ok=True)
    for file in some:
        shutil.copyfile(file, folder / file.name)


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
