"""The compilers of hardware that is not attached: a folder of wheels that only a worker sees.

The wheels are JAX's own plugins for the jaxlib in use, restricted to files with locked hashes. They stay out of the user's
environment, where JAX would search for a device at every start and complain that there is none. An environment that already has
them is used as it is.
"""

import contextlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from cr_jax.errors import BadConfig, UnknownName
from cr_jax.json_text import read_json
from cr_jax.resources import cache_root, write_atomically
from cr_jax.targets.lock import locked, requirements_text

#: Kind of compiler -> the platform of the accelerator profiles that it serves.
KINDS = {"gpu": "cuda", "tpu": "tpu"}
_MARK = "installed.json"
_TIMEOUT_S = 3600


@dataclass(frozen=True)
class Compiler:
    """An installed compiler: ``folder`` to add to the worker's path, ``None`` for the environment's own.

    versions: of the wheels that affect compilation. pinned: whether their hashes were checked, ``None`` for the environment's
    own.
    """

    kind: str
    folder: Path | None
    versions: dict[str, str]
    bytes: int | None = None
    pinned: bool | None = None


def jaxlib_version() -> str:
    """The jaxlib in use. Raises ``BadConfig`` where there is none."""
    try:
        return metadata.version("jaxlib")
    except metadata.PackageNotFoundError:
        raise BadConfig("jaxlib is not installed in this environment; legal: pip install cr-jax") from None


def requirements(kind: str, unpinned: bool = False) -> tuple[str, ...]:
    """The packages to install, at the versions of the lock; with ``unpinned`` the ones that JAX itself asks for.

    Raises ``UnknownName``, and ``BadConfig`` for packages that are not locked and where this JAX names no libtpu.
    """
    _known(kind)
    if not unpinned:
        return tuple(f"{name}=={entry['version']}" for name, entry in locked(jaxlib_version(), kind).items())
    if kind == "gpu":
        jaxlib = jaxlib_version()
        return (
            f"jax-cuda12-plugin=={jaxlib}",
            f"jax-cuda12-pjrt=={jaxlib}",
            "nvidia-cuda-nvcc-cu12>=12.8",
            "nvidia-cuda-runtime-cu12>=12.8",
        )
    for line in metadata.requires("jax") or []:
        match = re.match(r"libtpu\s*\(?([^;)\s]*)\)?\s*;.*extra\s*==\s*[\"']tpu[\"']", line)
        if match:
            return (f"libtpu{match[1]}",)
    raise BadConfig(f"jax {metadata.version('jax')} names no libtpu in its extra 'tpu'; legal: a released jax")


def folder(kind: str) -> Path:
    """The folder of the wheels of ``kind`` for this jaxlib and this Python."""
    _known(kind)
    python = f"cp{sys.version_info.major}{sys.version_info.minor}"
    return cache_root() / "targets" / f"{jaxlib_version()}-{python}" / kind


def find(kind: str) -> Compiler | None:
    """The compiler of ``kind``: the environment's own, else the installed one, else ``None``."""
    _known(kind)
    return _of_the_environment(kind) or _installed(kind)


def command(kind: str) -> str:
    """The command that installs it."""
    return f"crjax targets install {kind}"


