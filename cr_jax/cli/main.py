"""``crjax``: the application, and the report of errors."""

import contextlib
import errno
import os
import sys
from collections.abc import Callable

import typer

from cr_jax.cli import (
    bench,
    calibrate,
    check,
    compare,
    compress,
    crash,
    data,
    distil,
    documents,
    estimate,
    hlo,
    merge,
    new_model,
    paper,
    profile,
    recommend,
    remedy,
    streams,
    targets,
    train,
)
from cr_jax.errors import CrJaxError

app = typer.Typer(
    name="crjax",
    help="Costs of training and serving a conversational recommender, counted from the compiled program.\n\n"
    "profile counts, bench measures, estimate covers whole runs.\n\n"
    "--debug, anywhere among the arguments, shows the traceback of an error.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
profile.register(app)
hlo.register(app)
paper.register(app)
data.register(app)
compare.register(app)
check.register(app)
documents.register(app)
train.register(app)
compress.register(app)
distil.register(app)
new_model.register(app)
merge.register(app)
recommend.register(app)
remedy.register(app)
estimate.register(app)
targets.register(app)
bench.register(app)
calibrate.register(app)


_DEBUG = "--debug"
#: Errors of an output that are no fault of crjax: a full disk, a quota, a broken disk, a closed output.
_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG, errno.EBADF)


def main() -> None:
    """Run; the exit code is 2 with one line on stderr for misuse, 130 when interrupted, 141 when the reader of the output left.

    An exception that nobody expected is one line too, with exit code 70 and a log file. ``--debug`` anywhere among the arguments,
    or ``CRJAX_DEBUG=1``, shows the traceback, and that of a user's own code before the line that refuses it.
    """
    streams.prepare()
    _take_debug()
    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()  # now, while a full disk can still be reported
    except CrJaxError as error:
        if _debugging() and error.__cause__ is not None:
            sys.stderr.write(crash.own_traceback(error.__cause__))
        code = _refuse(str(error))
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except BrokenPipeError:
        code = _reader_left()
    except SystemExit as stopped:  # Typer and Rich turn a broken pipe into this, with exit code 1
        if not isinstance(stopped.__context__, BrokenPipeError):
            raise
        code = _reader_left()
    except Exception as error:
        code = _failed(error)
    sys.exit(code if isinstance(code, int) else 0)


def _take_debug() -> None:
    """Turn ``--debug`` into the variable, which the processes started from here inherit."""
    end = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    if _DEBUG in sys.argv[1:end]:
        sys.argv[1:end] = [argument for argument in sys.argv[1:end] if argument != _DEBUG]
        os.environ["CRJAX_DEBUG"] = "1"


def _debugging() -> bool:
    return os.environ.get("CRJAX_DEBUG") == "1"


def _failed(error: Exception) -> int:
    """A usage error of Typer, an output that cannot be written, or a fault of ours."""
    usage: Callable[[], str] | None = getattr(error, "format_message", None)
    if usage is not None:  # Typer brings its own copy of Click's classes, whose place has changed
        return _refuse(usage())
    if isinstance(error, OSError) and error.errno in _UNWRITABLE and error.filename is None:
        _discard_output()
        return _refuse(f"the output was not written: {error.strerror}")
    if isinstance(error, OSError) and _named(error):
        return _refuse(f"{os.fsdecode(error.filename)}: {error.strerror}")
    if _debugging():
        raise error
    return crash.report(error)


def _named(error: OSError) -> bool:
    """Whether the file is one that the arguments name, or lies in a folder that they name."""
    if not isinstance(error.filename, str | bytes | os.PathLike) or error.strerror is None:
        return False
    file = os.path.abspath(os.fsdecode(error.filename))
    values = [value for argument in sys.argv[1:] for value in (argument, argument.partition("=")[2]) if value]
    return any(file == place or file.startswith(place + os.sep) for place in map(os.path.abspath, values))


def _reader_left() -> int:
    """Write nothing more; the exit code is that of a program ended by SIGPIPE."""
    _discard_output()
    return 128 + 13


def _discard_output() -> None:
    # The rest of the buffer would fail again when the interpreter ends.
    with contextlib.suppress(OSError):  # closed from the beginning: nothing is in a buffer
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _refuse(reason: str) -> int:
    streams.say(f"crjax: {reason}")
    return 2


if __name__ == "__main__":
    main()
