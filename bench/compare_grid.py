"""Every model on every kind of device in one ``crjax compare``: cold and from the cache.

    python bench/compare_grid.py [--models ...] [--devices ...] [--mesh data=8] [--out]

With --mesh, on so many devices of two kinds.

Each run is a fresh process. The cold one starts from an empty cache of programs, the compilers
installed (``crjax targets install gpu tpu``); the second finds its programs. Exit status 1 where a cell
was not compiled for its device, or holds an operation that is not counted.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from machine import finish, fresh, table

from cr_jax.resources import cache_root

MODELS = ("dmn", "mmn", "pmmn", "aim", "srnn-ae")
DEVICES = ("cpu", "h100", "a100-80gb", "l4", "tpu-v5e", "tpu-v6e")
#: With a mesh.
MESH_DEVICES = ("h100", "tpu-v5e")
COLD_S, WARM_S, MESH_COLD_S = 600.0, 30.0, 300.0


def lacks(document: dict) -> list[str]:
    """What a cell falls short of, one line each."""
    found = []
    for row in document["rows"]:
        if row["status"] != "ok":
            found.append(f"{row['name']}: {row['error']}")
        elif row["compiled_for"] != row["device"]:
            found.append(f"{row['name']}: {'; '.join(row['coverage']['not_compiled']) or 'not compiled'}")
        elif row["coverage"]["uncounted"]:
            found.append(f"{row['name']}: not counted: {', '.join(row['coverage']['uncounted'])}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--devices", nargs="+")
    parser.add_argument("--mesh", help="axes and sizes of the devices that run each program together")
    parser.add_argument(
        "--out", action="store_true", help="write bench/results/compare_grid.json, or mesh_compile.json with --mesh"
    )
    options = parser.parse_args()
    devices = options.devices or list(MESH_DEVICES if options.mesh else DEVICES)
    cold = MESH_COLD_S if options.mesh else COLD_S
    runs, document = {}, {}
    with tempfile.TemporaryDirectory() as empty:
        compilers = cache_root() / "targets"
        if compilers.is_dir():
            os.symlink(compilers, Path(empty) / "targets")
        for name in ("cold", "from the cache"):
            print(f"{name}:", file=sys.stderr)
            run = fresh(
                [
                    "-m",
                    "cr_jax.cli.main",
                    "compare",
                    "--model",
                    ",".join(options.models),
                    "--device",
                    ",".join(devices),
                    *(["--mesh", options.mesh] if options.mesh else []),
                    "--json",
                ],
                CRJAX_CACHE=empty,
            )
            runs[name], document = run, json.loads(run.output)
    cells, missing = len(document["rows"]), lacks(document)
    table(
        ("run", "wall s", "cpu s", "aim s"),
        [
            (name, f"{run.wall_s:.1f}", f"{run.cpu_s:.1f}", f"{aim:g}")
            for (name, run), aim in zip(runs.items(), (cold, WARM_S), strict=True)
        ],
    )
    print(f"\n{cells - len(missing)} of {cells} cells compiled for their device with every operation counted")
    for line in missing:
        print(line)
    finish(
        "mesh_compile" if options.mesh else "compare_grid",
        {
            "models": options.models,
            "devices": devices,
            **({"mesh": options.mesh} if options.mesh else {}),
            "cells": cells,
            "missing": missing,
            **{
                f"{name.split()[0] if name == 'cold' else 'cached'}_{key}": getattr(run, key)
                for name, run in runs.items()
                for key in ("wall_s", "cpu_s")
            },
            "aim_cold_s": cold,
            "aim_cached_s": WARM_S,
        },
        options.out,
    )
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