def install(kind: str, unpinned: bool = False) -> Compiler:
    """Install the wheels of ``kind``; return at once if they are installed. Raises ``BadConfig``.

    The installer takes only files of the locked hashes; ``unpinned``: any of the package index. They are installed beside their
    place and renamed into it: a broken download leaves nothing.
    """
    present = find(kind)
    if present is not None:
        return present
    if not sys.platform.startswith("linux"):
        raise BadConfig(f"the {kind} compiler has no wheels for {sys.platform}; legal: Linux (WSL2 on Windows)")
    place, wanted = folder(kind), requirements(kind, unpinned)
    try:
        if place.exists():  # without its mark: not to be trusted
            shutil.rmtree(place, ignore_errors=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{kind}-", dir=place.parent))
    except OSError as error:
        raise BadConfig(f"{place.parent}: {error.strerror or error}; CRJAX_CACHE names another folder") from None
    try:
        asked = list(wanted) if unpinned else _with_hashes(kind, temporary)
        done = subprocess.run(
            [*_installer(), "--no-deps", "--target", str(temporary), *asked], capture_output=True, text=True, timeout=_TIMEOUT_S
        )
        if done.returncode:
            raise BadConfig(f"{command(kind)}: {_last_line(done.stderr or done.stdout)}")
        versions = _versions(temporary)
        mark = {"kind": kind, "requirements": wanted, "versions": versions, "pinned": not unpinned}
        write_atomically(temporary / _MARK, json.dumps(mark))
        try:
            temporary.rename(place)
        except OSError:
            if _installed(kind) is None:  # unless another crjax was faster
                raise
    except subprocess.TimeoutExpired:
        raise BadConfig(f"{command(kind)}: not done after {_TIMEOUT_S} s") from None
    except OSError as error:
        raise BadConfig(f"{command(kind)}: {error.strerror or error}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    compiler = _installed(kind)
    if compiler is None:
        raise BadConfig(f"{command(kind)}: {place} is not whole after the installation")
    return compiler


def remove(kind: str) -> bool:
    """Delete the installed wheels; ``False`` if there were none. Raises ``BadConfig``."""
    place = folder(kind)
    try:
        if not place.exists():
            return False
        shutil.rmtree(place)
    except OSError as error:
        raise BadConfig(f"{place}: not removed: {error.strerror or error}") from None
    return True


def size(place: Path) -> int:
    """Bytes of all readable files below a folder."""
    total = 0
    for folder, _, names in os.walk(place):
        for name in names:
            with contextlib.suppress(OSError):
                status = os.lstat(os.path.join(folder, name))
                total += status.st_size if stat.S_ISREG(status.st_mode) else 0
    return total


def _known(kind: str) -> None:
    if kind not in KINDS:
        raise UnknownName("compiler", kind, KINDS)


def _with_hashes(kind: str, place: Path) -> list[str]:
    """Options that make an installer take the locked files alone."""
    file = place / "requirements.txt"
    file.write_text(requirements_text(locked(jaxlib_version(), kind)), encoding="utf-8")
    return ["--require-hashes", "--only-binary", ":all:", "-r", str(file)]


def _installer() -> list[str]:
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode == 0:
        return [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    uv = shutil.which("uv")
    if uv:
        return [uv, "pip", "install", "--quiet", "--python", sys.executable]
    raise BadConfig("neither pip nor uv is there to install wheels; legal: python -m ensurepip, then again")


def _of_the_environment(kind: str) -> Compiler | None:
    names = {
        n: _version(n)
        for n in (
            "libtpu",
            *(f"jax-cuda{v}-{part}" for v in (12, 13) for part in ("plugin", "pjrt")),
            "nvidia-cuda-nvcc-cu12",
            "nvidia-cuda-nvcc",
        )
    }
    have = {n: v for n, v in names.items() if v is not None}
    if kind == "tpu":
        return Compiler(kind, None, {"libtpu": have["libtpu"]}) if "libtpu" in have else None
    jaxlib = jaxlib_version()
    for major in (12, 13):
        plugin = (f"jax-cuda{major}-plugin", f"jax-cuda{major}-pjrt")
        if all(have.get(n) == jaxlib for n in plugin) and (_toolkit() or any("nvcc" in n for n in have)):
            return Compiler(kind, None, {n: v for n, v in have.items() if n in plugin or "nvcc" in n})
    return None


def _toolkit() -> bool:
    return shutil.which("ptxas") is not None or bool(os.environ.get("CUDA_HOME"))


def _installed(kind: str) -> Compiler | None:
    place = folder(kind)
    try:
        mark = read_json(place / _MARK)
        return Compiler(
            kind,
            place,
            {str(name): str(version) for name, version in mark["versions"].items()},
            pinned=mark.get("pinned") is True,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _versions(place: Path) -> dict[str, str]:
    by_name = {d.name.lower().replace("_", "-"): d.version for d in metadata.distributions(path=[str(place)])}
    return dict(sorted(by_name.items()))


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["the installer failed and said nothing"])[-1]
