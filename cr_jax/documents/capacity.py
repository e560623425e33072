"""The devices that answer a rate of turns within a latency: a part of a comparison."""

from typing import Annotated, Literal

from msgspec import Meta

from cr_jax.documents.base import Block
from cr_jax.documents.fields import AboveZero, Count, Positive, Share, Tag
from cr_jax.documents.prediction import Amount

Fits = Literal["yes", "no", "unknown"]
#: Whether a target is met.
CapacityStatus = Literal["met", "not met", "unknown"]


class TriedUsers(Block):
    """A number of users answered at once that was tried, and the smallest fleet it needs."""

    users: Positive
    seconds: Amount | None
    high_s: Amount | None
    peak_bytes: Count | None
    fits: Fits
    devices: Annotated[Positive | None, Meta(description="null: no number of devices meets the target at this size.")]
    p95_s: Amount | None
    busy_share: Amount | None


class CapacityRow(Block):
    """The smallest fleet of one row of the comparison."""

    name: str
    status: CapacityStatus
    reason: str | None
    users: Annotated[Positive | None, Meta(description="Users answered at once.")]
    devices: Positive | None
    service_s: Annotated[Amount | None, Meta(description="Upper end of the predicted time of a batch.")]
    p95_s: Amount | None
    busy_share: Annotated[Share | None, Meta(description="Share of the time that a device computes.")]
    mean_batch: Annotated[Amount | None, Meta(description="Users in a batch on average.")]
    peak_bytes: Count | None
    price_usd_per_month: Amount | None
    price_reason: str | None
    tried: tuple[TriedUsers, ...]
    tag: Tag


class Capacity(Block):
    """Devices that answer a rate of turns within a latency."""

    turns_per_second: AboveZero
    p95_s: AboveZero
    assumptions: tuple[str, ...]
    rows: tuple[CapacityRow, ...]
    tag: Tag
