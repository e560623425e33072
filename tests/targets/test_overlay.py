"""The folder of compiler wheels: what pip is asked, whole or not there, and the user's JAX untouched."""

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path

import pytest

from cr_jax.cli import targets
from cr_jax.errors import BadConfig, UnknownName
from cr_jax.targets import lock, overlay

ROOT = Path(__file__).resolve().parents[2]
_FIND = overlay._of_the_environment


@pytest.fixture(autouse=True)
def empty(monkeypatch, tmp_path):
    """A cache of its own, and an environment without compilers."""
    monkeypatch.setenv("CRJAX_CACHE", str(tmp_path))
    monkeypatch.setattr(overlay, "_of_the_environment", lambda kind: None)
    monkeypatch.setattr(overlay, "locked", lambda jaxlib, kind: {"libtpu": {"version": "9.9", "sha256": {"a.whl": "0" * 64}}})


def _pip(monkeypatch, code: str) -> None:
    """The installer becomes ``code``; ``to`` is the folder it is given."""
    head = "import sys; from pathlib import Path; to = Path(sys.argv[sys.argv.index('--target') + 1])\n"
    monkeypatch.setattr(overlay, "_installer", lambda: [sys.executable, "-c", head + code])


_WHEEL = (
    "d = to / 'libtpu-9.9.dist-info'; d.mkdir()\n"
    "(d / 'METADATA').write_text('Metadata-Version: 2.1\\nName: libtpu\\nVersion: 9.9\\n')\n"
)


def test_the_wheels_are_those_of_this_jaxlib(monkeypatch):
    jaxlib = metadata.version("jaxlib")
    assert f"jax-cuda12-plugin=={jaxlib}" in overlay.requirements("gpu", unpinned=True)
    (libtpu,) = overlay.requirements("tpu", unpinned=True)
    assert any(line.startswith(libtpu) for line in metadata.requires("jax") or [])
    assert libtpu.startswith("libtpu==")
    if jaxlib not in lock.versions():
        pytest.skip(f"jaxlib {jaxlib} is not locked")
    monkeypatch.setattr(overlay, "locked", lock.locked)
    assert {f"jax-cuda12-plugin=={jaxlib}", f"jax-cuda12-pjrt=={jaxlib}"} < set(overlay.requirements("gpu"))
    (pinned,) = overlay.requirements("tpu")
    assert fnmatch(pinned, libtpu)
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


@pytest.mark.parametrize(
    "code",
    [
        "print('ERROR: no such wheel', file=sys.stderr); sys.exit(1)",
        _WHEEL + "print('ERROR: no such wheel', file=sys.stderr); sys.exit(1)",
    ],
)
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
        return subprocess.run(
            [sys.executable, "-m", "cr_jax.cli.main", "targets", *arguments],
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            timeout=120,
        )

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


@pytest.fixture
def index(monkeypatch, tmp_path):
    """A package index on the disk with one small wheel; its SHA-256."""
    place = tmp_path / "index" / "libtpu-9.9-py3-none-any.whl"
    place.parent.mkdir()
    files = {
        "libtpu.py": "",
        "libtpu-9.9.dist-info/METADATA": "Metadata-Version: 2.1\nName: libtpu\nVersion: 9.9\n",
        "libtpu-9.9.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(place, "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
        wheel.writestr("libtpu-9.9.dist-info/RECORD", "".join(f"{n},,\n" for n in [*files, "libtpu-9.9.dist-info/RECORD"]))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(place.parent))
    return place.name, hashlib.sha256(place.read_bytes()).hexdigest()


def test_a_wheel_of_another_hash_is_not_installed(monkeypatch, index):
    name, digest = index
    for given, refused in (("0" * 64, True), (digest, False)):
        entry = {"libtpu": {"version": "9.9", "sha256": {"another.whl": "1" * 64, name: given}}}
        monkeypatch.setattr(overlay, "locked", lambda jaxlib, kind, entry=entry: entry)
        if refused:
            with pytest.raises(BadConfig, match="HASHES") as caught:
                overlay.install("tpu")
            assert "\n" not in str(caught.value) and overlay.find("tpu") is None
            assert list(overlay.folder("tpu").parent.iterdir()) == []
        else:
            found = overlay.install("tpu")
            assert found.versions == {"libtpu": "9.9"} and found.pinned is True


def test_unpinned_is_asked_for_and_shown(monkeypatch, index, capsys):
    monkeypatch.setattr(overlay, "locked", lock.locked)
    monkeypatch.setattr(overlay, "jaxlib_version", lambda: "99.0")
    with pytest.raises(BadConfig, match=r"jaxlib 99.0: its tpu compiler is not locked; legal: jaxlib 0\.10.*--unpinned, which"):
        targets.install(["tpu"])
    monkeypatch.setattr(overlay, "requirements", lambda kind, unpinned=False: ("libtpu",))
    targets.install(["tpu"], unpinned=True)
    said = capsys.readouterr()
    assert "hashes unchecked" in said.err and "tpu: libtpu 9.9" in said.out and "hashes unchecked" in said.out


def test_the_lock_is_whole():
    for jaxlib in lock.versions():
        for kind in overlay.KINDS:
            wheels = lock._read()[jaxlib][kind]
            assert wheels.keys() >= ({"libtpu"} if kind == "tpu" else {"jax-cuda12-plugin", "jax-cuda12-pjrt"})
            for name, entry in wheels.items():
                assert entry["version"] == jaxlib or not name.startswith("jax-")
                for file, digest in entry["sha256"].items():
                    assert file.endswith(".whl") and len(digest) == 64 and int(digest, 16) >= 0
                    assert file.startswith(f"{name.replace('-', '_')}-{entry['version']}-")
            assert lock.requirements_text(wheels).count("--hash=sha256:") == sum(len(e["sha256"]) for e in wheels.values())
    assert {"0.10.2", "0.12.0.1"} <= set(lock.versions())


def test_a_machine_without_a_locked_wheel_is_told(monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(BadConfig, match=r"is not locked for cp3\d+ on riscv64; legal: another Python or machine, or --unpinned"):
        lock.locked("0.10.2", "tpu")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(lock, "_python", lambda: "cp399")
    with pytest.raises(BadConfig, match="cp399"):
        lock.locked("0.10.2", "gpu")
    monkeypatch.setattr(lock, "_python", lambda: "cp312")
    assert lock.locked("0.12.0.1", "gpu") and lock.locked("0.10.2", "tpu")


@pytest.mark.parametrize("call", [overlay.find, overlay.install, overlay.remove])
@pytest.mark.parametrize("root", ["long", "loop"])
def test_a_cache_that_cannot_be_looked_at_is_one_line(monkeypatch, tmp_path, call, root):
    (tmp_path / "loop").symlink_to("loop")
    places = {"long": tmp_path / ("c" * 5000), "loop": tmp_path / "loop"}
    monkeypatch.setattr(overlay, "cache_root", lambda: places[root])
    try:
        assert not call("tpu")
    except BadConfig as error:
        assert "\n" not in str(error)
