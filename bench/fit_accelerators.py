"""Write ``profiles/accelerator_times.json``: the constants of predicted times on accelerators, and the errors they leave.

    python bench/fit_accelerators.py [--measured ../shared/measured] [--out FILE]

Every constant is fitted on rows of the folder, or printed or assumed with its source. The errors beside them are of cards
left out: each card is predicted with the constants fitted on the others. The measurements are not copied.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.accelerator_fits import collectives, convolutions, launches, printed, products, streams  # noqa: E402
from bench.accelerator_fits.entries import measured_card, times  # noqa: E402
from cr_jax.catalog.load import accelerator  # noqa: E402
from cr_jax.catalog.times import Times, shipped  # noqa: E402
from cr_jax.resources import write_atomically  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measured", type=Path, default=ROOT.parent / "shared" / "measured", help="folder of the measurements")
    parser.add_argument("--out", type=Path, default=ROOT / "profiles" / "accelerator_times.json")
    options = parser.parse_args()
    if not options.measured.is_dir():
        print(
            f"fit_accelerators.py: {options.measured}: no folder; legal: one with the files of shared/measured", file=sys.stderr
        )
        return 2
    constants: dict[str, dict[str, Any]] = {}
    residuals: dict[str, dict[str, Any]] = {}
    for mechanism in (launches, printed, streams, convolutions, products, collectives):
        # What was fitted before holds: convolutions move their bytes as streams do.
        known = Times({**shipped().constants, **times(constants).constants}, {})
        found = mechanism.fit(options.measured, lambda name, known=known: measured_card(name, known))
        constants |= found.constants
        residuals |= found.residuals
    for kinships in residuals.values():
        for entry in kinships.values():
            if isinstance(entry, dict):
                entry["generations"] = sorted({accelerator(name).generation or "" for name in entry["cards"]})
    document = {
        "schema": "urn:cr-jax:schema:accelerator-times:1.0",
        "kind": "accelerator-times",
        "constants": dict(sorted(constants.items())),
        "residuals": dict(sorted(residuals.items())),
    }
    write_atomically(options.out, json.dumps(document, indent=1) + "\n")
    print(f"{len(constants)} constants, {len(residuals)} classes of errors: {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
