"""``accuracy.py --shard I/N`` and ``--merge FILES``: its grid by many machines of one kind, as grid shards."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from machine import machine

from cr_jax.documents.base import plain
from cr_jax.documents.grid_shard import Grid, ShardCell
from cr_jax.errors import BadInput
from cr_jax.measure.case import Case
from cr_jax.records import plain as plain_case
from cr_jax.report.document import write
from cr_jax.report.grid_shards import cells_of, grid_shard, joined, read_shard, shard_number
from cr_jax.targets.compile import versions
from cr_jax.version import __version__


def run_shard(shard: str, cases: Sequence[Case], settings: dict[str, Any], measured: Callable[[Case], dict[str, Any]]) -> Path:
    """Measure the cases of ``shard`` and write its file to the current folder.

    settings: what the rows depend on beside the cases. measured: the rows of a case, what failed, its calibration.
    """
    number = shard_number(shard)
    about = machine()
    load = about.pop("load_average")
    names = tuple(case.slug() for case in cases)
    grid = Grid(
        kind="accuracy", settings={"cases": [plain_case(case) for case in cases], "machine": about} | settings, cells=names
    )
    cells = [
        ShardCell(cell=place, name=names[place], result=measured(cases[place]) | {"load_average": load}, error=None)
        for place in cells_of(number, len(cases))
    ]
    file = Path(f"accuracy-{number.number}-of-{number.of}.json")
    write(grid_shard(grid, number, cells, __version__, versions(), sys.argv), file)
    return file


def merged(files: Sequence[str]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """What was measured of every case, in the order of one run, and the machine. Raises ``BadInput`` for other files."""
    grid, cells = joined({file: read_shard(file) for file in files}, __version__)
    if grid.kind != "accuracy":
        raise BadInput(files[0], f"a shard of a {grid.kind}; legal: files of bench/accuracy.py --shard; crjax merge joins others")
    results = [plain(cell.result) for cell in cells]
    loads = [result.pop("load_average") for result in results]
    return results, dict(grid.settings["machine"]) | {"load_average": max(loads)}
