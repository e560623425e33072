"""Speed, linearity and peak memory of the counter, and the time from text to prediction.

    python bench/counter.py [--sizes 1,5,20,100] [--out] [--against CHECKOUT]

The text is a real one: the DMN training step compiled for this processor, its computations copied
under new names until the wanted size is reached, and an entry that calls every copy. Each size is
counted in a process of its own. The canary (``re.findall`` of words) reads the same text beside it:
the ratio of the two holds on a busy machine, where MB/s do not. Aim 20 MB/s, 2 GB for 100 MB.

*End to end* is the processor time of parsing, counting, listing the operations and predicting their time on an H100, the
least of several runs. ``--against`` times an earlier checkout on the same text, in turn with this one.
"""

import argparse
import gc
import importlib.util
import json
import re
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from machine import finish, fresh, table

AIM_MB_S = 20.0
AIM_PEAK_GB = 2.0
#: Runs of a process end to end, of which the least counts, and processes of each checkout.
RUNS, TURNS = 5, 3
CANARY = 4_000_000  # characters
_NAME = re.compile(r"%([\w.\-]+)")
_PARAMETER = re.compile(r"(?<=[( ])([\w.\-]+): (?=[a-z(])")
_ENTRY = re.compile(r"^ENTRY %(\S+) (.*) \{$", re.M)


def compile_base(file: Path) -> None:
    """Write the compiled training step of DMN on this processor."""
    from cr_jax.catalog import load
    from cr_jax.models import spec as specs
    from cr_jax.records import Workload
    from cr_jax.steps.step import abstract_model
    from cr_jax.steps.train import training_steps
    from cr_jax.targets.compile import compile_step
    from cr_jax.targets.resolve import resolve

    spec, data = specs.find("dmn"), load.dataset("cell-phones")
    work = Workload(turns=data.last_turn, lengths=data.lengths, turn_histogram=data.turn_histogram)
    step = training_steps(abstract_model(spec, spec.configure(data, work)), work)[0]
    text = compile_step(step, resolve("cpu"), work.precision).compiled_hlo
    assert text is not None
    file.write_text(text)


def write_large(base: str, megabytes: float, file: Path) -> None:
    """``base`` copied to about ``megabytes``; the entry calls each copy once."""
    begin = min(base.index("\n%"), base.index("\nENTRY "))
    computations, entry = base[begin:], _ENTRY.search(base)
    assert entry is not None
    lines = base[entry.end() :].split("\n}", 1)[0].splitlines()
    parameters = [line for line in lines if " parameter(" in line]
    names = [_NAME.search(line) for line in parameters]
    numbers = [int(line.split(" parameter(")[1].split(")")[0]) for line in parameters]
    arguments = ", ".join(f"%{name[1]}" for _, name in sorted(zip(numbers, names, strict=True)) if name)
    root = next(line for line in lines if line.startswith("  ROOT "))
    shape = root.split(" = ", 1)[1].split(") ", 1)[0] + ")"
    copies = max(1, round(megabytes * 1e6 / len(computations)))
    with file.open("w") as out:
        out.write(base[:begin])
        for copy in range(copies):
            renamed = _NAME.sub(rf"%\1.c{copy}", computations.replace("\nENTRY ", "\n"))
            out.write(_PARAMETER.sub(rf"\1.c{copy}: ", renamed))
        out.write(f"\nENTRY %all {entry[2]} {{\n" + "\n".join(parameters) + "\n")
        for copy in range(copies):
            marked = "ROOT " if copy == copies - 1 else ""
            out.write(f"  {marked}%call.{copy} = {shape} call({arguments}), to_apply=%{entry[1]}.c{copy}\n")
        out.write("}\n")


def count(file: Path) -> None:
    """Count one text in this process; prints times and peak memory."""
    from cr_jax.cost.counting.count import count_hlo

    text = file.read_text()
    sample = text[:CANARY]
    canaries = []
    for _ in range(3):
        started = time.process_time()
        re.findall(r"\w+", sample)
        canaries.append(time.process_time() - started)
    clock, started = time.perf_counter(), time.process_time()
    found = count_hlo(text)
    cpu, wall = time.process_time() - started, time.perf_counter() - clock
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(
        json.dumps(
            {
                "megabytes": len(text) / 1e6,
                "instructions": found.instructions,
                "matmul_flops": found.matmul_flops,
                "cpu_s": cpu,
                "wall_s": wall,
                "mb_per_cpu_s": len(text) / 1e6 / cpu,
                "canary_mb_per_cpu_s": len(sample) / 1e6 / min(canaries),
                "peak_bytes": peak,
            }
        )
    )


def end_to_end(file: Path) -> None:
    """Parse, count, list and predict one text in this process; prints the least processor time."""
    text, stages = file.read_text(), _stages()
    taken = []
    for _ in range(RUNS):
        gc.collect()
        started = time.process_time()
        stages(text)
        taken.append(time.process_time() - started)
    print(min(taken))


