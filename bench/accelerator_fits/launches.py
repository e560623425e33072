"""Constants of starting kernels and of TPUs: printed or assumed, for want of rows to fit on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.accelerator_fits.fitting import Fitted
from cr_jax.predict.accelerator.card import Card

_SCAN = "lax.scan of ten million iterations on a T4 (JAX 0.8.1), three kernels an iteration: 8.05 us"
_THEN = "bench/gpu.sh on an attached GPU"


def fit(measured: Path, card_of: Callable[[str], Card]) -> Fitted:
    """The entries of the mechanisms ``launches`` and ``tpu``."""
    found = Fitted()
    found.constants = dict(_CONSTANTS)
    return found


def _entry(
    value: float | None, unit: str, meaning: str, kind: str, source: str, by: dict[str, dict[str, float]] | None = None
) -> dict[str, Any]:
    entry = {"value": value, "unit": unit, "meaning": meaning, "kind": kind, "source": source, "would_give": _THEN}
    return entry | ({"by": by} if by else {})


_CONSTANTS = {
    "launches.enqueue_s": _entry(2.7e-6, "seconds", "host's time to enqueue one kernel", "measured", f"{_SCAN}; 2.7 us each"),
    "launches.gap_s": _entry(
        1e-6,
        "seconds",
        "device's idle time between two kernels of a stream",
        "assumed",
        "no measurement; the order of NVIDIA's own figures",
    ),
    "launches.graph_s": _entry(
        5e-6,
        "seconds",
        "host's time to launch one CUDA graph",
        "assumed",
        "no measurement under XLA; published launches of small graphs lie around it",
    ),
    "launches.graph_kernel_s": _entry(
        0.9e-6,
        "seconds",
        "device's time to start one kernel of a CUDA graph",
        "printed",
        "CUDA.jl's documentation of CUDA graphs: 0.9 us a kernel against 3.3",
    ),
    "launches.wait_s": _entry(
        10e-6,
        "seconds",
        "host's wait for a loop's condition that XLA cannot count",
        "assumed",
        "a copy of one byte to the host, and about 6 us for a launch with its wait",
    ),
    "launches.call_s": _entry(
        20e-6,
        "seconds",
        "host's time to call a compiled program",
        "assumed",
        "no measurement on a GPU; dispatch by JAX on CPUs takes as long",
    ),
    "tpu.clock_hz": _entry(
        None,
        "Hz",
        "clock of a TensorCore",
        "printed",
        "peak of bfloat16 products / (2 x matrix units x side^2); units, sides: Google's documents",
        by={"generation": {"tpu-v4": 1.05e9, "tpu-v5e": 1.5e9, "tpu-v5p": 1.75e9, "tpu-v6e": 1.75e9, "tpu-v7x": 2.2e9}},
    ),
    "tpu.matrix_side": _entry(
        128,
        "elements",
        "side of a matrix unit",
        "printed",
        "Google's documentation of TPUs",
        by={"generation": {"tpu-v6e": 256, "tpu-v7x": 256}},
    ),
    "tpu.matrix_share": _entry(
        0.8,
        "1",
        "share of the peak that products without the compiler's estimate reach",
        "assumed",
        "0.76 at 2048 cubed and 1.0 from 4096 in openxla/xla's table of TPU7x products",
    ),
    "tpu.most_cycles": _entry(
        20.0,
        "1",
        "padded products at the peak up to which the compiler's estimate is used",
        "assumed",
        "estimates of copies and loops go beyond it by orders of magnitude",
    ),
    "tpu.vector_lanes": _entry(
        1024,
        "lanes",
        "lanes of the vector unit: 8 sublanes x 128",
        "printed",
        "jax-ml.github.io/scaling-book, TPUs",
        by={"generation": {"tpu-v4": 2048, "tpu-v5p": 2048}},
    ),
    "tpu.vector_issue": _entry(
        4,
        "operations",
        "vector operations that issue in one clock",
        "printed",
        "jax-ml.github.io/scaling-book, TPUs: four ALUs a lane",
    ),
    "tpu.transcendental_cycles": _entry(1.0, "clocks", "clocks of one lane for one transcendental", "assumed", "no source"),
    "tpu.bandwidth_share": _entry(0.85, "1", "share of the memory's peak that a stream reaches", "assumed", "no source"),
    "tpu.floor_s": _entry(
        1.5e-6,
        "seconds",
        "least time of an operation",
        "printed",
        "openxla/xla's table of TPU7x products: small ones take so long",
    ),
    "tpu.call_s": _entry(30e-6, "seconds", "host's time to call a compiled program", "assumed", "no measurement"),
}
