"""A calibration made up of round numbers, so that every prediction can be worked out by hand."""

from typing import Any

from msgspec import convert

from cr_jax.documents.calibration import Calibration

RATE = 1e9
BANDWIDTH = 1e10


def typed(block: dict[str, Any]) -> Calibration:
    """The block as profiles hold it."""
    return convert(block, Calibration)


def calibration(**changes: Any) -> dict[str, Any]:
    """1 GFLOP/s for every product but those of 1 row (half), 10 GB/s, 1 ns an element, 1 us an overhead."""
    shapes = [(m, n, k) for m in (1, 64) for n in (1, 64) for k in (16, 256)]
    elements = (
        "arithmetic",
        "transcendental",
        "narrow_tanh",
        "root",
        "scalar_transcendental",
        "scalar_arithmetic",
        "argmax",
        "reduce_minor",
        "reduce_major",
        "sum_minor",
        "sum_major",
        "library_reduce",
        "library_reduce_single",
        "transpose",
        "top_k",
        "scatter",
        "convolution",
        "cold_product_byte",
        "cold_vector_byte",
        "page_fault",
    )
    overheads = (
        "call_s",
        "argument_s",
        "donated_s",
        "operation_s",
        "product_s",
        "iteration_s",
        "loop_s",
        "base_s",
        "hand_off_s",
        "straight_s",
        "cold_straight_s",
    )
    return {
        "created": "2026-01-01T00:00:00+00:00",
        "device": "cpu",
        "versions": {"jax": "0"},
        "took_s": 1.0,
        "passes": 3,
        "statistic": "median",
        "fit": {"points": 8, "median_spread": 0.1, "p90_spread": 0.2, "meaning": "a test"},
        "canary": {"what": "a test", "seconds": [1.0], "spread": 0.0},
        "cores": 2,
        "overheads": dict.fromkeys(overheads, 1e-6),
        "elements_s": dict.fromkeys(elements, 1e-9),
        "tables": {
            "matmul": [
                {
                    "m": m,
                    "n": n,
                    "k": k,
                    "batch": 1,
                    "kind": "nn",
                    "dtype": "float32",
                    "flops_per_s": RATE / 2 if m == 1 else RATE,
                }
                for m, n, k in shapes
            ],
            "stream": [{"footprint_bytes": 1 << 20, "bytes_per_s": BANDWIDTH}],
            "fresh": [{"footprint_bytes": 1 << 20, "bytes_per_s": BANDWIDTH}],
            "gather": [{"table_bytes": 1 << 20, "row_bytes": 128, "s_per_row": 1e-8}],
        },
    } | changes
