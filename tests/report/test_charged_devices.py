"""Energy, price and counts of a training run on several devices, whose evaluation is not split."""

import pytest
from reports import sample, step

from cr_jax.catalog import load
from cr_jax.predict.money.energy import ACTIVE_SHARE, IDLE_SHARE
from cr_jax.predict.money.pricing import Rates
from cr_jax.report.run_estimate import Money, _spent, _totals

SECONDS, HOURLY = 7.0, 2.5
MEMORY_BOUND = {"memory": 1.0}


def unsplit(device, devices):
    return Money(load.accelerator_or_none(device), Rates(per_hour_usd={"": HOURLY}), devices).unsplit()


@pytest.mark.parametrize(
    ("device", "devices", "working"), [("h100", 8, 8), ("h100", 16, 2), ("tpu-v5e", 8, 8), ("tpu-v5e", 16, 4)]
)
def test_one_device_of_each_host_evaluates_and_all_are_paid(device, devices, working):
    money, note = unsplit(device, devices)
    assert money.at_work == working
    assert ("every device runs them whole" if working == devices else f"each of {working} hosts") in note
    assert _spent(SECONDS, MEMORY_BOUND, money)["price_usd"] == pytest.approx(devices * HOURLY * SECONDS / 3600)
    one = step(sample())
    assert _totals([(one, 3)], money).flops == 3 * working * one.best.flops


def test_idle_devices_draw_their_idle_power():
    limit = load.accelerator_or_none("h100").power_w
    idle = IDLE_SHARE * limit
    active = idle + ACTIVE_SHARE["memory"] * (limit - idle)
    money, _ = unsplit("h100", 16)
    assert _spent(SECONDS, MEMORY_BOUND, money)["energy_j"] == pytest.approx(SECONDS * (2 * active + 14 * idle))
    money, _ = unsplit("h100", 8)
    assert _spent(SECONDS, MEMORY_BOUND, money)["energy_j"] == pytest.approx(SECONDS * 8 * active)
