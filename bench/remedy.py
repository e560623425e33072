"""Teachers, students and rivals over seeds on the real data in ../shared: what each loses, what a turn costs, when it pays.

    python bench/remedy.py [--only CASE ...] [--seeds N] [--steps N] [--folder DIR] [--device h100,tpu-v5e] [--sizes] [--out]

Aims: of DMN, MMN and PMMN a student with at most 10% of the teacher's FLOPs per incremental turn that is not inferior within 5%
of MRR over five seeds; with a compressed item table, at most 20% at the 9,292 items of Cell Phones. Exit status 1 where one is
missed; the front is printed either way.

Every finished run is kept in ``--folder``: a killed bench goes on where it stopped. ``--sizes`` adds the cost of a turn at the
four data sets of Table I, without training. AutoRec and the sentiment network have one seed and one student each. Fewer
``--steps`` are for trying it out.
"""

import argparse
import json
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from machine import RESULTS, finish, machine, table
from train_real import CASES, DATA

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
MARGIN, SHARE, SHARE_AT_SIZE = 0.05, 0.10, 0.20
PROFILES = ("cell-phones", "cds-vinyl", "kindle-store", "electronics")


@dataclass(frozen=True)
class Remedied:
    """of: the case of ``train_real`` whose model, data, settings and schedule the teacher has. more: of the request.

    sized: configurations whose turn is counted at the sizes of Table I.
    """

    of: str
    students: tuple[dict[str, str], ...]
    more: dict[str, Any] = field(default_factory=dict)
    sized: tuple[dict[str, str], ...] = ()
    seeds: int | None = None


TUNED = {"temperatures": (1.0, 2.0), "weights": (0.5, 0.9), "smoothings": (0.05, 0.1, 0.2, 0.4)}
REMEDIES = {
    "dmn": Remedied(
        "dmn",
        ({"hidden": "8", "hops": "1"}, {"hidden": "4", "hops": "1"}),
        TUNED | {"learning_rates": ("0.001", "0.003", "0.006", "0.01")},
        ({}, {"hidden": "8", "hops": "1"}, {"hidden": "8", "hops": "1", "item_rank": "4"}, {"hidden": "4", "hops": "1"}),
    ),
    "mmn": Remedied("mmn", ({"hidden": "8"},), {}, ({}, {"hidden": "8"})),
    "pmmn": Remedied("pmmn", ({"hidden": "8"},), {}, ({}, {"hidden": "8"})),
    "autorec": Remedied("autorec", ({"autorec_layers": "100"},), {"stages": ("autorec",), "rivals": ("scratch",)}, seeds=1),
    "sentiment": Remedied(
        "sentiment",
        ({"sentence_hidden": "8", "conversation_hidden": "8"},),
        {"stages": ("sentiment",), "rivals": ("scratch",)},
        seeds=1,
    ),
}


def request(name: str, seeds: int, steps: int | None, devices: tuple[str, ...]) -> Any:
    """The request of a case; steps: instead of the teacher's own schedule."""
    from cr_jax.remedy.request import RemedyRequest

    one = REMEDIES[name]
    case = CASES[one.of]
    length = {key: case.more[key] for key in ("steps", "epochs") if key in case.more} if steps is None else {"steps": steps}
    made = RemedyRequest(
        case.model,
        DATA / case.data,
        one.students,
        settings=case.settings,
        batch=case.more.get("batch"),
        seeds=tuple(range(min(seeds, one.seeds or seeds))),
        devices=devices,
        margin=MARGIN,
        **length,
    )
    return replace(made, **one.more)


def missed(name: str, report: Any) -> list[str]:
    """The aims that the case does not reach."""
    if REMEDIES[name].seeds is not None:
        return []
    small = [v for v in report.variants if v.kind == "distilled" and v.counted and (v.counted.share_of_teacher or 1) <= SHARE]
    if any(v.noninferiority and v.noninferiority.verdict == "not inferior" for v in small):
        return []
    shares = ", ".join(
        f"{v.name}: {v.counted.share_of_teacher:.1%}" for v in report.variants if v.kind == "distilled" and v.counted
    )
    return [f"{name}: no student at {SHARE:.0%} of the FLOPs is shown to be not inferior ({shares})"]


