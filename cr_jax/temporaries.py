"""Temporary files and folders that name their process, so that the next run removes those of a killed one.

A name contains its process and machine. Removed are those of ended processes, and those of other machines (the folder may be
shared) or of unknown origin once they are a week old.
"""

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import socket
import time
from functools import cache
from pathlib import Path

#: Seconds after which a temporary is abandoned, whatever its name says.
OLD_S = 7 * 86400
_NAME = re.compile(r"\.([0-9a-f]{8})-(\d{1,10})-[0-9a-f]{12}\.tmp$")
_own: set[str] = set()


def name_for(stem: str) -> str:
    """A new name beside ``stem``, a file or folder."""
    name = f"{_start(stem)}{_place()}-{os.getpid()}-{secrets.token_hex(6)}.tmp"
    _own.add(name)
    return name


def remove(path: Path) -> None:
    """Remove a temporary of our own, if it exists."""
    _own.discard(path.name)
    with contextlib.suppress(OSError):  # its folder may be no folder
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def sweep(folder: Path, stem: str = "") -> None:
    """Remove temporaries of dead processes in ``folder`` beside ``stem``; by default, in a folder of our own, all hidden ones."""
    start, end, now = (_start(stem), ".tmp", time.time()) if stem else (".", "", time.time())
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        candidates = [entry for entry in entries if entry.name.startswith(start) and entry.name.endswith(end)]
        for entry in candidates:
            if entry.name not in _own and _is_nobodys(entry, now):
                remove(Path(entry.path))


def sync(folder: Path) -> None:
    """Flush a folder's entries to the disk, where its file system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _is_nobodys(entry: "os.DirEntry[str]", now: float) -> bool:
    match = _NAME.search(entry.name)
    if match is not None and match[1] == _place() and not _runs(int(match[2])):
        return True
    with contextlib.suppress(OSError):
        return now - entry.stat(follow_symlinks=False).st_mtime > OLD_S
    return False


def _runs(process: int) -> bool:
    if process == os.getpid():  # of an earlier process with our number: ours are known by name
        return False
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # another user's
        return True
    return not _ended(process)


def _ended(process: int) -> bool:
    """Whether a process has ended and its parent has not noticed yet (Linux; unknown elsewhere)."""
    try:
        state = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return False
    return state[:1] == ["Z"]


def _start(stem: str) -> str:
    # A long name is cut so that the whole fits, counted in bytes as file systems do.
    return f".{os.fsdecode(os.fsencode(stem)[:120])}."


@cache
def _place() -> str:
    """The scope of process numbers: the machine, and on Linux the namespace."""
    space = ""
    with contextlib.suppress(OSError):
        space = os.readlink("/proc/self/ns/pid")
    return hashlib.blake2b(f"{socket.gethostname()} {space}".encode(), digest_size=4).hexdigest()
