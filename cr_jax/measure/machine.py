"""The machine and its other load during a measurement (Linux's ``/proc``)."""

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cr_jax.documents.bench_report import MachineConditions, MachineFacts

#: Shares of the cores' time, and of the clock rate, above which a measurement is doubtful.
OTHERS, STEAL, DRIFT = 0.10, 0.01, 0.10
_PROC = Path("/proc")


def machine(proc: Path = _PROC) -> MachineFacts:
    """Processor, cores this process may use, memory and system; no names and no paths."""
    information = _lines(proc / "cpuinfo")
    model = next((line.split(":", 1)[1].strip() for line in information if line.startswith("model name")), None)
    memory = next((int(line.split()[1]) * 1024 for line in _lines(proc / "meminfo") if line.startswith("MemTotal")), None)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return MachineFacts(
        cpu=model or platform.processor() or platform.machine(),
        cores=cores,
        memory_bytes=memory,
        system=f"{platform.system()} {platform.release()}",
    )


@dataclass(frozen=True)
class Reading:
    """Counters at one moment: clock ticks of all cores, of them busy and stolen; ticks of this process; the load average; the
    mean clock rate. ``None`` where the system does not report it.
    """

    total: float | None
    busy: float | None
    stolen: float | None
    own_s: float
    at_s: float
    load: float | None
    clock_hz: float | None


def read(proc: Path = _PROC, own: Callable[[], float] = time.process_time) -> Reading:
    """The counters now."""
    total = busy = stolen = None
    first = next(iter(_lines(proc / "stat")), "")
    if first.startswith("cpu "):
        ticks = [float(t) for t in first.split()[1:9]]
        total, idle, stolen = sum(ticks), ticks[3] + ticks[4], ticks[7]
        busy = total - idle
    load = next(iter(_lines(proc / "loadavg")), "").split()
    rates = [float(line.split(":")[1]) for line in _lines(proc / "cpuinfo") if line.startswith("cpu MHz")]
    return Reading(
        total,
        busy,
        stolen,
        own(),
        time.monotonic(),
        float(load[0]) if load else None,
        1e6 * sum(rates) / len(rates) if rates else None,
    )


def contention(
    before: Reading, after: Reading, cores: int, ticks_per_s: float | None = None
) -> tuple[MachineConditions, list[str]]:
    """The other load between two readings, and warnings about it.

    others_share: of all cores' time, spent by other processes; stolen_share: taken by other guests of the same host;
    clock_change: of the cores' mean clock rate.
    """
    others = stolen = change = None
    if before.total is not None and after.total is not None and after.total > before.total:
        ticks = after.total - before.total
        rate = ticks_per_s or float(os.sysconf("SC_CLK_TCK"))
        stolen = ((after.stolen or 0) - (before.stolen or 0)) / ticks
        own = (after.own_s - before.own_s) * rate
        others = max(0.0, ((after.busy or 0) - (before.busy or 0) - own) / ticks - stolen)
    if before.clock_hz and after.clock_hz:
        change = after.clock_hz / before.clock_hz - 1
    warnings = []
    if others is not None and others > OTHERS:
        warnings.append(f"other processes used {others:.0%} of the cores' time meanwhile: expect slower and less even times")
    elif others is None and before.load is not None and before.load > 0.5 * cores:
        warnings.append(f"load average {before.load:.1f} on {cores} cores before the start: something else runs here")
    if stolen is not None and stolen > STEAL:
        warnings.append(f"{stolen:.0%} of the cores' time was taken by other guests of the host (steal)")
    if change is not None and abs(change) > DRIFT:
        warnings.append(f"the clock rate changed by {change:+.0%} meanwhile")
    conditions = MachineConditions(
        load_average=before.load,
        others_share=others,
        stolen_share=stolen,
        clock_hz=before.clock_hz,
        clock_change=change,
        tag="measured",
    )
    return conditions, warnings


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
