"""The rent of a device for a predicted time."""

from cr_jax.catalog.accelerator import Accelerator
from cr_jax.documents.prediction import StepPrice

HOUR_S = 3600.0
MONTH_HOURS = 730.0


def price(seconds: float | None, accelerator: Accelerator, per_hour_usd: float | None = None, devices: int = 1) -> StepPrice:
    """US dollars of one step on so many devices, with provider, region, kind and date of the hourly price.

    per_hour_usd: a price of the user's own, which replaces the profile's. ``None`` with the reason where
    neither is known.
    """
    hourly, about = (per_hour_usd, None) if per_hour_usd is not None else (accelerator.price_usd_per_hour, accelerator.price)
    origin = accelerator.origins.get("price_usd_per_hour")
    if seconds is None or hourly is None:
        reason = "no time is predicted" if seconds is None else f"{accelerator.name}: its hourly price is not known"
        return StepPrice(price_usd=None, per_hour_usd=hourly, source=None, reason=reason, tag="predicted")
    if per_hour_usd is not None:
        source = "given by the user"
    elif about is not None:
        source = f"{about.provider}, {about.region}, {about.kind}, {about.date}"
    else:
        source = f"{origin.source}{f', {origin.date}' if origin.date else ''}" if origin else None
    return StepPrice(
        price_usd=devices * (seconds / HOUR_S * hourly), per_hour_usd=hourly, source=source, reason=None, tag="predicted"
    )
