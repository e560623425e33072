"""Folders of profiles, schemas and the cache; files written whole or not at all.

Profiles and schemas are JSON files at the root of a checkout and inside the package in a wheel. A
user's own profiles lie in ``$CRJAX_PROFILES``, else in ``$XDG_CONFIG_HOME/crjax`` (by default
``~/.config/crjax``), in one folder per kind; a user's profile replaces a shipped one of its name.
"""

import contextlib
import os
import stat
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from cr_jax import temporaries
from cr_jax.errors import BadConfig, NotWritten, UnknownName
from cr_jax.files import exists, expanded, is_folder
from cr_jax.json_text import read_json

#: The kinds of profile; each is a folder of JSON files, one per name.
KINDS = ("accelerators", "datasets", "models")


class NoHome(BadConfig):
    """The folder of the user's own files is unknown."""


_PACKAGE = Path(__file__).resolve().parent


def _shipped(folder: str) -> Path:
    packed = _PACKAGE / "_data" / folder
    return packed if packed.is_dir() else _PACKAGE.parent / folder


def user_folder() -> Path:
    """The folder of the user's own profiles; it need not exist unless ``$CRJAX_PROFILES`` names it.

    Raises ``BadConfig`` when ``$CRJAX_PROFILES`` is set to something that is not a folder, and :class:`NoHome` without a home
    folder.
    """
    named = os.environ.get("CRJAX_PROFILES")
    if named:
        folder = expanded(named)
        if not is_folder(folder):
            raise BadConfig(f"CRJAX_PROFILES={named!r}: not a folder; legal: one with {', '.join(KINDS)}")
        return folder
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else home("CRJAX_PROFILES") / ".config") / "crjax"


def home(variable: str) -> Path:
    """The user's home folder. Raises :class:`NoHome`, naming the ``variable`` that replaces it."""
    try:
        return Path.home()
    except RuntimeError:
        raise NoHome(f"the home folder is not known; legal: HOME, or {variable}, set to a folder") from None


def profile_files(kind: str) -> dict[str, Path]:
    """Every profile of a kind: name (file stem) -> file, the user's before the shipped, sorted."""
    if kind not in KINDS:
        raise UnknownName("kind of profile", kind, KINDS)
    files: dict[str, Path] = {}
    folders = [_shipped("profiles") / kind]
    with contextlib.suppress(NoHome):  # then there are none of the user's own
        folders.append(user_folder() / kind)
    for folder in folders:
        files.update({path.stem: path for path in folder.glob("*.json")})
    return dict(sorted(files.items()))


def times_file() -> Path:
    """The shipped constants of predicted times on accelerators."""
    return _shipped("profiles") / "accelerator_times.json"


def shipped_profile(kind: str, name: str) -> Path:
    """The shipped profile of a kind, even where a user's own of its name replaces it."""
    path = _shipped("profiles") / kind / f"{name}.json"
    if not path.is_file():
        raise UnknownName(f"shipped profile of {kind}", name, (p.stem for p in path.parent.glob("*.json")))
    return path


def compiler_locks() -> Path:
    """The shipped file of the compilers' wheels and their hashes."""
    return _shipped("locks") / "compilers.json"


def cache_root() -> Path:
    """``$CRJAX_CACHE``, else ``crjax`` in ``$XDG_CACHE_HOME`` or ``~/.cache``. It need not exist yet.

    Raises ``BadConfig`` when ``$CRJAX_CACHE`` names something that is not a folder, and :class:`NoHome`.
    """
    named = os.environ.get("CRJAX_CACHE")
    if named:
        folder = expanded(named).absolute()
        if exists(folder) and not is_folder(folder):
            raise BadConfig(f"CRJAX_CACHE={named!r}: not a folder; legal: a folder, or a path where one can be made")
        return folder
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else home("CRJAX_CACHE") / ".cache") / "crjax"


def schema_names() -> tuple[str, ...]:
    """Names of the document kinds that have a schema, such as ``dataset-profile``."""
    files = _shipped("schemas").glob("*.schema.json")
    return tuple(sorted(path.name.removesuffix(".schema.json") for path in files))


@cache
def schema(name: str) -> dict[str, Any]:
    """The JSON Schema of a document kind. Raises ``UnknownName``."""
    path = _shipped("schemas") / f"{name}.schema.json"
    if not path.is_file():
        raise UnknownName("schema", name, schema_names())
    return read_json(path)


def write_atomically(path: str | Path, text: str | bytes | Iterable[str]) -> None:
    """Write ``text`` to ``path`` as a whole: a reader sees the old file or the new one, never a part.

    Text is written as UTF-8, bytes as they are, the texts of an iterable one by one. They go to a temporary file in the same
    folder, which is flushed to the disk, then takes the place of the old file. Devices and pipes are written to directly. Raises
    ``NotWritten``, and any error of the iterable; the old file is then intact and no temporary file remains. Temporary files of
    killed writers of the same file are removed.
    """
    target = Path(path)
    temporary: Path | None = None
    try:
        parts = [text] if isinstance(text, str | bytes) else text
        target = target.resolve()
        mode = target.stat().st_mode if target.exists() else None
        if mode is not None and not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            with open(target, "wb") as file:
                _write(file, parts)
            return
        if mode is not None and stat.S_ISDIR(mode):
            raise IsADirectoryError("it is a folder")
        temporaries.sweep(target.parent, target.name)
        temporary = target.with_name(temporaries.name_for(target.name))
        with open(temporary, "xb") as file:
            if mode is not None:
                os.fchmod(file.fileno(), stat.S_IMODE(mode))
            _write(file, parts)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
        temporaries.sync(target.parent)
    except (OSError, UnicodeError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise NotWritten(f"{path}: not written: {reason}") from None
    finally:
        if temporary is not None:
            temporaries.remove(temporary)


def _write(file: BinaryIO, parts: Iterable[str | bytes]) -> None:
    for part in parts:
        file.write(part.encode("utf-8") if isinstance(part, str) else part)
