"""Energy, price and carbon of a predicted time. Unknown inputs give ``None``, never a guess of a device's power."""

from collections.abc import Mapping
from dataclasses import dataclass

from cr_jax.catalog.accelerator import Accelerator
from cr_jax.documents.prediction import EnergyAssumptions, StepEnergy

#: Assumed share of its limit that an idle accelerator draws, where its profile has no figure.
IDLE_SHARE = 0.15
#: Assumed: share of the range from idle to limit that a step uses, by what bounds it.
ACTIVE_SHARE = {"compute": 0.9, "memory": 0.6, "overhead": 0.15, "collectives": 0.3}


@dataclass(frozen=True)
class Site:
    """The site of a device. host_w: power of its host for one device. pue: the building's power over
    its machines'. grid_g_per_kwh: carbon of the grid, grams of CO2 equivalent; ``None``: not given.
    """

    host_w: float = 0.0
    pue: float = 1.0
    grid_g_per_kwh: float | None = None
    grid_source: str | None = None


def energy(
    seconds: float | None, shares: Mapping[str, float], accelerator: Accelerator, site: Site, devices: int = 1
) -> StepEnergy:
    """Joules of one step on so many devices, and their parts: a device's limit, idle power, host and building."""
    limit = accelerator.power_w
    if seconds is None or limit is None:
        reason = "no time is predicted" if seconds is None else f"{accelerator.name}: its power limit is not known"
        return StepEnergy(energy_j=None, power_w=None, reason=reason, carbon_g=None, assumptions=None, tag="predicted")
    idle = accelerator.idle_power_w if accelerator.idle_power_w is not None else IDLE_SHARE * limit
    active = sum(share * ACTIVE_SHARE[name] for name, share in shares.items())
    device = idle + active * (limit - idle)
    power = devices * (device + site.host_w) * site.pue
    joules = power * seconds
    grid = site.grid_g_per_kwh
    return StepEnergy(
        energy_j=joules,
        power_w=power,
        reason=None,
        carbon_g=None if grid is None else joules / 3.6e6 * grid,
        assumptions=EnergyAssumptions(
            limit_w=limit,
            idle_w=idle,
            idle_is="profile" if accelerator.idle_power_w is not None else f"assumed, {IDLE_SHARE:.0%} of the limit",
            active_share=active,
            host_w=site.host_w,
            pue=site.pue,
            grid_g_per_kwh=grid,
            grid_source=site.grid_source,
        ),
        tag="predicted",
    )
