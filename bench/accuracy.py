"""Predicted against measured: step time and peak memory over models, phases, batches and data sets.

Each case runs in a process of its own (what an earlier one leaves of a process's memory changes times). It is
compiled, predicted, measured, replayed and measured again, so that prediction and measurement see the same
minutes of the machine; a canary product runs beside every measurement. The
error of the second measurement against the first is the machine's own repeatability. No program of
the grid is used to fit anything: calibration runs small programs of its own. The rules of the model
were chosen with cell-phones and kindle-store in sight, so figures are also given for other
data sets alone, where one is named.
"""

import argparse
import dataclasses
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import accuracy_shards
import jax
import msgspec
from accuracy_chart import scatter
from machine import RESULTS, finish, machine, table

from cr_jax.catalog import load
from cr_jax.catalog.accelerator import Accelerator
from cr_jax.cost.operations.operation_list import list_operations
from cr_jax.cost.operations.program import Program
from cr_jax.cost.walk import Walk
from cr_jax.documents.calibration import Calibration
from cr_jax.errors import CrJaxError
from cr_jax.hlo.parse import parse
from cr_jax.measure import calibrate, calibration_cases, inputs, memory, run
from cr_jax.measure.case import Case, Prepared, prepare
from cr_jax.measure.clock import Plan, interleave
from cr_jax.measure.replay import replay
from cr_jax.predict.program_time import predict
from cr_jax.records import plain

MODELS = ("dmn", "mmn", "pmmn", "aim", "srnn-ae")
DATASETS = ("cell-phones", "kindle-store")
#: The model's rules were chosen with these in sight: errors over others are given apart.
SEEN = DATASETS
#: Memory is compared where the predicted peak is at least this.
LEAST_PEAK = 200e6
#: Assumed for the prediction without calibration: float32 FLOPs per cycle and core (two 8-wide FMAs), bytes/s.
NOMINAL_FLOPS, NOMINAL_BANDWIDTH = 32, 20e9
METHODS = ("nominal", "calibrated", "replay", "itself")
WORDS = {
    "nominal": "whole-program roofline, nominal peaks",
    "calibrated": "per operation, calibrated",
    "replay": "replay of the hot operations",
    "itself": "the clock against itself, seconds apart",
}
CHOOSE = {"median": statistics.median, "fastest": min}


def cases(models: list[str], datasets: list[str]) -> list[Case]:
    """Training with the published batch, and answering the last turn for 1 and 32 users."""
    found = []
    for dataset in datasets:
        for model in models:
            found.append(Case(model, dataset, phase="train"))
            found += [Case(model, dataset, phase="infer", users=users, mode="incremental") for users in (1, 32)]
    return found


