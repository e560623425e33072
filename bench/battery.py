"""The battery of programs compiled for GPUs and TPUs ahead of time, and whether their counts keep their word.

Compilers change programs, which is a difference and no error: padding for a matrix unit, products merged or computed twice. The
table says for each program and target what was counted, as what, and the truth of the traced program.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests")]

_TARGET = "CRJAX_BATTERY_TARGET"


def main(arguments: Sequence[str] | None = None) -> int:
    """Compile and count the battery for every device, in a process of its own, and print the table."""
    from cr_jax.targets.compile import versions
    from cr_jax.targets.resolve import description, resolve
    from cr_jax.targets.worker_process import environment

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", action="append", help="default: h100 and tpu-v5e")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    rows: list[dict[str, Any]] = []
    for device in options.device or ("h100", "tpu-v5e"):
        target = resolve(device)
        if target.problem:
            print(f"{device}: {target.problem}", file=sys.stderr)
            return 2
        told = {_TARGET: json.dumps({"device": device, **description(target)})}
        command = [sys.executable, str(Path(__file__).resolve())]
        done = subprocess.run(command, env=environment(target.platform, False) | told, stdout=subprocess.PIPE, check=True)
        rows += json.loads(done.stdout)
    for row in rows:
        said = row.get("counted", row.get("reason"))
        print(f"{row['device']:8} {row['program']:55} {row['verdict']:18} {row.get('bound', '-'):8} {said} {row['truth']}")
    found = {verdict: sum(row["verdict"] == verdict for row in rows) for verdict in sorted({row["verdict"] for row in rows})}
    print(found)
    if options.out:
        differences = [row for row in rows if row["verdict"] != "holds"]
        text = json.dumps({"versions": versions(), "summary": found, "differences": differences}, indent=1)
        options.out.write_text(text + "\n", encoding="utf-8")
    return 0


def count(target: dict[str, Any]) -> list[dict[str, Any]]:
    """A row per program, counted from the text that the target's compiler makes."""
    import jax
    from battery.registry import kinds, makers
    from jax.sharding import SingleDeviceSharding

    from cr_jax import count_hlo
    from cr_jax.targets.worker import _place

    place, rows = _place(target), []
    placed = SingleDeviceSharding(place.device)
    for name, make in makers(*(kind for kind in kinds() if kind != "sharded")).items():
        program = make()
        row: dict[str, Any] = {"device": target["device"], "program": name, "truth": program.flops}
        arguments = jax.tree.map(lambda one: jax.ShapeDtypeStruct(one.shape, one.dtype, sharding=placed), program.arguments)
        try:
            lowered = jax.jit(program.function).trace(*arguments).lower(lowering_platforms=(place.platform,))
            found = count_hlo(_compiled(lowered, place.options))
        except Exception as error:  # of any kind: not for this target, such as a routine that it has not
            rows.append(row | {"verdict": "not compiled", "reason": str(error).splitlines()[0][:100]})
            continue
        counted = found.matmul_flops + found.total.replaced_matmul_flops
        least = found.least.matmul_flops + found.least.replaced_matmul_flops
        row |= {"bound": found.bound, "counted": counted, "least": least}
        rows.append(row | {"verdict": _verdict(program.flops, found.bound, least, counted)})
    return rows


def _compiled(lowered: Any, options: dict[str, Any]) -> Any:
    """The compiled program; of a GPU without Triton's products where their tiles, which no card has timed, do not fit."""
    try:
        return lowered.compile(compiler_options=options or None)
    except Exception as error:
        if "output tile sizes" not in str(error):
            raise
        return lowered.compile(compiler_options=options | {"xla_gpu_enable_triton_gemm": False})


def _verdict(truth: int | tuple[int, int | None], bound: str, least: int, counted: int) -> str:
    """``holds``, or in which way the compiled program differs from the traced one."""
    fewest, most = truth if isinstance(truth, tuple) else (truth, truth)
    if bound == "lower":
        return "holds" if counted <= fewest else "above a lower bound"
    if least <= fewest and most is not None and counted >= most and (bound != "exact" or counted == most):
        return "holds"
    return "more than traced" if most is not None and least > fewest else "less than traced"


if __name__ == "__main__":
    if _TARGET in os.environ:
        json.dump(count(json.loads(os.environ[_TARGET])), sys.stdout)
        sys.exit(0)
    sys.exit(main())
