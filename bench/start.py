"""How long the commands that need no JAX take to start, in fresh processes; aim 0.3 s.

    python bench/start.py [--runs N] [--out]

The ratio to an empty Python is the figure to compare between machines. Each command is also run
once more to list what it imported: any module of jax, jaxlib, flax or optax is a failure.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from machine import Run, finish, fresh, middle, table

AIM_S = 0.3
HEAVY = ("jax", "jaxlib", "flax", "optax")
REPORT = ("profile", "--model", "dmn", "--phase", "infer", "--turns", "1", "--json")
#: Runs the command line, then prints the heavy packages that are loaded.
INSPECT = (
    f"HEAVY = {HEAVY}"
    + """
import sys
from cr_jax.cli.main import main
try:
    main()
except SystemExit as end:
    if end.code:
        raise
print("LOADED", *sorted({name.split(".")[0] for name in sys.modules} & set(HEAVY)))
"""
)


def _loaded(arguments: list[str]) -> list[str]:
    printed = fresh(["-c", INSPECT, *arguments]).output
    return printed.rsplit("LOADED", 1)[1].split()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=9, help="fresh processes per command")
    parser.add_argument("--out", action="store_true", help="write bench/results/start.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = str(Path(folder) / "report.json")
        Path(report).write_text(fresh(["-m", "cr_jax.cli.main", *REPORT]).output)
        commands = {
            "crjax --help": ["--help"],
            "crjax validate": ["validate", report],
            "crjax list datasets": ["list", "datasets"],
        }
        lines = {"python -c pass": ["-c", "pass"]}
        lines |= {name: ["-m", "cr_jax.cli.main", *rest] for name, rest in commands.items()}
        runs: dict[str, list[Run]] = {name: [] for name in lines}
        for _ in range(options.runs):  # in turn, so that a busy moment meets all alike
            for name, line in lines.items():
                runs[name].append(fresh(line))
        loaded = {name: _loaded(rest) for name, rest in commands.items()}
    bare = middle(runs["python -c pass"])
    figures, rows = {}, []
    for name in lines:
        found = middle(runs[name])
        ratio = found["cpu_s"] / bare["cpu_s"]
        heavy = loaded.get(name, [])
        figures[name] = found | {"ratio_to_bare_python": ratio, "imported_of_jax": heavy}
        rows.append(
            (
                name,
                *(f"{found[k]:.3f}" for k in ("wall_s", "fastest_wall_s", "cpu_s")),
                f"{ratio:.1f}",
                ", ".join(heavy) or "none",
            )
        )
    table(("command", "median s", "fastest s", "cpu s", "cpu ratio", "of JAX"), rows)
    slow = [name for name in commands if figures[name]["wall_s"] > AIM_S]
    print(f"\naim {AIM_S} s: {'missed by ' + ', '.join(slow) if slow else 'met'}")
    finish("start", {"aim_s": AIM_S, "runs": options.runs, "commands": figures}, options.out)
    return 1 if any(loaded.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
