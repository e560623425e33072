"""The documents part: reports and profiles that are mutated, given to the commands that read them."""

import json
import os
import random
import tempfile
import threading
from pathlib import Path

from soak.bytes_changed import byte_mutation, json_mutation, strict_json
from soak.outcomes import Outcome, Tally, guarded, run_command
from soak.workers import Worker, in_parallel

ROOT = Path(__file__).resolve().parents[2]
Task = tuple[str, bytes, str]  # kind of document, mutated bytes, folder with the whole ones


def prepare(folder: Path) -> dict[str, bytes]:
    """One whole document of every kind that can be made in a moment, by kind."""
    from reports import sample

    from cr_jax.report.document import to_json

    folder.mkdir(parents=True, exist_ok=True)
    text = ROOT / "tests/corpus/hlo/whole/dot.traced.txt"
    (folder / "cost-report.json").write_text(to_json(sample()))
    report = str(folder / "cost-report.json")
    made = {
        "difference": ["diff", report, report, "--json"],
        "comparison": ["compare", report, report, "--json"],
        "gate-result": ["check", "--baseline", report, report, "--json"],
        "hlo-count": ["hlo", str(text), "--json"],
        "run-estimate": ["estimate", "--model", "dmn", "--set", "hidden=4", "--set", "embedding=6", "--json"],
        "paper-table": ["paper", "--json"],
    }
    found = {"cost-report": (folder / "cost-report.json").read_bytes()}
    for kind, arguments in made.items():
        outcome = run_command(arguments)
        if outcome.kind == "ok":
            found[kind] = outcome.output.encode()
    found["dataset-profile"] = (ROOT / "profiles/datasets/cell-phones.json").read_bytes()
    found["accelerator-profile"] = (ROOT / "profiles/accelerators/h100.json").read_bytes()
    return {kind: data for kind, data in found.items() if json.loads(data)}


def read_document(task: Task) -> Outcome:
    """Every command that reads this kind of document, on the mutated one."""
    kind, data, whole = task
    with tempfile.TemporaryDirectory() as folder:
        path, before = Path(folder) / "cell-phones.json", f"{whole}/cost-report.json"
        if kind == "accelerator-profile":
            path = Path(folder) / "accelerators" / "h100.json"
            path.parent.mkdir()
        path.write_bytes(data)
        file = str(path)
        commands = {
            "cost-report": [
                ["validate", file],
                ["diff", before, file],
                ["diff", file, before, "--json"],
                ["compare", file, before],
                ["compare", file, "--format", "csv"],
                ["check", "--baseline", before, file],
            ],
            "dataset-profile": [["validate", file], ["data", "stats", "--dataset", file]],
            "accelerator-profile": [["validate", file], ["list", "accelerators"]],
        }
        os.environ["CRJAX_PROFILES"] = folder
        taken = "refused"
        for arguments in commands.get(kind, [["validate", file]]):
            outcome = run_command(arguments)
            cause = f"{arguments[0]}: {outcome.cause}".replace(folder, "")
            if outcome.kind not in ("ok", "refused"):
                return Outcome(outcome.kind, cause)
            if outcome.kind == "ok" and arguments[0] == "validate":
                taken = "ok"
                if not strict_json(data):
                    return Outcome("wrong", f"validate takes what is no strict JSON, as {kind}")
            if outcome.kind == "ok" and "--json" in arguments and not strict_json(outcome.output.encode("utf-8", "replace")):
                return Outcome("wrong", f"{arguments[0]} writes what is no strict JSON")
        return Outcome(taken)


def run(count: int, seed: int, threads: int) -> Tally:
    tally, local, workers = Tally("documents"), threading.local(), []
    with tempfile.TemporaryDirectory() as folder:
        whole = prepare(Path(folder))
        kinds = sorted(whole) + ["cost-report"] * 3

        def work(number: int) -> tuple[Outcome, bytes]:
            if not hasattr(local, "worker"):
                local.worker = Worker(read_document)
                workers.append(local.worker)
            draw = random.Random(f"document {seed} {number}")
            kind = draw.choice(kinds)
            data = whole[kind]
            for _ in range(draw.choice((1, 1, 1, 2, 3))):
                try:
                    data = (json_mutation if draw.random() < 0.75 else byte_mutation)(data, draw)
                except (ValueError, RecursionError):  # no JSON any more
                    data = byte_mutation(data, draw)
            return guarded(lambda: local.worker.ask((kind, data, folder))), data

        for outcome, data in in_parallel(work, range(count), threads):
            tally.add(outcome, data)
        for worker in workers:
            worker.stop()
    return tally
