"""Time of kernels whose cost is stated: custom kernels by what is declared or assumed, cuDNN's attention by its shapes.

A roofline: FLOPs at the share of the peak of their type that products reach, transcendentals on the lanes, bytes at the share of
the memory's rate that a stream reaches; the longest counts. Of attention the products are such FLOPs, and softmax is the lanes'.
Which FLOPs of a custom kernel are products nothing says: all are taken for some, the fastest way to compute them. The type is
that of the largest array of floating-point numbers that the kernel takes; without one the lanes do everything.
"""

from cr_jax.catalog.precision import on_tensor_cores
from cr_jax.catalog.times import MissingConstant
from cr_jax.cost.operations.program import Operation
from cr_jax.predict.accelerator import products_plain, streams
from cr_jax.predict.accelerator.card import Card
from cr_jax.predict.accelerator.numbers_or_arrays import Parts
from cr_jax.predict.accelerator.tpu import PASSES


def on_gpu(card: Card, operation: Operation, computed_in: str | None) -> Parts:
    """One execution. computed_in: what products of its type are computed in; ``None``: it has no type of such numbers.

    Raises ``MissingConstant``.
    """
    flops, others = _work(operation, computed_in)
    lanes = streams.LaneWork(others, transcendentals=operation.cost.transcendentals)
    compute = float(streams.arithmetic(card, lanes))
    if flops and computed_in:
        compute = max(compute, flops / _gpu_rate(card, computed_in))
    return Parts(compute, operation.cost.hbm_bytes / streams.cold_rate(card))


def on_tpu(card: Card, operation: Operation, computed_in: str | None) -> Parts:
    """One execution, as ``on_gpu``; the vector unit has the lanes."""
    known = card.constants("tpu")
    flops, others = _work(operation, computed_in)
    vector = others / known["vector_issue"] + operation.cost.transcendentals * known["transcendental_cycles"]
    compute = vector / (known["vector_lanes"] * known["clock_hz"])
    if flops and computed_in:
        passes = PASSES.get(computed_in, 1)
        compute = max(compute, passes * flops / (_peak(card, "bfloat16" if passes > 1 else computed_in) * known["matrix_share"]))
    return Parts(compute, operation.cost.hbm_bytes / (known["bandwidth_share"] * card.bandwidth))


def kind(operation: Operation) -> str:
    """Its class of errors: no such kernel was compared with a clock."""
    assert operation.kernel is not None
    return "attention" if operation.kernel.source == "formula" else f"kernels_{operation.kernel.source}"


def _work(operation: Operation, computed_in: str | None) -> tuple[int, int]:
    """FLOPs that products may do, and operations that the lanes do."""
    cost = operation.cost
    if operation.kernel is not None and operation.kernel.source == "formula":
        return cost.matmul_flops, cost.other_flops
    return (cost.flops, 0) if computed_in else (0, cost.flops)


def _gpu_rate(card: Card, computed_in: str) -> float:
    if not on_tensor_cores(card.accelerator, computed_in):
        known = card.constants("products_plain")
        return products_plain.peak(card, computed_in) * known["utilisation_128" if card.lanes >= 128 else "utilisation"]
    return _peak(card, computed_in) * card.constants("products_tensor")["utilisation"]


def _peak(card: Card, computed_in: str) -> float:
    peak = card.peaks.get(computed_in)
    if peak is None:
        raise MissingConstant(
            f"{card.name}: the peak rate of matrix products in {computed_in} is not known "
            "(matmul_flops_per_s in its profile); the maker's data sheet would give it"
        )
    return peak
