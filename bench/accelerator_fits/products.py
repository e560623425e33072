"""Fits the constants of matrix products on GPUs and says what they err by on cards left out of the fit.

    PYTHONPATH=. python -m bench.accelerator_fits.products ../shared/measured [--write]

float32 products (plain lanes) are fitted on four cards, each left out in turn for the errors; products on tensor cores on
one card's bfloat16 (tf32's rate on its tf32), and judged on two cards of other generations in float16.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import least_squares

from bench.accelerator_fits.fitting import Fitted, errors, rounded
from bench.accelerator_fits.product_constants import PLAIN, TENSOR, Term, entries
from cr_jax.catalog.load import accelerator
from cr_jax.catalog.times import Constant, Times
from cr_jax.predict.accelerator import products_plain
from cr_jax.predict.accelerator.card import Card, card
from cr_jax.predict.accelerator.execution import SKINNY
from cr_jax.predict.accelerator.measured.products import Products
from cr_jax.predict.accelerator.measured.rows import clear, taken
from cr_jax.predict.accelerator.measured_rows import predict, read_rows

#: The files of measurements, and the cards that constants are fitted on.
FILES = ("products_f32.fit.csv", "products_tensor.fit.csv", "deepbench_products.fit.csv")
#: Rows of one card and kind that a fit looks at; more change nothing.
_MOST_ROWS = 350
#: How far a constant may be drawn from its start: one residual of 1 / this for a factor of e.
_RIDGE = 0.8

#: Kinship of the rows' card to those that were fitted, rows, predicted seconds.
Said = tuple[str, Products, np.ndarray]


def read(measured: Path) -> list[Products]:
    """All measured products in ``measured``, by card, kind and type, without those the clock's offset hides."""
    every = [rows for file in FILES for rows in read_rows(measured / file, "products")]
    return sorted((clear(rows) for rows in every), key=lambda r: (r.card, r.kind, r.computed_in))


def sample(rows: Products, most: int) -> Products:
    rng = np.random.default_rng(0)
    return rows if len(rows) <= most else taken(rows, np.sort(rng.choice(len(rows), most, replace=False)))


def roofline(on: Card, rows: Products) -> np.ndarray:
    """The larger of operations over the data sheet's peak and bytes over its bandwidth, and the clock's offset."""
    flops, moved, peak = rows.work(on)
    return np.maximum(flops / peak, moved / on.bandwidth) + rows.offset


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
    mechanism: str,
    terms: Sequence[Term],
    fitted: Sequence[str],
    rows: Sequence[Products],
    cards: Mapping[str, Card],
    held: Mapping[str, float] | None = None,
) -> dict[str, float]:
    """The terms' values that leave least of ``|log predicted - log measured|`` (soft_l1, each card and kind alike).
    ``fitted``: keys of the terms that move; the others stay at ``held`` or their start.
    """
    values = {t.key: t.start for t in terms} | dict(held or {})
    start = np.array([values[key] for key in fitted])
    samples = [sample(r, _MOST_ROWS) for r in rows]
    logs = [np.log(r.seconds) for r in samples]

    def at(x: np.ndarray) -> dict[str, float]:
        return {**values, **{key: float(v) for key, v in zip(fitted, start * np.exp(x), strict=True)}}

    def residuals(x: np.ndarray) -> np.ndarray:
        now = at(x)
        parts = [
            10 * (np.log(predict(with_terms(cards[r.card], mechanism, terms, now), r)) - log) / len(r) ** 0.5
            for r, log in zip(samples, logs, strict=True)
        ]
        return np.concatenate([*parts, _RIDGE * x])

    found = least_squares(residuals, np.zeros(len(start)), loss="soft_l1", f_scale=0.03, diff_step=2e-3, max_nfev=25)
    return rounded(at(found.x))


def usable(rows: Products) -> bool:
    """P100 ``linear`` often ran a kernel at 20 to 60% of its peak, which says nothing of the card."""
    return not (rows.card == "p100-pcie" and rows.kind == "linear")


