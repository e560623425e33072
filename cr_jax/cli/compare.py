"""``crjax compare`` and ``crjax diff``."""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from msgspec import structs

from cr_jax.cli.comparison_output import FORMATS, write_comparison
from cr_jax.cli.functions import FunctionOptions
from cr_jax.cli.options import Dataset, PresetAcross, PricingOptions, WorkloadOptions, add_command, importable, names
from cr_jax.cli.paths import check_file, check_folder
from cr_jax.cli.progress import StatusLine
from cr_jax.cli.shards import Shard, write_comparison_shard
from cr_jax.cli.streams import write_json
from cr_jax.errors import BadConfig, CrJaxError, UnknownName
from cr_jax.printable import named, one_line
from cr_jax.profiling.request import Listener, Request
from cr_jax.records import PHASES
from cr_jax.version import __version__

if TYPE_CHECKING:
    from cr_jax.documents.capacity import Capacity
    from cr_jax.documents.comparison import Comparison
    from cr_jax.documents.cost_report import CostReport
    from cr_jax.predict.money.pricing import Rates
    from cr_jax.profiling.function_request import FunctionRequest
    from cr_jax.profiling.stages import Failed
    from cr_jax.report.capacity import Target
    from cr_jax.report.compare import Cell


def register(app: typer.Typer) -> None:
    """Add the commands."""
    add_command(app, "compare", compare)
    app.command("diff")(diff)


@dataclass(frozen=True, kw_only=True)
class _Subject:
    reports: Annotated[list[Path] | None, typer.Argument(help="Saved cost reports.")] = None
    model: Annotated[
        str | None, typer.Option(help="Instead of reports: models to profile, such as dmn,aim.", callback=importable)
    ] = None
    device: Annotated[str, typer.Option(help="Devices to profile for, such as cpu,h100,tpu-v5e.")] = "cpu"
    dataset: Dataset = "cell-phones"
    preset: PresetAcross = None


@dataclass(frozen=True, kw_only=True)
class CompareOptions(PricingOptions, WorkloadOptions, FunctionOptions, _Subject):
    """The options of ``crjax compare``."""

    baseline: Annotated[str | None, typer.Option(help="The row that ratios refer to. Default: the first.")] = None
    format_: Annotated[str, typer.Option("--format", help="table, md, csv or latex.")] = "table"
    json_: Annotated[bool, typer.Option("--json", help="The comparison as JSON.")] = False
    out: Annotated[Path | None, typer.Option(help="Write to this file instead of stdout.")] = None
    plot: Annotated[Path | None, typer.Option(help="Draw the charts here: SVG, and PNG with cr-jax[plot].")] = None
    turns_per_second: Annotated[float | None, typer.Option(help="Find the number of devices for this load; with --p95-ms.")] = (
        None
    )
    p95_ms: Annotated[float | None, typer.Option(help="The latency that 95% of these turns must keep.")] = None
    shard: Shard = None


def compare(options: CompareOptions) -> None:
    """Compare reports: FLOPs, bytes, intensity, memory and fit, predicted time, energy and price, per step and turn.

    The exit code is 1 when no row has figures. A failed row is shown and does not affect the others.
    """
    from cr_jax.report import capacity
    from cr_jax.report import compare as comparing

    if options.format_ not in FORMATS:
        raise UnknownName("format", options.format_, FORMATS)
    if [bool(options.reports), options.model is not None, bool(options.function)].count(True) != 1:
        raise BadConfig("compare takes saved reports, --model or --function, one of the three")
    check_file("--out", options.out)
    check_folder("--plot", options.plot)
    if options.mesh is not None and (options.turns_per_second is not None or options.reports):
        raise BadConfig("--mesh: legal with --model and --function, and without --turns-per-second, which counts single devices")
    phases = tuple(options.phase or PHASES)
    target = capacity.target(options.turns_per_second, options.p95_ms, phases, options.model is not None)
    requests = _requests(options)
    if options.shard is not None:
        _write_shard(options, requests)
        return
    if requests:
        rates = options.rates(requests[0].devices)
        _refuse_unknown(requests)
        cells = _profiled(requests)
    else:
        cells = _saved(options.reports or [])
        rates = options.rates(list(dict.fromkeys(cell.device for cell in cells)))
    document = comparing.compare(cells, __version__, options.baseline, ["crjax", *sys.argv[1:]], rates)
    if target is not None:
        document = structs.replace(
            document,
            capacity=_capacity(
                document, cells, {request.model: request for request in requests if isinstance(request, Request)}, target, rates
            ),
        )
    write_comparison(document, "json" if options.json_ else options.format_, options.out, options.plot)
    if not document.counted:
        raise typer.Exit(1)


def _write_shard(options: CompareOptions, requests: "Sequence[Request | FunctionRequest]") -> None:
    """Profile the cells of ``--shard`` and write them as they are; the comparison is made when all are there."""
    others = (options.format_ != "table", options.plot is not None, options.turns_per_second is not None)
    if not requests or any(others):
        raise BadConfig(
            f"--shard {options.shard!r}: writes reports for crjax merge; legal: with --model or --function, without --format, "
            "--plot and --turns-per-second"
        )
    options.rates(requests[0].devices)  # refused now, not by the merge
    _refuse_unknown(requests)
    pricing = {field.name: getattr(options, field.name) for field in fields(PricingOptions)}
    assert options.shard is not None
    write_comparison_shard(options.shard, requests, {"baseline": options.baseline, "pricing": pricing}, _profiled, options.out)


