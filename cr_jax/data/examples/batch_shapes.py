"""The padded shapes of a training run's batches, with their frequency."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cr_jax.data.examples.batches import Batches
from cr_jax.records import ArrayShape


@dataclass(frozen=True)
class Taken:
    """Steps taken with batches of one padded shape. positions: computed for one example of it."""

    steps: int
    batch: tuple[ArrayShape, ...]
    positions: int


def taken(batches: Batches, steps: int) -> tuple[Taken, ...]:
    """The first ``steps`` batches by shape."""
    shapes: list[Taken] = []
    for group, number in batches.taken(steps):
        rows = group.rows[np.arange(batches.batch) % len(group.rows)]
        made = batches.pool.make(rows, group.shape, np.random.default_rng(0))
        arrays = tuple(ArrayShape(name, a.shape, str(a.dtype)) for name, a in made.items())
        shapes.append(Taken(number, arrays, batches.pool.executed(group.shape)))
    return tuple(shapes)


def ends(shapes: Sequence[Taken]) -> tuple[tuple[tuple[ArrayShape, ...], float], ...]:
    """The smallest and the largest batch, each with its share of the steps: together as many positions as ``shapes``.

    Quantities linear in positions are then those of a mean step, without compiling every shape in between. A single shape has the
    share 1; ``shapes`` must not be empty.
    """
    low, high = (pick(shapes, key=lambda one: one.positions) for pick in (min, max))
    if low.positions == high.positions:
        return ((high.batch, 1.0),)
    mean = sum(one.steps * one.positions for one in shapes) / sum(one.steps for one in shapes)
    share = (mean - low.positions) / (high.positions - low.positions)
    return ((low.batch, 1 - share), (high.batch, share))
