"""Dimensions of sRNN-AE, and how they follow from a data set."""

from dataclasses import dataclass, field

from cr_jax.catalog.dataset import Dataset
from cr_jax.data.examples.dialogue_columns import UTTERANCES
from cr_jax.errors import BadConfig
from cr_jax.models.config_checks import OPTIONAL, check_item_table, positive
from cr_jax.records import Workload

VOCABULARY = 15_005
ENCODERS = ("gensen", "table")
ACTIVATIONS = ("identity", "sigmoid", "relu")


def layer_sizes(text: str) -> tuple[int, ...]:
    """``"1000"`` or ``"1000,500"`` as sizes of 1 or more; ``BadConfig`` for anything else."""
    try:
        sizes = tuple(int(part) for part in text.split(","))
    except ValueError:
        sizes = ()
    if not sizes or min(sizes) < 1:
        raise BadConfig(f"autorec_layers={text!r}: legal: sizes of 1 or more, such as '1000' or '1000,500'")
    return sizes


@dataclass(frozen=True)
class Config:
    """Dimensions; their meanings are in ``FIELDS``."""

    items: int
    words: int = VOCABULARY
    encoder: str = "gensen"
    embedding: int = 300
    gensen_embedding: int = 512
    gensen_hidden: int = 1024
    gensen_layers: int = 1
    sentence_hidden: int = 512
    sentence_layers: int = 2
    conversation_hidden: int = 512
    conversation_layers: int = 2
    dropout: float = 0.4
    autorec_layers: str = "1000"
    autorec_f: str = "sigmoid"
    autorec_g: str = "sigmoid"
    autorec_bias: float = 0.0
    liked_weights: bool = True
    learning_rate: float = 1e-4
    autorec_learning_rate: float = 1e-3
    mentions: int = 1
    new_items_only: bool = False
    decoder: bool = False
    decoder_hidden: int = 256
    response_words: int = 40
    item_rank: int | None = field(default=None, metadata=OPTIONAL)

    def __post_init__(self) -> None:
        positive(**{k: v for k, v in vars(self).items() if isinstance(v, int) and not isinstance(v, bool)})
        positive(learning_rate=self.learning_rate, autorec_learning_rate=self.autorec_learning_rate)
        if self.encoder not in ENCODERS:
            raise BadConfig(f"encoder={self.encoder!r}: no such word encoder; legal: {', '.join(ENCODERS)}")
        for key in ("autorec_f", "autorec_g"):
            if (name := getattr(self, key)) not in ACTIVATIONS:
                raise BadConfig(f"{key}={name!r}: no such activation; legal: {', '.join(ACTIVATIONS)}")
        if not 0 <= self.dropout < 1:
            raise BadConfig(f"dropout={self.dropout}: is a probability; legal: 0 to below 1")
        if self.decoder and self.words < 6:
            raise BadConfig(f"words={self.words}: the decoder reserves the last five; legal: 6 or more")
        sizes = layer_sizes(self.autorec_layers)
        check_item_table(self.item_rank, (self.items, min(sizes[0], sizes[-1])))


FIELDS = {
    "items": "items n that AutoRec reads and scores",
    "words": "vocabulary W, the last five being <s> </s> <pad> <unk> and the line break",
    "encoder": "word vectors: gensen (frozen bi-GRU over a frozen table) or table (trained)",
    "embedding": "dimension of the trained word table",
    "gensen_embedding": "dimension of GenSen's frozen table and of the response decoder's",
    "gensen_hidden": "units of each GenSen direction",
    "gensen_layers": "GenSen layers",
    "sentence_hidden": "units of each sentence encoder direction",
    "sentence_layers": "sentence encoder layers",
    "conversation_hidden": "conversation encoder units",
    "conversation_layers": "conversation encoder layers",
    "dropout": "dropout of the sentiment network while training",
    "autorec_layers": "AutoRec's hidden sizes, comma separated",
    "autorec_f": "AutoRec's hidden activation: identity, sigmoid, relu",
    "autorec_g": "AutoRec's output activation while training: identity, sigmoid, relu",
    "autorec_bias": "added to the decoder's first biases; with sigmoid log(p/(1-p)) starts every rating at p",
    "liked_weights": "whether the sentiment loss weighs rare answers to 'liked' higher, as published",
    "learning_rate": "Adam's, of the sentiment network",
    "autorec_learning_rate": "Adam's, of AutoRec",
    "mentions": "items a user can have mentioned (slots, each with a conversation state)",
    "new_items_only": "score 0 for items already mentioned",
    "decoder": "also answer in words: HRED encoder and switching decoder",
    "decoder_hidden": "units of the HRED encoders and of the decoder, one layer each",
    "response_words": "steps of a greedy response",
    "item_rank": "rank R of AutoRec's first and last matrix, each kept as the product of two; none: full matrices, as published",
}


def configure(dataset: Dataset, work: Workload) -> Config:
    """published: the public vocabulary; matched: the data set's. ``paper`` is refused."""
    if work.preset == "paper":
        raise BadConfig(
            "preset 'paper' for srnn-ae: the paper's parameter counts follow from no public configuration "
            "(the sentiment network alone exceeds its Cell Phones figure); legal: published, matched"
        )
    words = {"published": VOCABULARY, "matched": dataset.words}.get(work.preset)
    if words is None:
        raise BadConfig(f"preset {work.preset!r}: srnn-ae has no such preset; legal: published, matched")
    if work.items_scored not in (None, dataset.items):
        raise BadConfig(f"items_scored={work.items_scored}: AutoRec scores all items; legal: {dataset.items}")
    most = (UTTERANCES - 1) // 2
    if work.turns > most:
        raise BadConfig(f"turns={work.turns}: a history holds {UTTERANCES} utterances; legal: at most {most}")
    return Config(items=dataset.items, words=words)
