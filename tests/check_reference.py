"""Compare golden cases with this package: ``python tests/check_reference.py CASE.npz ...``

A case is an ``.npz`` with plain arrays and a ``.json`` sidecar of the same name. Every array is
compared, or listed as an input or with the reason why it is not compared. Exit status: 0 all
within tolerance, 1 a failure, 2 misuse. Runs at the highest matmul precision.
"""

import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")
HERE = Path(__file__).resolve().parent
sys.path[:0] = [p for p in (str(HERE.parent), str(HERE / "reference")) if p not in sys.path]

import jax  # noqa: E402
import numpy as np  # noqa: E402
from common import Row, unaccounted  # noqa: E402


class Misuse(ValueError):
    """A case that cannot be checked: no such file, no sidecar, no adapter."""


def adapters() -> Iterator[ModuleType]:
    """The files of ``tests/reference`` that define ``matches`` and ``check``."""
    for path in sorted((HERE / "reference").glob("*.py")):
        if path.stem in ("common", "__init__"):
            continue
        spec = importlib.util.spec_from_file_location(f"reference_{path.stem}", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        if hasattr(module, "matches") and hasattr(module, "check"):
            yield module


def load(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Sidecar and arrays of a case; raises ``Misuse``."""
    try:
        sidecar = json.loads(path.with_suffix(".json").read_text())
        with np.load(path, allow_pickle=False) as file:
            return sidecar, {name: file[name] for name in file.files}
    except (OSError, ValueError) as error:
        raise Misuse(f"{path.name}: {error}") from None


def check(path: Path) -> list[Row]:
    """The rows of one case, and a failing row for every array that its adapter forgot."""
    sidecar, arrays = load(path)
    found = [module for module in adapters() if module.matches(sidecar)]
    if len(found) != 1:
        names = ", ".join(module.__name__ for module in found) or "none"
        raise Misuse(f"{path.name}: exactly one adapter must know the case, found {names}")
    with jax.default_matmul_precision("highest"):
        rows = list(found[0].check(sidecar, arrays))
    rows += [Row(name, float("inf"), 0.0, "exact", "not accounted for") for name in unaccounted(rows, arrays)]
    return rows


def table(rows: list[Row]) -> str:
    """One line per array."""
    width = max(len(row.name) for row in rows)
    return "\n".join(f"{row.name:<{width}}  {_result(row)}" for row in rows)


def _result(row: Row) -> str:
    note = f"  ({row.note})" if row.note else ""
    if row.error is None or row.tolerance is None:
        return f"{row.kind}{note}"
    return f"{row.kind} error {row.error:.2e}  tolerance {row.tolerance:.0e}  {'ok' if row.ok else 'FAIL'}{note}"


def main(arguments: list[str]) -> int:
    """Check every case named; returns the exit status."""
    if not arguments:
        print("usage: check_reference.py CASE.npz ...", file=sys.stderr)
        return 2
    failed = 0
    for argument in arguments:
        try:
            rows = check(Path(argument))
        except Misuse as error:
            print(f"check_reference.py: {error}", file=sys.stderr)
            return 2
        bad = sum(not row.ok for row in rows)
        measured = sum(row.error is not None for row in rows)
        print(f"{argument}\n{table(rows)}")
        print(f"{Path(argument).stem}: {measured - bad} of {measured} comparisons within tolerance\n")
        failed += bad
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
