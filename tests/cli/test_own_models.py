"""``--model module:SPEC`` of a file in the current folder, which is installed nowhere."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from one_file_model import MODEL

from cr_jax.targets import overlay

ROOT = Path(__file__).resolve().parents[2]
#: Modules of the standard library and of this package's dependencies.
SHADOWS = ("json", "optax", "typer", "platform")


@pytest.fixture
def folder(tmp_path):
    """The user's folder: their model, and files named like modules that the command itself imports."""
    (tmp_path / "bag.py").write_text(MODEL)
    for name in SHADOWS:
        (tmp_path / f"{name}.py").write_text("raise SystemError('the user\\'s file shadows a module of the command')\n")
    return tmp_path


def run(folder, *arguments):
    """The installed command, started in ``folder``: a script's own folder is first on the path, not the current one."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-P", "-m", "cr_jax.cli.main", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_model_is_found_here_and_by_the_measuring_process(folder):
    options = ("--users", "2", "--turns", "1", "--runs", "3", "--seconds", "0", "--warmup", "1")
    done = run(folder, "bench", "--model", "bag:SPEC", "--phase", "infer", "--mode", "replay", *options, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["model"]["name"] == "bag" and report["steps"]
    # Its memory is measured in a process of its own, which imports the model again.
    assert all(step["memory"]["peak_bytes"] for step in report["steps"])


@pytest.mark.slow
@pytest.mark.parametrize("device", ["h100", "tpu-v5e"])
def test_the_model_is_found_by_the_compiling_process(folder, device):
    kind = "gpu" if device == "h100" else "tpu"
    if overlay.find(kind) is None:
        pytest.skip(f"needs the {kind} compiler: {overlay.command(kind)}")
    options = ("--device", device, "--phase", "train", "--batch", "5", "--require-compiled", "--json")
    done = run(folder, "profile", "--model", "bag:SPEC", *options)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["target"]["compiled_for"] == device


def test_the_users_own_traceback_is_shown_on_request(folder):
    (folder / "broken.py").write_text("def build():\n    raise ValueError('no such width')\n\n\nbuild()\n")
    done = run(folder, "profile", "--model", "broken:SPEC")
    line = "crjax: model 'broken:SPEC': broken.py, line 2: ValueError: no such width; --debug shows the traceback\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", line)
    for arguments in (("profile", "--model", "broken:SPEC", "--debug"), ("--debug", "profile", "--model", "broken:SPEC")):
        done = run(folder, *arguments)
        assert done.returncode == 2
        assert done.stderr.startswith("Traceback (most recent call last):\n")
        assert done.stderr.endswith(f"ValueError: no such width\n{line}")
        assert 'broken.py", line 5, in <module>' in done.stderr and "cr_jax" not in done.stderr


def test_debug_after_a_double_dash_is_an_argument(crjax, monkeypatch):
    monkeypatch.setenv("CRJAX_DEBUG", "0")
    code, _, err = crjax("validate", "--", "--debug")
    assert code == 2 and "--debug: No such file" in err and os.environ["CRJAX_DEBUG"] == "0"
