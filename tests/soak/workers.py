"""Work in processes of their own: a limit on processor time and memory, and what a crash printed."""

import multiprocessing
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")

#: Seconds of processor time that a command may take; a busy machine does not count as a hang.
LIMIT = 5.0
#: Seconds on the clock, in limits, after which a worker that waits for something is killed.
WAIT = 12
MEMORY = 6 << 30


class Hang(Exception):
    """The input took longer than the limit."""


class Died(Exception):
    """The worker ended; the message is the tail of what it wrote to stderr."""


def _alarm(*_: object) -> None:
    raise Hang


_limit = 0.0


def begin() -> None:
    """In a worker: a command begins, with all of its time before it."""
    if _limit:
        signal.setitimer(signal.ITIMER_PROF, _limit)


def _serve(pipe: Connection, log: str, function: Callable[[Item], Answer], limit: float) -> None:
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    global _limit
    _limit = limit
    signal.signal(signal.SIGPROF, _alarm)
    while True:
        try:
            item = pipe.recv()
        except EOFError:
            return
        begin()
        try:
            answer: object = function(item)
        except Hang as hang:
            answer = hang
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        pipe.send(answer)


class Worker(Generic[Item, Answer]):
    """A process that answers one item after the other; it is started anew when it dies or hangs."""

    def __init__(self, function: Callable[[Item], Answer], limit: float = LIMIT):
        self._function, self._limit = function, limit
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None
        self._log = tempfile.NamedTemporaryFile(prefix="worker", suffix=".log")  # noqa: SIM115

    def ask(self, item: Item) -> Answer:
        """The function's answer. Raises ``Hang`` and ``Died``."""
        pipe = self._pipe or self._start()
        try:
            pipe.send(item)
            if not pipe.poll(WAIT * self._limit):
                self.stop()
                raise Hang
            answer = pipe.recv()
        except (EOFError, OSError):
            self.stop()
            with open(self._log.name, errors="replace") as log:
                raise Died(log.read()[-2000:]) from None
        if isinstance(answer, Hang):
            raise answer
        return answer

    def _start(self) -> Connection:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        arguments = (theirs, self._log.name, self._function, self._limit)
        self._process = context.Process(target=_serve, args=arguments, daemon=True)
        self._process.start()
        theirs.close()
        return self._pipe

    def stop(self) -> None:
        """End the process, gently where it waits for work."""
        if self._pipe is not None:
            self._pipe.close()
        if self._process is not None:
            self._process.join(0.2)
            if self._process.is_alive():
                self._process.kill()
                self._process.join()
        self._pipe = self._process = None


def in_parallel(work: Callable[[int], Answer], numbers: Iterable[int], threads: int) -> Iterator[Answer]:
    """``work`` of every number, by threads that each own their workers; in the order they finish."""
    from concurrent.futures import ThreadPoolExecutor, as_completed

    with ThreadPoolExecutor(threads) as pool:
        for done in as_completed([pool.submit(work, number) for number in numbers]):
            yield done.result()


def progress(text: str) -> None:
    """One line on stderr."""
    print(text, file=sys.stderr, flush=True)
