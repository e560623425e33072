"""Data set profiles: ``profiles/datasets/*.json`` and the user's own."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from cr_jax.documents.base import Block, Document
from cr_jax.documents.figure import CountFigure, CountOrNoneFigure, DistributionFigure, HistogramFigure, PrintedName, ProfileName

_COUNT = "an object {value, kind, source}, value an integer of 1 or more: "
_LENGTHS = "an object {value: {mean, p50, p95, max}, kind, source}: "


class LengthFigures(Block):
    """One length distribution per kind of text."""

    request_words: Annotated[DistributionFigure, Meta(description=_LENGTHS + "words of the request q0")]
    question_words: Annotated[DistributionFigure, Meta(description=_LENGTHS + "words of a question (the aspect)")]
    answer_words: Annotated[DistributionFigure, Meta(description=_LENGTHS + "words of an answer (the value)")]
    item_words: Annotated[
        DistributionFigure, Meta(description=_LENGTHS + "words of an item's description, cut at the limit the source names")
    ]
    item_sentences: Annotated[DistributionFigure, Meta(description=_LENGTHS + "sentences of a description, that many per item")]


class PaperDimensions(Block):
    """Dimensions solved from the paper's Table II."""

    dmn_classes: Annotated[CountFigure, Meta(description=_COUNT + "answer classes V of DMN")]
    mmn_words: Annotated[CountFigure, Meta(description=_COUNT + "words W of MMN and PMMN")]
    pmmn_users: Annotated[CountFigure, Meta(description=_COUNT + "users U of PMMN")]


class PrintedParameters(Block):
    """Parameters to train as the paper's Table II prints them."""

    dmn: Annotated[CountFigure, Meta(description=_COUNT + "parameters of DMN")]
    mmn: Annotated[CountFigure, Meta(description=_COUNT + "parameters of MMN")]
    pmmn: Annotated[CountFigure, Meta(description=_COUNT + "parameters of PMMN")]
    aim: Annotated[CountFigure, Meta(description=_COUNT + "parameters of AIM")]
    srnn_ae: Annotated[CountFigure, Meta(description=_COUNT + "parameters of sRNN-AE")]


class DatasetProfile(Document):
    """crjax data set profile."""

    schema: Literal["urn:cr-jax:schema:dataset-profile:1.0"] = "urn:cr-jax:schema:dataset-profile:1.0"
    kind: Literal["dataset-profile"] = "dataset-profile"
    name: ProfileName
    title: PrintedName
    users: Annotated[CountFigure, Meta(description=_COUNT + "users")]
    items: Annotated[CountFigure, Meta(description=_COUNT + "items")]
    aspects: Annotated[CountOrNoneFigure, Meta(description=_COUNT + "distinct aspects, what a question asks about")]
    values: Annotated[CountOrNoneFigure, Meta(description=_COUNT + "distinct values, what an answer says")]
    turns: Annotated[CountFigure, Meta(description=_COUNT + "question-answer pairs in all conversations together")]
    conversations: Annotated[CountFigure, Meta(description=_COUNT + "conversations")]
    words: Annotated[CountFigure, Meta(description=_COUNT + "distinct words, the vocabulary W")]
    lengths: Annotated[LengthFigures, Meta(description="an object with one length distribution per kind of text")]
    turn_histogram: Annotated[
        HistogramFigure,
        Meta(
            description="an object {value: [n1, n2, ...], kind, source}: conversations with 1, 2, ... turns; they add up to "
            "conversations, and times their turns to turns"
        ),
    ]
    paper: Annotated[PaperDimensions, Meta(description="dimensions solved from the paper's Table II")] | UnsetType = UNSET
    paper_printed: (
        Annotated[PrintedParameters, Meta(description="parameters to train as the paper's Table II prints them")] | UnsetType
    ) = UNSET
