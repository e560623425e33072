"""``crjax bench`` from the command line, on a tiny data set."""

import json
import re
import sys

import jax
import pytest
import tiny

from cr_jax.cli import main as cli
from cr_jax.measure import bench as benches
from cr_jax.measure import device, memory
from cr_jax.measure.case import Case
from cr_jax.measure.clock import Plan
from cr_jax.report.document import validate

SETTINGS = tiny.SMALL["dmn"] | {"hops": "1"}
SMALL = [part for key, value in SETTINGS.items() for part in ("--set", f"{key}={value}")]
QUICK = [
    "--model",
    "dmn",
    "--dataset",
    "tiny",
    "--preset",
    "matched",
    "--turns",
    "2",
    *SMALL,
    "--runs",
    "4",
    "--warmup",
    "1",
    "--seconds",
    "0",
    "--limit",
    "0",
]


@pytest.fixture(autouse=True)
def profiles(tmp_path, monkeypatch):
    tiny.dataset_file(tmp_path / "profiles")
    monkeypatch.setenv("CRJAX_PROFILES", str(tmp_path / "profiles"))


def crjax(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["crjax", "bench", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    out, err = capsys.readouterr()
    return end.value.code, out, err


def test_a_bench_writes_a_valid_report(monkeypatch, capsys, tmp_path):
    file = tmp_path / "b.json"
    code, out, _ = crjax(monkeypatch, capsys, *QUICK, "--no-memory", "--out", file)
    assert code == 0 and "infer/replay/t2" in out and "turns/s" in out
    found = json.loads(file.read_text())
    assert validate(found, "b") == "bench-report" and found["status"] == "measured"
    assert [s["name"] for s in found["steps"]] == ["infer/replay/t2", "infer/incremental/t1-2"]
    for step in found["steps"]:
        assert len(step["samples_s"]) == 4 and all(t > 0 for t in step["samples_s"])
        assert all(step["stages_s"][f"{k}_s"] > 0 for k in ("trace", "lower", "compile", "first_call"))
        assert step["rates"]["turns_per_s"] == pytest.approx(1 / step["time"]["median_s"])
        assert step["achieved"]["flops_per_s"] == pytest.approx(step["counted"]["flops"] / step["time"]["median_s"])
        assert step["memory"]["peak_bytes"] is None and step["energy"] is None
    assert str(tmp_path) not in json.dumps({k: v for k, v in found.items() if k != "command"})


@pytest.mark.slow
def test_training_and_a_saved_report_to_compare_with(monkeypatch, capsys, tmp_path):
    file = tmp_path / "b.json"
    train = [*QUICK, "--phase", "train", "--batch", "2", "--no-memory"]
    assert crjax(monkeypatch, capsys, *train, "--out", file)[0] == 0
    code, out, _ = crjax(monkeypatch, capsys, *train, "--against", file, "--json")
    found = json.loads(out)
    entry = found["comparisons"][0]
    assert code == 0 and validate(found, "b") and entry["program_equal"] and not entry["interleaved"]
    step = found["steps"][0]
    assert entry["ratio"] == pytest.approx(step["time"]["median_s"] / entry["against_median_s"])
    assert step["rates"]["examples_per_s"] == pytest.approx(2 / step["time"]["median_s"])


def test_two_cases_are_measured_in_turn(monkeypatch, capsys):
    code, out, _ = crjax(monkeypatch, capsys, *QUICK, "--no-memory", "--mode", "replay", "--against", "users=8", "--json")
    found = json.loads(out)
    entry = found["comparisons"][0]
    assert code == 0 and validate(found, "b") and entry["interleaved"] and entry["test"].startswith("permutation")
    assert len(entry["against_samples_s"]) == len(found["steps"][0]["samples_s"]) and "users=8" in entry["against"]


def test_a_trace_that_both_viewers_open(monkeypatch, capsys, tmp_path):
    code, _, err = crjax(monkeypatch, capsys, *QUICK, "--no-memory", "--mode", "replay", "--trace", tmp_path / "t")
    names = [path.name for path in (tmp_path / "t").rglob("*") if path.is_file()]
    assert code == 0 and "perfetto_trace.json.gz" in names and any(n.endswith(".xplane.pb") for n in names)
    assert "ui.perfetto.dev" in err and "xprof" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--device", "h100"], "none attached.*attached: cpu.*crjax profile --device h100"),
        (["--device", "nothing"], "unknown device"),
        (["--phase", "sleep"], "unknown phase.*train"),
        (["--turn", "9"], "turn=9: must be 0 to 2"),
        (["--phase", "precompute"], "no item side"),
        (["--objective", "x", "--phase", "train"], "unknown objective"),
        (["--against", "nowhere.json"], "no such file"),
        (["--against", "users=many"], "whole number"),
        (["--runs", "0"], "runs=0"),
        (["--users", "9" * 30], "users=9+: must be 100,000,000 or less"),
        (["--users", "100000000"], "its arguments take .*, this machine has .* of memory"),
        (["--set", "hidden=2147483648"], "hidden=2147483648: must be 100,000,000 or less"),
        (["--turns", "100000000"], "turns=100000000: must be 1,000 or less"),
        (["--against", "n" * 5000], "no such file"),
        (["--trace", __file__], "File exists; legal: a folder"),
        (["--trace", f"{__file__}/x"], "Not a directory; legal: a folder"),
        (["--trace", "t" * 5000], "name too long; legal: a folder"),
        (["sweep", "--models", "dmn", "--out", __file__], "no folder for the cells: File exists"),
        (["sweep", "--models", "dmn", "--out", f"{__file__}/x"], "no folder for the cells: Not a directory"),
        (["sweep", "--models", "dmn", "--out", "o" * 5000], "no folder for the cells: File name too long"),
        (["sweep", "--models", "dmn", "--out", "o", "--users", "²"], "--users '²': legal: whole numbers"),
        (["sweep", "--models", "dmn", "--out", "o", "--batches", "9" * 5000], "legal: whole numbers"),
        (["sweep", "--models", "dmn", "--out", "o", "--cell-seconds", "nan"], "--cell-seconds nan: must be above 0"),
    ],
)
def test_misuse_is_one_line_and_exit_code_2(monkeypatch, capsys, arguments, words):
    if arguments[0] == "--device":
        monkeypatch.setattr(device, "_first", lambda platform: jax.devices()[0] if platform == "cpu" else None)
    monkeypatch.setattr(benches.run, "compile_step", lambda *_: pytest.fail("begun"))
    code, out, err = crjax(monkeypatch, capsys, *(() if arguments[0] == "sweep" else QUICK), *arguments)
    assert code == 2 and out == "" and len(err.splitlines()) == 1 and re.search(words, err)


