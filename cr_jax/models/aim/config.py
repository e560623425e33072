"""Dimensions of AIM and DAIM, and how they follow from a data set."""

from dataclasses import dataclass

from cr_jax.catalog.dataset import Dataset
from cr_jax.errors import BadConfig
from cr_jax.models.aim.cnn_widths import misfit
from cr_jax.models.config_checks import positive
from cr_jax.records import Workload

#: Words of the public dictionary.
PUBLIC_WORDS = 20_002


@dataclass(frozen=True)
class Config:
    """Dimensions of AIM; ``Spec.fields`` says what each means."""

    items: int
    words: int = PUBLIC_WORDS
    embedding: int = 300
    features: int = 300
    filter: int = 5
    hidden: int = 100
    score_features: int = 100
    noise: int = 10
    max_words: int = 49
    sides: int = 1
    mi_weight: float = 0.1
    supervised_weight: float = 0.001
    backward_weight: float = 0.5
    softargmax_scale: float = 1000.0
    discriminator_rate: float = 1e-4
    generator_rate: float = 2e-5
    decay: float = 0.9999
    decay_steps: int = 3000

    def __post_init__(self) -> None:
        sizes = "items embedding features filter hidden score_features noise max_words decay_steps"
        positive(**{name: getattr(self, name) for name in sizes.split()})
        if self.words < 2:
            raise BadConfig(f"words={self.words}: word 0 is padding, word 1 GO; legal: 2 or more")
        if self.sides not in (1, 2):
            raise BadConfig(f"sides={self.sides}: legal: 1 (AIM) or 2 (DAIM)")
        if not 0 <= self.mi_weight <= 1:
            raise BadConfig(f"mi_weight={self.mi_weight}: a share of the generator's cost; legal: 0 to 1")
        if not 0 < self.supervised_weight < 1:
            raise BadConfig(
                f"supervised_weight={self.supervised_weight}: the public code has no adversarial cost at 0, "
                "and nothing but supervision from 1; legal: above 0 and below 1"
            )
        if problem := misfit(self.max_words, self.filter):
            raise BadConfig(f"max_words={self.max_words} with filter={self.filter}: {problem}")

    @property
    def source_words(self) -> int:
        """S: f-1 zeros, the words, zeros."""
        return self.max_words + 2 * (self.filter - 1)

    @property
    def target_words(self) -> int:
        """T: the words, zeros; no zeros before."""
        return self.max_words + self.filter - 1


FIELDS = {
    "items": "items I whose descriptions are encoded",
    "words": "dictionary V; word 0 is padding, word 1 GO",
    "embedding": "length E of a word vector",
    "features": "filters F of the first convolution, 2F of the second",
    "filter": "words f under the first two convolutions",
    "hidden": "units H of the encoder's output and of the LSTM",
    "score_features": "length O of the discriminator's vectors",
    "noise": "length Z of the noise beside the encoder's output",
    "max_words": "words M of a text; longer ones are cut",
    "sides": "1 = AIM, 2 = DAIM (adds the reverse direction)",
    "mi_weight": "share m of the mutual information term; 0 leaves it out",
    "supervised_weight": "share s of supervision beside the adversarial cost",
    "backward_weight": "weight of the reverse direction (sides=2)",
    "softargmax_scale": "L in softmax(L * logits)",
    "discriminator_rate": "Adam's first learning rate of the discriminators",
    "generator_rate": "Adam's first learning rate of the generators",
    "decay": "factor on both rates per decay_steps of the shared counter",
    "decay_steps": "optimizer steps (both objectives count) per decay",
}


def configure(dataset: Dataset, work: Workload) -> Config:
    """The public dictionary (``published``) or the data set's words (``matched``)."""
    if work.preset == "paper":
        raise BadConfig(
            "preset 'paper': Table II's figures for aim are inconsistent with the public configuration, "
            "no whole number of words gives one of them; legal: published, matched"
        )
    words = {"published": PUBLIC_WORDS, "matched": dataset.words}.get(work.preset)
    if words is None:
        raise BadConfig(f"preset {work.preset!r}: aim has no such preset; legal: published, matched")
    return Config(items=dataset.items, words=words)
