"""Constants without rows to fit them on: gathers, scatters and sorts, printed elsewhere or assumed.

python -m bench.accelerator_fits.printed
"""

from collections.abc import Callable
from pathlib import Path

from bench.accelerator_fits.entries import constant, write
from bench.accelerator_fits.fitting import Fitted
from cr_jax.predict.accelerator.card import Card


def fit(measured: Path, card_of: Callable[[str], Card]) -> Fitted:
    """The constants; no residuals, for want of measurements."""
    return Fitted(
        {
            "gathers.sector_bytes": constant(
                32,
                "bytes",
                "least that memory moves",
                "printed",
                "NVIDIA, CUDA C++ best practices guide: accesses coalesce into transactions of 32 bytes",
            ),
            "gathers.gap_bytes": constant(
                32,
                "bytes",
                "of the memory's burst unused beside a row that lies alone",
                "assumed",
                "half of a burst of 64 bytes (HBM2, GDDR6)",
            ),
            "gathers.atomic_clocks": constant(
                4,
                "clocks",
                "of a core for the atomic operations on one sector of a row",
                "assumed",
                "a quarter of the rate at which a core moves sectors",
            ),
            "sorts.radix_share": constant(
                0.91,
                "1",
                "share of a stream's rate that a pass of CUB's radix sort reaches",
                "printed",
                "IlyaGrebnov/libcusort README: CUB on RTX 5090, 2^26 int32 keys 1.615 ms, pairs 3.100 ms, int64 keys 6.185 ms, "
                "each 0.82 of 1792 GB/s; over a stream's 0.9",
            ),
            "sorts.compare_cycles": constant(
                16,
                "clocks",
                "of a lane to compare two elements in shared memory and exchange them",
                "assumed",
                "two loads, JAX's comparison of floats (some eight instructions), two stores",
            ),
        }
    )


def main() -> None:
    from bench.accelerator_fits.entries import measured_card

    write(Path("profiles/accelerator_times.json"), fit(Path(), measured_card))


if __name__ == "__main__":
    main()
