"""The time of one operation on a calibrated CPU."""

from collections.abc import Sequence

from cr_jax.cost.operations.buffer_reuse import Reads
from cr_jax.cost.operations.program import Operation, Program
from cr_jax.predict.cpu.calibration_tables import Tables
from cr_jax.predict.cpu.thread_schedule import elapsed, scheduled
from cr_jax.predict.time_parts import TimeParts

#: Buffers above this come fresh from the operating system at every call, page by page (glibc's limit).
PAGED_BYTES = 32 << 20
#: Bytes touched between two reads of a buffer from which the second comes from memory, not from a cache.
COLD_BYTES = 32 << 20


def operation_parts(operation: Operation, tables: Tables) -> TimeParts:
    """One execution of an operation."""
    cold = [r for r in operation.reads if operation.products and r.distance > COLD_BYTES]
    products = sum(p.flops / tables.matmul(p) for p in operation.products) + _weights_s(operation, cold, tables)
    threads = max(1, min(tables.cores, operation.partitions))
    rest = _elements(operation, tables) / threads
    compute = products + rest
    memory = sum(r.bytes / tables.bandwidth(r.distance) for r in operation.reads if r.bytes and r not in cold)
    vector = any(1 in (p.m, p.n) for p in operation.products)
    memory += sum(r.bytes for r in cold) * tables.element["cold_vector_byte" if vector else "cold_product_byte"]
    memory += operation.cost.written_bytes * tables.written_byte_s(operation.written_distance, operation.fresh)
    if operation.rows:
        table = max((r.distance for r in operation.reads), default=0)
        compute += operation.rows * tables.row_s(table, operation.row_bytes) if operation.family == "gather" else 0.0
    launch = tables.overhead["product_s"] if operation.products else tables.overhead["operation_s"]
    # A product's rate was measured with its start.
    return TimeParts(compute, memory, max(0.0, launch - compute) if operation.products else launch)


def _weights_s(operation: Operation, cold: list[Reads[int]], tables: Tables) -> float:
    """Seconds to fetch weights that no cache holds. A product of several rows was measured with its weights cached, and arranges
    them before it multiplies; fetching is added.
    """
    weights = {4 * p.batch * p.k * p.n for p in operation.products if p.m > 1}
    return sum(r.bytes / tables.bandwidth(r.distance) for r in cold if any(abs(r.bytes - w) <= 0.05 * w for w in weights))


def _elements(operation: Operation, tables: Tables) -> float:
    """Seconds on one thread of everything but products."""
    cost, each = operation.cost, tables.element
    product_flops = sum(p.flops for p in operation.products)
    seconds = 0.0
    reduced = operation.reduced_elements - operation.argmax_elements
    if operation.argmax_elements:
        seconds += operation.argmax_elements * each["argmax"]
    if reduced > 0:
        if operation.library and cost.other_flops > 2 * reduced - operation.elements:
            single = operation.single_elements
            seconds += single * each["library_reduce_single"] + (reduced - single) * each["library_reduce"]
        else:
            minor = min(reduced, operation.minor_elements)
            pair = ("sum_minor", "sum_major") if operation.library else ("reduce_minor", "reduce_major")
            seconds += minor * each[pair[0]] + (reduced - minor) * each[pair[1]]
    plain = cost.other_flops + cost.integer_ops - max(0, reduced)
    if operation.family == "convolution" and not product_flops:
        seconds += cost.matmul_flops * each["convolution"]
    if operation.family == "sort":
        return seconds + sum(r.bytes for r in operation.reads) / 4 * each["top_k"]
    if operation.family == "scatter":
        moved = operation.rows * operation.row_bytes / 4
        seconds += moved * each["scatter"]
    scalar = (operation.cut or operation.joined) and not operation.library
    if not operation.scalarised:
        plain -= operation.narrow_tanhs  # measured with the sum in which they occur
    seconds += max(0, plain) * each["scalar_arithmetic" if scalar else "arithmetic"]
    if operation.scalarised:
        seconds += cost.transcendentals * each["scalar_transcendental"]
    else:
        narrow = min(operation.narrow_tanhs, cost.transcendentals - operation.roots)
        seconds += narrow * each["narrow_tanh"] + operation.roots * each["root"]
        seconds += (cost.transcendentals - operation.roots - narrow) * each["transcendental"]
    return seconds + operation.transposed * each["transpose"]


def call_parts(program: Program, temp_bytes: int | None, tables: Tables) -> dict[str, float]:
    """Seconds outside operations: the call, loops, and fresh pages of the system."""
    over = tables.overhead
    paged = sum(size for size in program.fresh_outputs if size > PAGED_BYTES)
    if temp_bytes is not None and temp_bytes > PAGED_BYTES:
        paged += temp_bytes
    straight = sum(not o.loop for o in program.operations)
    return {
        "call": over["call_s"] + program.arguments * over["argument_s"] + program.donated * over["donated_s"],
        "hand-off": over["hand_off_s"] + straight * tables.straight_s(program.touched_bytes) if scheduled(program) else 0.0,
        "loops": sum(x.entries * over["loop_s"] + x.iterations * over["iteration_s"] for x in program.loops),
        "page faults": paged * tables.element["page_fault"],
    }


def at_once(program: Program, timed: Sequence[TimeParts], tables: Tables) -> float:
    """Seconds (0 or less) by which threads that share operations and loops shorten their sum."""
    over = tables.overhead
    loops = sum(x.entries * over["loop_s"] + x.iterations * over["iteration_s"] for x in program.loops)
    summed = loops + sum(p.seconds * o.times for p, o in zip(timed, program.operations, strict=True))
    took = elapsed(program, lambda place: timed[place].seconds, over["loop_s"], over["iteration_s"], tables.cores)
    return min(0.0, took - summed)
