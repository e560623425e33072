"""Input files, opened, checked and read with one kind of error, ``BadInput``.

A path may be too long, lead through a file, be a folder or a pipe, or be forbidden to look at: each is refused in one line. A
named pipe without a writer and a device without an end are not waited for.
"""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from cr_jax.errors import BadInput

#: Where the system lists the descriptors a process was given, such as those of ``<(command)``.
_GIVEN = ("/dev/fd/", "/proc/", "/dev/stdin")
_KINDS = (
    (stat.S_ISDIR, "Is a directory"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def expanded(path: str | Path) -> Path:
    """``path`` with ``~`` replaced by the home folder. Raises ``BadInput`` where that is not known."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise BadInput(str(path), "the home folder is not known; legal: a path without ~") from None


def why(error: OSError | ValueError) -> str:
    """The reason of a failed file operation in a few words."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def mode(path: str | Path) -> int | None:
    """The file mode of ``path``, ``None`` where nothing exists. Raises ``BadInput`` where one may not look."""
    try:
        return os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise BadInput(str(path), why(error)) from None


def exists(path: str | Path) -> bool:
    """Whether there is anything at ``path``. Raises ``BadInput`` as :func:`mode` does."""
    return mode(path) is not None


def is_folder(path: str | Path) -> bool:
    """Whether ``path`` is a folder. Raises ``BadInput`` as :func:`mode` does."""
    file_mode = mode(path)
    return file_mode is not None and stat.S_ISDIR(file_mode)


def is_file(path: str | Path) -> bool:
    """Whether ``path`` is a regular file. Raises ``BadInput`` as :func:`mode` does."""
    file_mode = mode(path)
    return file_mode is not None and stat.S_ISREG(file_mode)


def names_in(folder: str | Path) -> list[str]:
    """Names of the entries of a folder, sorted. Raises ``BadInput`` for one that cannot be listed."""
    try:
        return sorted(os.listdir(folder))
    except (OSError, ValueError) as error:
        raise BadInput(str(folder), why(error)) from None


def open_file(path: str | Path) -> BinaryIO:
    """A regular file, or a pipe that the shell has opened for us, to be read once.

    Raises ``BadInput`` for anything else: reading it could wait, or continue, for ever.
    """
    file_mode = mode(path)
    given = str(path).startswith(_GIVEN)
    if file_mode is not None and not stat.S_ISREG(file_mode) and not (given and not stat.S_ISDIR(file_mode)):
        kind = next((name for is_one, name in _KINDS if is_one(file_mode)), "no file")
        raise BadInput(str(path), f"{kind}; legal: a regular file")
    try:
        return open(path, "rb")
    except (OSError, ValueError) as error:
        raise BadInput(str(path), why(error)) from None


def read_bytes(path: str | Path) -> bytes:
    """Everything in a file. Raises ``BadInput``."""
    with open_file(path) as file:
        try:
            return file.read()
        except (OSError, MemoryError) as error:
            raise BadInput(str(path), why(error) if isinstance(error, OSError) else "larger than the memory") from None


def read_text(path: str | Path) -> str:
    """The text in a UTF-8 file, without a byte order mark. Raises ``BadInput``."""
    data = read_bytes(path)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(str(path), f"not UTF-8 at byte {error.start}") from None