def _stages() -> Callable[[str], Any]:
    """Text to prediction. A checkout from before the walk parses the text twice."""
    from cr_jax.catalog.load import accelerator

    device = accelerator("h100")
    if importlib.util.find_spec("cr_jax.cost.totals") is None:
        earlier = {
            name: importlib.import_module(f"cr_jax.{name}") for name in ("cost.walk", "cost.operations", "predict.roofline")
        }

        def twice(text: str) -> Any:
            earlier["cost.walk"].count_hlo(text)
            program = earlier["cost.operations"].operations(text)
            return earlier["predict.roofline"].predict(program, device, "default", "float32")

        return twice
    from cr_jax.cost.counting.count import count_walk
    from cr_jax.cost.operations.operation_list import list_operations
    from cr_jax.cost.walk import Walk, collector_paused
    from cr_jax.hlo.parse import parse
    from cr_jax.predict.program_time import predict

    def once(text: str) -> Any:
        with collector_paused():
            walk = Walk(parse(text))
            count_walk(walk)
            return predict(list_operations(walk), device, "default", "float32")

    return once


def least_end_to_end(text: Path, checkouts: list[Path | None]) -> list[float]:
    """Seconds of each checkout (``None``: this one), their processes in turn."""
    least = [float("inf")] * len(checkouts)
    for _ in range(TURNS):
        for place, checkout in enumerate(checkouts):
            environment = {} if checkout is None else {"PYTHONPATH": str(checkout)}
            seconds = float(fresh([__file__, "--child", "end-to-end", str(text)], **environment).output)
            least[place] = min(least[place], seconds)
    return least


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="1,5,20,100", help="megabytes, with commas between")
    parser.add_argument("--out", action="store_true", help="write bench/results/counter.json")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="an earlier checkout, timed in turn with this one")
    parser.add_argument("--child", nargs=2, metavar=("WHAT", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        {"compile": compile_base, "count": count, "end-to-end": end_to_end}[options.child[0]](Path(options.child[1]))
        return 0
    rows, figures = [], []
    with tempfile.TemporaryDirectory() as folder:
        base, large = Path(folder) / "base.txt", Path(folder) / "large.txt"
        fresh([__file__, "--child", "compile", str(base)])
        for size in map(float, options.sizes.split(",")):
            write_large(base.read_text(), size, large)
            one = json.loads(fresh([__file__, "--child", "count", str(large)]).output)
            one["ratio_to_canary"] = one["mb_per_cpu_s"] / one["canary_mb_per_cpu_s"]
            against = [] if options.against is None else [options.against]
            one["end_to_end_s"], *earlier = least_end_to_end(large, [None, *against])
            one["times_as_fast"] = earlier[0] / one["end_to_end_s"] if earlier else None
            figures.append(one)
            rows.append(
                (
                    f"{one['megabytes']:.1f} MB",
                    f"{one['instructions']:,}",
                    f"{one['cpu_s']:.2f}",
                    f"{one['mb_per_cpu_s']:.1f}",
                    f"{one['canary_mb_per_cpu_s']:.1f}",
                    f"{one['ratio_to_canary']:.2f}",
                    f"{one['peak_bytes'] / 1e6:,.0f}",
                    f"{one['end_to_end_s']:.2f}",
                    *([f"{earlier[0]:.2f}", f"{one['times_as_fast']:.2f}"] if earlier else []),
                )
            )
    heads = ("text", "instructions", "cpu s", "MB/s", "canary MB/s", "ratio", "peak MB", "end to end s")
    table((*heads, "earlier s", "times as fast") if options.against else heads, rows)
    # A copy left out would show here: every size does the same work per instruction.
    per_copy = [one["matmul_flops"] / one["instructions"] for one in figures]
    assert max(per_copy) < 1.1 * min(per_copy), "the copies were not all counted"
    speed, first, last = min(one["mb_per_cpu_s"] for one in figures), figures[0], figures[-1]
    kept = last["ratio_to_canary"] / first["ratio_to_canary"]
    print(
        f"\nslowest {speed:.1f} MB/s of processor time (aim {AIM_MB_S:g}: {'met' if speed >= AIM_MB_S else 'missed'}); "
        f"from the smallest to the largest text the speed beside the canary's keeps {kept:.0%}"
    )
    peak = last["peak_bytes"] / 1e9
    print(
        f"peak memory of {last['megabytes']:.0f} MB: {peak:.2f} GB "
        f"(aim {AIM_PEAK_GB:g}: {'met' if peak <= AIM_PEAK_GB else 'missed'})"
    )
    aims = {"aim_mb_per_s": AIM_MB_S, "aim_peak_gb": AIM_PEAK_GB}
    finish("counter", aims | {"speed_kept": kept, "texts": figures}, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
