"""Time of a program on a CPU whose threads run independent operations at the same time.

XLA's CPU runtime runs the entry computation from queues of operations with ready operands, one queue a thread. Another thread
joins where a large product runs in the background. Loops, branches and calls run their content in order, and so does a program of
few operations or of small buffers only. (``ThunkExecutor`` in XLA's source; profiler traces of JAX 0.10.2 show the same.) An
operation cut into tasks takes the threads without a queue, in a loop too.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cr_jax.cost.operations.dependencies import Node
from cr_jax.cost.operations.program import Operation, Program

#: XLA's CPU runtime uses no scheduler up to this number of operations, or for buffers up to this size.
FEW_OPERATIONS, SMALL_BYTES = 8, 512
#: Opcodes that run in Eigen's thread pool, with a callback, where they take several threads.
BACKGROUND = frozenset({"dot", "convolution"})
#: Measured as processor time over wall time (AMD EPYC, 2 cores, JAX 0.10.2): FLOPs from which products keep all
#: threads busy, and those of products of a single row.
SHARED_FLOPS, SHARED_ROW_FLOPS = 16e6, 1e6


@dataclass(frozen=True)
class Busy:
    """seconds: from the first start to the last end. width: threads in use meanwhile, on average. background: its thread takes
    the next operation before it ends.
    """

    seconds: float = 0.0
    width: float = 1.0
    background: bool = False


def width(operation: Operation, cores: int) -> int:
    """Threads that an operation takes where they are free."""
    if operation.products:
        least = SHARED_ROW_FLOPS if any(1 in (p.m, p.n) for p in operation.products) else SHARED_FLOPS
        return cores if sum(p.flops for p in operation.products) >= least else 1
    return max(1, min(cores, operation.partitions))


def elapsed(program: Program, seconds: Callable[[int], float], entry_s: float, iteration_s: float, cores: int) -> float:
    """Seconds of all operations and loops of ``program``.

    seconds: of one execution of an operation, by its index. entry_s, iteration_s: cost of a loop's entry and iteration.
    """

    def node_run(node: Node) -> Busy:
        if node.operation is not None:
            operation = program.operations[node.operation]
            threads = width(operation, cores)
            return Busy(seconds(node.operation), threads, threads > 1 and operation.opcode in BACKGROUND)
        runs = [(count, _in_order([node_run(part) for part in inner])) for count, inner in node.inner]
        own = 0.0 if node.loop is None else entry_s + node.inner[0][0] * iteration_s
        total = own + sum(count * run.seconds for count, run in runs)
        work = own + sum(count * run.seconds * run.width for count, run in runs)
        return Busy(total, work / total if total else 1.0, any(run.background for _, run in runs))

    runs = [node_run(node) for node in program.nodes]
    if not scheduled(program):
        return _in_order(runs).seconds
    return at_once([node.after for node in program.nodes], runs, cores).seconds


def scheduled(program: Program) -> bool:
    """Whether the runtime schedules a program over threads; a tiny one runs in the caller's thread."""
    return len(program.nodes) > FEW_OPERATIONS and any(_large(program, node) for node in program.nodes)


def _large(program: Program, node: Node) -> bool:
    if node.operation is not None:
        return program.operations[node.operation].output_bytes > SMALL_BYTES
    return any(_large(program, part) for _, inner in node.inner for part in inner)


def _in_order(runs: Sequence[Busy]) -> Busy:
    total = sum(run.seconds for run in runs)
    width = sum(run.seconds * run.width for run in runs) / total if total else 1.0
    return Busy(total, width, any(run.background for run in runs))


def at_once(after: Sequence[tuple[int, ...]], runs: Sequence[Busy], threads: int) -> Busy:
    """The entry computation as the runtime's queues run it, in order from one queue of what is ready.

    What an operation makes ready goes to the end of its thread's queue. An operation that runs in the background
    lets its thread go on with the next, and what it makes ready begins a queue of its own. Threads without a queue
    help wide operations. That the runtime gives half of a long queue to another thread is left out: what small
    operations gain by it, they lose to waking up and to data in the other core's cache (DMN's training step takes
    the same time on one core as on two).
    """
    return _Queues(after, runs, threads).run()


@dataclass
class _Queue:
    ready: deque[int]
    at: int | None = None  # run by its thread
    held: bool = False  # with a thread


class _Queues:
    def __init__(self, after: Sequence[tuple[int, ...]], runs: Sequence[Busy], threads: int) -> None:
        self.runs, self.threads = runs, threads
        self.waits = [len(before) for before in after]
        self.followers: list[list[int]] = [[] for _ in runs]
        for place, before in enumerate(after):
            for one in before:
                self.followers[one].append(place)
        self.left = [run.seconds * run.width for run in runs]  # thread-seconds
        self.queues = [_Queue(deque(place for place, count in enumerate(self.waits) if not count))] if runs else []
        self.background: list[int] = []

    def run(self) -> Busy:
        clock = 0.0
        self._start()
        while self.queues or self.background:
            rates = self._rates()
            step = min(self.left[place] / rate for place, rate in rates.items() if rate)
            clock += step
            for place, rate in rates.items():
                self.left[place] -= step * rate
                if self.left[place] <= 1e-9 * step * rate:
                    self._end(place)
            self._start()
        work = sum(run.seconds * run.width for run in self.runs)
        return Busy(clock, work / clock if clock else 1.0)

    def _start(self) -> None:
        """Give threads to queues and operations to threads."""
        for queue in self.queues:
            queue.held = queue.held or sum(q.held for q in self.queues) < self.threads
            while queue.held and queue.at is None and queue.ready:
                place = queue.ready.popleft()
                if self.runs[place].background and self.threads > 1:
                    self.background.append(place)
                else:
                    queue.at = place
            queue.held = queue.at is not None  # else it is empty, or waits for a thread
        self.queues = [queue for queue in self.queues if queue.at is not None or queue.ready]

    def _rates(self) -> dict[int, float]:
        """Threads of every running operation: one for those of a queue, and the threads without a queue for those that can use
        more.
        """
        held = [queue.at for queue in self.queues if queue.at is not None]
        wants = {place: self.runs[place].width - 1 for place in held} | {p: self.runs[p].width for p in self.background}
        free, rates = float(self.threads - len(held)), dict[int, float]()
        for number, (place, most) in enumerate(sorted(wants.items(), key=lambda item: item[1])):
            rates[place] = max(0.0, min(most, free / (len(wants) - number)))
            free -= rates[place]
        return {place: rates[place] + (1 if place in held else 0) for place in wants}

    def _end(self, place: int) -> None:
        ready: deque[int] = deque()
        for follower in self.followers[place]:
            self.waits[follower] -= 1
            if not self.waits[follower]:
                ready.append(follower)
        if place in self.background:
            self.background.remove(place)
            if ready:
                self.queues.append(_Queue(ready))
            return
        queue = next(queue for queue in self.queues if queue.at == place)
        queue.at = None
        queue.ready += ready
