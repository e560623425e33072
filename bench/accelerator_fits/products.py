"""Fits the constants of matrix products on GPUs and says what they err by on cards left out of the fit.

    PYTHONPATH=. python -m bench.accelerator_fits.products ../shared/measured [--write]

float32 products (plain lanes) are fitted on four cards, each left out in turn for the errors; products on tensor cores on
one card's bfloat16 (tf32's rate on its tf32), and judged on two cards of other generations in float16.
"""

import argparse
import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import least_squares

from bench.accelerator_fits.fitting import Fitted, errors, rounded
from bench.accelerator_fits.product_constants import PLAIN, TENSOR, Term, entries
from cr_jax.catalog.load import accelerator
from cr_jax.catalog.times import Constant, Times
from cr_jax.predict.accelerator import products_plain, products_tensor
from cr_jax.predict.accelerator.card import Card, card
from cr_jax.predict.accelerator.tiling import Layout, ProductTime

#: Card of a row -> profile, by file.
PROFILES: Mapping[str, Mapping[str, str]] = {
    "products_f32.fit.csv": {"p100": "p100-pcie", "v100": "v100-pcie-32gb", "t4": "t4", "a100-40gb": "a100-40gb-pcie"},
    "products_tensor.fit.csv": {"h100": "h100"},
    "deepbench_products.fit.csv": {"v100": "v100", "t4": "t4"},
}
#: Seconds that the clock itself adds to a row, by kind of row.
OFFSETS = {"bmm": 27e-6, "linear": 48e-6, "deepbench": 0.0, "tensor": 0.0}
#: Rows of one card and kind that a fit looks at; more change nothing.
_MOST_ROWS = 350
#: How far a constant may be drawn from its start: one residual of 1 / this for a factor of e.
_RIDGE = 0.8
SKINNY = 128


@dataclass(frozen=True)
class Rows:
    """Measurements of one card, kind and type. alone: each was timed by itself, not in a row of equal calls."""

    profile: str
    kind: str
    computed_in: str
    batch: np.ndarray
    m: np.ndarray
    n: np.ndarray
    k: np.ndarray
    seconds: np.ndarray
    layout: Layout

    @property
    def tensor(self) -> bool:
        return self.computed_in != "float32"

    @property
    def label(self) -> str:
        return f"{self.profile} {self.kind} {self.computed_in}"

    def __len__(self) -> int:
        return len(self.seconds)

    def take(self, which: np.ndarray) -> "Rows":
        layout = Layout(*(np.broadcast_to(x, len(self))[which] for x in self.layout))
        return replace(self, batch=self.batch[which], m=self.m[which], n=self.n[which], k=self.k[which],
                       seconds=self.seconds[which], layout=layout)  # fmt: skip

    def clear(self) -> "Rows":
        """Those of at least three times the clock's offset."""
        return self.take(np.flatnonzero(self.seconds > 3 * OFFSETS[self.kind]))

    def sample(self, most: int) -> "Rows":
        rng = np.random.default_rng(0)
        return self if len(self) <= most else self.take(np.sort(rng.choice(len(self), most, replace=False)))


def read(measured: Path) -> list[Rows]:
    """All measured products in ``measured``, by card, kind and type, without those the clock's offset hides."""
    found: dict[tuple[str, str, str], list[tuple[float, ...]]] = {}
    for file, profiles in PROFILES.items():
        for row in csv.DictReader((measured / file).read_text().splitlines()):
            kind = row.get("op") or ("deepbench" if "ta" in row else "tensor")
            layout = (True, kind == "linear", True)
            if kind == "deepbench":  # column-major: A [m, k] along m, B [k, n] along k, C along m; "T" turns an operand
                layout = (row["ta"] == "T", row["tb"] == "N", False)
            sizes = tuple(float(row[x]) for x in ("m", "n", "k", "seconds"))
            key = (profiles[row["card"]], kind, row.get("computed_in", "float32"))
            found.setdefault(key, []).append((float(row.get("batch", 1)), *sizes, *map(float, layout)))
    every = []
    for (profile, kind, computed_in), rows in sorted(found.items()):
        b, m, n, k, seconds, *layout = np.array(rows).T
        every.append(Rows(profile, kind, computed_in, b, m, n, k, seconds, Layout(*(x > 0 for x in layout))).clear())
    return every