def keys(terms: Sequence[Term], cards: Sequence[Card]) -> list[str]:
    """The terms that rows of these cards say something of."""
    here = {c.generation for c in cards} | {c.memory_kind for c in cards}
    return [t.key for t in terms if t.fitted and (t.where is None or t.where in here)]


def fit_plain(every: Sequence[Products], cards: Mapping[str, Card]) -> tuple[dict[str, float], list[Said]]:
    """The constants, and predictions by kinship of the rows' card to those fitted: same_card, same_generation (V100 PCIe for
    V100 SXM2 and back), other_generation.
    """
    rows = [r for r in every if not r.tensor and usable(r)]

    def fit(kept: Sequence[Products]) -> dict[str, float]:
        left = keys(PLAIN, [cards[r.card] for r in kept])
        found = least("products_plain", PLAIN, left, kept, cards)
        return {
            t.key: found[t.key] if t.where is None or t.key in left else found[t.constant] if t.fitted else t.start for t in PLAIN
        }

    def say(values: Mapping[str, float], which: Sequence[Products], kin: str) -> list[Said]:
        return [(kin, r, predict(with_terms(cards[r.card], "products_plain", PLAIN, values), r)) for r in which]

    values = fit(rows)
    said = say(values, rows, "same_card")
    for generation in sorted({cards[r.card].generation for r in rows}):
        out = [r for r in rows if cards[r.card].generation == generation]
        said += say(fit([r for r in rows if r not in out]), out, "other_generation")
    for profile in ("v100", "v100-pcie-32gb"):
        out = [r for r in rows if r.card == profile]
        said += say(fit([r for r in rows if r.card != profile]), out, "same_generation")
    return values, said


def fit_tensor(every: Sequence[Products], cards: Mapping[str, Card]) -> tuple[dict[str, float], list[Said]]:
    """As ``fit_plain``: the general constants on bfloat16 of Hopper alone, then those of its tf32, then of the generations
    before Ampere on float16. Other generations are judged without their own constants; of those before Ampere, each has the
    other's chain of loads, whose copies do not run ahead either.
    """
    rows = [r for r in every if r.tensor]
    of = {kind: [r for r in rows if r.computed_in == kind] for kind in ("bfloat16", "tf32", "float16")}
    said: list[Said] = []

    def say(values: Mapping[str, float], which: Sequence[Products], kin: str) -> None:
        said.extend((kin, r, predict(with_terms(cards[r.card], "products_tensor", TENSOR, values), r)) for r in which)

    def own(generation: str) -> list[str]:
        return [t.key for t in TENSOR if t.fitted and t.where == generation]

    general = [t.key for t in TENSOR if t.fitted and t.where is None]
    values = least("products_tensor", TENSOR, general, of["bfloat16"], cards)
    unseen = {**values, **{t.key: values[t.constant] for t in TENSOR if t.fitted and t.where is not None}}
    say(unseen, of["tf32"], "other_generation")
    values = least("products_tensor", TENSOR, own("hopper"), of["tf32"], cards, values)
    for generation in ("volta", "turing"):
        mine = [r for r in of["float16"] if cards[r.card].generation == generation]
        values = least("products_tensor", TENSOR, own(generation), mine, cards, values)
    for generation, other in (("volta", "turing"), ("turing", "volta")):
        lent = {**unseen, f"latency_cycles@{generation}": values[f"latency_cycles@{other}"]}
        say(lent, [r for r in of["float16"] if cards[r.card].generation == generation], "other_generation")
    say(values, rows, "same_card")
    return values, said


