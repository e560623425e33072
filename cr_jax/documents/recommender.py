"""The document ``recommender.json`` that ``crjax train`` writes beside its checkpoints."""

from typing import Annotated, Literal

from msgspec import Meta

from cr_jax.documents.base import Block, Document
from cr_jax.documents.fields import Count, Positive


class DatasetFiles(Block):
    """The data set that a run was trained on."""

    name: str
    sha256: Annotated[str, Meta(description="of the bytes of the data set's files")]


class LongestTexts(Block):
    """Words of the longest text of each kind."""

    request: Positive
    question: Positive
    answer: Positive


class AspectValues(Block):
    """An aspect and examples of its values."""

    aspect: str
    values: Annotated[tuple[str, ...], Meta(description="said in training, the most frequent first")]


class RecommendedItem(Block):
    """An item that can be recommended."""

    item: str
    title: str | None
    description: Annotated[str, Meta(description='words, "." at sentence ends')]


class KnownUser(Block):
    """A user of the training data."""

    user: str
    items: tuple[Count, ...]


class RecommenderDocument(Document):
    """Recommender.

    The data that a trained model needs beside its weights for a conversation; written by crjax train beside its checkpoints.
    """

    schema: Literal["urn:cr-jax:schema:recommender:1.0"] = "urn:cr-jax:schema:recommender:1.0"
    kind: Literal["recommender"] = "recommender"
    schema_version: Literal["1.0"] = "1.0"
    model: Annotated[str, Meta(description="name of the architecture")]
    dataset: DatasetFiles
    seed: Count
    dialogues: Annotated[bool, Meta(description="trained on free dialogues, without aspects")]
    longest: Annotated[LongestTexts, Meta(description="words of the longest text")]
    words: Annotated[tuple[str, ...], Meta(description="vocabulary, the most frequent first")]
    aspects: Annotated[tuple[AspectValues, ...], Meta(description="the most frequent in training first")]
    items: Annotated[tuple[RecommendedItem, ...], Meta(min_length=1)]
    users: Annotated[tuple[KnownUser, ...], Meta(description="with the items of their training conversations, as indices")]
