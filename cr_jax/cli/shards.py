"""``--shard I/N`` of the commands that run a grid: the cells of one shard, and its file."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cr_jax.cli.streams import say, write_json
from cr_jax.profiling.request import Request
from cr_jax.records import plain
from cr_jax.version import __version__

if TYPE_CHECKING:
    from cr_jax.documents.bench_report import BenchReport
    from cr_jax.documents.grid_shard import Grid, ShardCell, ShardNumber
    from cr_jax.measure.cases import AnyCase
    from cr_jax.profiling.function_request import FunctionRequest
    from cr_jax.report.compare import Cell

Shard = Annotated[str | None, typer.Option(help="I/N: run every N-th cell, from the I-th; crjax merge joins the files of all.")]


def write_comparison_shard(
    shard: str,
    requests: "Sequence[Request | FunctionRequest]",
    settings: dict[str, Any],
    profiled: "Callable[[Sequence[Request | FunctionRequest]], list[Cell]]",
    out: Path | None,
) -> None:
    """Profile the cells of ``shard`` among those of ``requests``, a cell per model or function and device, and write the shard's
    file.

    settings: what the comparison depends on beside the requests. profiled: the cells of some requests, in order.
    """
    from cr_jax.documents.base import plain as document
    from cr_jax.documents.grid_shard import Grid, ShardCell
    from cr_jax.report.grid_shards import cells_of, shard_number

    names = [f"{request.model}@{device}" for request in requests for device in request.devices]
    grid = Grid(kind="comparison", settings=_asked(requests) | settings, cells=tuple(names))
    number = shard_number(shard)
    mine = cells_of(number, len(names))
    devices = requests[0].devices
    places = {place: divmod(place, len(devices)) for place in mine}
    some = [
        replace(request, devices=tuple(devices[device] for row, device in places.values() if row == at))
        for at, request in enumerate(requests)
    ]
    found = profiled([request for request in some if request.devices])
    cells = [
        ShardCell(cell=place, name=names[place], result=None if cell.report is None else document(cell.report), error=cell.error)
        for place, cell in zip(mine, found, strict=True)
    ]
    _write(grid, number, cells, out)


def _asked(requests: "Sequence[Request | FunctionRequest]") -> dict[str, Any]:
    """All that the reports of these requests depend on beside their devices."""
    from cr_jax.profiling.pipeline import read_dataset
    from cr_jax.report.grid_shards import digest

    models = [request for request in requests if isinstance(request, Request)]
    if not models:
        return {"requests": [_asked_function(request) for request in requests if not isinstance(request, Request)]}
    data, _ = read_dataset(models[0].dataset)
    each = [plain(replace(request, command=None, devices=(), dataset=data.name)) for request in models]
    return {"requests": each, "dataset_sha256": digest(plain(data))}


def _asked_function(request: "FunctionRequest") -> dict[str, Any]:
    """The same of a function; of its arguments, the shapes and types."""
    from cr_jax.steps.function import argument_shapes

    user, given = request.function, request.known
    chosen = {name: plain(getattr(user, name)) for name in ("donate", "static", "weights", "batch", "name")}
    return {
        "function": request.call,
        "arguments": argument_shapes(user),
        "options": chosen,
        "precision": request.precision,
        "mesh": plain(request.mesh),
        "trips": dict(given.trips),
        "kernels": plain(given.kernels),
    }


def sweep_shard(shard: str, cases: "Sequence[AnyCase]") -> "list[AnyCase]":
    """The cases of a sweep that ``shard`` runs. Raises ``BadConfig``."""
    from cr_jax.report.grid_shards import cells_of, shard_number

    return [cases[place] for place in cells_of(shard_number(shard), len(cases))]


def write_sweep_shard(
    shard: str, cases: "Sequence[AnyCase]", settings: dict[str, Any], reports: "Sequence[BenchReport]", folder: Path
) -> None:
    """Write the file of ``shard``, whose cases have ``reports``, to ``folder``.

    cases: of the whole sweep. settings: what the reports depend on beside the cases.
    """
    from cr_jax.documents.base import plain as document
    from cr_jax.documents.grid_shard import Grid, ShardCell
    from cr_jax.profiling.pipeline import read_dataset
    from cr_jax.report.grid_shards import cells_of, digest, shard_number

    number = shard_number(shard)
    names = dict.fromkeys(name for case in cases if (name := case.entry().dataset) is not None)
    data = {name: digest(plain(read_dataset(name)[0])) for name in names}
    grid = Grid(
        kind="bench-sweep",
        settings={"cases": [plain(case) for case in cases], "dataset_sha256": data} | settings,
        cells=tuple(case.slug() for case in cases),
    )
    cells = [
        ShardCell(cell=place, name=grid.cells[place], result=document(report), error=None)
        for place, report in zip(cells_of(number, len(cases)), reports, strict=True)
    ]
    _write(grid, number, cells, folder / f"shard-{number.number}-of-{number.of}.json")


def _write(grid: "Grid", number: "ShardNumber", cells: "Sequence[ShardCell]", out: Path | None) -> None:
    from cr_jax.report.document import to_json, validate, write
    from cr_jax.report.grid_shards import grid_shard
    from cr_jax.targets.compile import versions

    document = grid_shard(grid, number, cells, __version__, versions(), ["crjax", *sys.argv[1:]])
    if out is None or str(out) == "-":
        validate(document, "the shard (a bug in cr_jax: please report it)")
        write_json(to_json(document))
        return
    write(document, out)
    say(f"shard {number.number} of {number.of}: {len(cells)} of {len(grid.cells)} cells written to {out}")
