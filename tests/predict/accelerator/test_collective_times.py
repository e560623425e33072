"""Times of collectives among the devices of one node."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cr_jax.catalog.load import accelerator
from cr_jax.catalog.times import MissingConstant, shipped
from cr_jax.documents.base import plain
from cr_jax.errors import UnknownName
from cr_jax.predict.accelerator import collectives
from cr_jax.predict.accelerator.card import Card, card
from cr_jax.predict.accelerator.measured_rows import predict, read_rows

MEASURED = Path(__file__).parents[4] / "shared" / "measured"
MB = 2.0**20


def h100() -> Card:
    return card(accelerator("h100"))


@pytest.mark.parametrize(
    ("opcode", "factor"),
    [
        ("all-reduce", 2 * 7 / 8),
        ("all-gather", 7 / 8),
        ("reduce-scatter", 7 / 8),
        ("all-to-all", 7 / 8),
        ("collective-permute", 1),
    ],
)
def test_bytes_that_each_device_sends(opcode, factor):
    assert collectives.sent(opcode, 8 * MB, 8) == factor * 8 * MB
    assert collectives.sent(opcode, 8 * MB, 1) == 0


@pytest.mark.parametrize("opcode", collectives.OPCODES)
def test_time_grows_with_bytes_and_devices(opcode):
    on, sizes = h100(), 2.0 ** np.arange(10, 32)
    for devices in (2, 4, 8):
        found = collectives.seconds(on, opcode, sizes, devices)
        assert (np.diff(found) > 0).all()
        assert (found > collectives.sent(opcode, sizes, devices) / collectives.link(on)).all()
    two, eight = (collectives.seconds(on, opcode, 64 * MB, devices) for devices in (2, 8))
    assert two < eight or (opcode == "collective-permute" and two < 1.1 * eight)


@pytest.mark.parametrize("opcode", collectives.OPCODES)
def test_long_ones_take_the_links_and_short_ones_the_start(opcode):
    on, name = h100(), opcode.replace("-", "_")
    known = on.constants("collectives")
    long = collectives.sent(opcode, 2.0**40, 2) / (known[f"{name}_share"] * collectives.link(on))
    assert collectives.seconds(on, opcode, 2.0**40, 2) == pytest.approx(long, rel=0.05)
    assert collectives.parts(on, opcode, 4.0, 2).compute_s == known[f"{name}_start_s"]


def test_one_device_alone_has_nothing_to_do():
    assert collectives.seconds(h100(), "all-reduce", 4 * MB, 1) < 1e-12


def test_other_cards_are_scaled_by_their_links():
    half = replace(h100(), accelerator=replace(h100().accelerator, link_bytes_per_s=450e9))
    assert collectives.seconds(half, "all-reduce", 2.0**40, 8) == pytest.approx(
        2 * collectives.seconds(h100(), "all-reduce", 2.0**40, 8), rel=0.01
    )


def test_a_card_without_links_and_an_unknown_opcode_are_refused():
    with pytest.raises(MissingConstant, match="link_bytes_per_s"):
        collectives.seconds(replace(h100(), accelerator=replace(h100().accelerator, link_bytes_per_s=None)), "all-reduce", 1.0, 2)
    with pytest.raises(UnknownName, match="did you mean all-reduce"):
        collectives.seconds(h100(), "allreduce", 1.0, 2)


def test_what_was_left_of_the_errors_is_said_of_the_measured_card_only():
    entry = plain(shipped().residuals["collectives"])
    assert set(entry) == {"meaning", "same_card"} and entry["same_card"]["cards"] == ["h100"]


@pytest.mark.skipif(not MEASURED.is_dir(), reason="../shared/measured is not here")
def test_long_ones_that_were_measured_are_met():
    for rows in read_rows(MEASURED / "collectives.csv"):
        off = np.abs(predict(h100(), rows) / rows.seconds - 1)
        assert np.median(off) < 0.25, rows.opcode
        assert np.median(off[rows.size > 32 * MB]) < 0.2, rows.opcode
