"""A sweep: the product of models, data sets, phases, batches and dtypes, one file per finished cell.

Each cell runs in a process of its own, so that no failure of a cell, even running out of memory, ends the sweep. A cell whose
file exists and holds a report is not run again: a killed sweep continues where it stopped.
"""

import itertools
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import convert, structs

from cr_jax.documents.bench_report import BenchReport, SamplingPlan
from cr_jax.errors import CrJaxError, NotWritten
from cr_jax.measure import machine, worker_process
from cr_jax.measure.case import Case
from cr_jax.measure.cases import AnyCase
from cr_jax.measure.clock import Plan
from cr_jax.records import plain
from cr_jax.report.bench import Doing, Subject, bench_report, failure
from cr_jax.report.document import read_bench, write
from cr_jax.targets.supervise import Event, Limits, default_limits, run_worker
from cr_jax.version import __version__

#: Called after each cell: the case, its report, whether it existed already, its seconds.
Progress = Callable[[AnyCase, BenchReport, bool, float], None]


@dataclass(frozen=True)
class Budget:
    """Limits of a cell, and the quantities that are measured beside the time."""

    cell_s: float = 900.0
    memory: bool = True
    energy: bool = True
    hlo: str | None = None


def cells(
    models: Sequence[str],
    datasets: Sequence[str],
    phases: Sequence[str],
    users: Sequence[int],
    batches: Sequence[int | None],
    dtypes: Sequence[str],
    **same: Any,
) -> list[Case]:
    """The cases of a sweep, each program once: ``users`` vary inference, ``batches`` training."""
    cases = []
    for model, dataset, dtype, phase in itertools.product(models, datasets, dtypes, phases):
        common = {"model": model, "dataset": dataset, "dtype": dtype, "phase": phase, **same}
        if phase == "train":
            cases += [Case(**common, batch=batch) for batch in batches]
        elif phase == "infer":
            cases += [Case(**common, users=number) for number in users]
        else:
            cases.append(Case(**common))
    return cases


def sweep(
    cases: Iterable[AnyCase],
    plan: Plan,
    folder: Path,
    budget: Budget = Budget(),
    progress: Progress | None = None,
    command: Sequence[str] = worker_process.COMMAND,
) -> list[BenchReport]:
    """Run every case that has no report in ``folder`` and return all reports in order.

    A failed cell is a report with ``status`` failed. A file that is no report is an error of the user's and raises ``BadInput``.
    Ctrl-C passes through, and the files so far stay.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NotWritten(f"{folder}: no folder for the cells: {error.strerror or error}; legal: a folder") from None
    reports = []
    for case in cases:
        file = folder / f"{case.slug()}.json"
        begun = time.monotonic()
        document = finished(file)
        had = document is not None
        if document is None:
            document = run_cell(case, plan, file, budget, command)
        if progress:
            progress(case, document, had, time.monotonic() - begun)
        reports.append(document)
    return reports


def finished(file: Path) -> BenchReport | None:
    """The report in ``file``; ``None`` without a file. Raises ``BadInput`` for anything else."""
    if not os.path.lexists(file):
        return None
    return read_bench(file, "legal: an empty folder, or one of an earlier sweep")


def run_cell(
    case: AnyCase, plan: Plan, file: Path, budget: Budget, command: Sequence[str] = worker_process.COMMAND
) -> BenchReport:
    """Run one case in a process of its own and write its report to ``file``."""
    events: list[Event] = []
    with tempfile.TemporaryDirectory(prefix="crjax-") as place:
        request, result = Path(place) / "request.json", Path(place) / "result.json"
        options = {"memory": budget.memory, "energy": budget.energy, "hlo": budget.hlo}
        request.write_text(
            json.dumps({"kind": "bench", "case": plain(case), "plan": plain(plan), "options": options, "result": str(result)}),
            encoding="utf-8",
        )
        limits = Limits(budget.cell_s, default_limits(1).bytes)
        reason = run_worker([*command, str(request)], worker_process.environment(), Path(place) / "log", limits, events.append)
        if reason is None:
            try:
                document = read_bench(result, "legal: what a worker writes")
            except CrJaxError as error:
                reason = str(error)
        if reason is not None:
            document = _failed(case, plan, reason, events)
    write(document, file)
    return document


def _failed(case: AnyCase, plan: Plan, reason: str, events: Sequence[Event]) -> BenchReport:
    """The report of a cell whose process ended before it wrote one."""
    memory = any(word in reason.lower() for word in ("memory", "sigkill", "resource_exhausted"))
    last = next((event for event in reversed(events) if event.get("event") == "compiled"), {})
    doing = Doing(last.get("step"), last.get("predicted_peak_bytes"))
    subject = Subject(case.entry(), convert(plain(plan), SamplingPlan))
    report = bench_report(subject, __version__, {}, machine.machine(), None)
    return structs.replace(report, status="failed", error=failure("out of memory" if memory else "failed", reason, doing))
