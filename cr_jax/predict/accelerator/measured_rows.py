"""The one reader of measurement files, in the formats of ``../shared/measured``: rows by card and method, ready to predict.

    for rows in read_rows("measured.csv"):
        seconds = predict(card(accelerator(rows.card)), rows)   # with the clock's offset, as rows.seconds

A format is known by its columns. NumPy and the standard library suffice.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cr_jax.errors import BadInput
from cr_jax.predict.accelerator.card import Card
from cr_jax.predict.accelerator.measured import collectives, convolutions, products, streams
from cr_jax.predict.accelerator.measured.rows import Rows
from cr_jax.predict.accelerator.measured.table import Table, read_table
from cr_jax.printable import short


@dataclass(frozen=True)
class Format:
    """One kind of file: its required and optional columns, and the reader of its rows."""

    kind: str
    needed: tuple[str, ...]
    allowed: tuple[str, ...]
    rows: Callable[[Table, Collection[str]], Sequence[Rows]]


FORMATS = (
    Format("products", ("card", "op", "batch", "m", "n", "k", "seconds"), ("tile", "split"), products.neusight),
    Format("products", ("card", "computed_in", "m", "n", "k", "ta", "tb", "seconds"), (), products.deepbench),
    Format("products", ("card", "computed_in", "batch", "m", "n", "k", "seconds"), (), products.xla),
    Format("streams", ("card", "op", "rows", "columns", "seconds"), ("split",), streams.neusight),
    Format(
        "convolutions",
        ("card", "batch", "channels_in", "channels_out", "side", "size", "stride", "padding", "seconds"),
        ("split",),
        convolutions.neusight,
    ),
    Format("collectives", ("target", "opcode", "type", "elements", "network_bytes_per_s"), ("devices",), collectives.xla),
)
KINDS = tuple(dict.fromkeys(one.kind for one in FORMATS))


def read_rows(path: str | Path, kind: str | None = None, given: Collection[str] = ()) -> list[Rows]:
    """The measurements in a file, by card and method.

    kind: the kind of ``KINDS`` that the file must have; ``None``: any. given: names of cards that are legal beside the catalog's
    and the sources' short ones. Raises ``BadInput`` with file, line, reason and the legal values.
    """
    table = read_table(path)
    return list(_format(table, kind).rows(table, given))


def predict(card: Card, rows: Rows) -> np.ndarray:
    """Seconds that the clock of these rows would show: the product's own prediction and what the clock adds.

    Raises ``MissingConstant``.
    """
    return rows.predicted(card) + rows.offset


def _format(table: Table, kind: str | None) -> Format:
    """The format whose columns the table has."""
    here = set(table.cells)

    def strange(one: Format) -> list[str]:
        return [name for name in table.cells if name not in one.needed and name not in one.allowed]

    def missing(one: Format) -> list[str]:
        return [name for name in one.needed if name not in here]

    for one in FORMATS:
        if not strange(one) and not missing(one):
            if kind not in (None, one.kind):
                raise BadInput(f"{table.path}:1", f"the columns of {one.kind}; legal: a file of {kind}")
            return one
    near = min((one for one in FORMATS if kind in (None, one.kind)), key=lambda one: len(strange(one)) + len(missing(one)))
    unknown, absent = strange(near), missing(near)
    parts = [f"unknown column {', '.join(map(short, unknown))}"] if unknown else []
    reason = "; ".join(parts + ([f"missing column {', '.join(absent)}"] if absent else []))
    more = f" ({', '.join(near.allowed)})" if near.allowed else ""
    raise BadInput(f"{table.path}:1", f"{reason}; legal: {', '.join(near.needed)}{more} for {near.kind}")
