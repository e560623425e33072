"""Measured tables as functions: the rate of a product by shape, bandwidth by footprint, costs per element."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, log

from cr_jax.cost.operations.products import Product
from cr_jax.documents.calibration import Calibration, MatmulRow

#: A product with fewer rows, columns or depth than the table's least step is taken at that step's rate.
_NEAREST_BATCHED = 1e-9
#: A program that touches less finds its code in the caches at the next call; at the larger size, up to which
#: ``crjax calibrate`` fills the caches, it finds it in memory.
NEAR_BYTES, FAR_BYTES = 4 << 20, 16 << 20


@dataclass(frozen=True)
class Curve:
    """A piecewise linear function between points, both axes logarithmic, level beyond its ends."""

    xs: tuple[float, ...]
    ys: tuple[float, ...]

    @classmethod
    def of(cls, points: Mapping[int, float] | Mapping[float, float]) -> "Curve":
        """The curve through points of positive numbers."""
        ordered = sorted(points.items())
        return cls(tuple(log(x) for x, _ in ordered), tuple(log(y) for _, y in ordered))

    def __call__(self, x: float) -> float:
        """The value at ``x``, linear in logarithms between the points and constant beyond them."""
        at = log(max(x, 1e-30))
        if at <= self.xs[0]:
            return exp(self.ys[0])
        if at >= self.xs[-1]:
            return exp(self.ys[-1])
        place = bisect_right(self.xs, at)
        low, high = self.xs[place - 1], self.xs[place]
        share = (at - low) / (high - low)
        return exp(self.ys[place - 1] * (1 - share) + self.ys[place] * share)


class MatmulRates:
    """FLOPs per second of a product, interpolated between measured shapes."""

    def __init__(self, rows: Sequence[MatmulRow]) -> None:
        plain = {(r.m, r.n, r.k): r.flops_per_s for r in rows if r.kind == "nn" and r.batch == 1}
        self._by_m: dict[int, dict[int, Curve]] = {}
        for m in sorted({m for m, _, _ in plain}):
            columns: dict[int, dict[int, float]] = {}
            for (mm, n, k), rate in plain.items():
                if mm == m:
                    columns.setdefault(n, {})[k] = rate
            # A shape measured for comparison only has no column of its own.
            self._by_m[m] = {n: Curve.of(by_k) for n, by_k in columns.items() if len(by_k) > 1}
        self._by_m = {m: columns for m, columns in self._by_m.items() if columns}
        self._kinds = _kind_factors(rows, plain)
        self._batched = [r for r in rows if r.batch > 1]

    def __call__(self, product: Product) -> float:
        """FLOP per second of a product."""
        rate = self._plain(product.m, product.n, product.k) * self._kind(product)
        return rate if product.batch == 1 else max(rate, self._batch(product))

    def _plain(self, m: int, n: int, k: int) -> float:
        by_m = {row: Curve.of({n_: curve(k) for n_, curve in columns.items()})(n) for row, columns in self._by_m.items()}
        return Curve.of(by_m)(m)

    def _kind(self, product: Product) -> float:
        """The other kinds' rate against ``nn`` at the nearest shape that has both."""
        points = self._kinds.get("tn" if product.kind == "tt" else product.kind)
        if not points:
            return 1.0
        return min(points, key=lambda p: _distance(p[0], (product.m, product.n, product.k)))[1]

    def _batch(self, product: Product) -> float:
        """The rate of the nearest batched product."""
        shape = (product.batch * product.m, product.n, product.k)
        if not self._batched:
            return _NEAREST_BATCHED
        near = min(self._batched, key=lambda r: _distance((r.batch * r.m, r.n, r.k), shape))
        return near.flops_per_s


def _distance(a: tuple[int, ...], b: tuple[int, ...]) -> float:
    return sum(log(x / y) ** 2 for x, y in zip(a, b, strict=True))


def _kind_factors(rows: Sequence[MatmulRow], plain: Mapping[tuple[int, int, int], float]):
    factors: dict[str, list[tuple[tuple[int, int, int], float]]] = {}
    for row in rows:
        shape = (row.m, row.n, row.k)
        if row.kind != "nn" and shape in plain:
            factors.setdefault(row.kind, []).append((shape, row.flops_per_s / plain[shape]))
    return factors


class Tables:
    """A profile's ``calibration`` block as functions."""

    def __init__(self, calibration: Calibration) -> None:
        tables = calibration.tables
        self.matmul = MatmulRates(tables.matmul)
        self.bandwidth = Curve.of({row.footprint_bytes: row.bytes_per_s for row in tables.stream})
        self._fresh = Curve.of({row.footprint_bytes: row.bytes_per_s for row in tables.fresh})
        self.overhead = calibration.overheads
        self.element = calibration.elements_s
        self.cores = calibration.cores
        self._gather = tables.gather

    def written_byte_s(self, distance: float, fresh: bool) -> float:
        """Seconds for a written byte. ``stream`` was measured in place; in a buffer of its own (``fresh``) the line is fetched
        first, so that a byte read and a byte written take two at the ``fresh`` rate.
        """
        place = 1 / self.bandwidth(distance)
        return max(place, 2 / self._fresh(distance) - place) if fresh else place

    def straight_s(self, touched: int) -> float:
        """Seconds that an operation outside loops takes besides its work, in a program that touches this number of bytes: between
        two calls they drive its code and its runtime data out of the caches.
        """
        near, cold = self.overhead["straight_s"], self.overhead["cold_straight_s"]
        share = log(max(touched, 1) / NEAR_BYTES) / log(FAR_BYTES / NEAR_BYTES)
        return near + (cold - near) * min(1.0, max(0.0, share))

    def row_s(self, table_bytes: int, row_bytes: int) -> float:
        """Seconds for one gathered row: the nearest measured table, its row scaled by size beyond."""
        key = (max(1, table_bytes), max(1, row_bytes))
        near = min(self._gather, key=lambda row: _distance((row.table_bytes, row.row_bytes), key))
        return near.s_per_row * max(1.0, row_bytes / near.row_bytes)
