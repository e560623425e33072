"""The battery of programs compiled for GPUs and TPUs ahead of time, and whether their counts keep their word.

Compilers change programs: padding for a matrix unit, products merged or computed twice, transforms as products. Where one does,
the battery has the compiled program's products by hand and what the compiler does. The table says for each program and target
what was counted, as what, the truth of the traced program, and that of the compiled one where it differs. Exit status 1 where
a count is neither.
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
#: The count is that of the traced program; the compiled one's, derived by hand; the compiler refuses the program, as is known.
HOLDS, DERIVED, REFUSED = "holds", "as derived", "refused as known"


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
    compilers: dict[str, Any] = {}
    for device in options.device or ("h100", "tpu-v5e"):
        target = resolve(device)
        if target.problem:
            print(f"{device}: {target.problem}", file=sys.stderr)
            return 2
        compilers[device] = target.compiler
        told = {_TARGET: json.dumps({"device": device, **description(target)})}
        command = [sys.executable, str(Path(__file__).resolve())]
        done = subprocess.run(command, env=environment(target.platform, False) | told, stdout=subprocess.PIPE, check=True)
        rows += json.loads(done.stdout)
    for row in rows:
        said, true = row.get("counted", row.get("reason")), row.get("compiled", row["truth"])
        print(f"{row['device']:8} {row['program']:55} {row['verdict']:18} {row.get('bound', '-'):8} {said} {true}")
    found = {verdict: sum(row["verdict"] == verdict for row in rows) for verdict in sorted({row["verdict"] for row in rows})}
    print(found)
    if options.out:
        differences = [row for row in rows if row["verdict"] != HOLDS]
        notes = [{name: row[name] for name in ("device", "program", "note")} for row in rows if "note" in row]
        about = {"versions": versions(), "compilers": compilers, "summary": found}
        text = json.dumps(about | {"differences": differences, "notes": notes}, indent=1)
        options.out.write_text(text + "\n", encoding="utf-8")
    return int(not found.keys() <= {HOLDS, DERIVED, REFUSED})


def count(target: dict[str, Any]) -> list[dict[str, Any]]:
    """A row per program, counted from the text that the target's compiler makes."""
    import jax
    from battery.registry import kinds, makers
    from jax.sharding import SingleDeviceSharding

    from cr_jax import count_hlo
    from cr_jax.printable import one_line
    from cr_jax.targets.compile import compile_lowered
    from cr_jax.targets.worker import _place

    place, rows = _place(target), []
    placed = SingleDeviceSharding(place.device)
    for name, make in makers(*(kind for kind in kinds() if kind != "sharded")).items():
        program = make()
        row: dict[str, Any] = {"device": target["device"], "program": name, "truth": program.flops}
        changed = program.compiled.get(place.platform)
        row |= {"compiled": changed.flops, "why": changed.why} if changed else {}
        arguments = jax.tree.map(lambda one: jax.ShapeDtypeStruct(one.shape, one.dtype, sharding=placed), program.arguments)
        try:
            lowered = jax.jit(program.function).trace(*arguments).lower(lowering_platforms=(place.platform,))
            executable, _, note = compile_lowered(lowered, place)
            found = count_hlo(executable)
        except Exception as error:  # of any kind: not for this target, such as a routine that it has not
            verdict = REFUSED if changed and changed.flops is None else "not compiled"
            rows.append(row | {"verdict": verdict, "reason": one_line(error, 120)})
            continue
        counted = found.matmul_flops + found.total.replaced_matmul_flops
        least = found.least.matmul_flops + found.least.replaced_matmul_flops
        row |= {"bound": found.bound, "counted": counted, "least": least} | ({"note": note} if note else {})
        if changed:
            rows.append(row | {"verdict": DERIVED if least == counted == changed.flops else "not as derived"})
        else:
            rows.append(row | {"verdict": _verdict(program.flops, found.bound, least, counted)})
    return rows


def _verdict(truth: int | tuple[int, int | None], bound: str, least: int, counted: int) -> str:
    """Whether the count holds of the traced program, or in which way it differs."""
    fewest, most = truth if isinstance(truth, tuple) else (truth, truth)
    if bound == "lower":
        return HOLDS if counted <= fewest else "above a lower bound"
    if least <= fewest and most is not None and counted >= most and (bound != "exact" or counted == most):
        return HOLDS
    return "more than traced" if most is not None and least > fewest else "less than traced"


if __name__ == "__main__":
    if _TARGET in os.environ:
        json.dump(count(json.loads(os.environ[_TARGET])), sys.stdout)
        sys.exit(0)
    sys.exit(main())