def nominal_s(program: Program) -> float:
    """The whole program as one roofline over data sheet rates."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    clock = re.search(r"cpu MHz\s*: ([\d.]+)", text)
    peak = (os.cpu_count() or 1) * (float(clock[1]) if clock else 3000.0) * 1e6 * NOMINAL_FLOPS
    total = program.total()
    return max(total.flops / peak, total.hbm_bytes / NOMINAL_BANDWIDTH)


def measure(program: run.Program, canary: Any, choose: Any, seconds: float) -> tuple[float, float]:
    """(seconds of the step, of the canary), taken in turn."""
    started = time.perf_counter()
    program()
    once = time.perf_counter() - started
    runs = 3 if once > 1 else 7
    plan = Plan(warmup=1, runs=runs, seconds=seconds / 2, limit_s=max(seconds, once * runs), most_runs=400)
    found = interleave([program, canary], plan)
    return choose(found[0].valid_s), choose(found[1].valid_s)


def cell(prepared: Prepared, step: Any, accelerator: Accelerator, canary: Any, values: Any, options: Any) -> dict[str, Any]:
    """One row: predictions and measurements of one step."""
    case, choose = prepared.case, CHOOSE[options.statistic]
    compiled = run.compile_step(step, jax.devices("cpu")[0], case.precision)
    text = compiled.text()
    module = parse(text)
    program = list_operations(Walk(module))
    temporaries = compiled.executable.memory_analysis().temp_size_in_bytes
    analytic = predict(program, accelerator, case.precision, case.dtype, temporaries)
    runner = run.start(compiled, prepared.model, values)
    first, before = measure(runner, canary, choose, options.seconds)
    replayed, rows = replay(text, module, program, analytic, accelerator, choose) if options.replay else (None, ())
    again, after = measure(runner, canary, choose, options.seconds)
    peak, measured_peak = compiled.predicted_peak_bytes(), None
    del runner
    if options.memory and peak is not None and peak >= LEAST_PEAK:
        measured_peak, _ = memory.fresh_peak(case, step.name, worker_process.COMMAND, worker_process.environment())
    return {
        "model": case.model,
        "dataset": case.dataset,
        "step": step.name,
        "users": case.users if step.phase == "infer" else None,
        "measured_s": first,
        "itself_s": again,
        "nominal_s": nominal_s(program),
        "calibrated_s": analytic.seconds,
        "replay_s": replayed.seconds if replayed else None,
        "bound": analytic.bound,
        "canary_s": [before, after],
        "not_replayed": [r.name for r in rows if r.replay_s is None],
        "wrong": [
            {"name": r.name, "family": r.family, "times": r.times, "analytic_s": r.analytic_s, "replay_s": r.replay_s}
            for r in sorted(rows, key=lambda r: -abs((r.replay_s or r.analytic_s) - r.analytic_s) * r.times)[:3]
        ],
        "predicted_peak_bytes": peak,
        "measured_peak_bytes": measured_peak,
    }


def error(row: dict[str, Any], method: str) -> float | None:
    """Absolute error of a method's time as a share of the measured one (the mean of both measurements)."""
    if row.get(f"{method}_s") is None:
        return None
    if method == "itself":
        return abs(row["itself_s"] / row["measured_s"] - 1)
    measured = (row["measured_s"] + row["itself_s"]) / 2
    return abs(row[f"{method}_s"] / measured - 1)


def validation(rows: list[dict[str, Any]], method: str, device: str) -> dict[str, Any]:
    """The ``validated_on`` entry of an accelerator profile: how far a method was from the clock."""
    errors = sorted(e for r in rows if (e := error(r, method)) is not None)
    ratios = sorted((r["measured_s"] + r["itself_s"]) / 2 / r[f"{method}_s"] for r in rows if r.get(f"{method}_s"))
    figures = quantiles(errors)
    cut = statistics.quantiles(ratios, n=20, method="inclusive")
    return {
        "devices": [device],
        "method": method,
        "n": figures["n"],
        "median_error": round(figures["median"], 3),
        "p90_error": round(figures["p90"], 3),
        "worst_error": round(figures["worst"], 3),
        "ratio_low": round(cut[0], 3),
        "ratio_high": round(cut[-1], 3),
        "source": "bench/results/accuracy.json, by bench/accuracy.py",
        "date": datetime.now(UTC).date().isoformat(),
    }


def keep(rows: list[dict[str, Any]], device: str) -> None:
    """Enter the figures in the shipped CPU profile."""
    file = RESULTS.parent.parent / "profiles" / "accelerators" / "cpu.json"
    document = json.loads(file.read_text()) | {"validated_on": [validation(rows, m, device) for m in ("calibrated", "replay")]}
    file.write_text(json.dumps(document, indent=2) + "\n")
    print("written: profiles/accelerators/cpu.json, validated_on")


