"""Every model trains on a small corpus, to a valid report, the same whether interrupted or not."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from train.corpora import SMALL, conversations, redial_file

from cr_jax.errors import BadConfig, BadInput
from cr_jax.report.document import validate_file
from cr_jax.train.loop import NotFinite
from cr_jax.train.run import train

pytest.importorskip("grain", reason="needs the extra cr-jax[train]")
pytest.importorskip("orbax.checkpoint", reason="needs the extra cr-jax[train]")
pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


def losses(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("name", SMALL)
def test_trains_and_reports(name, tmp_path):
    found = train(name, conversations(tmp_path), tmp_path / "out", settings=SMALL[name], epochs=1, batch=16)
    assert validate_file(tmp_path / "out" / "report.json") == "training-report"
    report = found.report
    assert [row["epoch"] for row in report["epochs"]] == [1] * len(report["stages"])
    planned = sum(stage["steps_planned"] for stage in report["stages"])
    assert len(losses(tmp_path / "out")) == report["cost"]["measured"]["steps"] == planned
    assert 0 < report["test"]["ranking"]["mrr"] <= 1
    assert set(report["baselines"]) == {"popularity", "random"}
    assert report["baselines"]["popularity"]["difference"]["mrr"]["mean"] == pytest.approx(
        report["test"]["ranking"]["mrr"] - report["baselines"]["popularity"]["figures"]["mrr"])  # fmt: skip
    by_turn = report["test"]["ranking"]["success@10_by_turn"]
    assert by_turn == sorted(by_turn)


def test_learns_and_repeats(tmp_path):
    path, settings = conversations(tmp_path), SMALL["dmn"] | {"learning_rate": "0.02"}
    first = train("dmn", path, tmp_path / "a", settings=settings, steps=90, batch=8)
    train("dmn", path, tmp_path / "b", settings=settings, steps=90, batch=8)
    train("dmn", path, tmp_path / "c", settings=settings, steps=30, batch=8, seed=1)
    a, b, c = (losses(tmp_path / name) for name in "abc")
    assert a == b
    assert a[0]["loss"] != c[0]["loss"]
    epochs = first.report["epochs"]
    assert epochs[-1]["loss"]["answer"] < epochs[0]["loss"]["answer"] - 0.3
    per_epoch = first.report["stages"][0]["steps_per_epoch"]
    assert epochs[0]["loss"]["answer"] == pytest.approx(np.mean([row["loss"]["answer"] for row in a[:per_epoch]]))


def test_aim_alternates_and_both_learn(tmp_path):
    train("aim", conversations(tmp_path), tmp_path / "out", settings=SMALL["aim"], steps=4, batch=8)
    assert [set(row["loss"]) for row in losses(tmp_path / "out")] == [{"discriminator", "generator"}] * 4


def test_dialogues_sentiment_and_ratings(tmp_path):
    settings = SMALL["srnn-ae"] | {"dropout": "0"}
    found = train("srnn-ae", redial_file(tmp_path), tmp_path / "out", settings=settings, epochs=2, batch=8)
    assert [stage["name"] for stage in found.report["stages"]] == ["sentiment", "autorec"]
    test = found.report["test"]
    assert set(test) == {"sentiment", "ratings"}
    assert 0 <= test["sentiment"]["initiator_liked.accuracy"] <= 1
    assert test["ratings"]["rmse"] > 0 and test["ratings"]["ratings"] > 0


def test_early_stopping(tmp_path):
    # Learning at a rate of 1e-12 improves nothing: the first epoch stays the best.
    settings = SMALL["dmn"] | {"learning_rate": "1e-12", "l2": "0"}
    found = train("dmn", conversations(tmp_path), tmp_path / "out", settings=settings, epochs=9, patience=2, batch=16)
    stage = found.report["stages"][0]
    assert stage["stopped_early"] and stage["best"]["epoch"] == 1 and len(found.report["epochs"]) == 3


def test_not_finite_stops_and_keeps_the_checkpoint(tmp_path):
    path, settings = conversations(tmp_path), SMALL["dmn"] | {"learning_rate": "1e30"}
    with pytest.raises(NotFinite, match=r"step \d+: .* stopped, the checkpoint of step 0 is kept"):
        train("dmn", path, tmp_path / "out", settings=settings, steps=50, batch=8)
    assert not (tmp_path / "out" / "report.json").exists()


def test_refusals(tmp_path):
    path, out = conversations(tmp_path), tmp_path / "out"
    train("dmn", path, out, settings=SMALL["dmn"], steps=2)
    with pytest.raises(BadInput, match="earlier run"):
        train("dmn", path, out, settings=SMALL["dmn"], steps=2)
    wider = SMALL["dmn"] | {"hidden": "5"}
    with pytest.raises(BadInput, match=r"config\.hidden is 4, here 5"):
        train("dmn", path, out, settings=wider, steps=2, resume=True)
    with pytest.raises(BadInput, match='model is "dmn", here "mmn"'):
        train("mmn", path, out, settings=SMALL["mmn"], steps=2, resume=True)
    path.write_text(path.read_text() + "someone@item01,size|large|1\n")
    with pytest.raises(BadInput, match=r"dataset\.sha256"):
        train("dmn", path, out, settings=SMALL["dmn"], steps=2, resume=True)
    with pytest.raises(BadInput, match="no checkpoint"):
        train("dmn", path, tmp_path / "none", resume=True)
    with pytest.raises(BadConfig, match="one of the two"):
        train("dmn", path, tmp_path / "none", steps=1, epochs=1)
    with pytest.raises(BadConfig, match="reads turns of aspect and value"):
        train("dmn", redial_file(tmp_path), tmp_path / "none", steps=1)


def command(path: Path, out: Path, *more: str, model: str = "dmn", steps: int = 400) -> list[str]:
    sets = [part for key, value in SMALL[model].items() for part in ("--set", f"{key}={value}")]
    return [sys.executable, "-m", "cr_jax.cli.main", "train", "--model", model, "--dataset", str(path), "--out", str(out),
            "--steps", str(steps), "--batch", "8", "--checkpoint-steps", "20", *sets, *more]  # fmt: skip


def environment(**more: str) -> dict[str, str]:
    return os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)} | more


def kill_at(arguments: list[str], log: Path, steps: int) -> None:
    """Start, and SIGKILL once the log holds ``steps`` losses."""
    process = subprocess.Popen(arguments, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if log.exists() and log.read_text().count("\n") >= steps:
            process.kill()
            break
        time.sleep(0.005)
    assert process.wait() == -9, process.stderr.read().decode()


@pytest.mark.soak
@pytest.mark.parametrize("model", ["dmn", "aim", "srnn-ae"])
def test_killed_and_resumed_to_identical_losses(model, tmp_path):
    path, steps = conversations(tmp_path), 400 if model == "dmn" else 60
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    subprocess.run(command(path, whole, model=model, steps=steps), env=environment(), check=True, capture_output=True)
    kill_at(command(path, cut, model=model, steps=steps), cut / "log.jsonl", steps // 8)
    resume = command(path, cut, "--resume", model=model, steps=steps)
    kill_at(resume, cut / "log.jsonl", steps // 2)
    subprocess.run(resume, env=environment(), check=True, capture_output=True)
    assert losses(cut) == losses(whole)
    one, other = (json.loads((folder / "report.json").read_text()) for folder in (whole, cut))
    assert one["test"] == other["test"] and other["resumed_at_step"] > 0


@pytest.mark.soak
@pytest.mark.parametrize("more", [[], ["--shard-tables"]])
def test_eight_devices_like_one(tmp_path, more):
    path, eight = conversations(tmp_path), {"XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
    model, steps = "mmn", 30
    for name, extra in (("one", {}), ("eight", eight)):
        arguments = command(path, tmp_path / name, *more, model=model, steps=steps)
        subprocess.run(arguments, env=environment(**extra), check=True, capture_output=True)
    one, many = ([row["loss"]["joint"] for row in losses(tmp_path / name)] for name in ("one", "eight"))
    assert json.loads((tmp_path / "eight" / "report.json").read_text())["target"]["devices"] == 8
    assert many == pytest.approx(one, rel=1e-5)
