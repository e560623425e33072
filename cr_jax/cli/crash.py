"""An exception that nobody expected: one line for the user, the rest in a log file."""

import contextlib
import os
import platform
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from cr_jax.errors import CrJaxError
from cr_jax.named_objects import own_frames
from cr_jax.printable import message
from cr_jax.resources import cache_root
from cr_jax.version import __version__

#: The exit code of a program that failed by its own fault (``EX_SOFTWARE`` of ``sysexits.h``).
SOFTWARE = 70
_PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "rich", "typer", "orbax-checkpoint", "grain", "libtpu")


def report(error: BaseException) -> int:
    """Write the log, name it in one line and return the exit code.

    Where no log can be written, the line ends with the place of the exception instead.
    """
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    log = _written(_log(error))
    if log is not None:
        where = f"please report it with {log}, which holds the traceback, the versions and the arguments"
    else:
        last = traceback.extract_tb(error.__traceback__)[-1:]
        place = f"{Path(last[0].filename).name}, line {last[0].lineno}, in {last[0].name}" if last else "an unknown place"
        where = f"raised in {place}; no log file could be written; CRJAX_DEBUG=1 shows the traceback to report"
    print(f"crjax: a fault of crjax itself: {message(what, 200)}; {where}", file=sys.stderr)
    return SOFTWARE


def own_traceback(error: BaseException) -> str:
    """The traceback of an exception of the user's code, without the frames of this package."""
    told = traceback.TracebackException.from_exception(error)
    own = traceback.StackSummary.from_list(own_frames(error))
    if own or isinstance(error, SyntaxError):  # a syntax error names its own place
        told.stack = own
    return "".join(told.format())


def _log(error: BaseException) -> str:
    lines = [
        f"crjax {__version__}",
        f"time {time.strftime('%Y-%m-%dT%H:%M:%S%z')}",
        f"arguments {sys.argv[1:]!r}"[:20_000],
        f"python {platform.python_version()} on {platform.platform()}",
        *(f"{name} {at}" for name, at in _versions()),
        "",
        *traceback.format_exception(error),
    ]
    return "\n".join(lines)


def _versions() -> Iterator[tuple[str, str]]:
    for name in _PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            yield name, version(name)


def _folders() -> Iterator[Path]:
    with contextlib.suppress(CrJaxError, RuntimeError, OSError):  # no home, or a cache that is no folder
        yield cache_root() / "logs"
    with contextlib.suppress(OSError):
        yield Path(tempfile.gettempdir())


def _written(text: str) -> Path | None:
    """The log's file: in the cache, else in the temporary folder; ``None`` where neither can be written."""
    name = f"crjax-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    for folder in _folders():
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8", errors="backslashreplace")
            return folder / name
    return None