def quantiles(errors: list[float]) -> dict[str, Any]:
    ordered = sorted(errors)
    if not ordered:
        return {"n": 0, "median": None, "p90": None, "worst": None}
    return {
        "n": len(ordered),
        "median": statistics.median(ordered),
        "p90": ordered[int(0.9 * (len(ordered) - 1) + 0.5)],
        "worst": ordered[-1],
    }


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Errors by method, over all data sets and over those that were not looked at; and of peak memory."""
    found: dict[str, Any] = {}
    for method in METHODS:
        pairs = [(r, e) for r in rows if (e := error(r, method)) is not None]
        found[method] = {
            "all": quantiles([e for _, e in pairs]),
            "held_out": quantiles([e for r, e in pairs if r["dataset"] not in SEEN]),
        }
    peaks = [abs(r["predicted_peak_bytes"] / r["measured_peak_bytes"] - 1) for r in rows if r["measured_peak_bytes"]]
    canaries = [c for r in rows for c in r["canary_s"]]
    spread = (max(canaries) - min(canaries)) / statistics.median(canaries) if canaries else None
    return found | {"peak_memory": quantiles(peaks), "canary_spread": spread}


def show(rows: list[dict[str, Any]], figures: dict[str, Any]) -> None:
    lines = []
    for row in rows:
        cells = [f"{e:.0%}" if (e := error(row, m)) is not None else "-" for m in METHODS]
        where = f"{row['model']} {row['dataset']} {row['step']}" + (f" x{row['users']}" if row["users"] else "")
        lines.append((where, f"{row['measured_s'] * 1e3:.3f}", *cells, row["bound"] or "-"))
    table(("step", "measured ms", *METHODS, "bound"), lines)
    print()
    lines = []
    for method in METHODS:
        every, held = figures[method]["all"], figures[method]["held_out"]
        cells = [f"{q[k]:.1%}" if q[k] is not None else "-" for q in (every, held) for k in ("median", "p90", "worst")]
        lines.append((WORDS[method], str(every["n"]), *cells))
    table(("absolute error of the step time", "n", "median", "90%", "worst", "held out: median", "90%", "worst"), lines)
    peak = figures["peak_memory"]
    if peak["n"]:
        print(f"\npeak memory, {peak['n']} steps of 200 MB and more: median {peak['median']:.1%}, worst {peak['worst']:.1%}")
    print(f"canary: slowest less fastest {figures['canary_spread']:.0%} of its median")


def one(case: Case, accelerator: Accelerator, options: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of a case and what failed, measured in this process."""
    function, arguments, _ = calibration_cases.canary().make()
    product = jax.jit(function).lower(*arguments).compile()

    def canary() -> None:
        jax.block_until_ready(product(*arguments))

    rows, failed = [], []
    prepared = prepare(case)
    values = inputs.weights(prepared.model)
    for step in prepared.steps:
        try:
            rows.append(cell(prepared, step, accelerator, canary, values, options))
            print(f"{case.slug()} {step.name}: {rows[-1]['measured_s'] * 1e3:.2f} ms", file=sys.stderr, flush=True)
        except (CrJaxError, MemoryError, jax.errors.JaxRuntimeError) as reason:
            failed.append({"case": case.slug(), "step": step.name, "reason": str(reason)[:300]})
            print(f"{case.slug()} {step.name}: {reason}", file=sys.stderr)
    return rows, failed


