"""``crjax merge``: the shards of a grid as the document of one run."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cr_jax.cli.comparison_output import FORMATS, write_comparison
from cr_jax.cli.options import add_command
from cr_jax.cli.paths import check_file, check_folder
from cr_jax.cli.streams import say
from cr_jax.errors import BadConfig, UnknownName
from cr_jax.version import __version__

if TYPE_CHECKING:
    from cr_jax.documents.comparison import Comparison
    from cr_jax.documents.grid_shard import Grid, ShardCell


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(app, "merge", merge)


@dataclass(frozen=True, kw_only=True)
class MergeOptions:
    """The options of ``crjax merge``."""

    files: Annotated[list[Path], typer.Argument(help="The files of all shards, in any order.")]
    out: Annotated[
        Path | None, typer.Option(help="Write the comparison to this file instead of stdout; of a sweep, the folder.")
    ] = None
    format_: Annotated[str, typer.Option("--format", help="Of a comparison: json, table, md, csv or latex.")] = "json"
    plot: Annotated[Path | None, typer.Option(help="Draw the charts of a comparison here.")] = None


def merge(options: MergeOptions) -> None:
    """Join the shards of a comparison or a bench sweep, as --shard I/N wrote them, into what one run would have made.

    Shards of another grid or version, and cells that are missing or twice there, are refused. The exit code is 1 when no row of a
    comparison has figures.
    """
    from cr_jax.report.grid_shards import joined, read_shard

    if options.format_ not in (legal := ("json", *FORMATS)):
        raise UnknownName("format", options.format_, legal)
    shards = {str(file): read_shard(file) for file in options.files}
    if len(shards) < len(options.files):
        raise BadConfig("merge: a file is given twice; legal: every shard's file once")
    grid, cells = joined(shards, __version__)
    if grid.kind == "bench-sweep":
        _write_reports(options, cells)
        return
    if grid.kind == "accuracy":
        raise BadConfig("merge: shards of bench/accuracy.py; legal: python bench/accuracy.py --merge FILES")
    check_file("--out", options.out)
    check_folder("--plot", options.plot)
    document = compared(grid, cells, ["crjax", *sys.argv[1:]])
    write_comparison(document, options.format_, options.out, options.plot)
    if not document.counted:
        raise typer.Exit(1)


def compared(grid: "Grid", cells: "Sequence[ShardCell]", command: Sequence[str]) -> "Comparison":
    """The comparison of all cells of a grid. Raises ``BadInput`` for a cell whose report is none."""
    from cr_jax.documents.base import decode
    from cr_jax.documents.cost_report import CostReport
    from cr_jax.predict.money.pricing import read_rates
    from cr_jax.report.compare import Cell, compare

    rows: list[Cell] = []
    for one in cells:
        model, _, device = one.name.rpartition("@")
        if one.result is None:
            rows.append(Cell(model, device, None, one.error))
        else:
            report = decode(one.result, CostReport, f"the report of {one.name}")
            rows.append(Cell(model, report.target.name, report))
    devices = list(dict.fromkeys(name.rpartition("@")[2] for name in grid.cells))
    settings: dict[str, Any] = grid.settings
    prices = settings["pricing"]
    rates = read_rates(
        **{"prices" if name == "price_per_hour" else name: value for name, value in prices.items()}, devices=devices
    )
    return compare(rows, __version__, settings["baseline"], command, rates)


def _write_reports(options: MergeOptions, cells: "Sequence[ShardCell]") -> None:
    """The report of every cell as a file of its own, as a sweep in one run leaves them."""
    from cr_jax.documents.base import decode
    from cr_jax.documents.bench_report import BenchReport
    from cr_jax.errors import NotWritten
    from cr_jax.render.bench import render_sweep
    from cr_jax.render.cost import show
    from cr_jax.report.document import to_json, write

    if options.out is None or str(options.out) == "-" or options.format_ != "json" or options.plot is not None:
        raise BadConfig("merge of a bench sweep: a report per cell; legal: --out FOLDER, without --format and --plot")
    check_folder("--out", options.out)
    reports = {one.name: decode(one.result, BenchReport, f"the report of {one.name}") for one in cells}
    options.out.mkdir(parents=True, exist_ok=True)
    files = {options.out / f"{name}.json": report for name, report in reports.items()}
    for file, report in files.items():
        if file.exists() and file.read_text(encoding="utf-8") != to_json(report):
            raise NotWritten(f"{file}: another report is there and was left; legal: --out with an empty folder")
    for file, report in files.items():
        write(report, file)
    show(render_sweep(list(reports.values())))
    say(f"{len(files)} cells in {options.out}")
