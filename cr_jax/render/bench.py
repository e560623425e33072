"""The bench report as terminal tables."""

from collections.abc import Sequence

from msgspec import UNSET
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cr_jax.documents.base import known
from cr_jax.documents.bench_report import BenchReport, BenchStep, StepComparison, StepTime
from cr_jax.render.cost import grid
from cr_jax.render.escape import shown
from cr_jax.render.phrases import sign
from cr_jax.units import scaled

_PERCENTILES = ("p50_s", "p90_s", "p95_s", "p99_s")


def render_bench(report: BenchReport) -> RenderableType:
    """Header, steady state, stages, achieved rates, memory and energy, comparisons, warnings."""
    report = shown(report)
    parts: list[RenderableType] = [_header(report)]
    steps, case = report.steps, report.case
    if steps:
        parts += [_times(steps, case.functions is UNSET), _stages(steps), _achieved(steps)]
    if report.comparisons:
        parts.append(_comparisons(report.comparisons))
    parts.append(_notes(report))
    return Group(*parts)


def render_sweep(reports: Sequence[BenchReport]) -> RenderableType:
    """One row per step of every cell; a failed cell is a row with its reason."""
    table = grid(
        "Sweep",
        "model",
        "data set",
        "phase",
        "step",
        "users/batch",
        "dtype",
        "median ms",
        "±",
        "turns/s",
        "GFLOP/s",
        "GB/s",
        "peak memory",
    )
    for report in map(shown, reports):
        case = report.case
        size = case.users if case.phase == "infer" else case.batch or ("published" if case.dataset else "-")
        head = [case.model, case.dataset or "-", case.phase]
        for step in report.steps:
            labels, time, rate = step.labels, step.time, step.achieved
            size = known(labels.users) or known(labels.batch) or size
            table.add_row(
                *head,
                step.name,
                str(size),
                case.dtype or "-",
                milliseconds(time.median_s),
                _half_width(time),
                _number(step.rates.turns_per_s),
                _giga(rate.flops_per_s),
                _giga(rate.bytes_per_s),
                scaled(step.memory.peak_bytes, "B"),
            )
        if report.error:
            error = report.error
            peak = f"predicted {scaled(error.predicted_peak_bytes, 'B')}"
            what = f"{error.kind}: {error.reason[:60]}"
            table.add_row(*head, what, str(size), case.dtype or "-", *["-"] * 5, peak, style="red")
    return table


def milliseconds(seconds: float | None) -> str:
    """``0.00123`` -> ``1.23``; ``None`` -> ``-``."""
    return "-" if seconds is None else f"{1e3 * seconds:.4g}"


def _header(report: BenchReport) -> Text:
    case, machine, device = report.case, report.machine, report.device
    text = Text()
    functions, where = known(report.functions), f"{device.kind} ({device.platform})" if device else case.device
    text.append(_named(report), style="bold")
    computed = f"precision {case.precision}" if functions else f"{case.dtype}, precision {case.precision} · {case.phase}"
    text.append(f" · measured on {where} · {computed}\n")
    text.append(
        f"{machine.cpu}, {machine.cores} cores, {scaled(machine.memory_bytes, 'B')}, {machine.system} · "
        + ", ".join(f"{k} {v}" for k, v in report.versions.items() if v is not None and k in ("python", "jax", "jaxlib"))
        + ("\n" if functions else f" · preset {case.preset}, turns 0 to {case.turns}\n"),
        style="dim",
    )
    for one in functions or ():
        arrays, made = len(one.arguments), len(one.made)
        donated = sum(argument.donated for argument in one.arguments)
        text.append(
            f"{one.call}: {one.title}, {arrays} arrays as arguments, {made} of them made, {donated} donated\n", style="dim"
        )
    return text


def _named(report: BenchReport) -> str:
    case, model, data = report.case, report.model, report.dataset
    if known(report.functions) is not None and model is not None:
        return model.title
    return f"{model.title} on {data.title}" if model and data else f"{case.model} on {case.dataset}"


