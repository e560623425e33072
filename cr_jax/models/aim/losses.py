"""AIM's losses, by direction of a batch: question to answer, and in DAIM also answer to question.

Axes: B batch, S source words, T target words, Z noise, O score features.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from cr_jax.models.aim.layers import Discriminator, Generator, Start, Synthetic, Tables, cosine

#: Suffixes of the metrics of the two directions.
SIDES = ("", "_rev")


class Direction(NamedTuple):
    """One direction of a batch, with the networks that take part in it."""

    source: Int[Array, "B S"]
    """Zeros, the words, zeros."""
    target: Int[Array, "B T"]
    """The words, zeros."""
    z: Float[Array, "B Z"]
    """The noise of ``answers``."""
    mi_z: Float[Array, "B Z"]
    """The noise of ``asks``."""
    answers: Generator
    """Writes the target from the source."""
    asks: Generator | None
    """Writes the source from the synthetic target; ``None`` without the mutual information term."""
    judge: Discriminator
    weight: float
    """The weight of the direction in the loss."""

    @property
    def pads(self) -> int:
        """Zeros before the words of a source."""
        return self.source.shape[1] - self.target.shape[1]


class Vectors(NamedTuple):
    """The judge's vectors of the source, of the target and of the synthetic target."""

    source: Float[Array, "B O"]
    real: Float[Array, "B O"]
    fake: Float[Array, "B O"]


def left_padded(words: Int[Array, "B L"], pads: int) -> Int[Array, "B S"]:
    """``pads`` zeros, then the words."""
    return jnp.pad(words, ((0, 0), (pads, 0)))


def begin(d: Direction, tables: Tables) -> Start:
    """The start of the answering generator's decoder, after its encoder read the source."""
    return d.answers.decoder.begin(d.answers.read(d.source, d.z, tables))


def synthesise(d: Direction, tables: Tables, start: Start) -> Synthetic:
    """The soft-argmax answer: one step more than the target has words."""
    return d.answers.soft_argmax(start, tables, d.target.shape[1] + 1)


def judge(d: Direction, synthetic: Synthetic) -> Vectors:
    """The discriminator's vectors; the source is encoded once for both scores."""
    words, table = d.judge.embedding, d.judge.embedding.all()
    return Vectors(
        source=d.judge.source(words.look_up(d.source, table)),
        real=d.judge.target(words.look_up(left_padded(d.target, d.pads), table)),
        fake=d.judge.target(words.synthetic(synthetic, table, d.pads)),
    )


def scores(vectors: Vectors) -> tuple[Float[Array, " B"], Float[Array, " B"]]:
    """Cosine of the source with the target, and with the synthetic target."""
    return cosine(vectors.source, vectors.real), cosine(vectors.source, vectors.fake)


def adversarial_cost(real: Float[Array, " B"], fake: Float[Array, " B"]) -> Float[Array, ""]:
    """The generator's ``mean log((x + d)/(1 - x + d))``, ``x = (real - fake)/4.1 + 0.51``, d = 1e-10.

    The discriminator's cost is minus this.
    """
    x = (real - fake) / 4.1 + 0.51
    return jnp.mean(jnp.log((x + 1e-10) / (1 - x + 1e-10)))


def mi_begin(d: Direction, synthetic: Synthetic, tables: Tables) -> tuple[Generator, Start]:
    """The reading generator, to which ``tables`` belong, and the start of its decoder after the synthetic answer."""
    assert d.asks is not None, "this configuration has no mutual information term"
    return d.asks, d.asks.decoder.begin(d.asks.read_synthetic(synthetic, d.mi_z, tables))


def mi_loss(d: Direction, synthetic: Synthetic, tables: Tables) -> Float[Array, " B"]:
    """Supervised loss per example of writing the source from the synthetic answer.

    Its gradient also reaches, through the soft argmax, the generator that answered.
    """
    reader, start = mi_begin(d, synthetic, tables)
    return reader.supervised(start, tables, d.source[:, d.pads :])


def generator_cost(supervised: Array, adversarial: Array, mi: Array | None, s: float, m: float) -> Array:
    """``(1-m)(s sup + (1-s) adversarial) + m mi``; without ``mi`` the inner part alone."""
    cost = s * supervised + (1 - s) * adversarial
    return cost if mi is None else (1 - m) * cost + m * mi


def discriminator_loss(directions: Sequence[Direction]) -> tuple[Array, dict[str, Array]]:
    """Minus the adversarial cost, summed; metrics: mean scores of true and synthetic targets."""
    costs, metrics = [], {}
    for d, side in zip(directions, SIDES, strict=False):
        tables = d.answers.tables()
        real, fake = scores(judge(d, synthesise(d, tables, begin(d, tables))))
        costs.append(-d.weight * adversarial_cost(real, fake))
        metrics |= {f"real{side}": jnp.mean(real), f"fake{side}": jnp.mean(fake)}
    return sum(costs[1:], costs[0]), metrics


def generator_loss(directions: Sequence[Direction], s: float, m: float) -> tuple[Array, dict[str, Array]]:
    """:func:`generator_cost`, summed; metrics: its terms."""
    generators = {id(g): g for d in directions for g in (d.answers, d.asks) if g is not None}
    tables = {key: g.tables() for key, g in generators.items()}  # in DAIM each is used in both directions
    costs, metrics = [], {}
    for d, side in zip(directions, SIDES, strict=False):
        own = tables[id(d.answers)]
        start = begin(d, own)
        supervised = jnp.mean(d.answers.supervised(start, own, d.target))
        synthetic = synthesise(d, own, start)
        adversarial = adversarial_cost(*scores(judge(d, synthetic)))
        metrics |= {f"supervised{side}": supervised, f"adversarial{side}": adversarial}
        mi = None
        if d.asks is not None:
            mi = metrics[f"mi{side}"] = jnp.mean(mi_loss(d, synthetic, tables[id(d.asks)]))
        costs.append(d.weight * generator_cost(supervised, adversarial, mi, s, m))
    return sum(costs[1:], costs[0]), metrics
