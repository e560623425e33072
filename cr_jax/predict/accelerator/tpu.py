"""Time of one operation on a TPU core: matrix units, vector unit, main memory, and the floor of a kernel.

A matrix unit multiplies [8, side] by [side, side]: rows are padded to 8, the other sizes to its side. Operands in vector
memory are free; the counter leaves them out of the bytes. The compiler writes its own estimate of cycles beside most
operations: for matrix products it is used where it lies between the padded product at the peak and ``most_cycles`` times
that; elsewhere it is often absurd, and the formulas hold.
"""

from math import ceil

from cr_jax.catalog.times import MissingConstant
from cr_jax.cost.operations.products import Product
from cr_jax.cost.operations.program import Operation
from cr_jax.predict.accelerator.card import Card
from cr_jax.predict.accelerator.numbers_or_arrays import Parts

#: Passes of the matrix unit that a float32 product takes.
PASSES = {"bfloat16_3x": 3, "bfloat16_6x": 6}
_ROWS = 8


def parts(card: Card, operation: Operation, computed_in: str | None) -> Parts:
    """One execution. computed_in: what its products are computed in; unused without products."""
    known = card.constants("tpu")
    clock = known["clock_hz"]
    compute = 0.0
    if operation.products:
        compute = _products(card, operation, computed_in or "")
    elements = operation.cost.other_flops + operation.cost.integer_ops
    lanes = known["vector_lanes"] * clock
    compute += (elements / known["vector_issue"] + operation.cost.transcendentals * known["transcendental_cycles"]) / lanes
    memory = operation.cost.hbm_bytes / (known["bandwidth_share"] * card.bandwidth)
    return Parts(compute, memory)


def _products(card: Card, operation: Operation, computed_in: str) -> float:
    known = card.constants("tpu")
    passes = PASSES.get(computed_in, 1)
    peak = card.peaks.get("bfloat16" if passes > 1 else computed_in)
    if peak is None:
        raise MissingConstant(
            f"{card.name}: the peak rate of matrix products in {computed_in} is not known "
            "(matmul_flops_per_s in its profile); the maker's data sheet would give it"
        )
    padded = sum(_padded(product, known["matrix_side"]) for product in operation.products)
    least = passes * max(padded, operation.cost.matmul_flops) / peak
    estimate = operation.cycles / known["clock_hz"]
    if least <= estimate <= known["most_cycles"] * least:
        return estimate
    return least / known["matrix_share"]


def _padded(product: Product, side: float) -> float:
    """FLOPs with the padded sizes of the unit."""
    m = ceil(product.m / _ROWS) * _ROWS
    return 2.0 * product.batch * m * ceil(product.n / side) * side * ceil(product.k / side) * side


def seconds(card: Card, of: Parts) -> float:
    """Seconds with the floor of a kernel."""
    return max(float(of.compute_s), float(of.memory_s), card.constants("tpu")["floor_s"])
