"""Dimensions of MMN and PMMN, and how they follow from a data set."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from cr_jax.catalog.dataset import Dataset
from cr_jax.errors import BadConfig
from cr_jax.models.config_checks import OPTIONAL, check_weights, positive
from cr_jax.records import Workload, bucket

#: Words of a description that are read at most.
LONGEST_DESCRIPTION = 128


@dataclass(frozen=True, kw_only=True)
class MmnConfig:
    """Dimensions of MMN; ``Spec.fields`` says what each means."""

    words: int
    items: int
    aspects: int
    item_words: int
    facts: int
    query_words: int
    question_items: int = 10
    embedding: int = 100
    hidden: int = 32
    learning_rate: float = 1e-4
    l2: float = 1e-3
    encode_chunk: int = 512
    score_chunk: int = 16384
    weights: str = field(default="float32", metadata=OPTIONAL)

    def __post_init__(self) -> None:
        sizes = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        positive(**{name: value for name, value in sizes.items() if isinstance(value, int)}, learning_rate=self.learning_rate)
        check_weights(self.weights)
        if self.hidden % 2:
            raise BadConfig(f"hidden={self.hidden}: the search head halves it; legal: an even number")
        if self.question_items > self.items:
            raise BadConfig(f"question_items={self.question_items}: must be 1 to {self.items}, the items")


@dataclass(frozen=True, kw_only=True)
class PmmnConfig(MmnConfig):
    """MMN's dimensions and the user table's rows."""

    users: int


FIELDS = {
    "words": "rows W of the word table; row 0 is padding and is encoded",
    "items": "items I of the data set",
    "aspects": "aspects A that can be asked for",
    "item_words": "words of an item description, padding included",
    "facts": "fact slots of an item: sentence ends that are read",
    "query_words": "the query window: words of request and turns, padding included",
    "question_items": "items N whose memories are averaged to choose the next question",
    "embedding": "length E of word and user vectors",
    "hidden": "units H of the GRUs and of the gate",
    "learning_rate": "Adam's learning rate",
    "l2": "weight of half the squares of the gate's matrices and of both heads in the loss",
    "encode_chunk": "items encoded at once by precompute (limits temporaries)",
    "score_chunk": "user-item pairs scored at once (limits temporaries)",
    "weights": "type of the weights, which are not trained unless it is float32: bfloat16, or int8 of matrices and tables",
}


def _sizes(dataset: Dataset, work: Workload) -> dict[str, Any]:
    if work.preset not in ("published", "matched", "paper"):
        raise BadConfig(f"preset {work.preset!r}: mmn and pmmn have no such preset; legal: published, matched, paper")
    return {
        "words": _table_ii(dataset, "mmn_words") if work.preset == "paper" else dataset.words,
        "items": dataset.items,
        "aspects": dataset.aspects,
        "item_words": min(LONGEST_DESCRIPTION, bucket(work.lengths.item.p95)),
        "facts": bucket(work.lengths.item_sentences.p95),
        "query_words": bucket(work.lengths.request.p95 + work.turns * work.lengths.turn_words),
        "question_items": work.question_items,
    }


def _table_ii(dataset: Dataset, key: str) -> int:
    if key not in dataset.paper:
        raise BadConfig(
            f"preset 'paper' with data set {dataset.name!r}: Table II has no figure for it ({key}); "
            "legal: a data set of the paper, or preset published, matched"
        )
    return dataset.paper[key]


def configure_mmn(dataset: Dataset, work: Workload) -> MmnConfig:
    """The data set's sizes at the paper's E = 100; ``paper``: the words that give Table II."""
    return MmnConfig(**_sizes(dataset, work))


def configure_pmmn(dataset: Dataset, work: Workload) -> PmmnConfig:
    """As MMN, with the full user table; ``paper``: the users that give Table II."""
    users = _table_ii(dataset, "pmmn_users") if work.preset == "paper" else dataset.users
    return PmmnConfig(**_sizes(dataset, work), users=users)