def tiny_case(**changes):
    return Case("dmn", "tiny", preset="matched", turns=2, settings=SETTINGS, **changes)


def test_out_of_memory_is_a_result_with_what_was_predicted(monkeypatch):
    def full(*_):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes")

    monkeypatch.setattr(benches.run, "start", full)
    found = benches.bench(tiny_case(), Plan(runs=2, seconds=0))
    validate(found, "failed")
    assert found.status == "failed" and found.error.kind == "out of memory" and found.steps == ()
    assert found.error.predicted_peak_bytes > 0 and found.error.step == "infer/replay/t2"


def test_a_step_that_would_not_fit_is_not_run(monkeypatch):
    monkeypatch.setattr(benches.run.Compiled, "predicted_peak_bytes", lambda self: 1 << 60)
    monkeypatch.setattr(benches.run, "start", lambda *_: pytest.fail("run"))
    found = benches.bench(tiny_case(), Plan(runs=2, seconds=0))
    validate(found, "failed")
    assert found.status == "failed" and found.error.kind == "out of memory"
    assert found.error.predicted_peak_bytes == 1 << 60 and "of memory" in found.error.reason


def test_ctrl_c_keeps_what_was_measured(monkeypatch, capsys, tmp_path):
    real, calls = benches.interleave, []

    def second_stops(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(benches, "interleave", second_stops)
    code, _, _ = crjax(monkeypatch, capsys, *QUICK, "--no-memory", "--out", tmp_path / "b.json")
    found = json.loads((tmp_path / "b.json").read_text())
    assert code == 130 and found["status"] == "interrupted" and len(found["steps"]) == 1


def test_peak_memory_beside_the_prediction(monkeypatch):
    monkeypatch.setattr(memory, "fresh_peak", lambda case, step, command, environment: (2000, ["said"]))
    found = benches.bench(tiny_case(mode="replay"), Plan(runs=2, seconds=0)).steps[0]
    assert found.memory.peak_bytes == 2000 and "said" in found.warnings
    assert found.memory.error_share == pytest.approx(found.memory.predicted_peak_bytes / 2000 - 1)


def test_help_imports_no_jax():
    import subprocess

    code = "import sys\nfrom cr_jax.cli.main import app\nassert 'jax' not in sys.modules and 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})