def time(on: Card, rows: Rows) -> ProductTime:
    """What the product's own code says of the rows, the clock's offset left out."""
    lasts = None if rows.kind in ("bmm", "linear", "tensor") else 10.0  # DeepBench runs the same product for seconds
    if rows.tensor:
        item = 4.0 if rows.computed_in == "tf32" else 2.0
        return products_tensor.parts(on, rows.batch, rows.m, rows.n, rows.k, rows.computed_in, item, item,
                                     layout=rows.layout, lasts=lasts)  # fmt: skip
    tiles = products_plain.TILES
    if rows.kind in ("bmm", "linear"):
        tiles = products_plain.library_tiles(on.generation, rows.kind == "bmm")
    bias = 4 * rows.n if rows.kind == "linear" else 0.0
    return products_plain.parts(on, rows.batch, rows.m, rows.n, rows.k, layout=rows.layout, extra_bytes=bias, tiles=tiles,
                                lasts=lasts)  # fmt: skip


def predict(on: Card, rows: Rows) -> np.ndarray:
    """Seconds that the clock would show."""
    found = time(on, rows)
    return found.seconds + found.start + OFFSETS[rows.kind]


def roofline(on: Card, rows: Rows) -> np.ndarray:
    """The larger of operations over the data sheet's peak and bytes over its bandwidth, and the clock's offset."""
    item = 2.0 if rows.computed_in in ("bfloat16", "float16") else 4.0
    peak = on.peaks[rows.computed_in] if rows.tensor else products_plain.peak(on, "float32")
    amount = item * rows.batch * (rows.m * rows.k + rows.k * rows.n + rows.m * rows.n)
    flops = 2 * rows.batch * rows.m * rows.n * rows.k
    return np.maximum(flops / float(peak or np.nan), amount / on.bandwidth) + OFFSETS[rows.kind]


def starting() -> Times:
    """The constants at the start of the fit, as the file would have them."""
    every = {}
    for mechanism, terms in (("products_plain", PLAIN), ("products_tensor", TENSOR)):
        every |= entries(mechanism, terms, {t.key: t.start for t in terms})
    return Times({name: Constant(name, by=e.get("by", {}), **{k: e[k] for k in e if k != "by"}) for name, e in every.items()}, {})


def with_terms(on: Card, mechanism: str, terms: Sequence[Term], values: Mapping[str, float]) -> Card:
    """The card with the values that hold for it: those of its generation or memory before the general ones."""
    mine: dict[str, float] = {}
    for term in sorted(terms, key=lambda t: t.where is not None):
        if term.where in (None, on.generation, on.memory_kind):
            mine[term.constant] = values[term.key]
    return on.with_constants(mechanism, mine)


def least(
    mechanism: str, terms: Sequence[Term], fitted: Sequence[str], rows: Sequence[Rows], cards: Mapping[str, Card],
    held: Mapping[str, float] | None = None,
) -> dict[str, float]:  # fmt: skip
    """The terms' values that leave least of ``|log predicted - log measured|`` (soft_l1, each card and kind alike).
    ``fitted``: keys of the terms that move; the others stay at ``held`` or their start."""
    values = {t.key: t.start for t in terms} | dict(held or {})
    start = np.array([values[key] for key in fitted])
    samples = [r.sample(_MOST_ROWS) for r in rows]
    logs = [np.log(r.seconds) for r in samples]

    def at(x: np.ndarray) -> dict[str, float]:
        return {**values, **{key: float(v) for key, v in zip(fitted, start * np.exp(x), strict=True)}}

    def residuals(x: np.ndarray) -> np.ndarray:
        now = at(x)
        parts = [10 * (np.log(predict(with_terms(cards[r.profile], mechanism, terms, now), r)) - log) / len(r) ** 0.5
                 for r, log in zip(samples, logs, strict=True)]  # fmt: skip
        return np.concatenate([*parts, _RIDGE * x])

    found = least_squares(residuals, np.zeros(len(start)), loss="soft_l1", f_scale=0.03, diff_step=2e-3, max_nfev=25)
    return rounded(at(found.x))


def usable(rows: Rows) -> bool:
    """P100 ``linear`` often ran a kernel at 20 to 60% of its peak, which says nothing of the card."""
    return not (rows.profile == "p100-pcie" and rows.kind == "linear")


