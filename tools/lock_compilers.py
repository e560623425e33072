"""Write ``locks/compilers.json`` anew: the wheels that ``crjax targets install`` may install, with their hashes.

``python tools/lock_compilers.py [JAXLIB ...]``; without versions those that are locked now. pip resolves each
jaxlib's wheels for every Python and machine and tells their SHA-256; nothing is installed. Needs pip 24 or later.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

FILE = Path(__file__).resolve().parents[1] / "locks" / "compilers.json"
PYTHONS = ("3.11", "3.12", "3.13")
#: By kind, the machines that its wheels are made for.
MACHINES = {"gpu": ("x86_64", "aarch64"), "tpu": ("x86_64",)}
#: glibc of the manylinux tags that are taken, as pip's own platform of Linux machines would be.
_GLIBC = (17, 24, 27, 28, 31)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("versions", nargs="*", metavar="JAXLIB", help="such as 0.10.2")
    known = json.loads(FILE.read_text(encoding="utf-8"))["jaxlib"] if FILE.is_file() else {}
    versions = parser.parse_args().versions or list(known)
    if not versions:
        parser.error("no lock is there yet: name the versions of jaxlib")
    found = {version: {kind: locked(version, kind) for kind in MACHINES} for version in sorted(versions, key=_order)}
    document = {"note": "written by tools/lock_compilers.py; file name: SHA-256", "jaxlib": found}
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def locked(jaxlib: str, kind: str) -> dict[str, Any]:
    """By package: ``version`` and ``sha256`` of the wheels for every Python and machine."""
    wheels: dict[str, Any] = {}
    for python in PYTHONS:
        for machine in MACHINES[kind]:
            for name, version, file, digest in resolved(jaxlib, kind, python, machine):
                entry = wheels.setdefault(name, {"version": version, "sha256": {}})
                if entry["version"] != version:  # one version for all, so that a lock has one meaning
                    sys.exit(f"{name} is {entry['version']} and {version} for jaxlib {jaxlib}: lock again")
                entry["sha256"][file] = digest
    if not wheels:
        sys.exit(f"jaxlib {jaxlib}: no {kind} wheels for Python {', '.join(PYTHONS)}")
    return {name: wheels[name] | {"sha256": dict(sorted(wheels[name]["sha256"].items()))} for name in sorted(wheels)}


def resolved(jaxlib: str, kind: str, python: str, machine: str) -> list[tuple[str, str, str, str]]:
    """(package, version, file, SHA-256) of each wheel, empty where there are none for this Python and machine."""
    if kind == "tpu":
        wanted = ["jax[tpu]", f"jaxlib=={jaxlib}"]
    else:
        wanted = [
            "--no-deps",
            f"jax-cuda12-plugin=={jaxlib}",
            f"jax-cuda12-pjrt=={jaxlib}",
            "nvidia-cuda-nvcc-cu12>=12.8",
            "nvidia-cuda-runtime-cu12>=12.8",
        ]
    tags = [part for glibc in _GLIBC for part in ("--platform", f"manylinux_2_{glibc}_{machine}")]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "pip",
                "install",
                "--quiet",
                "--dry-run",
                "--report",
                f"{folder}/report",
                "--ignore-installed",
                "--only-binary",
                ":all:",
                "--target",
                f"{folder}/target",
                "--implementation",
                "cp",
                "--python-version",
                python,
                *tags,
                "--platform",
                f"manylinux2014_{machine}",
                *wanted,
            ],
            capture_output=True,
            text=True,
        )
        if done.returncode:
            print(f"jaxlib {jaxlib}, {kind}, Python {python}, {machine}: none: {done.stderr.strip().splitlines()[-1]}")
            return []
        rows = json.loads(Path(folder, "report").read_text(encoding="utf-8"))["install"]
    found = []
    for row in rows:
        name = row["metadata"]["name"].lower().replace("_", "-")
        if name == "libtpu" or kind == "gpu":
            file = row["download_info"]["url"].rpartition("/")[2].partition("#")[0]
            found.append((name, row["metadata"]["version"], file, row["download_info"]["archive_info"]["hashes"]["sha256"]))
    return found


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


if __name__ == "__main__":
    main()
