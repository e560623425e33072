"""``crjax``: the application, and how errors reach the user."""

import errno
import os
import sys

import typer

from cr_jax.cli import bench, calibrate, check, compare, data, documents, estimate, hlo, paper, profile, recommend, targets, train
from cr_jax.errors import CrJaxError

app = typer.Typer(
    name="crjax",
    help="What training and serving a conversational recommender costs, counted from the compiled program.\n\n"
    "profile counts, bench measures, estimate answers for a whole run.",
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
recommend.register(app)
estimate.register(app)
targets.register(app)
bench.register(app)
calibrate.register(app)


def main() -> None:
    """Run; one line on stderr and exit code 2 for misuse, 130 when interrupted, 141 when the reader of the output left."""
    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()  # now, where a full disk can still be told
    except CrJaxError as error:
        code = _refuse(str(error))
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except BrokenPipeError:
        code = _reader_left()
    except SystemExit as stopped:  # what Typer and Rich make of a broken pipe, with exit code 1
        if not isinstance(stopped.__context__, BrokenPipeError):
            raise
        code = _reader_left()
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG):
            raise
        _discard_output()
        code = _refuse(f"the output was not written: {error.strerror}")
    except Exception as error:
        # Usage errors: Typer brings its own copy of Click's classes, whose place has changed.
        if not hasattr(error, "format_message"):
            raise
        code = _refuse(error.format_message())
    sys.exit(code if isinstance(code, int) else 0)


def _reader_left() -> int:
    """Nothing more is written; the exit code is that of a program which SIGPIPE ended."""
    _discard_output()
    return 128 + 13


def _discard_output() -> None:
    # What is still in the buffer would fail again when the interpreter ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _refuse(reason: str) -> int:
    print(f"crjax: {' '.join(reason.split())}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