def keys(terms: Sequence[Term], cards: Sequence[Card]) -> list[str]:
    """The terms that rows of these cards say something of."""
    here = {c.generation for c in cards} | {c.memory_kind for c in cards}
    return [t.key for t in terms if t.fitted and (t.where is None or t.where in here)]


def fit_plain(every: Sequence[Rows], cards: Mapping[str, Card]) -> tuple[dict[str, float], list[tuple[str, Rows, np.ndarray]]]:
    """The constants, and predictions by kinship of the rows' card to those fitted: same_card, same_generation (V100 PCIe for
    V100 SXM2 and back), other_generation."""
    rows = [r for r in every if not r.tensor and usable(r)]

    def fit(kept: Sequence[Rows]) -> dict[str, float]:
        left = keys(PLAIN, [cards[r.profile] for r in kept])
        found = least("products_plain", PLAIN, left, kept, cards)
        return {t.key: found[t.key] if t.where is None or t.key in left else found[t.constant] if t.fitted else t.start
                for t in PLAIN}  # fmt: skip

    def say(values: Mapping[str, float], which: Sequence[Rows], kin: str) -> list[tuple[str, Rows, np.ndarray]]:
        return [(kin, r, predict(with_terms(cards[r.profile], "products_plain", PLAIN, values), r)) for r in which]

    values = fit(rows)
    said = say(values, rows, "same_card")
    for generation in sorted({cards[r.profile].generation for r in rows}):
        out = [r for r in rows if cards[r.profile].generation == generation]
        said += say(fit([r for r in rows if r not in out]), out, "other_generation")
    for profile in ("v100", "v100-pcie-32gb"):
        out = [r for r in rows if r.profile == profile]
        said += say(fit([r for r in rows if r.profile != profile]), out, "same_generation")
    return values, said


def fit_tensor(every: Sequence[Rows], cards: Mapping[str, Card]) -> tuple[dict[str, float], list[tuple[str, Rows, np.ndarray]]]:
    """As ``fit_plain``: the general constants on bfloat16 of Hopper alone, then those of its tf32, then of the generations
    before Ampere on float16. Other generations are judged without their own constants; of those before Ampere, each has the
    other's chain of loads, whose copies do not run ahead either."""
    rows = [r for r in every if r.tensor]
    of = {kind: [r for r in rows if r.computed_in == kind] for kind in ("bfloat16", "tf32", "float16")}
    said: list[tuple[str, Rows, np.ndarray]] = []

    def say(values: Mapping[str, float], which: Sequence[Rows], kin: str) -> None:
        said.extend((kin, r, predict(with_terms(cards[r.profile], "products_tensor", TENSOR, values), r)) for r in which)

    def own(generation: str) -> list[str]:
        return [t.key for t in TENSOR if t.fitted and t.where == generation]

    general = [t.key for t in TENSOR if t.fitted and t.where is None]
    values = least("products_tensor", TENSOR, general, of["bfloat16"], cards)
    unseen = {**values, **{t.key: values[t.constant] for t in TENSOR if t.fitted and t.where is not None}}
    say(unseen, of["tf32"], "other_generation")
    values = least("products_tensor", TENSOR, own("hopper"), of["tf32"], cards, values)
    for generation in ("volta", "turing"):
        mine = [r for r in of["float16"] if cards[r.profile].generation == generation]
        values = least("products_tensor", TENSOR, own(generation), mine, cards, values)
    for generation, other in (("volta", "turing"), ("turing", "volta")):
        lent = {**unseen, f"latency_cycles@{generation}": values[f"latency_cycles@{other}"]}
        say(lent, [r for r in of["float16"] if cards[r.profile].generation == generation], "other_generation")
    say(values, rows, "same_card")
    return values, said


CLASSES: Mapping[str, tuple[str, Callable[[Rows, Card], np.ndarray]]] = {
    "products_float32": ("float32 products on plain lanes that the board's power limit does not slow",
                         lambda r, c: np.full(len(r), r.computed_in == "float32" and not products_plain.limited(c))),
    "products_float32_limited": ("float32 products on plain lanes of a board whose power limit slows them",
                                 lambda r, c: np.full(len(r), r.computed_in == "float32" and products_plain.limited(c))),
    "products_skinny": (f"float32 products with m or n of at most {SKINNY} and no batch",
                        lambda r, _: (r.computed_in == "float32") & (np.minimum(r.m, r.n) <= SKINNY) & (r.batch == 1)),
    "products_tf32": ("products in tf32", lambda r, _: np.full(len(r), r.computed_in == "tf32")),
    "products_bfloat16": ("products in bfloat16; on other generations in float16, on the same units",
                          lambda r, _: np.full(len(r), r.computed_in == "bfloat16")),
    "products_float16": ("products in float16 on tensor cores", lambda r, _: np.full(len(r), r.computed_in == "float16")),
}  # fmt: skip


