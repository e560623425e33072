"""A benchmark of one case: stages, first call, steady state, memory and energy, as a bench report."""

import gzip
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
from msgspec import convert, structs

from cr_jax.cost.counting.count import count_hlo
from cr_jax.documents.bench_report import BenchDevice, BenchReport, BenchStep, MeasuredMemory, SamplingPlan, StepComparison
from cr_jax.errors import BadConfig, NotWritten
from cr_jax.hlo.fingerprint import fingerprint
from cr_jax.measure import device as devices
from cr_jax.measure import machine as machines
from cr_jax.measure import memory, power, run, worker_process
from cr_jax.measure.cases import AnyCase, AnyPrepared, prepare_case
from cr_jax.measure.clock import Clock, Plan, interleave, timed
from cr_jax.measure.statistics import compare, describe
from cr_jax.records import plain
from cr_jax.report.bench import (
    Doing,
    MeasuredStep,
    PeakRates,
    Subject,
    bench_report,
    bench_step,
    comparison,
    error_of,
    measured_memory,
)
from cr_jax.resources import write_atomically
from cr_jax.steps.step import state_bytes
from cr_jax.targets.compile import versions
from cr_jax.units import scaled
from cr_jax.version import __version__

#: Called at every stage (``compiled``, ``measured``) with its facts.
Say = Callable[[str, Doing], None]
#: Calls in a profiler trace.
_TRACED = 5


@dataclass(frozen=True)
class Options:
    """memory, energy: whether they are measured. trace: a folder for a profiler trace. hlo: a folder for
    the compiled programs, gzipped. command: the exact command, for the report. clock, meter: other
    ones, for tests.
    """

    memory: bool = True
    energy: bool = True
    trace: str | None = None
    hlo: str | None = None
    command: Sequence[str] | None = None
    say: Say = lambda stage, doing: None
    clock: Clock = time.perf_counter
    meter: power.Meter | None = None


@dataclass
class Ready:
    """A step about to be measured: compiled, with what its device held before its arguments."""

    prepared: AnyPrepared
    compiled: run.Compiled
    program: run.Program
    first_s: float | None
    before: tuple[int, int] | None

    @property
    def name(self) -> str:
        """The name of the step."""
        return self.compiled.step.name


def bench(case: AnyCase, plan: Plan = Plan(), options: Options = Options(), against: AnyCase | None = None) -> BenchReport:
    """Measure every step of ``case``; with ``against``, each step in turn with the other case's.

    Returns a bench report. A step that fails, out of memory too, ends it with ``status`` failed and
    what was predicted of its memory; Ctrl-C with ``status`` interrupted: what was measured so far is
    kept. Raises ``CrJaxError`` for anything a caller can mend: an unknown name, no such device, a function that raises.
    """
    if options.trace is not None:
        trace_folder(options.trace)  # before anything is measured
    place = devices.attached(case.device)
    ours = prepare_case(case)
    theirs = prepare_case(against) if against is not None else None
    if theirs is not None and len(theirs.steps) != len(ours.steps):
        raise BadConfig(f"{len(ours.steps)} steps against {len(theirs.steps)}: name one with --mode or --objective")
    if place.platform == "cpu":
        for prepared in (ours, theirs) if theirs is not None else (ours,):
            _has_room(prepared)
    meter, no_meter = (options.meter, None) if options.meter else power.find_meter(place.platform)
    warnings = (no_meter,) if options.energy and no_meter else ()
    document = bench_report(_subject(ours, place, plan), __version__, versions(), machines.machine(), options.command, warnings)
    starters = [prepared.starter() for prepared in (ours, theirs) if prepared is not None]
    doing = Doing()
    try:
        for number, step in enumerate(ours.steps):
            doing = Doing(step.name)
            sides = [(ours, step)] + ([(theirs, theirs.steps[number])] if theirs is not None else [])
            ready = []
            peaks = devices.peaks(place.accelerator, ours.dtype(step), case.precision)
            for (prepared, each), start in zip(sides, starters, strict=True):
                compiled = prepared.compile(each, place.device, options.clock)
                doing = Doing(step.name, compiled.predicted_peak_bytes())
                options.say("compiled", doing)
                _fits(doing.predicted_peak_bytes, place.platform)
                ready.append(_start(prepared, compiled, start, options.clock))
            entries = _measure(ready, plan, options, peaks, meter)
            compared = (_comparison(entries[0], entries[1], theirs),) if theirs is not None else ()
            document = structs.replace(
                document, steps=(*document.steps, entries[0]), comparisons=(*document.comparisons, *compared)
            )
            options.say("measured", doing)
    except KeyboardInterrupt:
        return structs.replace(document, status="interrupted")
    except (jax.errors.JaxRuntimeError, MemoryError) as error:
        return structs.replace(document, status="failed", error=error_of(error, doing))
    return document


def _has_room(prepared: AnyPrepared) -> None:
    """Refuse, before an array is made, steps whose arguments this machine's memory does not hold (``BadConfig``)."""
    memory_bytes = machines.machine().memory_bytes
    for step in prepared.steps:
        _, size = state_bytes(step.arguments)
        if memory_bytes is not None and size > memory_bytes:
            raise BadConfig(
                f"{step.name}: its arguments take {scaled(size, 'B')}, this machine has {scaled(memory_bytes, 'B')} "
                "of memory; legal: smaller sizes"
            )


