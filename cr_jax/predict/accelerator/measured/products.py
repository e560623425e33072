"""Measured matrix products: torch's calls (NeuSight), cuBLAS back to back (DeepBench), XLA's autotuned tables."""

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np

from cr_jax.catalog.accelerator import MATMUL_TYPES
from cr_jax.catalog.precision import matmul_precision, on_tensor_cores
from cr_jax.catalog.times import MissingConstant
from cr_jax.predict.accelerator import products_plain, products_tensor
from cr_jax.predict.accelerator.card import Card
from cr_jax.predict.accelerator.execution import ITEM_BYTES, SKINNY
from cr_jax.predict.accelerator.measured import cards
from cr_jax.predict.accelerator.measured.rows import taken
from cr_jax.predict.accelerator.measured.table import Table
from cr_jax.predict.accelerator.tiling import Layout, ProductBatch, ProductTime

#: Seconds that the clock adds to a row, by kind.
OFFSETS = {"bmm": 27e-6, "linear": 48e-6, "deepbench": 0.0, "tensor": 0.0}
#: DeepBench runs the same product for seconds: boards reach their power limit.
_LASTS = 10.0


@dataclass(frozen=True)
class Products:
    """Products [m, k] @ [k, n] of one card and type. kind: bmm and linear are torch's calls, each timed by itself; deepbench is
    successive calls of cuBLAS; tensor is XLA's best algorithm. computed_in: the type of the units, as the file says.
    """

    card: str
    kind: str
    computed_in: str
    batch: np.ndarray
    m: np.ndarray
    n: np.ndarray
    k: np.ndarray
    seconds: np.ndarray
    lines: np.ndarray
    layout: Layout

    def __len__(self) -> int:
        return len(self.seconds)

    @property
    def label(self) -> str:
        """Card, kind of product and the type that it is computed in."""
        return f"{self.card} {self.kind} {self.computed_in}"

    @property
    def tensor(self) -> bool:
        """Whether they are computed in another type than float32."""
        return self.computed_in != "float32"

    @property
    def offset(self) -> np.ndarray:
        """Seconds that the measuring clock adds to each row."""
        return np.full(len(self), OFFSETS[self.kind])

    def on_units(self, on: Card) -> bool:
        """Whether the card's tensor cores compute them."""
        return on_tensor_cores(on.accelerator, self.computed_in)

    def in_lanes(self, on: Card) -> str:
        """The precision that plain lanes compute them in. Raises ``MissingConstant``."""
        if self.computed_in == "float32":
            return "float32"
        stored = "float32" if self.computed_in == "tf32" else self.computed_in
        precision = matmul_precision(on.accelerator, "highest", "float8_e4m3fn" if stored == "float8" else stored)
        if precision is None:
            raise MissingConstant(f"{on.name}: the type in which it computes products of {stored} is not known")
        return precision

    def time(self, on: Card) -> ProductTime:
        """The time of the products by the code that predicts them. Raises ``MissingConstant``."""
        lasts = _LASTS if self.kind == "deepbench" else None
        item = float(ITEM_BYTES[self.computed_in])
        if self.on_units(on):
            batch = ProductBatch(self.batch, self.m, self.n, self.k, self.computed_in, item, item, self.layout)
            return products_tensor.parts(on, batch, lasts=lasts)
        tiles = products_plain.TILES
        if self.kind in ("bmm", "linear"):
            tiles = products_plain.library_tiles(on.generation, self.kind == "bmm")
        bias = 4 * self.n if self.kind == "linear" else 0.0
        batch = ProductBatch(self.batch, self.m, self.n, self.k, self.in_lanes(on), item, item, self.layout, bias)
        return products_plain.parts(on, batch, tiles=tiles, lasts=lasts)

    def predicted(self, on: Card) -> np.ndarray:
        """Seconds, without the clock's offset."""
        time = self.time(on)
        return time.seconds + time.start

    def skinny(self) -> np.ndarray:
        """Products of few rows or columns, as in a recurrent step."""
        return (self.batch == 1) & (np.minimum(self.m, self.n) <= SKINNY)

    def classes(self, on: Card) -> np.ndarray:
        """The error class of each row, as by ``Executions``."""
        if self.on_units(on):
            return np.full(len(self), f"products_{self.computed_in}", dtype=object)
        kind = f"products_{self.in_lanes(on)}"
        if kind == "products_float32" and products_plain.limited(on):
            kind = "products_float32_limited"
        return np.where(self.skinny(), "products_skinny", kind).astype(object)

    def work(self, on: Card) -> tuple[np.ndarray, np.ndarray, float]:
        """Operations, bytes of operands and result, FLOP/s of the units."""
        peak = on.peaks[self.computed_in] if self.on_units(on) else products_plain.peak(on, self.in_lanes(on))
        amount = ITEM_BYTES[self.computed_in] * self.batch * (self.m * self.k + self.k * self.n + self.m * self.n)
        return 2 * self.batch * self.m * self.n * self.k, amount, float(peak or np.nan)


def neusight(table: Table, given: Collection[str]) -> list[Products]:
    """bmm: batch x [m, k] @ [k, n]. linear: [m, k] @ [n, k]^T and a bias. Both float32 without tf32."""
    op = table.words("op", ("bmm", "linear"))
    return _grouped(
        table,
        given,
        "neusight",
        op,
        np.full(len(table), "float32", dtype=object),
        Layout(np.full(len(table), True), op == "linear", np.full(len(table), True)),
    )


def deepbench(table: Table, given: Collection[str]) -> list[Products]:
    """Column-major: A [m, k] along m, B [k, n] along k, C along m; "T" turns an operand."""
    ta, tb = (table.words(name, ("N", "T")) for name in ("ta", "tb"))
    kind = np.full(len(table), "deepbench", dtype=object)
    layout = Layout(ta == "T", tb == "N", np.full(len(table), False))
    return _grouped(table, given, "deepbench", kind, table.words("computed_in", MATMUL_TYPES), layout)


def xla(table: Table, given: Collection[str]) -> list[Products]:
    """Row-major operands, the best of XLA's algorithms."""
    kind, yes = np.full(len(table), "tensor", dtype=object), np.full(len(table), True)
    return _grouped(table, given, "xla", kind, table.words("computed_in", MATMUL_TYPES), Layout(yes, ~yes, yes))


def _grouped(
    table: Table, given: Collection[str], source: str, kinds: np.ndarray, types: np.ndarray, layout: Layout
) -> list[Products]:
    names = cards.column(table, "card", source, given)
    all_rows = Products(
        "",
        "",
        "",
        table.sizes("batch", 1),
        table.sizes("m"),
        table.sizes("n"),
        table.sizes("k"),
        table.seconds(),
        np.array(table.lines),
        layout,
    )
    groups: dict[tuple[str, ...], list[int]] = {}
    for place, key in enumerate(zip(names, kinds, types, strict=True)):
        groups.setdefault(key, []).append(place)
    return [
        replace(taken(all_rows, np.array(places)), card=card, kind=kind, computed_in=computed_in)
        for (card, kind, computed_in), places in sorted(groups.items())
    ]
