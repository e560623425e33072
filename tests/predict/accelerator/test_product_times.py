"""Times of matrix products on accelerators: how they grow, what they never fall below, and the errors the file names."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.accelerator_fits import products as fits
from cr_jax.catalog.load import accelerator
from cr_jax.catalog.times import MissingConstant, Times, shipped
from cr_jax.documents.base import plain
from cr_jax.predict.accelerator import products_plain, products_tensor
from cr_jax.predict.accelerator.card import Card, card
from cr_jax.predict.accelerator.tiling import Layout, ProductBatch, held_rate

MEASURED = Path(__file__).parents[4] / "shared" / "measured"
NAMES = ("p100-pcie", "v100", "t4", "a100-40gb-pcie", "h100")
SIZES = (1.0, 7.0, 16.0, 64.0, 128.0, 129.0, 500.0, 512.0, 2048.0, 4096.0)


def card_of(name: str) -> Card:
    return card(accelerator(name))


def seconds(on: Card, computed_in: str, batch, m, n, k, **more) -> np.ndarray:
    item = {"float32": 4.0, "tf32": 4.0}.get(computed_in, 2.0)
    own = {key: more.pop(key) for key in ("layout", "extra_bytes") if key in more}
    of = ProductBatch(batch, m, n, k, computed_in, item, item, **own)
    return (products_plain if computed_in == "float32" else products_tensor).parts(on, of, **more).seconds


def kinds() -> list[tuple[str, str]]:
    return [(name, "float32") for name in NAMES] + [
        ("v100", "float16"),
        ("t4", "float16"),
        ("h100", "bfloat16"),
        ("h100", "tf32"),
    ]


def ids(value: tuple[str, str]) -> str:
    return " ".join(value)


@pytest.fixture(params=kinds(), ids=ids)
def one(request: pytest.FixtureRequest) -> tuple[Card, str]:
    name, computed_in = request.param
    return card_of(name), computed_in


def test_scalars_and_arrays_agree(one: tuple[Card, str]) -> None:
    on, computed_in = one
    m, n, k = (np.array(x, float) for x in zip(*((m, n, k) for m in SIZES for n in SIZES for k in (64, 1000)), strict=True))
    together = seconds(on, computed_in, 1, m, n, k)
    assert together.shape == m.shape
    alone = seconds(on, computed_in, 1, m[37], n[37], k[37])
    assert alone.shape == ()
    assert alone == pytest.approx(together[37])


@pytest.mark.parametrize("which", ["batch", "m", "n", "k"])
def test_more_work_takes_no_less_time(one: tuple[Card, str], which: str) -> None:
    # Rows that are a multiple of a sector, as a padded row may well be faster than a ragged one.
    on, computed_in = one
    for base in (64.0, 512.0, 2048.0):
        sizes = {"batch": 2.0, "m": base, "n": base, "k": base}
        sizes[which] = np.array([1.0, 2, 4, 8]) if which == "batch" else base * np.array([1.0, 2, 4, 8])
        found = seconds(on, computed_in, **sizes)
        found = found[1:] if which == "batch" else found  # one product may be split, several not
        assert (found[1:] > 0.97 * found[:-1]).all()
        assert found[-1] > found[0]


def test_never_faster_than_the_data_sheet(one: tuple[Card, str]) -> None:
    on, computed_in = one
    m, n, k = (np.array(x, float) for x in zip(*((m, n, k) for m in SIZES for n in SIZES for k in SIZES), strict=True))
    found = seconds(on, computed_in, 4, m, n, k, warm=False)
    peak = products_plain.peak(on, "float32") if computed_in == "float32" else on.peaks[computed_in]
    item = 2 if computed_in in ("bfloat16", "float16") else 4
    assert (found >= 2 * 4 * m * n * k / float(peak or 0)).all()
    assert (found >= item * 4 * (m * k + k * n + m * n) / on.bandwidth).all()


def test_one_tile_more_than_a_wave_costs_a_step(one: tuple[Card, str]) -> None:
    on, computed_in = one

    def compute(blocks: int) -> float:
        if computed_in == "float32":
            return float(products_plain.parts(on, ProductBatch(blocks, 128, 128, 4096), tiles=((128, 128),), lasts=60.0).compute)
        return float(
            products_tensor.parts(
                on, ProductBatch(blocks, 128, 128, 4096, computed_in, 2.0, 2.0), tiles=((128, 128),), lasts=60.0
            ).compute
        )

    assert compute(on.cores + 1) > 1.5 * compute(on.cores)
    assert compute(on.cores) == pytest.approx(compute(on.cores // 2))


def test_splitting_k_helps_small_results_of_long_sums() -> None:
    on = card_of("a100-40gb-pcie")
    whole = products_plain.parts(on, ProductBatch(2, 64, 64, 32768))  # a batch is not split
    split = products_plain.parts(on, ProductBatch(1, 64, 64, 32768))
    assert split.seconds < whole.seconds / 4


def test_the_power_limit_bites_after_a_while() -> None:
    on = card_of("t4")
    alone = products_plain.parts(on, ProductBatch(1, 1024, 1024, 1024)).seconds
    held = products_plain.parts(on, ProductBatch(1, 1024, 1024, 1024), lasts=60.0).seconds
    assert held > 1.2 * alone
    assert products_plain.limited(on)
    assert not products_plain.limited(card_of("v100"))
    assert held_rate(10.0, 20.0, 1e6, 1e-4, 60.0) == 10.0


def test_layouts_and_ragged_rows_cost_memory_time() -> None:
    on = card_of("v100")
    good = products_plain.parts(on, ProductBatch(1, 16, 4096, 4096))
    assert products_plain.parts(on, ProductBatch(1, 16, 4096, 4096, layout=Layout(True, True, True))).memory > good.memory
    assert products_plain.parts(on, ProductBatch(1, 16, 4097, 4096)).memory > 1.1 * good.memory
    assert products_plain.parts(on, ProductBatch(1, 16, 4096, 4096, extra_bytes=1e8)).memory > good.memory


def test_a_missing_peak_or_constant_is_named() -> None:
    t4 = card_of("t4")
    with pytest.raises(MissingConstant, match="t4: the peak rate of matrix products in bfloat16"):
        products_tensor.parts(t4, ProductBatch(1, 64, 64, 64, "bfloat16", 2.0, 2.0))
    unknown = replace(t4, accelerator=replace(t4.accelerator, vector_flops_per_s={}), _known={})
    with pytest.raises(MissingConstant, match="float64"):
        products_plain.parts(unknown, ProductBatch(1, 64, 64, 64, "float64", 8.0, 8.0))
    every = dict(shipped().constants)
    every["products_plain.edge"] = replace(every["products_plain.edge"], value=None, would_give="a measurement")
    with pytest.raises(MissingConstant, match="a measurement would give one"):
        products_plain.parts(replace(t4, times=Times(every, {}), _known={}), ProductBatch(1, 64, 64, 64))


def test_every_constant_serves_a_generation_nobody_has_seen() -> None:
    h100 = card_of("h100")
    new = replace(h100, accelerator=replace(h100.accelerator, name="new", generation="new"), generation="new", _known={})
    assert products_plain.parts(new, ProductBatch(1, 512, 512, 512)).seconds > 0
    assert products_tensor.parts(new, ProductBatch(1, 512, 512, 512, "float16", 2.0, 2.0)).seconds > 0


@pytest.mark.skipif(not MEASURED.is_dir(), reason="../shared/measured is not here")
def test_the_file_names_the_errors_that_are_found() -> None:
    """Those of the shipped constants; the errors on cards left out take a new fit for each, below."""
    usable = [rows for rows in fits.read(MEASURED) if fits.usable(rows)]
    said = [("same_card", rows, fits.predict(card_of(rows.card), rows)) for rows in usable]
    cards = {rows.card: card_of(rows.card) for _, rows, _ in said}
    found = fits.residuals(said, cards)
    for name, entry in found.items():
        named = plain(shipped().residuals[name])["same_card"]
        assert entry["same_card"]["rows"] == named["rows"], name
        assert entry["same_card"]["median"] == pytest.approx(named["median"], rel=0.05, abs=0.002), name
        assert entry["same_card"]["cards"] == named["cards"], name


@pytest.mark.slow
@pytest.mark.skipif(not MEASURED.is_dir(), reason="../shared/measured is not here")
def test_a_new_fit_finds_the_constants_and_the_errors_on_cards_left_out() -> None:
    fitted = fits.fit(MEASURED, card_of)
    for name, entry in fitted.constants.items():
        assert shipped().constants[name].value == pytest.approx(entry["value"], rel=0.02), name
    for name, entry in fitted.residuals.items():
        for kin in entry.keys() - {"meaning"}:
            named = plain(shipped().residuals[name])[kin]
            assert entry[kin]["cards"] == named["cards"], name
            assert entry[kin]["median"] == pytest.approx(named["median"], rel=0.05, abs=0.002), (name, kin)
