"""Predicted times of operations on accelerators against public measurements, by card and class of operation.

    python bench/accelerators.py [--measured ../shared/measured] [--out] [--plot FILE.svg|png] [--csv FILE]
    python bench/accelerators.py --products FILE... --streams FILE... --convolutions FILE... --collectives FILE... [--card J.json]

Without files: the rows of the folder, each card predicted with constants fitted on the others. With files: every row by the
shipped constants. Formats are those of ``../shared/measured``; a card is a profile of the catalog, a short name of the
source (``cr_jax/predict/accelerator/measured/cards.py``: v100 of NeuSight is the PCIe card, of DeepBench the SXM2), or the
name of a profile given with ``--card``.

What the measuring clock adds (bmm 27 us, linear 48, elementwise 23, softmax 30, layer norm 43, convolution 58, others 0) is
added to each prediction; rows below three times it are left out. A row is inside its interval where its measured time less
what the clock adds lies in it.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.accelerator_judging import Judged, of_files, of_folder, summary  # noqa: E402
from bench.accelerator_plot import scatter  # noqa: E402
from bench.machine import finish, table  # noqa: E402
from cr_jax.catalog.accelerator import Accelerator  # noqa: E402
from cr_jax.catalog.load import accelerator, load_accelerator  # noqa: E402
from cr_jax.errors import BadConfig, BadInput, CrJaxError  # noqa: E402
from cr_jax.files import is_folder  # noqa: E402
from cr_jax.predict.accelerator.card import Card, card  # noqa: E402
from cr_jax.predict.accelerator.measured.rows import Rows  # noqa: E402
from cr_jax.predict.accelerator.measured_rows import KINDS, read_rows  # noqa: E402
from cr_jax.render.png import to_png  # noqa: E402
from cr_jax.resources import write_atomically  # noqa: E402

COLUMNS = (
    "class",
    "card",
    "by",
    "n",
    "median",
    "p90",
    "worst",
    "bias",
    "inside",
    "width",
    "strict",
    "roofline",
    "previous",
    "aim",
)
HEAD = ("class", "card", "by", "n", "median", "90%", "worst", "bias", "inside", "width", "strict", "roofline", "before", "aim")
MEANINGS = """
Errors in percent. by: what the constants had seen (left out: no row of the card; own rows: rows of it; file: the shipped
constants). bias: of predicted over measured. inside: rows whose measured time less what the clock adds lies in their
interval. width: its high over its low. strict: inside, had other cards' errors alone made it. before: the previous
predictor's median. aim: of the median."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for kind in KINDS:
        parser.add_argument(f"--{kind}", nargs="+", action="extend", default=[], metavar="FILE", help=f"measured {kind}")
    parser.add_argument("--card", nargs="+", action="extend", default=[], metavar="FILE.json", help="profile of one more card")
    parser.add_argument("--measured", default=str(ROOT.parent / "shared" / "measured"), help="folder of the measurements")
    parser.add_argument("--out", action="store_true", help="write bench/results/accelerators.json")
    parser.add_argument("--plot", metavar="FILE", help="predicted against measured, as .svg or .png")
    parser.add_argument("--csv", metavar="FILE", help="every row with its prediction (keep it out of the repository)")
    return parser.parse_args()


def given_cards(paths: Sequence[str]) -> dict[str, Accelerator]:
    """The accelerators of profiles, by name. Raises ``BadInput``."""
    found = {}
    for path in paths:
        one = load_accelerator(path)
        if one.platform != "cuda":
            raise BadInput(path, f"platform {one.platform!r}; legal: 'cuda', as every measurement is of a GPU")
        found[one.name] = one
    return found


def maker(given: dict[str, Accelerator]) -> Callable[[str], Card]:
    """Cards by name, each made once. It raises ``MissingConstant``."""
    made: dict[str, Card] = {}

    def card_of(name: str) -> Card:
        if name not in made:
            made[name] = card(given.get(name) or accelerator(name))
        return made[name]

    return card_of


def show(lines: Sequence[dict[str, Any]]) -> None:
    """The table; percent, but for n and width."""
    rows = []
    for line in lines:
        cells = ["" if line[name] is None else line[name] for name in COLUMNS]
        rows.append(
            tuple(
                f"{cell:.1f}" if isinstance(cell, float) and name != "width" else str(cell)
                for name, cell in zip(COLUMNS, cells, strict=True)
            )
        )
    table(HEAD, rows)
    print(MEANINGS)


def write_rows(path: str, every: Sequence[Judged]) -> None:
    """Every row as CSV."""
    names = ("measured", "offset", "predicted", "low", "high", "roofline", "previous")
    lines = [",".join(("class", "card", "rows", "by", "line", *(f"{name}_s" for name in names)))]
    for one in every:
        for place, line in enumerate(one.lines):
            numbers = (f"{getattr(one, name)[place]:.6g}" for name in names)
            lines.append(",".join((one.kind, one.card, one.label, one.by, str(line), *numbers)))
    write_atomically(Path(path), "\n".join(lines) + "\n")


def run(options: argparse.Namespace) -> int:
    if options.plot and Path(options.plot).suffix not in (".svg", ".png"):
        raise BadConfig(f"--plot {options.plot}: legal: a name that ends in .svg or .png")
    given = given_cards(options.card)
    card_of = maker(given)
    files = [(kind, path) for kind in KINDS for path in getattr(options, kind)]
    if files:
        parts: list[Rows] = [rows for kind, path in files for rows in read_rows(path, kind, given)]
        every, hidden, failed = of_files(parts, card_of)
    else:
        if not is_folder(options.measured):
            raise BadInput(options.measured, "no folder; legal: one with files as in shared/measured, or --products FILE")
        every, hidden, failed = of_folder(Path(options.measured), card_of), None, []
    lines = summary(every)
    if lines:
        show(lines)
    if hidden is not None:
        print(f"\n{sum(len(one.measured) for one in every):,} rows; {hidden:,} left out, below three times what the clock adds")
    for reason in failed:
        print(f"not predicted: {reason}")
    if options.csv:
        write_rows(options.csv, every)
    if options.plot:
        drawn = scatter(every)
        write_atomically(Path(options.plot), to_png(drawn) if options.plot.endswith(".png") else drawn)
    finish("accelerators", {"left_out_by_the_clock": hidden, "not_predicted": failed, "classes": lines}, options.out)
    return 0 if lines else 2


def main() -> int:
    try:
        return run(arguments())
    except CrJaxError as error:
        print(f"accelerators.py: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
