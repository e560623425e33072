"""Figures of a profile: a value with its source."""

from typing import Annotated, Generic, Literal, TypeVar

from msgspec import UNSET, Meta, UnsetType

from cr_jax.documents.base import Block
from cr_jax.documents.fields import AboveZero, Count, NumberAboveZero, Positive, Text

V = TypeVar("V")

FigureKind = Annotated[
    Literal["printed", "solved", "measured", "derived", "assumed"],
    Meta(
        description="printed in the paper or a data sheet, solved for from a printed figure, measured on data or a device, "
        "derived by arithmetic from such figures, or assumed"
    ),
]
Source = Annotated[Text, Meta(description="where the number comes from, or how it follows")]
SourceDate = Annotated[
    str, Meta(pattern="^[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?$", description="when the source was read: YYYY, YYYY-MM or YYYY-MM-DD")
]
ProfileName = Annotated[
    str,
    Meta(
        pattern="^[a-z0-9][a-z0-9-]*$",
        description="the profile's name: lower case, digits and hyphens; the file is named after it",
    ),
]
PrintedName = Annotated[Text, Meta(description="the name to print")]


class Figure(Block, Generic[V]):
    """A value with its source."""

    value: V
    kind: FigureKind
    source: Source
    date: SourceDate | UnsetType = UNSET


class QuantityFigure(Figure[NumberAboveZero]):
    """A size or a rate above 0."""


class CountFigure(Figure[Positive]):
    """A count of 1 or more."""


class CountOrNoneFigure(Figure[Count]):
    """A count; 0: free dialogues, which have none."""


class Distribution(Block):
    """Lengths of texts."""

    mean: Annotated[AboveZero, Meta(description="the mean, a number above 0")]
    p50: Annotated[Count, Meta(description="the median, an integer")]
    p95: Annotated[Positive, Meta(description="the 95% quantile, an integer")]
    max: Annotated[Positive, Meta(description="the longest, an integer")]


class DistributionFigure(Figure[Distribution]):
    """A length distribution."""


class HistogramFigure(Figure[Annotated[tuple[Count, ...], Meta(min_length=1)]]):
    """Conversations by their number of turns."""
