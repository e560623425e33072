"""Dimensions of DMN, and how they follow from a data set."""

from dataclasses import dataclass, field

from cr_jax.catalog.dataset import Dataset
from cr_jax.errors import BadConfig
from cr_jax.models.config_checks import OPTIONAL, UNROLLED, at_most, check_item_table, check_weights, positive
from cr_jax.records import Workload

#: Answer classes that are words, not items (the paper's Cell Phones and CDs figures are near it).
ANSWER_WORDS = 150


@dataclass(frozen=True)
class Config:
    """Dimensions of a DMN; ``Spec.fields`` says what each means."""

    classes: int
    items: int
    facts: int
    embedding: int = 50
    hidden: int = 32
    hops: int = 3
    learning_rate: float = 1e-4
    l2: float = 1e-3
    item_rank: int | None = field(default=None, metadata=OPTIONAL)
    item_codes: int | None = field(default=None, metadata=OPTIONAL)
    item_centroids: int = field(default=256, metadata=OPTIONAL)
    weights: str = field(default="float32", metadata=OPTIONAL)

    def __post_init__(self) -> None:
        sizes = {"classes": self.classes, "items": self.items, "facts": self.facts}
        positive(**sizes, embedding=self.embedding, hidden=self.hidden, hops=self.hops, learning_rate=self.learning_rate)
        at_most(UNROLLED, hops=self.hops)
        if self.classes < self.items:
            raise BadConfig(f"classes={self.classes}: every item is a class; legal: {self.items} or more")
        check_weights(self.weights)
        check_item_table(self.item_rank, (self.hidden, self.classes), self.item_codes, self.item_centroids)


FIELDS = {
    "classes": "answer classes V: items and a few words",
    "items": "items among the classes; they come first",
    "facts": "fact slots: the request and the turns",
    "embedding": "length E of the word vectors given as input",
    "hidden": "units H of every GRU and of the gate",
    "hops": "passes of the episodic memory over the facts",
    "learning_rate": "Adam's learning rate",
    "l2": "weight of half the squared gate and answer matrices in the loss",
    "item_rank": "rank R of the answer matrix, kept as the product of two; none: the full matrix, as published",
    "item_codes": "parts M that an answer column is put together from, each shared by many classes; none: the full matrix",
    "item_centroids": "vectors K that the columns share in each part, where item_codes is set",
    "weights": "type of the weights, which are not trained unless it is float32: bfloat16, or int8 of matrices",
}


def configure(dataset: Dataset, work: Workload) -> Config:
    """Classes are the items and ``ANSWER_WORDS`` words; ``paper``: those that give Table II."""
    if work.preset == "paper":
        classes = dataset.paper.get("dmn_classes")
        if classes is None:
            raise BadConfig(
                f"preset 'paper' with data set {dataset.name!r}: Table II has no DMN figure for it; "
                "legal: a data set of the paper, or preset published, matched"
            )
    elif work.preset in ("published", "matched"):
        classes = dataset.items + ANSWER_WORDS
    else:
        raise BadConfig(f"preset {work.preset!r}: dmn has no such preset; legal: published, matched, paper")
    return Config(classes=classes, items=dataset.items, facts=work.turns + 1)
