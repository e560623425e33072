"""The grid of predicted against measured times in shards: joined, they give the figures of one run."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from round_tables import calibration

from cr_jax.cli import main as cli

BENCH = Path(__file__).resolve().parents[2] / "bench"
GRID = ("--models", "dmn", "aim", "--datasets", "cell-phones", "kindle-store", "--profile", "known")


def rows_of(case, block, options):
    """Made-up rows of a case, which differ from case to case."""
    seconds = 1e-3 * (len(case.model) + 3 * case.users + len(case.dataset))
    row = {"model": case.model, "dataset": case.dataset, "step": case.phase, "users": case.users, "bound": "memory"}
    times = {"measured_s": seconds, "itself_s": 1.1 * seconds, "nominal_s": 2 * seconds, "calibrated_s": 0.9 * seconds}
    peaks = {"predicted_peak_bytes": 10, "measured_peak_bytes": 9, "canary_s": [1.0, 1.2]}
    failed = [{"case": case.slug(), "step": "train", "reason": "none"}] if case.phase == "train" else []
    return [row | times | peaks | {"replay_s": None}], failed


@pytest.fixture
def accuracy(monkeypatch, tmp_path):
    """``accuracy("--shard", "1/2")`` -> exit code; in a folder of its own, with nothing measured."""
    monkeypatch.syspath_prepend(str(BENCH))
    import accuracy as script
    import machine

    profile = SimpleNamespace(calibration=calibration())
    monkeypatch.setattr(script.load, "accelerator", lambda name: profile)
    monkeypatch.setattr(script, "apart", rows_of)
    for module in (script, machine):
        monkeypatch.setattr(module, "RESULTS", tmp_path / "results")
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["accuracy.py", *arguments])
        return script.main()

    return run


def test_shards_give_the_figures_of_one_run(accuracy, tmp_path, capsys, monkeypatch):
    assert accuracy(*GRID, "--out") == 1, "training fails in these rows"
    one = json.loads((tmp_path / "results" / "accuracy.json").read_text())["figures"]
    assert len(one["rows"]) == 12 and len(one["failed"]) == 4
    assert [accuracy(*GRID, "--shard", f"{number}/3") for number in (1, 2, 3)] == [0, 0, 0]
    files = [f"accuracy-{number}-of-3.json" for number in (3, 1, 2)]
    assert accuracy("--merge", *files, "--out") == 1
    assert json.loads((tmp_path / "results" / "accuracy.json").read_text())["figures"] == one
    capsys.readouterr()
    assert accuracy("--merge", *files[:2]) == 2
    assert "cells in no file" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["crjax", "merge", *files])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 2 and "legal: python bench/accuracy.py --merge FILES" in capsys.readouterr().err
