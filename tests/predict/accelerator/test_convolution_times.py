"""Properties of the predicted times of convolutions."""

from pathlib import Path

import numpy as np
import pytest
from stream_cards import h100, t4

from cr_jax.cost.operations.buffer_reuse import Reads
from cr_jax.predict.accelerator import convolutions

ROOT = Path(__file__).resolve().parents[3]
MEASURED = ROOT.parent / "shared" / "measured"
FAR = 10**12


def convolution(card, batch=32, side=28, channels_in=256, channels_out=256, window=9, item=4, **more):
    """Seconds of one convolution of images of ``side``, its input and weights cold."""
    images = item * batch * side * side
    reads = (Reads(images * channels_in, FAR), Reads(item * window * channels_in * channels_out, FAR))
    of = convolutions.parts(
        card,
        reads,
        images * channels_out,
        FAR,
        convolutions.ImageBatch(batch, side, side, channels_in, channels_out, window),
        item=item,
        **more,
    )
    return convolutions.seconds(card, of)


def work(batch=32, side=28, channels_in=256, channels_out=256, window=9):
    return batch * side * side * channels_in * channels_out * window


@pytest.mark.parametrize("card", [h100(), t4()], ids=["h100", "t4"])
@pytest.mark.parametrize("winograd", [False, True])
def test_time_grows_with_each_size(card, winograd):
    base = {"batch": 8, "side": 14, "channels_in": 64, "channels_out": 64}
    for size in base:
        times = [convolution(card, **{**base, size: base[size] * factor}, winograd=winograd) for factor in (1, 2, 4, 8)]
        assert times == sorted(times), size


def test_the_direct_way_is_slower_than_the_lanes():
    card = h100()
    assert convolution(card) > work() / (card.cores * card.lanes * card.clock_hz)


def test_winograd_is_chosen_where_it_is_faster():
    card = h100()
    direct, either = convolution(card), convolution(card, winograd=True)
    assert 0.25 * direct < either < 0.8 * direct
    assert convolution(card, channels_in=3, channels_out=8, winograd=True) <= convolution(card, channels_in=3, channels_out=8)


def test_tensor_cores_are_faster_than_lanes():
    card = h100()
    assert convolution(card, peak=989e12, item=2) < 0.2 * convolution(card)
    assert convolution(card, peak=989e12, item=2, winograd=True) == convolution(card, peak=989e12, item=2)


def test_few_channels_are_bound_by_memory():
    card = h100()
    thin = convolution(card, batch=256, side=112, channels_in=1, channels_out=1, window=1)
    assert thin >= 8 * 256 * 112 * 112 / card.bandwidth


def test_a_card_at_its_power_limit_is_slower():
    from dataclasses import replace

    card = t4()
    assert convolution(replace(card, watts=35, _known={})) > 1.5 * convolution(replace(card, watts=350, _known={}))


def test_arrays_give_what_numbers_give():
    card = t4()
    sides = np.array([7.0, 14.0, 56.0])
    alone = [convolution(card, side=side, winograd=True) for side in sides.tolist()]
    assert convolution(card, side=sides, winograd=True) == pytest.approx(np.array(alone))


@pytest.mark.skipif(not MEASURED.is_dir(), reason="no measurements")
def test_rows_that_were_measured_are_met(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from bench.accelerator_fits import convolutions as fit
    from bench.accelerator_fits.entries import measured_card

    for name, rows in fit.read(MEASURED).items():
        off = np.abs(fit.predict(measured_card(name), rows) / rows.seconds - 1)
        assert np.median(off) < 0.25, name
