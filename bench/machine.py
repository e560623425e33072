"""What the benchmarks share: fresh processes, the machine they ran on, where results go."""

import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).resolve().parent / "results"
PACKAGES = ("cr-jax", "jax", "jaxlib", "flax", "optax", "numpy", "typer", "rich", "jsonschema")


@dataclass(frozen=True)
class Run:
    """One finished process: seconds on the clock, seconds of processor (all threads), what it printed."""

    wall_s: float
    cpu_s: float
    output: str


def fresh(arguments: Sequence[str], **environment: str) -> Run:
    """Run this Python with ``arguments`` in a new process, with the checkout importable.

    Raises ``CalledProcessError`` when it fails; its error output goes to ours.
    """
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    variables = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": path} | environment
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], env=variables, stdout=subprocess.PIPE, text=True, check=True)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(wall, cpu, done.stdout)


def middle(runs: Sequence[Run]) -> dict[str, float]:
    """Medians over equal runs, and the fastest: what a quiet machine would show."""
    walls = [run.wall_s for run in runs]
    return {"wall_s": median(walls), "cpu_s": median(run.cpu_s for run in runs), "fastest_wall_s": min(walls)}


def machine() -> dict[str, Any]:
    """Processor, cores, load and versions; no names and no paths."""
    model = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = information.read_text().splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "system": platform.system(),
        "load_average": [round(x, 2) for x in os.getloadavg()],
        "versions": found,
    }


def finish(name: str, figures: dict[str, Any], write: bool, about: dict[str, Any] | None = None) -> None:
    """Print the machine's line; with ``write`` keep figures and machine in ``bench/results``. about: the machine, if not this."""
    about = about or machine()
    loads = ", ".join(map(str, about["load_average"]))
    print(f"\n{about['cpu']}, {about['cores']} cores, load average {loads} (above the cores: other work slows this)")
    if write:
        RESULTS.mkdir(exist_ok=True)
        document = {"bench": name, "machine": about, "figures": figures}
        (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=2) + "\n")
        print(f"written: bench/results/{name}.json")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Aligned text: the first column to the left, numbers to the right."""
    lines = [tuple(header), *map(tuple, rows)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(header))]
    for line in lines:
        cells = [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]
        print("  ".join(cells).rstrip())
