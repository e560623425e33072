"""``crjax estimate --scaling`` and ``crjax estimate --function``."""

import re
import sys
from typing import TYPE_CHECKING, cast

import typer

from cr_jax.cli.options import names
from cr_jax.cli.paths import check_file
from cr_jax.cli.progress import StatusLine
from cr_jax.cli.streams import say, write_json
from cr_jax.errors import BadConfig
from cr_jax.profiling.request import Listener, Request
from cr_jax.records import Precision

if TYPE_CHECKING:
    from cr_jax.cli.estimate import EstimateOptions
    from cr_jax.profiling.function_request import FunctionRequest

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_TIME = re.compile(r"([0-9]+(?:\.[0-9]+)?)([smhd])")
_EPOCHS = re.compile(r"epochs=([0-9]+(?:\.[0-9]+)?)")


def estimate_scaling(options: "EstimateOptions") -> None:
    """Show an amount of work on growing numbers of devices. Raises ``CrJaxError``."""
    if options.measured or options.mesh:
        raise BadConfig("--measured and --mesh: legal without --scaling and --function; --scaling gives the devices")
    if options.weak and options.scaling is None:
        raise BadConfig("--weak: legal with --scaling")
    check_file("--plot", options.plot)
    deadline = _deadline(options.deadline)
    counts = _counts(options.scaling)
    devices = names("--device", options.device)
    rates = options.rates(devices)
    amount = _calls(options) if options.function is not None else _epochs(options)
    request = _function(options, devices) if options.function is not None else _model(options, devices)

    from cr_jax.profiling.scaling import ScalingRequest, scaling
    from cr_jax.render.cost import show
    from cr_jax.render.scaling import render_scaling, scaling_bars
    from cr_jax.report.document import to_json, write
    from cr_jax.resources import write_atomically

    line = StatusLine()
    question = ScalingRequest(request, counts, "weak" if options.weak else "strong", amount, deadline, rates)
    document = scaling(question, Listener(line.compiling, line.warn))
    line.clear()
    if options.out is not None:
        write(document, options.out)
    if options.json_:
        write_json(to_json(document))
    else:
        show(render_scaling(document))
    if options.plot is not None:
        drawn = scaling_bars(document)
        if drawn is None:
            raise BadConfig("--plot: no step time is known, there is nothing to draw")
        write_atomically(options.plot, drawn)
        say(f"chart written to {options.plot}")
    if all(row.flops_per_device is None for row in document.rows):
        raise typer.Exit(1)


def _model(options: "EstimateOptions", devices: list[str]) -> Request:
    models = names("--model", options.model or "")
    if options.steps is not None:
        raise BadConfig("--steps: belongs to --function; legal with --model: --schedule epochs=N")
    if len(models) != 1:
        raise BadConfig(f"--scaling with {len(models)} models; legal: one")
    return Request(
        models[0],
        options.dataset,
        tuple(devices),
        preset=options.preset or "published",
        batch=options.batch,
        precision=cast(Precision, options.precision),  # the request refuses any other
        dtype=options.dtype,
        settings=options.settings(),
    )


def _function(options: "EstimateOptions", devices: list[str]) -> "FunctionRequest":
    from cr_jax.profiling.function_request import FunctionRequest
    from cr_jax.profiling.named_function import named_function

    of_models = {"--model": options.model, "--batch": options.batch, "--set": options.set_, "--preset": options.preset}
    for option, value in of_models.items():
        if value is not None:
            raise BadConfig(f"{option}: does not belong to --function; legal: one without the other")
    assert options.function is not None
    call = options.function
    precision = cast(Precision, options.precision)
    return FunctionRequest(named_function(call), tuple(devices), precision, command=("crjax", *sys.argv[1:]), call=call)


def _calls(options: "EstimateOptions") -> float:
    if options.steps is None:
        return 1.0
    if options.steps < 1:
        raise BadConfig(f"--steps {options.steps}: legal: 1 or more")
    return float(options.steps)


def _epochs(options: "EstimateOptions") -> float:
    """Epochs of the schedule; one where none is asked for."""
    if options.schedule == "published":
        return 1.0
    found = _EPOCHS.fullmatch(options.schedule)
    if found is None or not float(found[1]):
        raise BadConfig(f"--schedule {options.schedule!r} with --scaling; legal: epochs=N, by default 1")
    return float(found[1])


def _counts(text: str | None) -> tuple[int, ...]:
    if text is None:
        return (1,)
    parts = names("--scaling", text)
    if not all(re.fullmatch(r"[0-9]{1,6}", part) for part in parts):
        raise BadConfig(f"--scaling {text!r}: legal: numbers of devices with commas between them, such as 1,2,4,8")
    return tuple(map(int, parts))


def _deadline(text: str | None) -> float | None:
    """Seconds of ``2h``. Raises ``BadConfig``."""
    if text is None:
        return None
    found = _TIME.fullmatch(text)
    if found is None or not float(found[1]):
        raise BadConfig(f"--deadline {text!r}: legal: a number with s, m, h or d, such as 90s or 2h")
    return float(found[1]) * _SECONDS[found[2]]
