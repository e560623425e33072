"""What a compressed item table and a smaller DMN cost per turn, at the sizes of the paper's Table I.

    python bench/item_table.py [--device cpu] [--items ...] [--students ...] [--out]

FLOPs and bytes of the incremental turn, one user, counted from the program compiled for the device, and the parameters that are
kept. Aim: hidden 8, 1 hop and a table of rank 4 take 20% or less of the teacher's FLOPs at 9,292 items. Exit status 1 where
they do not. 323 items are those of the real conversations in ../shared.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from machine import finish, table

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
#: Data sets of Table I, and the number of items of the real conversations as settings of one of them.
SIZES: dict[str, tuple[str, dict[str, str]]] = {
    "323": ("cell-phones", {"items": "323", "classes": "473"}),
    "9,292": ("cell-phones", {}),
    "53,278": ("electronics", {}),
    "53,907": ("kindle-store", {}),
    "60,405": ("cds-vinyl", {}),
}
SMALL = {"hidden": "8", "hops": "1"}
STUDENTS: dict[str, dict[str, str]] = {
    "teacher": {},
    "rank 4": {"item_rank": "4"},
    "rank 8": {"item_rank": "8"},
    "rank 16": {"item_rank": "16"},
    "4 codes": {"item_codes": "4"},
    "8 codes": {"item_codes": "8"},
    "bfloat16": {"weights": "bfloat16"},
    "int8": {"weights": "int8"},
    "hidden 8, 1 hop": SMALL,
    "hidden 8, 1 hop, rank 2": SMALL | {"item_rank": "2"},
    "hidden 8, 1 hop, rank 4": SMALL | {"item_rank": "4"},
    "hidden 8, 1 hop, 2 codes": SMALL | {"item_codes": "2"},
    "hidden 8, 1 hop, 4 codes": SMALL | {"item_codes": "4"},
}
AIM = ("9,292", "hidden 8, 1 hop, rank 4", 0.2)


def figures(data: str, settings: dict[str, str], device: str) -> dict[str, Any]:
    """One turn of one user."""
    from cr_jax.profiling.pipeline import profile
    from cr_jax.profiling.request import Request

    request = Request("dmn", data, (device,), phases=("infer",), turns_compiled="last", settings=settings)
    report = profile(request)
    (step,) = report.steps
    account = report.parameters
    assert account is not None and step.compiled is not None
    return {
        "matmul_flops": step.compiled.matmul_flops,
        "flops": step.per.flops_per_turn,
        "hbm_bytes": step.per.hbm_bytes_per_turn,
        "parameters": account.trainable + account.frozen,
        "weight_bytes": sum(step.memory.roles_bytes[role] for role in ("weights", "frozen")),
    }


def main() -> int:
    """Count, print, and write with ``--out``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--items", nargs="*", choices=SIZES, default=list(SIZES))
    parser.add_argument("--students", nargs="*", choices=STUDENTS, default=list(STUDENTS))
    parser.add_argument("--out", action="store_true")
    given = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for items in given.items:
        data, sizes = SIZES[items]
        for name in dict.fromkeys(["teacher", *given.students]):
            found = figures(data, sizes | STUDENTS[name], given.device)
            rows.append({"items": items, "student": name, **found})
    teachers = {row["items"]: row for row in rows if row["student"] == "teacher"}
    shown: list[list[str]] = []
    for row in rows:
        whole = teachers[row["items"]]
        row |= {f"{key}_share": row[key] / whole[key] for key in ("flops", "hbm_bytes")}
        cells = [f"{row['flops']:,.0f}", f"{row['flops_share']:.1%}", f"{row['hbm_bytes']:,.0f}", f"{row['hbm_bytes_share']:.1%}"]
        shown.append([row["items"], row["student"], *cells, f"{row['weight_bytes']:,}"])
    table(["items", "student", "FLOP per turn", "of teacher", "bytes per turn", "of teacher", "weights, bytes"], shown)
    missed = [row for row in rows if (row["items"], row["student"]) == AIM[:2] and row["flops_share"] > AIM[2]]
    finish("item_table", {"device": given.device, "rows": rows}, given.out)
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