CLASSES: Mapping[str, tuple[str, Callable[[Products, Card], np.ndarray]]] = {
    "products_float32": (
        "float32 products on plain lanes that the board's power limit does not slow",
        lambda r, c: np.full(len(r), r.computed_in == "float32" and not products_plain.limited(c)),
    ),
    "products_float32_limited": (
        "float32 products on plain lanes of a board whose power limit slows them",
        lambda r, c: np.full(len(r), r.computed_in == "float32" and products_plain.limited(c)),
    ),
    "products_skinny": (
        f"float32 products with m or n of at most {SKINNY} and no batch",
        lambda r, _: (r.computed_in == "float32") & (np.minimum(r.m, r.n) <= SKINNY) & (r.batch == 1),
    ),
    "products_tf32": ("products in tf32", lambda r, _: np.full(len(r), r.computed_in == "tf32")),
    "products_bfloat16": (
        "products in bfloat16; on other generations in float16, on the same units",
        lambda r, _: np.full(len(r), r.computed_in == "bfloat16"),
    ),
    "products_float16": ("products in float16 on tensor cores", lambda r, _: np.full(len(r), r.computed_in == "float16")),
}


def residuals(said: Sequence[Said], cards: Mapping[str, Card]) -> dict[str, dict[str, Any]]:
    """Entries of the file's ``residuals``, by class and kinship."""
    found: dict[str, dict[str, Any]] = {}
    for name, (meaning, belongs) in CLASSES.items():
        entry: dict[str, Any] = {"meaning": meaning}
        for kin in ("same_card", "same_generation", "other_generation"):
            if (name, kin) == ("products_bfloat16", "other_generation"):
                belongs = CLASSES["products_float16"][1]
            here = [(r, p, belongs(r, cards[r.card])) for k, r, p in said if k == kin]
            here = [(r, p, w) for r, p, w in here if w.any()]
            if here:
                names = [r.card for r, _, w in here for _ in range(int(w.sum()))]
                predicted, measured = (np.concatenate(x) for x in zip(*((p[w], r.seconds[w]) for r, p, w in here), strict=True))
                left = errors(predicted, measured, names)
                entry[kin] = {key: float(f"{v:.4g}") if isinstance(v, float) else v for key, v in left.items()}
        if len(entry) > 1:
            found[name] = entry
    return found


def run(measured: Path, card_of: Callable[[str], Card]) -> tuple[Fitted, list[Said], dict[str, Card]]:
    """The fit, every prediction that was judged, and the cards."""
    every = read(measured)
    start = starting()
    cards = {name: replace(card_of(name), times=start, _known={}) for name in dict.fromkeys(rows.card for rows in every)}
    plain, said_plain = fit_plain(every, cards)
    tensor, said_tensor = fit_tensor(every, cards)
    said = [*said_plain, *said_tensor]
    constants = {**entries("products_plain", PLAIN, plain), **entries("products_tensor", TENSOR, tensor)}
    final = {name: with_terms(c, "products_plain", PLAIN, plain) for name, c in cards.items()}
    return Fitted(constants, residuals(said, final)), said, final


def fit(measured: Path, card_of: Callable[[str], Card]) -> Fitted:
    """Entries ``products_plain.*``, ``products_tensor.*`` and residuals ``products_*`` of ``accelerator_times.json``."""
    return run(measured, card_of)[0]


def line(name: str, predicted: np.ndarray, rows: Products, roof: np.ndarray) -> str:
    off, beside = (np.abs(p / rows.seconds - 1) * 100 for p in (predicted, roof))
    return (
        f"{name:46s} {len(rows):5d} {np.median(off):6.1f} {np.quantile(off, 0.9):6.1f} {off.max():6.0f} "
        f"{np.median(predicted / rows.seconds):6.3f} {np.median(beside):6.1f}"
    )


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
                roof = roofline(cards[rows.card], rows)
                print(line(rows.label, predicted, rows, roof))
                few = np.flatnonzero(np.minimum(rows.m, rows.n) <= SKINNY)
                if len(few) and len(few) < len(rows):
                    print(line("  m or n <= 128", predicted[few], taken(rows, few), roof[few]))
    print(json.dumps(fitted.residuals, indent=1))
    if options.write:
        document = json.loads(options.write.read_text())
        for part, new, prefix in (
            ("constants", fitted.constants, ("products_plain.", "products_tensor.")),
            ("residuals", fitted.residuals, ("products_",)),
        ):
            kept = {key: v for key, v in document[part].items() if not key.startswith(prefix)}
            document[part] = dict(sorted({**kept, **new}.items()))
        options.write.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
