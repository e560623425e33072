"""Time to launch kernels on a GPU: the host enqueues, the device runs behind it, and the slower of the two counts.

XLA walks the thunks of a program on the host. A kernel launched singly takes the host ``enqueue_s`` and the device its execution
and ``gap_s``. Runs of ``SMALLEST_GRAPH`` thunks and more become one CUDA graph (``xla_gpu_graph_min_graph_size`` and
``xla_gpu_enable_command_buffer`` in openxla/xla, xla/debug_options_flags.cc: fusions and copies, cuBLAS, cuDNN, custom calls; no
loops and no conditionals). The body of a loop with a trip count known to XLA is enqueued that many times; in any other loop the
host reads the condition back at every iteration and waits (xla/backends/gpu/runtime/while_thunk.cc).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cr_jax.cost.operations.dependencies import Node
from cr_jax.cost.operations.program import Operation, Program

#: Successive thunks from which XLA makes a CUDA graph.
SMALLEST_GRAPH = 5
#: Operations outside graphs: they communicate with other devices or the host, or end an asynchronous one.
_NOT_IN_GRAPHS = (
    "send",
    "recv",
    "infeed",
    "outfeed",
    "all-",
    "collective-",
    "reduce-scatter",
    "async-",
    "copy-start",
    "copy-done",
    "partition-id",
    "replica-id",
    "rng-",
)


@dataclass(frozen=True)
class Clock:
    """The clocks of host and device, in seconds since the step began. busy_s: execution on the device so far."""

    host: float = 0.0
    device: float = 0.0
    busy_s: float = 0.0


@dataclass(frozen=True)
class LoopTime:
    """One loop."""

    name: str
    seconds: float
    busy_s: float
    iterations: int
    kernels: int
    graphs: int
    waits: bool
    """Whether the host reads the condition at every iteration."""

    @property
    def launching_s(self) -> float:
        """Seconds in which the device waits for launches."""
        return max(0.0, self.seconds - self.busy_s)


@dataclass(frozen=True)
class Started:
    """A whole step: seconds until the device has ended, of them execution; kernels launched; its loops."""

    seconds: float
    busy_s: float
    kernels: int
    loops: tuple[LoopTime, ...]


@dataclass
class _Sum:
    seconds: float = 0.0
    busy_s: float = 0.0
    iterations: int = 0
    kernels: int = 0
    graphs: int = 0
    waits: bool = False


class Launches:
    """constants: of the mechanism ``launches``. seconds: of one execution of an operation, by its place."""

    def __init__(self, program: Program, constants: Mapping[str, float], seconds: Callable[[int], float]) -> None:
        self.program, self.seconds = program, seconds
        self.enqueue_s, self.gap_s = constants["enqueue_s"], constants["gap_s"]
        self.graph_s, self.graph_kernel_s = constants["graph_s"], constants["graph_kernel_s"]
        self.wait_s, self.call_s = constants["wait_s"], constants["call_s"]
        self.kernels = 0
        #: How often each operation ran: the condition of a loop that XLA counts never does.
        self.runs: dict[int, int] = {}
        self._loops: dict[str, _Sum] = {}

    def run(self) -> Started:
        """The step from the call on the host to the end on the device."""
        clock = self._block(self.program.nodes, Clock(host=self.call_s, device=self.call_s), 1)
        loops = tuple(
            LoopTime(name, one.seconds, one.busy_s, one.iterations, one.kernels, one.graphs, one.waits)
            for name, one in self._loops.items()
        )
        return Started(max(clock.host, clock.device), clock.busy_s, self.kernels, loops)

    def _block(self, nodes: Sequence[Node], clock: Clock, times: int) -> Clock:
        """One run of a computation that runs ``times`` times in all."""
        graph: list[int] = []
        for node in nodes:
            if node.operation is not None and self._fits(self.program.operations[node.operation]):
                graph.append(node.operation)
                continue
            clock, graph = self._flush(graph, clock, times), []
            if node.operation is not None:
                clock = self._single(node.operation, clock, times)
            elif node.loop is not None:
                clock = self._loop(node, clock, times)
            else:
                for repeat, inner in node.inner:
                    for _ in range(repeat):
                        clock = self._block(inner, clock, times)
        return self._flush(graph, clock, times)

    def _fits(self, operation: Operation) -> bool:
        """Whether a CUDA graph may hold it. A fusion that slices at a position known only from the loop's counter is a copy,
        whose addresses the host computes each time.
        """
        if operation.library and not operation.products:
            return False
        return not operation.opcode.startswith(_NOT_IN_GRAPHS)

    def _flush(self, run: list[int], clock: Clock, times: int) -> Clock:
        """Launch the pending thunks: as one graph where there are enough."""
        if len(run) < SMALLEST_GRAPH:
            for place in run:
                clock = self._single(place, clock, times)
            return clock
        self.kernels += len(run) * times
        for place in run:
            self.runs[place] = self.runs.get(place, 0) + times
        executed = sum(map(self.seconds, run))
        host_s = clock.host + self.graph_s
        device = max(clock.device, host_s) + executed + self.graph_kernel_s * len(run)
        return Clock(host_s, device, clock.busy_s + executed)

    def _single(self, place: int, clock: Clock, times: int) -> Clock:
        self.kernels += times
        self.runs[place] = self.runs.get(place, 0) + times
        executed = self.seconds(place)
        host_s = clock.host + self.enqueue_s
        return Clock(host_s, max(clock.device + self.gap_s, host_s) + executed, clock.busy_s + executed)

    def _loop(self, node: Node, clock: Clock, times: int) -> Clock:
        assert node.loop is not None
        loop = self.program.loops[node.loop]
        (turns, body), (_, condition) = node.inner
        begun, before = clock, self.kernels
        if loop.counted:
            clock = self._repeat(lambda at, runs: self._block(body, at, runs), clock, turns, times)
        else:  # the condition is read back before each iteration and once more
            clock = self._wait(self._block(condition, clock, times), times)
            clock = self._repeat(
                lambda at, runs: self._wait(self._block(condition, self._block(body, at, runs), runs), runs), clock, turns, times
            )
        if not times:
            return clock
        total = self._loops.setdefault(loop.name, _Sum())
        total.seconds += max(clock.device - begun.device, clock.host - begun.host) * times
        total.busy_s += (clock.busy_s - begun.busy_s) * times
        total.iterations += turns * times
        total.kernels = (self.kernels - before) // max(1, turns * times)
        total.graphs = self._graphs(body)
        total.waits = not loop.counted
        return clock

    def _repeat(self, once: Callable[[Clock, int], Clock], clock: Clock, turns: int, times: int) -> Clock:
        """``turns`` runs, of which two are simulated and the others follow: the slower side sets the pace."""
        if turns == 0:
            return clock
        first = once(clock, times)
        if turns == 1:
            return first
        second = once(first, times * (turns - 1))
        left = turns - 2
        host_each, busy_each = second.host - first.host, second.busy_s - first.busy_s
        host_s = second.host + left * host_each
        # With the device behind, an iteration takes the device's time; once it has caught up, the host's.
        free = once(Clock(host=-1e9, device=0.0), 0)
        tail = second.device - second.host  # where the device is idle, it ends this long after the host
        device = max(second.device + left * free.device, host_s + min(tail, free.device))
        return Clock(host_s, device, second.busy_s + left * busy_each)

    def _wait(self, clock: Clock, times: int) -> Clock:
        """The host waits for the device and reads one byte."""
        at = max(clock.host, clock.device) + self.wait_s
        return Clock(at, at, clock.busy_s)

    def _graphs(self, nodes: Sequence[Node]) -> int:
        """CUDA graphs of one run of a computation."""
        graphs = run = 0
        for node in [*nodes, None]:
            if node is not None and node.operation is not None and self._fits(self.program.operations[node.operation]):
                run += 1
                continue
            graphs += run >= SMALLEST_GRAPH
            run = 0
        return graphs
