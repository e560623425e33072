"""The wheels that ``crjax targets install`` may install: versions and hashes, pinned in ``locks/compilers.json``.

A wheel is code that a worker runs. With a lock only the locked files are taken, whatever a package index has meanwhile; a jaxlib
without a lock is refused.
"""

import json
import platform
import sys
from collections.abc import Mapping
from functools import cache
from typing import TypedDict

from cr_jax.errors import BadConfig
from cr_jax.resources import compiler_locks

#: Printed with every way around the lock.
RISK = "--unpinned, which takes and runs whatever wheels the package index has, their hashes unchecked"


class LockedPackage(TypedDict):
    """A package of a lock: its version, and its wheels' hashes by file name."""

    version: str
    sha256: dict[str, str]


def versions() -> tuple[str, ...]:
    """The versions of jaxlib that are locked."""
    return tuple(_read())


def locked(jaxlib: str, kind: str) -> Mapping[str, LockedPackage]:
    """By package: ``version`` and ``sha256`` by file name.

    Raises ``BadConfig`` for a jaxlib that is not locked, and where none of the files is for this Python and machine.
    """
    if jaxlib not in _read():
        raise BadConfig(f"jaxlib {jaxlib}: its {kind} compiler is not locked; legal: jaxlib {', '.join(versions())}, or {RISK}")
    packages = _read()[jaxlib][kind]
    for name, entry in packages.items():
        if not any(map(_for_here, entry["sha256"])):
            raise BadConfig(
                f"{name} {entry['version']} is not locked for {_python()} on {platform.machine()}; legal: another "
                f"Python or machine, or {RISK}"
            )
    return packages


def requirements_text(wheels: Mapping[str, LockedPackage]) -> str:
    """A requirements file for an installer that checks hashes."""
    lines = []
    for name, entry in wheels.items():
        hashes = [f"    --hash=sha256:{digest}" for digest in dict.fromkeys(entry["sha256"].values())]
        lines.append(" \\\n".join([f"{name}=={entry['version']}", *hashes]))
    return "\n".join(lines) + "\n"


def _for_here(file: str) -> bool:
    """Whether a wheel, by its name, fits this Python and machine."""
    python, _, platforms = file.removesuffix(".whl").split("-")[-3:]
    return python in (_python(), "py3", "py2.py3") and platforms.endswith((f"_{platform.machine()}", "any"))


def _python() -> str:
    return f"cp{sys.version_info.major}{sys.version_info.minor}"


@cache
def _read() -> dict[str, dict[str, dict[str, LockedPackage]]]:
    return json.loads(compiler_locks().read_text(encoding="utf-8"))["jaxlib"]
