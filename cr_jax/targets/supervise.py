"""Run one worker process: read its progress, enforce its limits, give the reason of its end in one line."""

import contextlib
import os
import re
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cr_jax.json_text import parse_line

Event = Mapping[str, Any]
_TICK_S = 0.2
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


@dataclass(frozen=True)
class Limits:
    """seconds: without progress, so for the start and for each step. bytes: of resident memory, the
    worker's children included; ``None`` = no limit.
    """

    seconds: float = 900.0
    bytes: int | None = None


def default_limits(workers: int) -> Limits:
    """Fifteen minutes a step, and a share of four fifths of this machine's memory."""
    try:
        total = os.sysconf("SC_PHYS_PAGES") * _PAGE
    except (AttributeError, ValueError, OSError):
        return Limits()
    return Limits(bytes=int(total * 0.8 / max(1, workers)))


def run_worker(
    command: Sequence[str],
    environment: Mapping[str, str],
    log: Path,
    limits: Limits,
    hear: Callable[[Event], None],
    stop: threading.Event | None = None,
) -> str | None:
    """Run ``command`` to its end; ``hear`` is called with each progress object.

    Returns ``None`` when it ended well, else the reason in one line. Its standard error goes to ``log``. It is killed, with all
    processes that it started, at a limit, when ``stop`` is set and when this function is left.
    """
    with open(log, "ab") as errors:
        try:
            process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=dict(environment),
                start_new_session=True,
            )
        except OSError as error:
            return f"the worker did not start: {error.strerror or error}"
    try:
        reason = _watch(process, limits, hear, stop)
        if reason is not None:
            return reason
        return _ending(process.wait(timeout=30), log)
    except subprocess.TimeoutExpired:
        return "the worker closed its output and did not end"
    finally:
        _kill(process)


def _watch(
    process: subprocess.Popen[bytes], limits: Limits, hear: Callable[[Event], None], stop: threading.Event | None
) -> str | None:
    """Read progress until the worker closes its output; the reason if it has to be killed before."""
    assert process.stdout is not None
    descriptor, rest, last = process.stdout.fileno(), b"", time.monotonic()
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while True:
            if selector.select(_TICK_S):
                chunk = os.read(descriptor, 65536)
                if not chunk:
                    return None
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    event = _event(line)
                    if event is not None:
                        last = time.monotonic()
                        hear(event)
            if stop is not None and stop.is_set():
                return "stopped"
            if time.monotonic() - last > limits.seconds:
                return f"not done after {limits.seconds:g} s, the time limit"
            used = _resident(process.pid)
            if limits.bytes is not None and used > limits.bytes:
                return f"took {used / 1e9:.1f} GB of memory, the limit is {limits.bytes / 1e9:.1f} GB"


def _event(line: bytes) -> Event | None:
    try:
        event = parse_line(line.decode("utf-8"))
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None


def _resident(pid: int) -> int:
    """Resident bytes of a process and its children; 0 where the system does not report it."""
    total = 0
    with contextlib.suppress(OSError, ValueError, IndexError):
        total = int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * _PAGE
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            total += _resident(int(child))
    return total


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)  # its own session: the group has its id
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    process.wait()


def _ending(code: int, log: Path) -> str | None:
    if code == 0:
        return None
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        how = {"SIGABRT": "the compiler aborted", "SIGKILL": "the worker was killed"}.get(name, "the worker crashed")
        how = f"{how} ({name})"
    else:
        how = f"the worker ended with code {code}"
    said = telling_line(log.read_text(encoding="utf-8", errors="replace"))
    return f"{how}: {said}" if said else how


def telling_line(log: str) -> str | None:
    """The most informative line of a log about the end of a process: the last fatal one, else the last that names an error, else
    the last.
    """
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    for pattern in (r"^F\d{4} |check failed|fatal", r"error|exception|not found|invalid|unsupported", ""):
        matching = [line for line in lines if re.search(pattern, line, re.I)]
        if matching:
            # less the time, thread and source file that XLA's logger puts in front
            return re.sub(r"^[IWEF]\d{4} [\d:.]+\s+\d+ \S+\] ", "", matching[-1])[:300]
    return None
