"""Energy, price and carbon: sums by hand, and nothing where an input is unknown."""

import dataclasses

import pytest

from cr_jax.catalog.accelerator import Accelerator
from cr_jax.catalog.load import accelerator
from cr_jax.documents.accelerator_profile import Price
from cr_jax.predict.money.energy import ACTIVE_SHARE, IDLE_SHARE, Site, energy
from cr_jax.predict.money.price import price

SHARES = {"compute": 0.5, "memory": 0.5, "overhead": 0.0}


def device(**changes) -> Accelerator:
    return dataclasses.replace(accelerator("h100"), power_w=700.0, **changes)


def test_joules_are_idle_and_active_share_host_and_building():
    idle = IDLE_SHARE * 700
    active = 0.5 * ACTIVE_SHARE["compute"] + 0.5 * ACTIVE_SHARE["memory"]
    found = energy(2.0, SHARES, device(), Site(host_w=100.0, pue=1.2, grid_g_per_kwh=360.0, grid_source="a test"))
    watts = (idle + active * (700 - idle) + 100) * 1.2
    assert found.energy_j == pytest.approx(2 * watts)
    assert found.carbon_g == pytest.approx(2 * watts / 3.6e6 * 360)
    assert energy(2.0, SHARES, device(idle_power_w=60.0), Site()).assumptions.idle_is == "profile"


def test_no_carbon_without_a_grid_and_no_energy_without_a_limit_or_a_time():
    assert energy(1.0, SHARES, device(), Site()).carbon_g is None
    assert energy(1.0, SHARES, dataclasses.replace(device(), power_w=None), Site()).energy_j is None
    found = energy(None, {}, device(), Site())
    assert found.energy_j is None and "no time" in found.reason


def test_price_is_the_hours_share_with_its_source():
    rented = device(price_usd_per_hour=3.6, price=Price(provider="P", region="R", kind="on-demand", date="2026-01"))
    found = price(1.0, rented)
    assert found.price_usd == pytest.approx(0.001) and found.source == "P, R, on-demand, 2026-01"
    assert price(1.0, rented, 7.2).price_usd == pytest.approx(0.002)
    assert price(1.0, rented, 7.2).source == "given by the user"
    assert price(1.0, dataclasses.replace(rented, price_usd_per_hour=None)).price_usd is None
    assert price(None, rented).price_usd is None