def apart(case: Case, block: Calibration, options: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """:func:`one` in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        request, answer = Path(folder) / "request.json", Path(folder) / "answer.json"
        request.write_text(json.dumps({"case": plain(case), "calibration": msgspec.to_builtins(block), "options": vars(options)}))
        done = subprocess.run([sys.executable, __file__, "--child", str(request), str(answer)], check=False)
        if done.returncode == 0:
            found = json.loads(answer.read_text())
            return found["rows"], found["failed"]
    return [], [{"case": case.slug(), "step": None, "reason": f"its process ended with code {done.returncode}"}]


def child(request: Path, answer: Path) -> None:
    told = json.loads(request.read_text())
    accelerator = dataclasses.replace(load.accelerator("cpu"), calibration=msgspec.convert(told["calibration"], Calibration))
    rows, failed = one(Case(**told["case"]), accelerator, argparse.Namespace(**told["options"]))
    answer.write_text(json.dumps({"rows": rows, "failed": failed}))


def main() -> int:
    if sys.argv[1:2] == ["--child"]:
        child(Path(sys.argv[2]), Path(sys.argv[3]))
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two models, one data set")
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--datasets", nargs="+", default=list(DATASETS))
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--statistic", choices=CHOOSE, default="median", help="fastest: on a machine that is busy")
    parser.add_argument("--profile", default="cpu", help="a calibrated profile; one that is not is measured first")
    parser.add_argument("--no-replay", dest="replay", action="store_false")
    parser.add_argument("--no-memory", dest="memory", action="store_false")
    parser.add_argument("--out", action="store_true", help="write bench/results/accuracy.json and .svg")
    parser.add_argument("--keep", action="store_true", help="enter the figures in the shipped CPU profile")
    parser.add_argument("--shard", help="I/N: every N-th case, from the I-th, to accuracy-I-of-N.json")
    parser.add_argument("--merge", nargs="+", metavar="FILE", help="the figures of the files of all shards; measures nothing")
    options = parser.parse_args()
    try:
        return answer(options)
    except CrJaxError as refused:
        print(f"accuracy.py: {refused}", file=sys.stderr)
        return 2


def answer(options: argparse.Namespace) -> int:
    """Measure the grid, or one shard of it, or join shards; the exit code is 1 where something failed."""
    if options.merge:
        return report(*accuracy_shards.merged(options.merge), options)
    models, datasets = (["dmn", "mmn"], [DATASETS[0]]) if options.quick else (options.models, options.datasets)
    given = load.accelerator(options.profile).calibration
    blocks: dict[str, Calibration] = {}

    def measured(case: Case) -> dict[str, Any]:
        """Rows of a case, what failed, and the calibration behind its predictions."""
        if case.dataset not in blocks:  # anew for each data set: a shared machine is another one half an hour later
            if given is None:
                print("calibrating", file=sys.stderr)
            blocks[case.dataset] = given or calibrate.calibrate(statistic=options.statistic)
        rows, failed = apart(case, blocks[case.dataset], options)
        kept = msgspec.to_builtins(blocks[case.dataset])
        return {"rows": rows, "failed": failed, "calibration": {k: kept[k] for k in ("created", "statistic", "fit", "canary")}}

    grid = cases(models, datasets)
    if options.shard is None:
        return report([measured(case) for case in grid], None, options)
    settings = {name: getattr(options, name) for name in ("seconds", "statistic", "profile", "replay", "memory")}
    print(f"written: {accuracy_shards.run_shard(options.shard, grid, settings, measured)}")
    return 0


def report(results: list[dict[str, Any]], about: dict[str, Any] | None, options: argparse.Namespace) -> int:
    """Show and keep the figures of all cases. about: the machine that measured them; ``None``: this one."""
    rows, failed = ([one for result in results for one in result[key]] for key in ("rows", "failed"))
    calibrations = [result["calibration"] for result in results]
    figures = summary(rows)
    show(rows, figures)
    finish(
        "accuracy",
        {
            "statistic": calibrations[0]["statistic"] if options.merge else options.statistic,
            "device": jax.devices("cpu")[0].device_kind,
            "summary": figures,
            "rows": rows,
            "failed": failed,
            "calibrations": [one for place, one in enumerate(calibrations) if one not in calibrations[:place]],
        },
        options.out,
        about,
    )
    if options.out and rows:
        (RESULTS / "accuracy.svg").write_text(scatter(rows, WORDS))
        print("written: bench/results/accuracy.svg")
    if options.keep and rows:
        measured_on = about or machine()
        keep(rows, f"{measured_on['cpu']}, {measured_on['cores']} cores")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
