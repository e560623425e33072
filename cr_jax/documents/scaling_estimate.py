"""The estimate of work on growing numbers of devices, or of many calls of a function."""

from typing import Annotated, Literal

from msgspec import Meta

from cr_jax.documents.base import Block, Document
from cr_jax.documents.fields import Count, NonNegative, Positive, Share, Tag, Versions
from cr_jax.documents.prediction import Amount

#: The whole batch stays, or each device's share of it.
Growth = Literal["strong", "weak"]


class ScalingRow(Block):
    """The work on one number of devices. Figures of a step are sums over the objectives, each taking one step."""

    device: str
    devices: Positive
    batch: Annotated[Count | None, Meta(description="Examples of one step of all devices together; null: not known")]
    steps: Annotated[NonNegative, Meta(description="Of all objectives, for the whole work")]
    flops_per_device: Annotated[Count | None, Meta(description="of one step; null: not compiled")]
    peak_bytes: Annotated[Count | None, Meta(description="of one device; null: not compiled")]
    fits: Annotated[bool | None, Meta(description="whether a device's memory holds the peak; null: not known")]
    step_seconds: Amount | None
    step_low_s: Amount | None
    step_high_s: Amount | None
    alone_share: Annotated[Share | None, Meta(description="of the step in which collectives run and nothing else")]
    efficiency: Annotated[
        NonNegative | None,
        Meta(description="time of the first row over this one's, for equal work per device and second; null: not known"),
    ]
    seconds: Annotated[Amount | None, Meta(description="of the whole work")]
    energy_j: Annotated[Amount | None, Meta(description="of the whole work on all devices")]
    price_usd: Annotated[Amount | None, Meta(description="of the whole work on all devices")]
    reason: Annotated[str | None, Meta(description="Why a figure is null")]
    tag: Tag


class ScalingEstimate(Document):
    """Scaling estimate.

    Time, memory and price of an amount of training, or of calls of a function, on growing numbers of devices. Null is unknown,
    with a reason.
    """

    schema: Literal["urn:cr-jax:schema:scaling-estimate:1.0"] = "urn:cr-jax:schema:scaling-estimate:1.0"
    kind: Literal["scaling-estimate"] = "scaling-estimate"
    schema_version: Literal["1.0"] = "1.0"
    subject: str
    dataset: str | None
    work: Annotated[str, Meta(description="The whole work in words, such as 3 epochs")]
    growth: Growth
    versions: Versions
    rows: Annotated[tuple[ScalingRow, ...], Meta(min_length=1)]
    deadline_s: Amount | None
    cheapest: Annotated[
        int | None,
        Meta(description="Number of the row with the least price among those that fit and keep the deadline; null: none"),
    ]
    communication: Annotated[
        int | None, Meta(description="Number of the first row in which collectives alone take over half of the step; null: none")
    ]
