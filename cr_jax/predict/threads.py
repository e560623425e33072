"""How long a program takes on a CPU whose threads run independent operations at the same time.

XLA's CPU runtime starts an operation once what it reads is there, in the order of the program, as long as a
thread is free; a computation of few operations or of small buffers only runs in one thread, in order
(``ThunkExecutor`` in XLA's source). An operation cut into tasks takes several threads where they are free.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass

from cr_jax.cost.graph import Node
from cr_jax.cost.operations import Operation, Program

#: Up to so many operations, or with no buffer larger than that, XLA's CPU runtime does without its scheduler.
FEW_OPERATIONS, SMALL_BYTES = 8, 512
#: Measured with processor time over wall time (AMD EPYC, 2 cores, JAX 0.10.2): products of so many FLOPs keep all
#: threads busy; of a single row, so many.
SHARED_FLOPS, SHARED_ROW_FLOPS = 16e6, 1e6


@dataclass(frozen=True)
class Busy:
    """seconds: from the first start to the last end; width: threads in use meanwhile, on average."""

    seconds: float = 0.0
    width: float = 1.0


def width(operation: Operation, cores: int) -> int:
    """Threads that an operation takes where they are free."""
    if operation.products:
        least = SHARED_ROW_FLOPS if any(1 in (p.m, p.n) for p in operation.products) else SHARED_FLOPS
        return cores if sum(p.flops for p in operation.products) >= least else 1
    return max(1, min(cores, operation.partitions))


def elapsed(program: Program, seconds: Callable[[int], float], entry_s: float, iteration_s: float, cores: int) -> float:
    """Seconds of all operations and loops of ``program``.

    seconds: of one execution of an operation, by its place. entry_s, iteration_s: what a loop adds.
    """

    def computation(nodes: tuple[Node, ...]) -> Busy:
        runs = [node_run(node) for node in nodes]
        if not scheduled(program, nodes):
            return _in_order(runs)
        return at_once([node.after for node in nodes], runs, cores)

    def node_run(node: Node) -> Busy:
        if node.operation is not None:
            return Busy(seconds(node.operation), width(program.operations[node.operation], cores))
        runs = [(count, computation(inner)) for count, inner in node.inner]
        own = 0.0 if node.loop is None else entry_s + node.inner[0][0] * iteration_s
        total = own + sum(count * run.seconds for count, run in runs)
        work = own + sum(count * run.seconds * run.width for count, run in runs)
        return Busy(total, work / total if total else 1.0)

    return computation(program.nodes).seconds


def scheduled(program: Program, nodes: tuple[Node, ...]) -> bool:
    """Whether the runtime gives a computation to its scheduler; a tiny one runs in the caller's thread."""
    return len(nodes) > FEW_OPERATIONS and any(_large(program, node) for node in nodes)


def _large(program: Program, node: Node) -> bool:
    if node.operation is not None:
        return program.operations[node.operation].output_bytes > SMALL_BYTES
    return any(_large(program, part) for _, inner in node.inner for part in inner)


def _in_order(runs: list[Busy]) -> Busy:
    total = sum(run.seconds for run in runs)
    return Busy(total, sum(run.seconds * run.width for run in runs) / total if total else 1.0)


def at_once(after: list[tuple[int, ...]], runs: list[Busy], threads: int) -> Busy:
    """Each run starts, in order, once those before it have ended and a thread is free, ``threads`` of them at most;
    those that run share the threads, none above its width."""
    waits = [len(before) for before in after]
    followers: list[list[int]] = [[] for _ in runs]
    for place, before in enumerate(after):
        for one in before:
            followers[one].append(place)
    ready = [place for place, count in enumerate(waits) if not count]
    left: dict[int, float] = {}  # thread-seconds
    clock = work = 0.0
    while ready or left:
        while ready and len(left) < threads:
            place = heapq.heappop(ready)
            left[place] = runs[place].seconds * runs[place].width
        shares = _shares({place: runs[place].width for place in left}, threads)
        step = min(left[place] / shares[place] for place in left)
        clock += step
        ended = [place for place in left if left[place] <= step * shares[place] * (1 + 1e-12)]
        for place in left:
            work += min(left[place], step * shares[place])
            left[place] -= step * shares[place]
        for place in ended:
            del left[place]
            for follower in followers[place]:
                waits[follower] -= 1
                if not waits[follower]:
                    heapq.heappush(ready, follower)
    return Busy(clock, work / clock if clock else 1.0)


def _shares(widths: dict[int, float], threads: int) -> dict[int, float]:
    """Threads of each: even, but none above its width; the narrow leave theirs to the wide."""
    free, found = float(threads), {}
    for number, (place, most) in enumerate(sorted(widths.items(), key=lambda item: item[1])):
        found[place] = min(most, free / (len(widths) - number))
        free -= found[place]
    return found
