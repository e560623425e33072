"""The executed operations of a program as data: the input of a prediction of its time."""

from dataclasses import dataclass

from cr_jax.cost.cost import Cost
from cr_jax.cost.operations.buffer_reuse import Reads
from cr_jax.cost.operations.dependencies import Node
from cr_jax.cost.operations.owners import NOBODY, Owners
from cr_jax.cost.operations.products import Convolution, Product
from cr_jax.cost.stated_costs import Kernel


@dataclass(frozen=True)
class Transfer:
    """One collective that an operation carries out or begins; ``payload_bytes`` as nccl-tests count them."""

    kind: str
    payload_bytes: int
    #: Groups of devices, by their numbers.
    groups: tuple[tuple[int, ...], ...]
    #: Whether it ends in an operation of its own.
    asynchronous: bool


@dataclass(frozen=True)
class Operation:
    """One operation of an executed computation. Elements, bytes and costs are of one execution."""

    name: str
    opcode: str
    family: str
    computation: str
    #: Executions in all.
    times: int
    cost: Cost
    #: Element type and number of elements of the largest result.
    dtype: str
    elements: int
    #: By buffer.
    reads: tuple[Reads[int], ...]
    #: As ``Reads.distance``, of the result's buffer.
    written_distance: int
    #: The whole result, in main memory.
    output_bytes: int
    #: Whether the whole result is written, so that it is no in-place update.
    fresh: bool
    products: tuple[Product, ...]
    #: Each of them is among the products too.
    convolutions: tuple[Convolution, ...]
    #: Cut, and with a transcendental: the CPU compiler makes no vector code of it.
    scalarised: bool
    #: Elements read by a reduction over several arrays.
    argmax_elements: int
    #: Elements read by any reduction; of them, those whose fastest axis is reduced.
    reduced_elements: int
    minor_elements: int
    #: Of the other reduced elements, those whose slowest axis has one place. The CPU's library reduces them slowly.
    single_elements: int
    #: Of the transcendentals, the square roots.
    roots: int
    #: Of the floating-point operations that are no products, the divisions.
    divisions: int
    #: Of the transcendentals, the powers.
    powers: int
    #: Hyperbolic tangents of arrays with short rows.
    narrow_tanhs: int
    #: Elements whose order in memory changes.
    transposed: int
    #: Gathered or scattered rows, and the bytes of one.
    rows: int
    row_bytes: int
    #: Tasks that the CPU compiler cut the operation into; 1: it runs on one thread.
    partitions: int
    #: Name of the innermost loop; empty outside of loops.
    loop: str
    #: Whether a library runs the fusion (``kCustom``).
    library: bool
    #: Whether one dynamic-slice is cut into two or more slices, and whether computed parts are joined within a row. The
    #: CPU compiler makes slower code of either.
    cut: bool
    joined: bool
    #: The TPU compiler's own estimate.
    cycles: int
    #: Sorted elements in all, and in one row.
    sorted_elements: int
    sorted_keys: int
    transfers: tuple[Transfer, ...] = ()
    #: The modules that it works for.
    owners: Owners = NOBODY
    #: Of a call whose cost is stated, and part of ``cost``.
    kernel: Kernel | None = None


@dataclass(frozen=True)
class LoopRun:
    """One ``while`` of a program."""

    name: str
    #: Entries and iterations in all.
    entries: int
    iterations: int
    #: Bytes of distinct buffers that one iteration touches.
    body_bytes: int
    #: Whether the trip count is known to us, and to the compiler.
    known: bool
    counted: bool = True


@dataclass(frozen=True)
class Program:
    """The executed operations of a program and the facts of one call."""

    operations: tuple[Operation, ...]
    loops: tuple[LoopRun, ...]
    #: The entry computation's operations, loops and calls with their dependencies.
    nodes: tuple[Node, ...]
    #: Number of arguments, and of those that give their buffer to a result.
    arguments: int
    donated: int
    argument_bytes: int
    output_bytes: int
    #: Bytes of each result that has no argument's buffer.
    fresh_outputs: tuple[int, ...]
    #: Bytes of distinct buffers that one call touches.
    touched_bytes: int
    #: Operations whose time follows neither from their shapes nor from a stated cost.
    uncounted: tuple[str, ...] = ()
    #: The program with the cheapest branches and the earliest ends of loops; ``None`` where all runs are equal.
    cheapest: "Program | None" = None
    #: Devices that run it together.
    devices: int = 1

    def total(self) -> Cost:
        """The total cost of one call, equal to the counter's."""
        cost = Cost()
        for operation in self.operations:
            cost.add(operation.cost, operation.times)
        return cost
