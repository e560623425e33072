"""A cold ``crjax profile`` in fresh processes: where the seconds go, and how many are JAX's; aim 4 s.

    python bench/profile_cold.py [--model dmn] [--runs N] [--out]

import: JAX, Flax and Optax, then what is left of cr_jax. trace, lower, compile: the wall time of
building all steps, divided as the steps' own durations are (steps are built side by side). count:
reading both programs of each step. rest: data profile, schemas, report. JAX's own are its import,
lowering and compiling; tracing runs the model's code under JAX, so it is shown apart.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from machine import finish, fresh, table

AIM_S = 4.0
PARTS = ("python", "import jax", "import cr_jax", "trace", "lower", "compile", "count", "rest")
JAX_OWN = ("import jax", "lower", "compile")


def child(model: str, dataset: str) -> None:
    """One profile in this process; prints seconds by part."""
    begun = time.perf_counter()
    import jax
    import optax  # noqa: F401

    jax.devices()
    with_jax = time.perf_counter()
    from cr_jax.profiling import pipeline
    from cr_jax.profiling.request import Request

    imported = time.perf_counter()
    walls = {"steps": 0.0, "count": 0.0}

    def clocked(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            started = time.perf_counter()
            result = function(*arguments, **options)
            walls[name] += time.perf_counter() - started
            return result

        return call

    pipeline.programs = clocked("steps", pipeline.programs)
    pipeline.count_step = clocked("count", pipeline.count_step)
    report = pipeline.profile(Request(model, dataset))
    ended = time.perf_counter()
    sums = {stage: sum(getattr(s.durations_s, stage) or 0.0 for s in report.steps) for stage in ("trace", "lower", "compile")}
    scale = walls["steps"] / sum(sums.values())
    found = {
        "import jax": with_jax - begun,
        "import cr_jax": imported - with_jax,
        "count": walls["count"],
        **{stage: seconds * scale for stage, seconds in sums.items()},
    }
    found["rest"] = ended - begun - sum(found.values())
    print(json.dumps({"parts": found, "steps": len(report.steps)}))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="dmn")
    parser.add_argument("--dataset", default="cell-phones")
    parser.add_argument("--runs", type=int, default=3, help="fresh processes")
    parser.add_argument("--out", action="store_true", help="write bench/results/profile_cold.json")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.model, options.dataset)
        return 0
    parts: dict[str, list[float]] = {part: [] for part in PARTS}
    walls, processors, steps = [], [], 0
    for _ in range(options.runs):
        with tempfile.TemporaryDirectory() as empty:  # programs kept from another run would not be cold
            run = fresh([__file__, "--child", "--model", options.model, "--dataset", options.dataset], CRJAX_CACHE=empty)
        found = json.loads(run.output.splitlines()[-1])
        steps = found["steps"]
        walls.append(run.wall_s)
        processors.append(run.cpu_s)
        for part, seconds in found["parts"].items():
            parts[part].append(seconds)
        parts["python"].append(run.wall_s - sum(found["parts"].values()))
    middles = {part: median(seconds) for part, seconds in parts.items()}
    whole = sum(middles.values())
    table(("part", "wall s", "share"), [(p, f"{s:.2f}", f"{s / whole:.0%}") for p, s in middles.items()])
    own = sum(middles[part] for part in JAX_OWN) / whole
    wall, cpu = median(walls), median(processors)
    line = wall - cpu > 0.3 * cpu
    print(
        f"\ncrjax profile --model {options.model}: {steps} steps, {wall:.2f} s wall, fastest {min(walls):.2f} s, "
        f"{cpu:.2f} s of processor{' (the processors were shared)' if line else ''}"
    )
    print(f"JAX's own (import, lower, compile): {own:.0%}; tracing {middles['trace'] / whole:.0%}")
    print(f"aim {AIM_S:g} s: {'met' if wall <= AIM_S else 'missed'}")
    figures = {
        "aim_s": AIM_S,
        "model": options.model,
        "dataset": options.dataset,
        "runs": options.runs,
        "steps": steps,
        "wall_s": wall,
        "fastest_wall_s": min(walls),
        "cpu_s": cpu,
        "parts_s": middles,
        "jax_share": own,
    }
    finish("profile_cold", figures, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
