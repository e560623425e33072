"""Links of one accelerator to others, in its profile."""

from typing import Annotated

from msgspec import Meta

from cr_jax.documents.base import Block
from cr_jax.documents.figure import CountFigure, QuantityFigure

_NULL = "an object {value, kind, source}, value above 0, or null where it is not known: "


class HostLinks(Block, tag_field="platform", tag="cuda"):
    """Links of a GPU: NVLink within a host (its rate is link_bytes_per_s), a network between hosts."""

    devices_per_host: Annotated[
        CountFigure | None,
        Meta(description=_NULL + "devices that NVLink joins, of a host or a rack; others are reached by network"),
    ]
    network_bytes_per_s: Annotated[
        QuantityFigure | None,
        Meta(description=_NULL + "peak rate of one device to other hosts, one direction (InfiniBand, Ethernet)"),
    ]
    network_hop_s: Annotated[
        QuantityFigure | None, Meta(description=_NULL + "seconds of a small message to the next host of a ring")
    ]


class TorusLinks(Block, tag_field="platform", tag="tpu"):
    """Links of a TPU chip to its neighbours in a torus (ICI)."""

    torus_axes: Annotated[CountFigure | None, Meta(description=_NULL + "axes of the torus: two neighbours along each")]
    neighbour_bytes_per_s: Annotated[
        QuantityFigure | None, Meta(description=_NULL + "peak rate of one link to a neighbour, one direction")
    ]
    neighbour_hop_s: Annotated[QuantityFigure | None, Meta(description=_NULL + "seconds of a small message to a neighbour")]
    wraps_at: Annotated[
        CountFigure | None,
        Meta(
            description=_NULL + "length of an axis, or a multiple of it, whose ends are joined to a ring; of three axes all must "
            "have it"
        ),
    ]
