"""The options for price, building and grid that profile, compare and estimate share."""

from typing import Annotated

import typer

Price = Annotated[
    str | None,
    typer.Option("--price-per-hour", help="US dollars per device and hour, or DEVICE=DOLLARS,... Default: the profile's."),
]
Pue = Annotated[float | None, typer.Option("--pue", help="Power of the building over its machines'. Default: 1.")]
HostW = Annotated[float | None, typer.Option("--host-w", help="Watts of the host per device. Default: 0, not counted.")]
Grid = Annotated[
    float | None, typer.Option("--grid-g-per-kwh", help="Grams of CO2 equivalent per kWh; without it no carbon is given.")
]
GridSource = Annotated[str | None, typer.Option("--grid-source", help="Where --grid-g-per-kwh comes from; needed with it.")]
