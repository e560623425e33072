"""``crjax profile``."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cr_jax.cli.paths import check_file
from cr_jax.cli.rates import Grid, GridSource, HostW, Price, Pue
from cr_jax.cli.streams import say, write_json
from cr_jax.errors import BadConfig
from cr_jax.records import PHASES

if TYPE_CHECKING:
    from cr_jax.report.prediction import Refine


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("profile")(profile)


def profile(
    model: Annotated[
        str,
        typer.Option(help="A name of `crjax list models`, or package.module:SPEC, which imports and runs that module's code."),
    ],
    dataset: Annotated[str, typer.Option(help="A data set profile, or a file or folder of conversations.")] = "cell-phones",
    device: Annotated[str, typer.Option(help="cpu, gpu, tpu or a name of `crjax list accelerators`.")] = "cpu",
    preset: Annotated[str, typer.Option(help="published, matched or paper.")] = "published",
    phase: Annotated[list[str] | None, typer.Option(help="train, precompute or infer; repeat it. Default: all.")] = None,
    batch: Annotated[int | None, typer.Option(help="Examples per training step. Default: as published.")] = None,
    users: Annotated[int, typer.Option(help="Conversations answered at once.")] = 1,
    turns: Annotated[int | None, typer.Option(help="The last turn T. Default: 95% of conversations end by it.")] = None,
    items_scored: Annotated[int | None, typer.Option(help="Items scored per turn. Default: all.")] = None,
    question_items: Annotated[int, typer.Option(help="Items averaged to choose the next question (MMN, PMMN).")] = 10,
    top_k: Annotated[int, typer.Option(help="Items returned per turn.")] = 10,
    precision: Annotated[str, typer.Option(help="default, high or highest matmul precision.")] = "default",
    dtype: Annotated[str, typer.Option(help="float32 or bfloat16.")] = "float32",
    set_: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE of the model's configuration.")] = None,
    require_compiled: Annotated[
        bool, typer.Option("--require-compiled", help="Refuse a program that was not compiled for the device.")
    ] = False,
    replay: Annotated[
        bool, typer.Option("--replay", help="Time the program's own operations, for a better prediction (calibrated CPU).")
    ] = False,
    memory: Annotated[
        bool, typer.Option("--memory", help="Show how memory goes over each program, and what fills it at its fullest.")
    ] = False,
    max_batch: Annotated[
        bool, typer.Option("--max-batch", help="Find the largest training batch that fits the device, by compiling.")
    ] = False,
    memory_gb: Annotated[float | None, typer.Option(help="Memory for --max-batch, in 10^9 bytes. Default: the device's.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the report to this file (- for stdout).")] = None,
    json_: Annotated[bool, typer.Option("--json", help="The report to stdout, nothing else.")] = False,
    get: Annotated[str | None, typer.Option(help="Print one field, such as peak_bytes or parameters.trainable.")] = None,
    price_per_hour: Price = None,
    pue: Pue = None,
    host_w: HostW = None,
    grid_g_per_kwh: Grid = None,
    grid_source: GridSource = None,
) -> None:
    """Count the cost of training and of answering turns: FLOPs, bytes, memory, parameters; predict time where it can be.

    profile counts, bench measures, estimate answers for a whole run. Nothing is run on data.
    """
    from cr_jax import pipeline
    from cr_jax.predict.money.pricing import read_rates
    from cr_jax.report.document import get_field, to_json, write

    # This process only traces, and compiles for the CPU; attached cards are a worker's business.
    os.environ["JAX_PLATFORMS"] = "cpu"

    if memory_gb is not None and (not max_batch or memory_gb <= 0):
        raise BadConfig(f"--memory-gb {memory_gb}: must be more than 0, and belongs to --max-batch")
    check_file("--out", out)
    rates = read_rates(price_per_hour, pue, host_w, grid_g_per_kwh, grid_source, [device])
    common: dict[str, Any] = dict(
        model=model,
        dataset=dataset,
        device=device,
        preset=preset,
        users=users,
        turns=turns,
        items_scored=items_scored,
        question_items=question_items,
        top_k=top_k,
        precision=precision,
        dtype=dtype,
        settings=settings(set_ or []),
        progress=_progress(),
        warn=_warn,
    )
    report = pipeline.profile(
        **common,
        phases=tuple(phase or PHASES),
        batch=batch,
        command=["crjax", *sys.argv[1:]],
        require_compiled=require_compiled,
        refine=_refine(device) if replay else None,
        rates=rates,
    )
    if max_batch:
        from cr_jax.fit import largest_batches

        report["max_batch"] = largest_batches(report, int(memory_gb * 1e9) if memory_gb else None, **common)
    _clear()
    for line in _shortfalls(report):
        _warn(line)
    quiet = json_ or get is not None or str(out) == "-"
    if out is not None and str(out) != "-":
        write(report, out)
    if json_ or str(out) == "-":
        write_json(to_json(report))
    if get is not None:
        import json

        value = get_field(report, get)
        write_json(f"{value if isinstance(value, str) else json.dumps(value)}\n")
    if not quiet:
        from cr_jax.render.cost import render_cost, show

        show(render_cost(report, memory))
        if out is not None:
            say(f"report written to {out}")


def _refine(device: str) -> "Refine":
    """What ``--replay`` does. Raises ``BadConfig`` for a device whose operations cannot be timed here."""
    from cr_jax.catalog import load

    names = load.accelerator_names()
    if device not in names or load.accelerator(device).calibration is None:
        raise BadConfig(f"--replay: {device!r} is no calibrated CPU profile; legal: one that crjax calibrate wrote")
    from cr_jax.measure.replay import refine

    return refine


def settings(pairs: list[str]) -> dict[str, str]:
    """``["hops=2"]`` -> ``{"hops": "2"}``. Raises ``BadConfig``."""
    found: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise BadConfig(f"--set {pair!r}: legal: KEY=VALUE")
        found[key.strip()] = value.strip()
    return found


def _shortfalls(report: dict[str, Any]) -> list[str]:
    """One line for a compiler that is not there, one for each step that the compiler failed at."""
    problem = report["target"]["problem"]
    if problem:
        return [f"counted as traced: {problem}"]
    return [f"{s['name']} is counted as traced: {s['reason']}" for s in report["steps"] if s["outcome"] == "failed"]


def _warn(line: str) -> None:
    _clear()
    say(f"crjax: {line}")


def _progress():
    if not sys.stderr.isatty():
        return None

    def say(name: str) -> None:
        sys.stderr.write(f"\r\x1b[Kcompiling {name}")
        sys.stderr.flush()

    return say


def _clear() -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