def _fits(peak: int | None, platform: str) -> None:
    """Raise ``MemoryError`` for a step that this machine would be killed by."""
    memory_bytes = machines.machine().memory_bytes if platform == "cpu" else None
    if peak is not None and memory_bytes is not None and peak > memory_bytes:
        raise MemoryError(f"the step takes {scaled(peak, 'B')}, this machine has {scaled(memory_bytes, 'B')} of memory")


def _start(prepared: AnyPrepared, compiled: run.Compiled, start: Callable[[run.Compiled], run.Program], clock: Clock) -> Ready:
    before = memory.in_use(compiled.device)
    program = start(compiled)
    return Ready(prepared, compiled, program, timed(program, clock), before)


def _measure(ready: list[Ready], plan: Plan, options: Options, peaks: PeakRates, meter: power.Meter | None) -> list[BenchStep]:
    cores = machines.machine().cores or 1
    before = machines.read()
    taken = interleave([r.program for r in ready], plan, options.clock)
    conditions, busy = machines.contention(before, machines.read(), cores)
    entries = []
    for each, samples in zip(ready, taken, strict=True):
        compiled = each.compiled
        text = compiled.text()
        if options.hlo is not None:
            keep_text(text, Path(options.hlo) / f"{each.prepared.case.slug()}_{each.name.replace('/', '-')}.txt.gz")
        step = MeasuredStep(
            name=each.name,
            labels=compiled.step.labels,
            program_sha256=fingerprint(text),
            stages=compiled.stages_s | {"first_call_s": each.first_s},
            time=describe(samples.valid_s, stopped=samples.stopped),
            warmup_s=samples.warmup_s,
            times_s=samples.times_s,
            warnings=samples.warnings,
        )
        count = count_hlo(text, compiled.step.modules)
        entry = _warned(bench_step(step, count, compiled.predicted_peak_bytes(), peaks, conditions), busy)
        if not each.program.is_number():
            entry = _warned(entry, ["the step's numbers became NaN: its time may not be that of a real run"])
        entries.append(entry)
    first, entry = ready[0], entries[0]
    if options.memory:
        measured, said = _memory(first, entry.memory)
        entry = _warned(structs.replace(entry, memory=measured), said)
    if options.energy and meter is not None and entry.time.median_s:
        used, said = power.energy(first.program, meter, entry.time.median_s, clock=options.clock)
        entry = _warned(structs.replace(entry, energy=used), said)
    if options.trace is not None:
        trace(first.program, options.trace, first.name)
    return [entry, *entries[1:]]


def _warned(entry: BenchStep, warnings: Sequence[str]) -> BenchStep:
    return structs.replace(entry, warnings=(*entry.warnings, *warnings))


def trace_folder(folder: str) -> None:
    """Make the folder of a trace. Raises ``NotWritten``."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        said = error.strerror or error
        raise NotWritten(f"--trace {folder}: {said}; legal: a folder, or a path where one can be made") from None


def trace(program: Callable[[], None], folder: str, name: str) -> None:
    """Write a profiler trace of a few calls to ``folder``, for XProf and (one file) for Perfetto."""
    trace_folder(folder)
    with jax.profiler.trace(folder, create_perfetto_trace=True):
        for number in range(_TRACED):
            with jax.profiler.StepTraceAnnotation(name, step_num=number):
                program()


def keep_text(text: str, file: Path) -> None:
    """Write a compiled program, gzipped, the same bytes for the same text."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, gzip.compress(text.encode(), mtime=0))


def _memory(ready: Ready, entry: MeasuredMemory) -> tuple[MeasuredMemory, list[str]]:
    if ready.compiled.device.platform == "cpu":
        peak, said = memory.fresh_peak(ready.prepared.case, ready.name, worker_process.COMMAND, worker_process.environment())
        method = memory.RESIDENT
    else:
        peak, said = memory.device_peak(ready.before, memory.in_use(ready.compiled.device))
        method = memory.STATISTICS
    return measured_memory(entry.predicted_peak_bytes, peak, method), said


def _comparison(first: BenchStep, second: BenchStep, theirs: AnyPrepared) -> StepComparison:
    samples = zip(first.samples_s, second.samples_s, strict=True)
    pairs = [(a, b) for a, b in samples if a is not None and b is not None]
    result = compare([a for a, _ in pairs], [b for _, b in pairs], paired=True) if len(pairs) > 1 else None
    return comparison(first, second, theirs.case.differences(), result)


def with_saved(document: BenchReport, saved: BenchReport, name: str) -> BenchReport:
    """``document`` with the comparison of each step with the saved report's step of its name.

    Raises ``BadConfig`` when they have no step in common.
    """
    others = {step.name: step for step in saved.steps}
    common = [step for step in document.steps if step.name in others]
    if document.steps and not common:
        raise BadConfig(f"{name} has no step of this bench; it has: {', '.join(others) or 'none'}")
    warnings = [
        f"the saved report is of another {part}"
        for part in ("machine", "case")
        if getattr(saved, part) != getattr(document, part)
    ]
    compared = []
    for step in common:
        other = others[step.name]
        ours, theirs = ([t for t in one.samples_s if t is not None] for one in (step, other))
        result = compare(ours, theirs, paired=False) if min(len(ours), len(theirs)) > 1 else None
        compared.append(comparison(step, other, name, result, warnings))
    return structs.replace(document, comparisons=(*document.comparisons, *compared))


def _subject(prepared: AnyPrepared, place: devices.Attached, plan: Plan) -> Subject:
    profile = place.accelerator.name if place.accelerator else None
    return Subject(
        **prepared.described(),
        plan=convert(plain(plan), SamplingPlan),
        device=convert({"platform": place.platform, "kind": place.kind, "profile": profile}, BenchDevice),
    )
