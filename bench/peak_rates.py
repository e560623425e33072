"""The time of one operation on an accelerator that is known by its peak rates only.

Portable and rough: products run at the peak of the precision they are computed in, less what tiles
and waves leave idle; everything else at the memory's rate; each kernel has a cost to start. The
constants below are assumptions, not measurements, and the interval says so.
"""

from math import ceil

from cr_jax.catalog.accelerator import Accelerator
from cr_jax.catalog.precision import matmul_precision
from cr_jax.cost.facts import Product
from cr_jax.cost.operations import Operation
from cr_jax.predict.host import Parts

#: Assumed: share of the peaks that a large product and a large copy reach where no card was measured.
MATMUL_SHARE, BANDWIDTH_SHARE = 0.8, 0.9
#: Assumed seconds to start a kernel, and for the host to call a program.
KERNEL_S = {"cuda": 2.5e-6, "tpu": 0.6e-6}
CALL_S = {"cuda": 20e-6, "tpu": 30e-6}
#: Assumed tile of a product's result on a streaming multiprocessor, and side of a TPU's matrix unit.
TILE, MATRIX_UNIT = 128, 128
#: The interval's factor either way, for want of a measurement.
UNKNOWN_FACTOR = 2.5


class Peaks:
    """An accelerator's rates at a precision; ``why`` is set where one that is needed is unknown."""

    def __init__(self, accelerator: Accelerator, precision: str, dtype: str):
        self.accelerator, self.platform = accelerator, accelerator.platform
        self.why: str | None = None
        effective = matmul_precision(accelerator, precision, dtype)
        self.effective = effective
        rates = accelerator.matmul_flops_per_s
        passes = {"bfloat16_3x": 3, "bfloat16_6x": 6}.get(effective or "", 1)
        peak = rates.get("bfloat16" if passes > 1 else effective or "")
        if effective is None:
            self.why = f"{accelerator.name}: what it computes {dtype} products in is not known"
        elif peak is None:
            self.why = f"{accelerator.name}: the peak rate of {effective} products is not known (null in its profile)"
        elif accelerator.memory_bandwidth_bytes_per_s is None:
            self.why = f"{accelerator.name}: the memory bandwidth is not known (null in its profile)"
        if self.why:
            return
        assert peak is not None and accelerator.memory_bandwidth_bytes_per_s is not None
        self.matmul_peak = peak / passes
        bfloat16, seen = rates.get("bfloat16"), accelerator.measured.get("matmul_bfloat16_flops_per_s")
        self.matmul_share = seen / bfloat16 if seen and bfloat16 else MATMUL_SHARE
        self.bandwidth_peak = accelerator.memory_bandwidth_bytes_per_s
        copied = accelerator.measured.get("copy_bytes_per_s")
        self.bandwidth = copied or self.bandwidth_peak * BANDWIDTH_SHARE
        self.vector = accelerator.vector_flops_per_s.get(dtype) or accelerator.vector_flops_per_s.get("float32")
        self.kernel_s, self.call_s = KERNEL_S[self.platform], CALL_S[self.platform]

    def efficiency(self, product: Product) -> float:
        """Share of the multipliers that a product's shape keeps busy."""
        if self.platform == "tpu":
            rows = product.m / (ceil(product.m / 8) * 8)
            return rows * _filled(product.n, MATRIX_UNIT) * _filled(product.k, MATRIX_UNIT)
        tiles = product.batch * ceil(product.m / TILE) * ceil(product.n / TILE)
        cores = self.accelerator.cores or 1
        waves = ceil(tiles / cores) * cores
        return max(product.batch * product.m * product.n / (waves * TILE * TILE), 1e-4)

    def parts(self, operation: Operation) -> Parts:
        """One execution of an operation."""
        compute = sum(p.flops / (self.matmul_peak * self.matmul_share * self.efficiency(p)) for p in operation.products)
        counted = sum(p.flops for p in operation.products)
        compute += max(0, operation.cost.matmul_flops - counted) / (self.matmul_peak * self.matmul_share)
        if self.vector:
            compute += (operation.cost.other_flops + operation.cost.transcendentals) / self.vector
        return Parts(compute, operation.cost.hbm_bytes / self.bandwidth, self.kernel_s)


def _filled(size: int, unit: int) -> float:
    return size / (ceil(size / unit) * unit)
