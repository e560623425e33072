"""What measuring costs, and whether a repeat keeps to the stated interval.

    python bench/measuring.py [--seconds 2] [--repeats 10] [--out]

Overhead: a training step of DMN in our loop (arguments fed back, every call timed) against a bare
loop of the same executable over the same buffers, in turn, by the sum of the clock over many calls; and,
since a step's own time varies by more than that, both loops around a call that does nothing, as a share
of the step. The aim is under 1% for steps of 1 ms and more. Repeats: the same step measured anew; how
many pairs of runs have the median of one in the interval stated by the other; the aim is nine of ten.
"""

import argparse
import dataclasses
import sys
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from machine import finish, table

if TYPE_CHECKING:
    from cr_jax.documents.bench_report import StepTime
    from cr_jax.measure import run

AIM_SHARE, AIM_REPEATS = 0.01, 0.9


def bare(program: "run.Program", executable: Callable[..., Any], fed: int, calls: int) -> float:
    """Seconds of so many calls in a bare loop; the first ``fed`` results replace the first arguments."""
    import jax

    leaves = program.leaves
    begun = time.perf_counter()
    for _ in range(calls):
        found = executable(*leaves)
        jax.block_until_ready(found)
        leaves = [*found[:fed], *leaves[fed:]]
    spent = time.perf_counter() - begun
    program.leaves = leaves
    return spent


def ours(program: "run.Program", calls: int) -> float:
    """Seconds of so many calls in the loop of ``crjax bench``."""
    from cr_jax.measure.clock import Plan, sample

    begun = time.perf_counter()
    sample(program, Plan(warmup=0, runs=calls, seconds=0, limit_s=0, most_runs=calls))
    return time.perf_counter() - begun


def overhead(program: "run.Program", compiled: "run.Compiled", pairs: int) -> dict[str, Any]:
    """Our loop against a bare one: around the step, as a share of its time, and around a call that does nothing."""
    import numpy as np

    from cr_jax.measure.run import Program

    calls, fed, taken = 2, len(compiled.fed_back), []
    for number in range(pairs):  # short turns: the machine's slow and fast moments meet both
        first = ours(program, calls) if number % 2 else None
        other = bare(program, compiled.executable, fed, calls)
        taken.append((ours(program, calls) if first is None else first, other))
    ratios = [a / b for a, b in taken]
    draws = np.random.default_rng(0).choice(ratios, (2000, len(ratios)))
    lowest, highest = np.quantile(np.median(draws, axis=1), (0.025, 0.975)) - 1
    results = compiled.executable(*program.leaves)
    program.leaves = [*results[:fed], *program.leaves[fed:]]

    def nothing(*leaves: Any) -> Any:
        return results

    idle = Program(dataclasses.replace(compiled, executable=nothing), tuple(program.leaves))
    return {
        "step_s": median(b / calls for _, b in taken),
        "overhead_share": median(ratios) - 1,
        "overhead_interval": [float(lowest), float(highest)],
        "idle_overhead_s": median((ours(idle, 2000) - bare(idle, nothing, fed, 2000)) / 2000 for _ in range(21)),
        "calls": calls,
    }


def kept_share(runs: "Sequence[StepTime]") -> float | None:
    """Of all pairs of runs, how many have the median of one in the interval stated by the other."""
    held = [
        r.repeat_interval_s[0] <= other.median_s <= r.repeat_interval_s[1]
        for n, r in enumerate(runs)
        for m, other in enumerate(runs)
        if m != n
    ]
    return sum(held) / len(held) if held else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0, help="of samples per run")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--pairs", type=int, default=600, help="of turns of two calls, for the overhead")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--out", action="store_true", help="write bench/results/measuring.json")
    options = parser.parse_args()
    import jax

    from cr_jax.documents.base import plain
    from cr_jax.measure import inputs, run
    from cr_jax.measure.case import Case, prepare
    from cr_jax.measure.clock import Plan, sample
    from cr_jax.measure.statistics import describe

    prepared = prepare(Case("dmn", phase="train", batch=options.batch))
    step, values = prepared.steps[0], inputs.weights(prepared.model)
    compiled = run.compile_step(step, jax.devices()[0], "default")
    program = run.start(compiled, prepared.model, values)
    sample(program, Plan(warmup=3, runs=5, seconds=0.2))
    figures = overhead(program, compiled, options.pairs)
    plan = Plan(seconds=options.seconds, limit_s=3 * options.seconds)
    runs = [describe(sample(program, plan).valid_s) for _ in range(options.repeats)]
    kept, step_s, each = kept_share(runs), figures["step_s"], figures["idle_overhead_s"]
    (lowest, highest), share = figures["overhead_interval"], figures["overhead_share"]
    low, high = (median(abs(r.repeat_interval_s[end] / r.median_s - 1) for r in runs) for end in (0, 1))
    rows = [
        ("step, ms", f"{1e3 * step_s:.3f}"),
        ("overhead of our loop", f"{share:+.2%} ({lowest:+.2%} to {highest:+.2%})"),
        ("around a call that does nothing", f"{1e6 * each:.2f} µs, {each / step_s:+.3%} of the step"),
        ("aim", f"under {AIM_SHARE:.0%}"),
        ("medians of repeats, ms", " ".join(f"{1e3 * r.median_s:.3f}" for r in runs)),
        ("stated interval, middle run", f"{-low:+.1%} to {high:+.1%}"),
        ("in the stated interval", "-" if kept is None else f"{kept:.0%} of {len(runs) * (len(runs) - 1)} pairs"),
        ("aim", f"{AIM_REPEATS:.0%}"),
    ]
    table(("", ""), rows)
    finish("measuring", figures | {"repeats": [plain(one) for one in runs], "kept_share": kept}, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
