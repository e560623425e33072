"""``crjax compare`` and ``crjax diff``."""

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cr_jax import __version__, printable
from cr_jax.cli.paths import check_file, check_folder
from cr_jax.cli.profile import settings
from cr_jax.cli.rates import Grid, GridSource, HostW, Price, Pue
from cr_jax.cli.streams import say, write_json
from cr_jax.errors import BadConfig, CrJaxError, MissingExtra, UnknownName
from cr_jax.records import PHASES

if TYPE_CHECKING:
    from cr_jax.predict.money.pricing import Rates
    from cr_jax.report.compare import Cell

FORMATS = ("table", "md", "csv", "latex")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("compare")(compare)
    app.command("diff")(diff)


def compare(
    reports: Annotated[list[Path] | None, typer.Argument(help="Saved cost reports.")] = None,
    model: Annotated[str | None, typer.Option(help="Instead of reports: models to profile, such as dmn,aim.")] = None,
    device: Annotated[str, typer.Option(help="Devices to profile for, such as cpu,h100,tpu-v5e.")] = "cpu",
    dataset: Annotated[str, typer.Option(help="A data set profile, or a file or folder of conversations.")] = "cell-phones",
    preset: Annotated[str | None, typer.Option(help="Default: published for one model, matched across models.")] = None,
    phase: Annotated[list[str] | None, typer.Option(help="train, precompute or infer; repeat it. Default: all.")] = None,
    batch: Annotated[int | None, typer.Option(help="Examples per training step. Default: as published.")] = None,
    users: Annotated[int, typer.Option(help="Conversations answered at once.")] = 1,
    turns: Annotated[int | None, typer.Option(help="The last turn T. Default: 95% of conversations end by it.")] = None,
    items_scored: Annotated[int | None, typer.Option(help="Items scored per turn. Default: all.")] = None,
    question_items: Annotated[int, typer.Option(help="Items averaged to choose the next question (MMN, PMMN).")] = 10,
    top_k: Annotated[int, typer.Option(help="Items returned per turn.")] = 10,
    precision: Annotated[str, typer.Option(help="default, high or highest matmul precision.")] = "default",
    dtype: Annotated[str, typer.Option(help="float32 or bfloat16.")] = "float32",
    set_: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE of the configuration; one model only.")] = None,
    baseline: Annotated[str | None, typer.Option(help="The row that ratios are formed against. Default: the first.")] = None,
    format_: Annotated[str, typer.Option("--format", help="table, md, csv or latex.")] = "table",
    json_: Annotated[bool, typer.Option("--json", help="The comparison as JSON.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write to this file instead of stdout.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw roofline and bars here: SVG, and PNG with cr-jax[plot].")] = None,
    price_per_hour: Price = None,
    pue: Pue = None,
    host_w: HostW = None,
    grid_g_per_kwh: Grid = None,
    grid_source: GridSource = None,
    turns_per_second: Annotated[
        float | None, typer.Option("--turns-per-second", help="How many devices answer so many turns; with --p95-ms.")
    ] = None,
    p95_ms: Annotated[float | None, typer.Option("--p95-ms", help="95% of these turns are answered within so long.")] = None,
) -> None:
    """Reports side by side: FLOPs, bytes, intensity, memory and fit, predicted time, energy and price, per step and turn.

    Exit code 1 when no row has figures; a single failed row is shown and leaves the others alone.
    """
    from cr_jax.predict.money.pricing import read_rates
    from cr_jax.report import capacity
    from cr_jax.report import compare as comparing

    if format_ not in FORMATS:
        raise UnknownName("format", format_, FORMATS)
    if bool(reports) == (model is not None):
        raise BadConfig("compare takes saved reports or --model, one of the two")
    check_file("--out", out)
    check_folder("--plot", plot)
    asked = capacity.target(turns_per_second, p95_ms, tuple(phase or PHASES), model is not None)
    options = (price_per_hour, pue, host_w, grid_g_per_kwh, grid_source)
    work: dict[str, Any] = {}
    if model is None:
        cells = _saved(reports or [])
        rates = read_rates(*options, list(dict.fromkeys(cell.device for cell in cells)))
    else:
        models, devices = names("--model", model), names("--device", device)
        rates = read_rates(*options, devices)
        if set_ and len(models) > 1:
            raise BadConfig("--set: models do not share configuration keys; legal with one --model")
        work = {
            "preset": preset or ("matched" if len(models) > 1 else "published"),
            "phases": tuple(phase or PHASES),
            "batch": batch,
            "users": users,
            "turns": turns,
            "items_scored": items_scored,
            "top_k": top_k,
            "question_items": question_items,
            "precision": precision,
            "dtype": dtype,
            "settings": settings(set_ or []),
        }
        cells = _profiled(models, devices, dataset, work)
    document = comparing.compare(cells, __version__, baseline, ["crjax", *sys.argv[1:]], rates)
    if asked:
        assert turns_per_second is not None and p95_ms is not None
        document["capacity"] = _capacity(document, cells, dataset, work, turns_per_second, p95_ms / 1e3, rates)
    _emit(document, "json" if json_ else format_, out, plot)
    if all(row["status"] == "failed" for row in document["rows"]):
        raise typer.Exit(1)


