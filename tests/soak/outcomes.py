"""How one input went: its class, and a cause under which equal failures are one."""

import contextlib
import io
import os
import re
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from soak.workers import Died, Hang, begin

BAD = ("traceback", "hang", "wrong", "corrupt", "leftover")


@dataclass(frozen=True)
class Outcome:
    """kind: ok | refused | traceback | hang | wrong | corrupt | leftover. cause: what failed, in one line."""

    kind: str
    cause: str = ""
    output: str = field(default="", compare=False, repr=False)


def run_command(arguments: list[str]) -> Outcome:
    """One ``crjax`` command in this process, as the terminal would see it."""
    from cr_jax.cli.main import app
    from cr_jax.errors import CrJaxError
    from cr_jax.printable import line

    out, err = io.StringIO(), io.StringIO()
    begin()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = app(arguments, standalone_mode=False)
    except Hang:
        raise
    except CrJaxError as error:
        return refused(line(str(error)))
    except SystemExit as stopped:
        return Outcome("ok" if not stopped.code else "refused", f"exit {stopped.code}", out.getvalue())
    except BaseException as error:
        if hasattr(error, "format_message"):
            return refused(line(error.format_message()))
        return Outcome("traceback", place_of(error))
    if code == 2:  # of a command that tells several refusals itself, a line each
        return refused((err.getvalue().splitlines() or [""])[-1])
    return Outcome("ok", output=out.getvalue())


def refused(message: str) -> Outcome:
    """A refusal; one that no terminal could show, or that fills the screen, is wrong."""
    if len(message) > 400:
        return Outcome("wrong", f"a message too long: {message[-40:]}")
    if any(ord(char) < 32 and char != "\n" for char in message):
        return Outcome("wrong", f"control characters in a message: {message[-40:]!r}")
    return Outcome("refused", message)


def place_of(error: BaseException) -> str:
    """The exception's type and the innermost line of ours that it passed."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if f"{os.sep}cr_jax{os.sep}" in frame.filename] or list(frames)
    last = ours[-1] if ours else None
    place = f"{'/'.join(Path(last.filename).parts[-2:])}:{last.lineno} in {last.name}" if last else "?"
    return f"{type(error).__name__} at {place}"


def guarded(ask) -> Outcome:
    """``ask()`` of a worker, its end or silence turned into an outcome."""
    try:
        return ask()
    except Hang:
        return Outcome("hang", "more than the limit")
    except Died as died:
        last = [line for line in str(died).splitlines() if line.strip()]
        return Outcome("traceback", f"the process ended: {last[-1][:100] if last else 'no message'}")


@dataclass
class Tally:
    """Outcomes of one kind of input: counts per class, and the smallest input per cause."""

    name: str
    counts: Counter[str] = field(default_factory=Counter)
    failures: dict[tuple[str, str], bytes] = field(default_factory=dict)
    times: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, outcome: Outcome, data: bytes = b"", cause: str = "") -> None:
        self.counts[outcome.kind] += 1
        if outcome.kind in BAD:
            key = (outcome.kind, cause or outcome.cause)
            self.times[key] += 1
            had = self.failures.get(key)
            if had is None or len(data) < len(had):
                self.failures[key] = data

    @property
    def bad(self) -> int:
        return sum(self.counts[kind] for kind in BAD)

    def line(self) -> str:
        return f"{self.name}: {sum(self.counts.values())} inputs · " + " · ".join(
            f"{self.counts[kind]} {kind}" for kind in ("ok", "refused", *BAD)
        )

    def keep(self, folder: Path, ending: str = "") -> None:
        """Write the smallest input of every cause, named by the cause, with an index of the causes."""
        if not self.failures:
            return
        folder.mkdir(parents=True, exist_ok=True)
        lines, names = [], Counter[str]()
        for (kind, cause), data in sorted(self.failures.items()):
            name = slug(cause)
            names[name] += 1
            file = f"{name}{names[name] if names[name] > 1 else ''}{ending}"
            (folder / file).write_bytes(data)
            lines.append(f"{file}\t{self.times[kind, cause]}\t{kind}\t{cause}")
        (folder / f"{self.name}.causes.tsv").write_text("\n".join(lines) + "\n")


def slug(cause: str) -> str:
    """A file's name from a cause."""
    words = re.sub(r"[^a-z0-9]+", "_", cause.removeprefix("XLA refuses it: ").lower()).strip("_")
    return words[:60].rstrip("_") or "cause"
