"""The folder of compiler wheels: what pip is asked, whole or not there, and the user's JAX untouched."""

import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from cr_jax.errors import BadConfig, UnknownName
from cr_jax.targets import overlay

ROOT = Path(__file__).resolve().parents[2]
_FIND = overlay._of_the_environment


@pytest.fixture(autouse=True)
def empty(monkeypatch, tmp_path):
    """A cache of its own, and an environment without compilers."""
    monkeypatch.setenv("CRJAX_CACHE", str(tmp_path))
    monkeypatch.setattr(overlay, "_of_the_environment", lambda kind: None)


def _pip(monkeypatch, code: str) -> None:
    """The installer becomes ``code``; ``to`` is the folder it is given."""
    head = "import sys; from pathlib import Path; to = Path(sys.argv[sys.argv.index('--target') + 1])\n"
    monkeypatch.setattr(overlay, "_installer", lambda: [sys.executable, "-c", head + code])


_WHEEL = (
    "d = to / 'libtpu-9.9.dist-info'; d.mkdir()\n"
    "(d / 'METADATA').write_text('Metadata-Version: 2.1\\nName: libtpu\\nVersion: 9.9\\n')\n"
)


def test_the_wheels_are_pinned_to_this_jaxlib():
    jaxlib = metadata.version("jaxlib")
    assert f"jax-cuda12-plugin=={jaxlib}" in overlay.requirements("gpu")
    (libtpu,) = overlay.requirements("tpu")
    assert any(line.startswith(libtpu) for line in metadata.requires("jax") or [])
    assert libtpu.startswith("libtpu==")
    with pytest.raises(UnknownName, match="gpu"):
        overlay.requirements("gpus")


def test_installed_whole_once(monkeypatch):
    assert overlay.find("tpu") is None
    _pip(monkeypatch, _WHEEL)
    found = overlay.install("tpu")
    assert found.folder == overlay.folder("tpu")
    assert found.versions == {"libtpu": "9.9"}
    assert metadata.version("jaxlib") in str(found.folder)
    _pip(monkeypatch, "sys.exit(9)")
    assert overlay.install("tpu") == found  # there already
    assert [p.name for p in found.folder.parent.iterdir()] == ["tpu"]
    assert overlay.remove("tpu") and overlay.find("tpu") is None and not overlay.remove("tpu")


@pytest.mark.parametrize("code", ["print('ERROR: no such wheel', file=sys.stderr); sys.exit(1)",
                                  _WHEEL + "print('ERROR: no such wheel', file=sys.stderr); sys.exit(1)"])  # fmt: skip
def test_a_broken_installation_leaves_nothing(monkeypatch, code):
    _pip(monkeypatch, code)
    with pytest.raises(BadConfig, match="ERROR: no such wheel") as caught:
        overlay.install("tpu")
    assert "\n" not in str(caught.value)
    assert overlay.find("tpu") is None
    assert list(overlay.folder("tpu").parent.iterdir()) == []


def test_a_folder_without_its_mark_is_replaced(monkeypatch):
    place = overlay.folder("tpu")
    place.mkdir(parents=True)
    (place / "half").write_text("")
    assert overlay.find("tpu") is None
    _pip(monkeypatch, _WHEEL)
    assert overlay.install("tpu").versions == {"libtpu": "9.9"}
    assert not (place / "half").exists()
    (place / "installed.json").write_text("{")
    assert overlay.find("tpu") is None


def test_an_environment_that_has_the_wheels_is_used(monkeypatch):
    monkeypatch.setattr(overlay, "_of_the_environment", _FIND)
    jaxlib = metadata.version("jaxlib")
    have = {"libtpu": "9.9", "jax-cuda12-plugin": jaxlib, "jax-cuda12-pjrt": jaxlib, "nvidia-cuda-nvcc-cu12": "12.9.86"}
    monkeypatch.setattr(overlay, "_version", have.get)
    assert overlay.find("tpu") == overlay.Compiler("tpu", None, {"libtpu": "9.9"})
    gpu = overlay.find("gpu")
    assert gpu is not None and gpu.folder is None and gpu.versions["nvidia-cuda-nvcc-cu12"] == "12.9.86"
    have["jax-cuda12-pjrt"] = "0.0.1"  # of another jaxlib
    assert overlay.find("gpu") is None


def test_the_users_own_jax_stays_clean(monkeypatch):
    """With both compilers installed, ``import jax; jax.devices()`` prints nothing and sees no plugin."""
    monkeypatch.undo()
    for kind in overlay.KINDS:
        if overlay.find(kind) is None:
            pytest.skip(f"needs the {kind} compiler: {overlay.command(kind)}")
        if _FIND(kind) is not None:
            pytest.skip(f"this environment has the {kind} wheels itself")
    code = (
        "import jax, sys; from importlib import metadata, util\n"
        "print([d.platform for d in jax.devices()], sorted(m for m in sys.modules if m.startswith(('jax_plugins', 'libtpu'))),"
        " util.find_spec('libtpu'), list(metadata.entry_points(group='jax_plugins')))"
    )
    quiet = {k: v for k, v in os.environ.items() if not k.startswith(("JAX_", "TPU_", "TF_", "PYTHON"))}
    done = subprocess.run([sys.executable, "-c", code], env=quiet, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("['cpu'] [] None []\n", "")


def test_status_and_install_on_the_command_line(tmp_path):
    def crjax(*arguments):
        return subprocess.run([sys.executable, "-m", "cr_jax.cli.main", "targets", *arguments], capture_output=True, text=True,
                              env=os.environ | {"PYTHONPATH": str(ROOT)}, timeout=120)  # fmt: skip

    if _FIND("gpu") or _FIND("tpu"):
        pytest.skip("this environment has compiler wheels itself")
    done = crjax("status")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [f"{k}: not installed; crjax targets install {k}" for k in ("gpu", "tpu")]
    place = overlay.folder("tpu")
    place.mkdir(parents=True)
    (place / "installed.json").write_text(json.dumps({"versions": {"libtpu": "9.9"}}))
    assert f"tpu: libtpu 9.9; {place}" in crjax("status").stdout
    done = crjax("install", "npu")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
