"""Killed at any moment, a run goes on to the losses of one that was not."""

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from train.corpora import command, conversations, crjax, environment, losses

pytest.importorskip("grain", reason="needs the extra cr-jax[train]")
pytest.importorskip("orbax.checkpoint", reason="needs the extra cr-jax[train]")

DIES = str(Path(__file__).with_name("dies.py"))
STEPS = 40


def dies(out: Path, at: int | str | None, *arguments: str, cache: Path) -> list[str]:
    """Run to the ``at``-th call, or to the end; the calls that were made."""
    calls = Path(f"{out}.calls")
    calls.unlink(missing_ok=True)
    programs = {"JAX_COMPILATION_CACHE_DIR": str(cache), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    run = [sys.executable, DIES, str(out), "-" if at is None else str(at), *arguments]
    done = subprocess.run(run, env=environment(**programs), capture_output=True, text=True)
    assert done.returncode == (0 if at is None else -9), done.stderr
    return calls.read_text().splitlines()


@pytest.mark.slow
def test_killed_at_its_file_system_calls(tmp_path):
    path, whole, cut, cache = conversations(tmp_path), tmp_path / "whole", tmp_path / "cut", tmp_path / "cache"
    calls = dies(whole, None, *command(path, whole, steps=STEPS), cache=cache)
    saves = [n for n, call in enumerate(calls) if call.startswith("os.rename") and call.rsplit("/", 1)[-1].isdigit()]
    assert len(saves) > STEPS // 20
    draw = random.Random(7)
    # In the first checkpoint before any is whole; in the midst of a later one; when one is about to appear.
    kills = [draw.randrange(saves[0] - 4, saves[0]), draw.randrange(saves[1] + 1, saves[2]), "save 1"]
    for at in kills:
        again = ["--resume"] if (cut / "checkpoints").is_dir() else []
        dies(cut, at, *command(path, cut, *again, steps=STEPS), cache=cache)
    dies(cut, None, *command(path, cut, "--resume", steps=STEPS), cache=cache)
    assert losses(cut) == losses(whole)
    one, other = (json.loads((folder / "report.json").read_text()) for folder in (whole, cut))
    assert one["test"] == other["test"] and other["resumed_at_step"] > 0
    assert all(entry.name.isdigit() for entry in (cut / "checkpoints").iterdir())  # nothing half-written is left


def kill_at(arguments: list[str], log: Path, steps: int) -> None:
    """Start, and SIGKILL once the log holds ``steps`` losses."""
    errors = log.parent.with_suffix(".errors")
    with (
        open(errors, "wb") as file,
        subprocess.Popen(arguments, env=environment(), stdout=subprocess.DEVNULL, stderr=file) as process,
    ):
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and process.poll() is None:
            if log.exists() and log.read_text().count("\n") >= steps:
                break
            time.sleep(0.005)
        process.kill()
    assert process.returncode == -9, errors.read_text()
    assert log.read_text().count("\n") >= steps, "the run was too slow"


@pytest.mark.soak
@pytest.mark.parametrize("model", ["dmn", "aim", "srnn-ae"])
def test_killed_and_resumed_to_identical_losses(model, tmp_path):
    path, steps = conversations(tmp_path), 400 if model == "dmn" else 60
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    subprocess.run(crjax(*command(path, whole, model=model, steps=steps)), env=environment(), check=True, capture_output=True)
    kill_at(crjax(*command(path, cut, model=model, steps=steps)), cut / "log.jsonl", steps // 8)
    resume = crjax(*command(path, cut, "--resume", model=model, steps=steps))
    kill_at(resume, cut / "log.jsonl", steps // 2)
    subprocess.run(resume, env=environment(), check=True, capture_output=True)
    assert losses(cut) == losses(whole)
    one, other = (json.loads((folder / "report.json").read_text()) for folder in (whole, cut))
    assert one["test"] == other["test"] and other["resumed_at_step"] > 0