def residuals(said: Sequence[tuple[str, Rows, np.ndarray]], cards: Mapping[str, Card]) -> dict[str, dict[str, Any]]:
    """Entries of the file's ``residuals``, by class and kinship."""
    found: dict[str, dict[str, Any]] = {}
    for name, (meaning, belongs) in CLASSES.items():
        entry: dict[str, Any] = {"meaning": meaning}
        for kin in ("same_card", "same_generation", "other_generation"):
            if (name, kin) == ("products_bfloat16", "other_generation"):
                belongs = CLASSES["products_float16"][1]
            here = [(r, p, belongs(r, cards[r.profile])) for k, r, p in said if k == kin]
            here = [(r, p, w) for r, p, w in here if w.any()]
            if here:
                names = [r.profile for r, _, w in here for _ in range(int(w.sum()))]
                predicted, measured = (np.concatenate(x) for x in zip(*((p[w], r.seconds[w]) for r, p, w in here), strict=True))
                left = errors(predicted, measured, names)
                entry[kin] = {key: float(f"{v:.4g}") if isinstance(v, float) else v for key, v in left.items()}
        if len(entry) > 1:
            found[name] = entry
    return found


def run(measured: Path, card_of: Callable[[str], Card]) -> tuple[Fitted, list[tuple[str, Rows, np.ndarray]], dict[str, Card]]:
    """The fit, every prediction that was judged, and the cards."""
    every = read(measured)
    start = starting()
    cards = {name: replace(card_of(name), times=start, _known={}) for by in PROFILES.values() for name in by.values()}
    plain, said_plain = fit_plain(every, cards)
    tensor, said_tensor = fit_tensor(every, cards)
    said = [*said_plain, *said_tensor]
    constants = {**entries("products_plain", PLAIN, plain), **entries("products_tensor", TENSOR, tensor)}
    final = {name: with_terms(c, "products_plain", PLAIN, plain) for name, c in cards.items()}
    return Fitted(constants, residuals(said, final)), said, final


def fit(measured: Path, card_of: Callable[[str], Card]) -> Fitted:
    """Entries ``products_plain.*``, ``products_tensor.*`` and residuals ``products_*`` of ``accelerator_times.json``."""
    return run(measured, card_of)[0]


def line(name: str, predicted: np.ndarray, rows: Rows, roof: np.ndarray) -> str:
    off, beside = (np.abs(p / rows.seconds - 1) * 100 for p in (predicted, roof))
    return (f"{name:46s} {len(rows):5d} {np.median(off):6.1f} {np.quantile(off, 0.9):6.1f} {off.max():6.0f} "
            f"{np.median(predicted / rows.seconds):6.3f} {np.median(beside):6.1f}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measured", type=Path)
    parser.add_argument("--write", type=Path, help="accelerator_times.json to put the entries into")
    options = parser.parse_args()
    fitted, said, cards = run(options.measured, lambda name: card(accelerator(name)))
    for kin in ("same_card", "same_generation", "other_generation"):
        print(f"{kin:46s} {'n':>5s} {'median':>6s} {'90%':>6s} {'worst':>6s} {'bias':>6s} {'roof':>6s}")
        for k, rows, predicted in said:
            if k == kin:
                roof = roofline(cards[rows.profile], rows)
                print(line(rows.label, predicted, rows, roof))
                few = np.flatnonzero(np.minimum(rows.m, rows.n) <= SKINNY)
                if len(few) and len(few) < len(rows):
                    print(line("  m or n <= 128", predicted[few], rows.take(few), roof[few]))
    print(json.dumps(fitted.residuals, indent=1))
    if options.write:
        document = json.loads(options.write.read_text())
        for part, new, prefix in (("constants", fitted.constants, ("products_plain.", "products_tensor.")),
                                  ("residuals", fitted.residuals, ("products_",))):  # fmt: skip
            kept = {key: v for key, v in document[part].items() if not key.startswith(prefix)}
            document[part] = dict(sorted({**kept, **new}.items()))
        options.write.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