def _requests(options: CompareOptions) -> "list[Request] | list[FunctionRequest]":
    """A request per model or function; none where saved reports are compared. Raises ``UnknownName`` and ``BadConfig``."""
    devices = names("--device", options.device)
    if options.function:
        return [options.function_request(call, options, devices, ("crjax", *sys.argv[1:])) for call in options.calls()]
    if options.model is None:
        return []
    models = names("--model", options.model)
    if options.set_ and len(models) > 1:
        raise BadConfig("--set: models do not share configuration keys; legal with one --model")
    preset = options.preset or ("matched" if len(models) > 1 else "published")
    command = ("crjax", *sys.argv[1:])
    requests = [options.request(model, options.dataset, devices, preset, command) for model in models]
    return [replace(request, turns_compiled="ends") for request in requests]


def diff(
    a: Annotated[Path, typer.Argument(help="The report from before.")],
    b: Annotated[Path, typer.Argument(help="The report from after.")],
    json_: Annotated[bool, typer.Option("--json", help="The difference as JSON to stdout, nothing else.")] = False,
) -> None:
    """Show the changes from report A to report B, per step and module, and their causes."""
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


def _saved(files: Sequence[Path]) -> "list[Cell]":
    from cr_jax.report.compare import saved
    from cr_jax.report.document import read_report

    return [saved(read_report(file), str(file)) for file in files]


def _refuse_unknown(requests: "Sequence[Request | FunctionRequest]") -> None:
    """Refuse what is wrong for every cell, before the first."""
    from cr_jax.catalog import load
    from cr_jax.models import spec
    from cr_jax.profiling.pipeline import read_dataset

    for request in requests:
        if isinstance(request, Request):
            spec.find(request.model)
    for name in requests[0].devices:
        if name not in (legal := ("cpu", "gpu", "tpu", *load.accelerator_names())):
            raise UnknownName("device", name, dict.fromkeys(legal))
    if isinstance(requests[0], Request):
        read_dataset(requests[0].dataset)


def _profiled(requests: "Sequence[Request | FunctionRequest]") -> "list[Cell]":
    """Profile every model or function for every device of its request."""
    from cr_jax.profiling.pipeline import profile_devices

    cells: list[Cell] = []
    for number, request in enumerate(requests, 1):
        cells += profile_model(request, f"{number}/{len(requests)}", profile_devices)
    return cells


def _capacity(
    document: "Comparison", cells: "Sequence[Cell]", requests: dict[str, Request], target: "Target", rates: "Rates"
) -> "Capacity":
    """Profile the last turn of every row that has figures at 1, 2, 4, ... users, as long as that can save devices."""
    from cr_jax.profiling.pipeline import profile_devices
    from cr_jax.report.capacity import Search, capacity

    searches = [Search(row.name, cell.device, target) for row, cell in zip(document.rows, cells, strict=True)]
    by_model: dict[str, list[Search]] = {}
    for search, cell in zip(searches, cells, strict=True):
        if cell.report is None:
            search.fail(f"no figures: {one_line(cell.error or 'no report')}")
        by_model.setdefault(cell.model, []).append(search)
    for model, some in by_model.items():
        last = replace(requests[model], phases=("infer",), turns_compiled="last")
        while going := [search for search in some if search.next is not None]:
            users = min(search.next for search in going if search.next is not None)
            now = [search for search in going if search.next == users]
            tried = replace(last, users=users, devices=tuple(search.device for search in now))
            profiled = profile_model(tried, f"{users} user{'s' if users > 1 else ''}", profile_devices)
            for search, cell in zip(now, profiled, strict=True):
                if cell.report is None:
                    search.fail(cell.error or "no report")
                else:
                    search.add(cell.report)
    return capacity(searches, target, rates)


def profile_model(
    request: "Request | FunctionRequest", place: str, profile: "Callable[..., list[CostReport | Failed]]"
) -> "list[Cell]":
    """A row per device of ``request``; a failure of any kind is a row with its reason.

    place: where this request stands among all, for progress. profile: as ``pipeline.profile_devices``, which
    compiles the devices side by side.
    """
    from cr_jax.profiling.stages import Failed
    from cr_jax.report.compare import Cell
    from cr_jax.report.prediction import Options

    model, status = request.model, StatusLine(f"[{place}] {request.model}: ")

    def attempt(devices: Sequence[str]) -> list[Any]:
        try:
            return profile(replace(request, devices=tuple(devices)), Options(), Listener(status.compiling, status.line))
        except CrJaxError as error:
            return [Failed(device, error) for device in devices]
        except Exception as error:  # The failure of a row, of any kind, must not affect the other rows.
            return [error] if len(devices) == 1 else [one for name in devices for one in attempt([name])]

    started = time.monotonic()
    cells = []
    for device, result in zip(request.devices, attempt(request.devices), strict=True):
        if isinstance(result, Failed | Exception):
            reason = _reason(result.reason if isinstance(result, Failed) else result)
            cells.append(Cell(model, device, None, reason))
            status.line(f"[{place}] {model} on {device}: failed: {reason}")
        else:
            cells.append(Cell(model, result.target.name, result))
    counted = sum(cell.report is not None for cell in cells)
    status.line(f"[{place}] {model}: {counted} of {len(cells)} devices in {time.monotonic() - started:.1f} s")
    return cells


def _reason(error: Exception) -> str:
    return one_line(error) if isinstance(error, CrJaxError) else named(error, 200)