def sizes(names: list[str], devices: tuple[str, ...]) -> list[dict[str, Any]]:
    """The cost of an incremental turn at the sizes of Table I, for the teacher and for each smaller configuration."""
    from cr_jax.catalog import load
    from cr_jax.predict.money.pricing import Rates
    from cr_jax.remedy.turn_costs import Workplace

    rows = []
    for name in names:
        for profile in PROFILES if REMEDIES[name].sized else ():
            data = load.dataset(profile)
            place = Workplace(CASES[name].model, data, "published", devices, Rates())
            teacher = None
            for settings in REMEDIES[name].sized:
                cost = place.turn(settings)
                teacher = teacher or cost.counted.flops
                rows.append(
                    {
                        "case": name,
                        "dataset": profile,
                        "items": data.items,
                        "settings": settings,
                        "parameters": cost.counted.parameters,
                        "flops": cost.counted.flops,
                        "share_of_teacher": cost.counted.flops / teacher,
                        "seconds": {one.device: one.seconds for one in cost.predicted},
                    }
                )
                print(f"{name} {profile} {settings or 'teacher'}", file=sys.stderr, flush=True)
    return rows


def show_sizes(rows: list[dict[str, Any]]) -> list[str]:
    """Print them; the aim that is missed."""
    shown = [
        (
            row["case"],
            row["dataset"],
            f"{row['items']:,}",
            " ".join(f"{k}={v}" for k, v in row["settings"].items()) or "teacher",
            f"{row['parameters']:,}",
            f"{row['flops']:,.0f}",
            f"{row['share_of_teacher']:.1%}",
            *("-" if s is None else f"{s * 1e6:.1f}" for s in row["seconds"].values()),
        )
        for row in rows
    ]
    devices = list(rows[0]["seconds"]) if rows else []
    columns = ("case", "data set", "items", "configuration", "parameters", "FLOP/turn", "of the teacher")
    table((*columns, *(f"us on {d}" for d in devices)), shown)
    cell = [
        r["share_of_teacher"] for r in rows if r["case"] == "dmn" and r["dataset"] == PROFILES[0] and "item_rank" in r["settings"]
    ]
    return (
        [] if not cell or min(cell) <= SHARE_AT_SIZE else [f"dmn at Cell Phones' items: {min(cell):.1%} with a compressed table"]
    )


def keep(name: str, content: Any) -> None:
    """Write a part of ``bench/results/remedy.json``, in the place of an earlier one."""
    from cr_jax.resources import write_atomically

    file = RESULTS / "remedy.json"
    document = json.loads(file.read_text()) if file.exists() else {"bench": "remedy"}
    document[name] = {"machine": machine(), "figures": content}
    write_atomically(file, json.dumps(document, indent=1) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=REMEDIES, default=list(REMEDIES))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, help="of every run, instead of the case's own")
    parser.add_argument("--folder", type=Path, help="of the finished runs; by default in the cache")
    parser.add_argument("--device", default="", help="devices with commas, beside the CPU")
    parser.add_argument("--sizes", action="store_true", help="the cost of a turn at the four sizes of Table I, too")
    parser.add_argument("--out", action="store_true", help="write bench/results/remedy.json")
    options = parser.parse_args()
    if not DATA.is_dir():
        print(f"needs {DATA}, which is not here", file=sys.stderr)
        return 2
    from cr_jax.documents.base import plain
    from cr_jax.remedy.run import remedy
    from cr_jax.render.cost import show
    from cr_jax.render.remedy import render_remedy
    from cr_jax.resources import cache_root

    devices = tuple(filter(None, options.device.split(",")))
    folder = options.folder or cache_root() / "remedy-bench"
    failed = []
    for name in options.only:
        begun = time.monotonic()
        place = folder / (name if options.steps is None else f"{name}-{options.steps}-steps")
        asked = request(name, options.seeds, options.steps, devices)
        report = remedy(
            asked, place, say=lambda line: print(line, file=sys.stderr, flush=True), command=("bench/remedy.py", name)
        )
        show(render_remedy(report))
        print(f"{name}: {time.monotonic() - begun:.0f} s in this process\n", flush=True)
        failed += missed(name, report)
        if options.out:
            keep(name, plain(report))
    if options.sizes:
        rows = sizes(options.only, devices)
        failed += show_sizes(rows)
        if options.out:
            keep("sizes", rows)
    print("\n".join(["", *(failed or ["all aims are reached"])]))
    finish("remedy", {}, False)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
