"""Checks that an output can be written, made before the work."""

import os
import stat
from pathlib import Path

from cr_jax.errors import NotWritten


def check_file(option: str, path: Path | str | None) -> None:
    """Raise ``NotWritten`` where no file can be written to ``path``; ``None`` and ``-`` (standard output) pass."""
    if path is None or str(path) == "-":
        return
    where = f"{option} {str(path)!r}: not written"
    target = Path(path)
    mode = _mode(where, target)
    if mode is not None and stat.S_ISDIR(mode):
        raise NotWritten(f"{where}: it is a folder; legal: a file, or - for standard output")
    if mode is not None and not stat.S_ISREG(mode):
        return  # a device or a pipe is written to as it is
    try:
        parent = target.resolve().parent
    except (OSError, RuntimeError) as error:
        raise NotWritten(f"{where}: {_reason(error)}") from None
    _check_writable(where, parent)


def check_folder(option: str, path: Path | str | None) -> None:
    """Raise ``NotWritten`` where ``path`` is no folder and none can be made."""
    if path is None:
        return
    where = f"{option} {str(path)!r}: not written"
    try:
        target = Path(path).expanduser().absolute()
    except (OSError, RuntimeError) as error:
        raise NotWritten(f"{where}: {_reason(error)}") from None
    mode = _mode(where, target)
    while mode is None and target != target.parent:
        target = target.parent
        mode = _mode(where, target)
    if mode is None or not stat.S_ISDIR(mode):
        raise NotWritten(f"{where}: {str(target)!r} is a file; legal: a folder, or a path where one can be made")
    _check_writable(where, target)


def _check_writable(where: str, folder: Path) -> None:
    mode = _mode(where, folder)
    if mode is None:
        raise NotWritten(f"{where}: no folder {str(folder)!r}; legal: an existing folder")
    if not stat.S_ISDIR(mode):
        raise NotWritten(f"{where}: {str(folder)!r} is a file; legal: an existing folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise NotWritten(f"{where}: folder {str(folder)!r} is not yours to write to")


def _mode(where: str, path: Path) -> int | None:
    """The file's mode; ``None`` where there is none. Raises ``NotWritten`` for a name that no file can have."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise NotWritten(f"{where}: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
