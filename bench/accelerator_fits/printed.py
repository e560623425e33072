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
            "network.share": constant(
                0.96,
                "1",
                "share of a network adapter's peak that a long message reaches",
                "printed",
                "alpha-one-index.github.io/ai-infra-index, networking-interconnects: 96 of 100 GB/s of an NDR port, both ways",
            ),
            "network.tree_hop": constant(
                5.0 / 2.7,
                "1",
                "time of a message along a tree over that along a ring",
                "printed",
                "NVIDIA/nccl, src/graph/tuning.cc at 01afd20a: hwLat over the network, protocol LL, 5.0 and 2.7 us",
            ),
            "torus.share": constant(
                0.75,
                "1",
                "share of the links to the neighbours that a long collective reaches",
                "measured",
                "jax-ml/scaling-book at 04d8de58, sharding.md: an all-gather of 34 MB over 4 chips of a TPU v5e in 680 us",
            ),
            "torus.start_s": constant(
                2.4e-6,
                "seconds",
                "of a collective beside its hops and bytes",
                "measured",
                "jax-ml/scaling-book at 04d8de58, sharding.md: 8 us for an all-gather of 128 KB over 4 chips of a TPU v5e",
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