def diff(
    a: Annotated[Path, typer.Argument(help="The report from before.")],
    b: Annotated[Path, typer.Argument(help="The report from after.")],
    json_: Annotated[bool, typer.Option("--json", help="The difference as JSON to stdout, nothing else.")] = False,
) -> None:
    """What changed from report A to report B, per step and module, and what made them different."""
    from cr_jax.report.diff import difference
    from cr_jax.report.document import read_report, to_json, validate

    document = difference(read_report(a), read_report(b), str(a), str(b), __version__)
    validate(document, "the difference (a bug in cr_jax: please report it)")
    if json_:
        write_json(to_json(document))
        return
    from cr_jax.render.cost import show
    from cr_jax.render.diff import render_diff

    show(render_diff(document))


def names(option: str, text: str) -> list[str]:
    """Names with commas between them, each once. Raises ``BadConfig``."""
    found = [name.strip() for name in text.split(",")]
    if not all(found):
        raise BadConfig(f"{option} {text!r}: an empty name; legal: names with commas between them")
    return list(dict.fromkeys(found))


def _saved(files: Sequence[Path]) -> "list[Cell]":
    from cr_jax.report.compare import saved
    from cr_jax.report.document import read_report

    return [saved(read_report(file), str(file)) for file in files]


def _profiled(models: Sequence[str], devices: Sequence[str], dataset: str, work: dict[str, Any]) -> "list[Cell]":
    """Profile every model for every device. What is wrong for every cell is refused before the first."""
    from cr_jax import pipeline
    from cr_jax.catalog import load
    from cr_jax.models import spec

    for name in models:
        spec.find(name)
    for name in devices:
        if name not in (legal := ("cpu", "gpu", "tpu", *load.accelerator_names())):
            raise UnknownName("device", name, dict.fromkeys(legal))
    pipeline.read(dataset)
    work = {"dataset": dataset, "command": ["crjax", *sys.argv[1:]], "turns_compiled": "ends", **work}
    cells: list[Cell] = []
    for number, model in enumerate(models, 1):
        cells += profile_model(model, devices, f"{number}/{len(models)}", pipeline.profile_devices, work)
    return cells


def _capacity(
    document: dict[str, Any],
    cells: "Sequence[Cell]",
    dataset: str,
    work: dict[str, Any],
    turns_per_second: float,
    p95_s: float,
    rates: "Rates",
) -> dict[str, Any]:
    """Profile the last turn of every row that has figures at 1, 2, 4, ... users, as long as that can save devices."""
    from cr_jax import pipeline
    from cr_jax.report.capacity import Search, block

    searches = [
        Search(row["name"], cell.device, turns_per_second, p95_s) for row, cell in zip(document["rows"], cells, strict=True)
    ]
    for search, cell in zip(searches, cells, strict=True):
        if cell.report is None:
            search.fail(f"no figures: {' '.join((cell.error or 'no report').split())}")
    by_model: dict[str, list[Search]] = {}
    for search, cell in zip(searches, cells, strict=True):
        by_model.setdefault(cell.model, []).append(search)
    options = {**work, "phases": ("infer",), "turns_compiled": "last"}
    for model, some in by_model.items():
        while going := [search for search in some if search.next is not None]:
            users = min(search.next for search in going if search.next is not None)
            now = [search for search in going if search.next == users]
            place = f"{users} user{'s' if users > 1 else ''}"
            found = profile_model(
                model,
                [search.device for search in now],
                place,
                pipeline.profile_devices,
                {"dataset": dataset, **options, "users": users},
            )
            for search, cell in zip(now, found, strict=True):
                if cell.report is None:
                    search.fail(cell.error or "no report")
                else:
                    search.add(cell.report)
    return block(searches, turns_per_second, p95_s, rates)


