"""Types of fields that many documents have."""

from typing import Annotated, Literal

from msgspec import Meta

from cr_jax.documents.base import Block

Count = Annotated[int, Meta(ge=0)]
#: A count of 1 or more.
Positive = Annotated[int, Meta(ge=1)]
Text = Annotated[str, Meta(min_length=1)]
NonNegative = Annotated[float, Meta(ge=0)]
Seconds = NonNegative
#: A rate, a ratio or a duration that is never 0.
AboveZero = Annotated[float, Meta(gt=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
#: A number that is written as it was read: 12 does not become 12.0.
Number = int | float
NumberAboveZero = Annotated[int, Meta(gt=0)] | Annotated[float, Meta(gt=0)]
#: The low and the high end.
Interval = tuple[float, float]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
#: Package and its version; null where it is not installed.
Versions = dict[str, str | None]
JsonValue = str | int | float | bool | list | dict | None
#: An object of no fixed keys, such as a model's configuration.
JsonObject = dict[str, JsonValue]

Preset = Literal["published", "matched", "paper"]
Platform = Literal["cpu", "cuda", "tpu"]
Bound = Annotated[
    Literal["exact", "lower", "upper", "range", "assumed"],
    Meta(
        description="exact; lower: something is not counted; upper: a loop may end earlier; range: between the least and "
        "the figure, for branches that cost differently or calls whose cost is declared or a formula; assumed: exact if the "
        "trip counts and kernel costs that the user supplied are right."
    ),
]
#: The origin of the numbers of an object.
Tag = Annotated[
    Literal["counted", "compiler", "measured", "predicted", "assumed"],
    Meta(description="How the numbers of this object are known."),
]


class Tool(Block):
    """The tool that wrote a document."""

    name: Literal["cr-jax"]
    version: str
