"""Predicted against measured times of collectives: openxla/xla's table of 8 x H100, and the few published figures beyond it.

    python bench/collectives.py [--measured ../shared/measured] [--out]

Of the table half of the sizes is predicted with constants fitted on the other half, by kind and size. *inside*: rows whose time
lies in the shipped interval. Below: what others measured on a TPU v5e and expect between hosts, by the shipped constants.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.accelerator_fits.collectives import blank, judged, read  # noqa: E402
from bench.accelerator_fits.entries import measured_card  # noqa: E402
from bench.machine import finish, table  # noqa: E402
from cr_jax.catalog.times import shipped  # noqa: E402
from cr_jax.predict.accelerator import between_hosts, torus  # noqa: E402

KB, MB, GB = 2**10, 2**20, 2**30
#: Ranges of the whole array's bytes.
SIZES = (("to 64 KB", 0, 64 * KB), ("to 16 MB", 64 * KB, 16 * MB), ("over 16 MB", 16 * MB, np.inf))
HEAD = ("collective", "array", "n", "measured", "predicted", "median", "90%", "worst", "bias", "inside")
#: Rows and columns of bfloat16 arrays, gathered over four chips in a line of a TPU v5e, and seconds on the clock.
BOOK = "jax-ml/scaling-book at 04d8de58, sharding.md"
GATHERS = ((2048, 8192, 680e-6), (256, 256, 8e-6))
#: Bus bandwidth in GB/s of long all-reduces between hosts of eight, as an operator of clusters expects it.
OPERATOR = "saturncloud.io/blog/crusoe-nccl-cluster-validation (8 GB and more)"
EXPECTED = (("h100", 400, 450), ("a100-80gb", 250, 300))


def by_kind(measured: Path) -> list[dict[str, Any]]:
    """Errors of the sizes that were not fitted, by kind and size, and of all."""
    rows = read(measured)
    known = shipped().residuals["collectives"].same_card
    assert known, "the shipped constants hold the errors of collectives on the measured card"
    parts: dict[tuple[str, str], list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = {}
    for part, predicted in judged(blank(measured_card(rows[0].card)), rows):
        for name, least, most in SIZES:
            which = (part.size > least) & (part.size <= most)
            found = part.size[which], part.seconds[which], predicted[which]
            parts.setdefault((part.opcode, name), []).append(found)
            parts.setdefault(("all", "all"), []).append(found)
    lines = []
    for (kind, name), several in parts.items():
        size, seconds, predicted = (np.concatenate(one) for one in zip(*several, strict=True))
        off, ratio = np.abs(predicted / seconds - 1), seconds / predicted
        lines.append(
            {
                "collective": kind,
                "array": name,
                "n": len(off),
                "measured_gb_per_s": float(np.median(size / seconds)) / 1e9,
                "predicted_gb_per_s": float(np.median(size / predicted)) / 1e9,
                "median": 100 * float(np.median(off)),
                "p90": 100 * float(np.quantile(off, 0.9)),
                "worst": 100 * float(off.max()),
                "bias": 100 * (float(np.median(predicted / seconds)) - 1),
                "inside": 100 * float(np.mean((ratio >= known.ratio_low) & (ratio <= known.ratio_high))),
            }
        )
    return sorted(lines, key=lambda line: line["collective"] != "all")


def elsewhere() -> list[dict[str, Any]]:
    """Published figures beyond the table, with what is predicted of them."""
    lines: list[dict[str, Any]] = []
    four = torus.Slice((4, 8, 1), (4, 8, 1))
    for rows, columns, seconds in GATHERS:
        found = torus.seconds(measured_card("tpu-v5e"), four, "all-gather", 2 * rows * columns, range(4))
        what = f"all-gather of {2 * rows * columns / MB:g} MB, four chips of a v5e"
        lines.append({"what": what, "published": f"{1e6 * seconds:g} us", "predicted": f"{1e6 * found:.3g} us", "source": BOOK})
    for name, low, high in EXPECTED:
        devices, size = 16, 8 * GB
        found = 2 * size * (devices - 1) / devices / between_hosts.seconds(measured_card(name), "all-reduce", size, 2, 8)
        what = f"all-reduce of 8 GB, two hosts of eight {name}, bus bandwidth"
        lines.append(
            {"what": what, "published": f"{low} to {high} GB/s", "predicted": f"{found / 1e9:.0f} GB/s", "source": OPERATOR}
        )
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measured", type=Path, default=ROOT.parent / "shared" / "measured", help="folder of the measurements")
    parser.add_argument("--out", action="store_true", help="write bench/results/collectives.json")
    options = parser.parse_args()
    if not (options.measured / "collectives.csv").is_file():
        print(f"collectives.py: {options.measured}: no collectives.csv; legal: a folder as shared/measured", file=sys.stderr)
        return 2
    lines, others = by_kind(options.measured), elsewhere()
    table(HEAD, [tuple(f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in line.values()) for line in lines])
    print("measured, predicted: median GB/s of the whole array; errors in percent\n")
    table(("what", "published", "predicted", "source"), [tuple(line.values()) for line in others])
    finish("collectives", {"table": lines, "elsewhere": others}, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