def profile_model(
    model: str, devices: Sequence[str], place: str, profile: Callable[..., list[Any]], work: dict[str, Any]
) -> "list[Cell]":
    """One model on every device; whatever goes wrong with one becomes its row. Says on stderr how it went.

    profile: as ``pipeline.profile_devices``, which compiles the devices side by side.
    """
    from cr_jax.report.compare import Cell

    live = sys.stderr.isatty()

    def say(step: str) -> None:
        if live:
            sys.stderr.write(f"\r\x1b[K[{place}] {model}: compiling {step}")
            sys.stderr.flush()

    def warn(text: str) -> None:
        sys.stderr.write(("\r\x1b[K" if live else "") + f"{printable.line(text)}\n")

    def attempt(wanted: Sequence[str]) -> list[Any]:
        try:
            return profile(model, devices=wanted, progress=say, warn=warn, **work)
        except CrJaxError as error:
            return [error] * len(wanted)
        except Exception as error:  # A row's failure, of whatever kind, must not take the other rows down.
            return [error] if len(wanted) == 1 else [one for name in wanted for one in attempt([name])]

    started = time.monotonic()
    cells = []
    for device, found in zip(devices, attempt(devices), strict=True):
        if isinstance(found, Exception):
            cells.append(Cell(model, device, None, _reason(found)))
            warn(f"[{place}] {model} on {device}: failed: {_reason(found)}")
        else:
            cells.append(Cell(model, found["target"]["name"], found))
    counted = sum(cell.report is not None for cell in cells)
    warn(f"[{place}] {model}: {counted} of {len(cells)} devices in {time.monotonic() - started:.1f} s")
    return cells


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, CrJaxError) else f"{type(error).__name__}: {text[:200]}"


def _emit(document: dict[str, Any], form: str, out: Path | None, plot: Path | None) -> None:
    from cr_jax.render import compare as rendering
    from cr_jax.render.cost import show
    from cr_jax.report.document import to_json, validate
    from cr_jax.resources import write_atomically

    validate(document, "the comparison (a bug in cr_jax: please report it)")
    if plot is not None:
        _plot(document, plot)
    if form == "table" and (out is None or str(out) == "-") and sys.stdout.isatty():
        show(rendering.render_compare(document))
        return
    writers = {
        "json": to_json,
        "md": rendering.as_markdown,
        "csv": rendering.as_csv,
        "latex": rendering.as_latex,
        "table": rendering.as_text,
    }
    text = writers[form](document)
    if form == "csv":
        for line in [*document["warnings"], *rendering.difference_lines(document)]:
            say(line)
    if out is None or str(out) == "-":
        write_json(text) if form == "json" else sys.stdout.write(text)
    else:
        write_atomically(out, text)
        say(f"comparison written to {out}")


def _plot(document: dict[str, Any], folder: Path) -> None:
    from cr_jax.render.bars import bars
    from cr_jax.render.png import to_png
    from cr_jax.render.roofline import roofline
    from cr_jax.resources import write_atomically

    if all(row["status"] == "failed" for row in document["rows"]):
        print("no plots: no row has figures", file=sys.stderr)
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadConfig(f"--plot {folder}: {error.strerror or error}; legal: a folder") from None
    drawn = {"roofline": roofline(document), "bars": bars(document)}
    for name, svg in drawn.items():
        write_atomically(folder / f"{name}.svg", svg)
    try:
        for name, svg in drawn.items():
            write_atomically(folder / f"{name}.png", to_png(svg))
    except MissingExtra as missing:
        say(f"roofline.svg and bars.svg written to {folder}; no PNG files: {missing}")
    else:
        say(f"roofline and bars written to {folder}, as .svg and .png")
