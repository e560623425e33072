"""A comparison as text, to a file or standard output, and its charts."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cr_jax.cli.streams import say, write_json
from cr_jax.errors import BadConfig, MissingExtra

if TYPE_CHECKING:
    from cr_jax.documents.comparison import Comparison

FORMATS = ("table", "md", "csv", "latex")


def write_comparison(document: "Comparison", form: str, out: Path | None, plot: Path | None) -> None:
    """Validate and write ``document``.

    form: json or one of ``FORMATS``. out: a file, else standard output. plot: a folder for the charts.
    """
    from cr_jax.render import compare as rendering
    from cr_jax.render.comparison_csv import as_csv
    from cr_jax.render.cost import show
    from cr_jax.report.document import to_json, validate
    from cr_jax.resources import write_atomically

    validate(document, "the comparison (a bug in cr_jax: please report it)")
    if plot is not None:
        _plot(document, plot)
    if form == "table" and (out is None or str(out) == "-") and sys.stdout.isatty():
        show(rendering.render_compare(document))
        return
    writers = {
        "json": to_json,
        "md": rendering.as_markdown,
        "csv": as_csv,
        "latex": rendering.as_latex,
        "table": rendering.as_text,
    }
    text = writers[form](document)
    if form == "csv":
        for line in [*document.warnings, *rendering.difference_lines(document)]:
            say(line)
    if out is None or str(out) == "-":
        write_json(text) if form == "json" else sys.stdout.write(text)
    else:
        write_atomically(out, text)
        say(f"comparison written to {out}")


def _plot(document: "Comparison", folder: Path) -> None:
    from cr_jax.render.charts import CHARTS
    from cr_jax.render.png import to_png
    from cr_jax.resources import write_atomically

    if not document.counted:
        print("no plots: no row has figures", file=sys.stderr)
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadConfig(f"--plot {folder}: {error.strerror or error}; legal: a folder") from None
    drawn = {name: svg for name, draw in CHARTS.items() if (svg := draw(document)) is not None}
    for name, svg in drawn.items():
        write_atomically(folder / f"{name}.svg", svg)
    try:
        for name, svg in drawn.items():
            write_atomically(folder / f"{name}.png", to_png(svg))
    except MissingExtra as missing:
        say(f"{' and '.join(f'{name}.svg' for name in drawn)} written to {folder}; no PNG files: {missing}")
    else:
        say(f"{' and '.join(drawn)} written to {folder}, as .svg and .png")