def _times(steps: Sequence[BenchStep], turns: bool) -> Table:
    """turns: whether steps may answer turns, as those of models."""
    note = (
        "±: half of where the median of another run is expected · percentiles need samples beyond them · "
        "times of one call, waited for"
    )
    table = grid(
        "Steady state, milliseconds",
        "step",
        "median",
        "±",
        "mean",
        "± 95%",
        "p50",
        "p90",
        "p95",
        "p99",
        "min",
        "samples",
        *(("turns/s",) if turns else ()),
        "examples/s",
        note=note,
    )
    for step in steps:
        time, rates = step.time, step.rates
        table.add_row(
            step.name,
            milliseconds(time.median_s),
            _half_width(time),
            milliseconds(time.mean_s),
            _half(time.mean_interval_s),
            *(milliseconds(getattr(time, p)) for p in _PERCENTILES),
            milliseconds(time.min_s),
            f"{time.samples:,}",
            *((_number(rates.turns_per_s),) if turns else ()),
            _number(rates.examples_per_s),
        )
    return table


def _stages(steps: Sequence[BenchStep]) -> Table:
    table = grid("\nBefore that, milliseconds", "step", "trace", "lower", "compile", "first call")
    for step in steps:
        stages = step.stages_s
        table.add_row(step.name, *(milliseconds(getattr(stages, f"{k}_s")) for k in ("trace", "lower", "compile", "first_call")))
    return table


def _achieved(steps: Sequence[BenchStep]) -> Table:
    table = grid(
        "\nCounted over measured",
        "step",
        "FLOP",
        "GFLOP/s",
        "matmul util.",
        "bytes moved",
        "GB/s",
        "bandwidth util.",
        "peak memory",
        "predicted",
        "J/step",
    )
    for step in steps:
        counted, rate, memory, energy = step.counted, step.achieved, step.memory, step.energy
        least = sign(counted.bound)
        table.add_row(
            step.name,
            least + scaled(counted.flops),
            _giga(rate.flops_per_s),
            _share(rate.matmul_utilisation),
            scaled(counted.hbm_bytes, "B"),
            _giga(rate.bytes_per_s),
            _share(rate.bandwidth_utilisation),
            scaled(memory.peak_bytes, "B"),
            scaled(memory.predicted_peak_bytes, "B"),
            "unknown" if not energy or energy.joules_per_step is None else f"{energy.joules_per_step:.3g}",
        )
    return table


def _comparisons(entries: Sequence[StepComparison]) -> Table:
    table = grid("\nAgainst another", "step", "against", "ms", "its ms", "ratio", "95% interval", "p", "in words")
    for entry in entries:
        interval = entry.ratio_interval
        table.add_row(
            entry.step,
            f"{entry.against} {entry.against_step}",
            milliseconds(entry.median_s),
            milliseconds(entry.against_median_s),
            "-" if entry.ratio is None else f"{entry.ratio:.3f}",
            "-" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}",
            "-" if entry.p_value is None else f"{entry.p_value:.2g}",
            entry.verdict + (" (the same program)" if entry.program_equal else ""),
        )
    return table


def _notes(report: BenchReport) -> Text:
    text = Text("\n")
    error = report.error
    if error:
        where = f" at {error.step}" if error.step else ""
        text.append(f"{error.kind}{where}: {error.reason}\n", style="red")
        text.append(f"predicted peak memory {scaled(error.predicted_peak_bytes, 'B')}\n", style="red")
    if report.status == "interrupted":
        text.append("interrupted: the steps above were finished\n", style="yellow")
    lines = list(report.warnings)
    lines += [f"{step.name}: {line}" for step in report.steps for line in step.warnings]
    lines += [f"{entry.step}: {line}" for entry in report.comparisons for line in entry.warnings]
    for line in dict.fromkeys(lines):
        text.append(f"warning: {line}\n", style="yellow")
    return text


def _half(interval: Sequence[float] | None) -> str:
    return "-" if interval is None else milliseconds((interval[1] - interval[0]) / 2)


def _half_width(time: StepTime) -> str:
    return _half(time.repeat_interval_s)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.4g}" if value < 1000 else f"{value:,.0f}"


def _giga(value: float | None) -> str:
    return "-" if value is None else f"{value / 1e9:.3g}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}" if value >= 0.1 else f"{value:.1%}"
