"""The user's prices, building and grid, and the energy and price of a step that follow from them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cr_jax.catalog.accelerator import Accelerator
from cr_jax.documents.prediction import StepEnergy, StepPrice
from cr_jax.errors import BadConfig, UnknownName
from cr_jax.predict.money.energy import Site, energy
from cr_jax.predict.money.price import price


@dataclass(frozen=True)
class Rates:
    """site: host, building and grid. per_hour_usd: hourly prices by device; ``""`` holds for every
    device without one of its own.
    """

    site: Site = field(default_factory=Site)
    per_hour_usd: Mapping[str, float] = field(default_factory=dict[str, float])

    @property
    def given(self) -> bool:
        """Whether the user gave any figure."""
        return bool(self.per_hour_usd) or self.site != Site()

    def hourly(self, device: str) -> float | None:
        """The user's price of a device; ``None``: that of the profile."""
        return self.per_hour_usd.get(device, self.per_hour_usd.get(""))


def costs(
    seconds: float | None, shares: Mapping[str, float], accelerator: Accelerator, rates: Rates, devices: int = 1
) -> tuple[StepEnergy, StepPrice]:
    """Energy and price of a step of ``seconds``, which splits into ``shares``, on so many devices at once."""
    energy_used = energy(seconds, shares, accelerator, rates.site, devices)
    return energy_used, price(seconds, accelerator, rates.hourly(accelerator.name), devices)


def read_rates(
    prices: str | None,
    pue: float | None,
    host_w: float | None,
    grid_g_per_kwh: float | None,
    grid_source: str | None,
    devices: Sequence[str],
) -> Rates:
    """The options of the command line. prices: ``2.99``, or ``h100=2.99,l4=0.8`` by device.

    devices: the legal names. Raises ``BadConfig`` and ``UnknownName``.
    """
    _least("--pue", pue, 1.0)
    _least("--host-w", host_w, 0.0)
    _least("--grid-g-per-kwh", grid_g_per_kwh, 0.0)
    if (grid_g_per_kwh is None) != (grid_source is None or not grid_source.strip()):
        missing = "--grid-source TEXT" if grid_g_per_kwh is not None else "--grid-g-per-kwh"
        raise BadConfig(f"--grid-g-per-kwh and --grid-source: {missing} is missing; legal: a figure with where it comes from")
    site = Site(host_w or 0.0, pue if pue is not None else 1.0, grid_g_per_kwh, grid_source)
    return Rates(site, {} if prices is None else _prices(prices, devices))


def _prices(text: str, devices: Sequence[str]) -> dict[str, float]:
    prices: dict[str, float] = {}
    named = [device for device in devices if device not in ("gpu", "tpu")]  # these mean another device elsewhere
    for part in text.split(","):
        name, equals, number = part.rpartition("=")
        name = name.strip()
        if equals and name not in named:
            raise UnknownName("device of --price-per-hour", name, named)
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or value < 0 or name in prices or (equals and not name):
            raise BadConfig(f"--price-per-hour {text!r}: legal: US dollars, 0 or more, or DEVICE=DOLLARS with commas between")
        prices[name] = value
    if "" in prices and len(devices) > 1:
        raise BadConfig(
            f"--price-per-hour {text!r}: one price for {len(devices)} devices; legal: "
            f"{','.join(f'{d}=DOLLARS' for d in devices[:3])}"
        )
    return prices


def _least(option: str, value: float | None, least: float) -> None:
    if value is not None and (not math.isfinite(value) or value < least):
        raise BadConfig(f"{option} {value:g}: legal: a number of {least:g} or more")
