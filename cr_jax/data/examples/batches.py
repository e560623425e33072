"""The order of batches, as a function of seed and step alone, and the pipeline that prepares them.

Examples are put into a few groups of one padded shape each, so that few programs are compiled. An epoch takes every example once;
a group's last batch is filled up with examples of the same group.
"""

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from cr_jax.data.examples.pool import Arrays, Pool, Shape
from cr_jax.errors import BadConfig

#: The most groups of a pool, and the fewest batches of a group.
GROUPS, BATCHES_PER_GROUP = 6, 4
#: The most examples whose epoch is shuffled in memory; of more, each batch is drawn when it is taken.
SHUFFLED = 1 << 21
#: Rounds of drawing.
ROUNDS = 6
#: Batches made ahead of the device; the most batches, and examples, made together. For a small batch the
#: calls cost more than what they do, most of all after the device's work took their place in the caches.
AHEAD, TOGETHER, EXAMPLES = 8, 32, 512


@dataclass(frozen=True)
class Group:
    """Rows of a pool that are padded to one shape."""

    shape: Shape
    rows: np.ndarray


def groups(pool: Pool, batch: int) -> tuple[Group, ...]:
    """The pool's rows by padded shape, neighbours joined until a group holds enough batches."""
    if not len(pool):
        raise BadConfig("nothing to train on: the training part holds no example of this objective")
    shapes = pool.shapes()
    held = np.bincount(shapes.code, minlength=len(shapes.table))
    order = sorted(range(len(held)), key=lambda kind: (pool.executed(shapes.table[kind]), shapes.table[kind]))
    enough = max(BATCHES_PER_GROUP * batch, len(pool) // GROUPS)
    runs: list[list[int]] = []
    for kind in order:
        if runs and held[runs[-1]].sum() < enough:
            runs[-1].append(kind)
        else:
            runs.append([kind])
    if len(runs) > 1 and held[runs[-1]].sum() < enough:
        runs[-2:] = [runs[-2] + runs[-1]]
    group = np.empty(len(held), np.uint8)
    for number, run in enumerate(runs):
        group[run] = number
    return tuple(
        Group(
            tuple(map(max, zip(*(shapes.table[kind] for kind in run), strict=True))),
            np.flatnonzero(group[shapes.code] == number).astype(np.int32),
        )
        for number, run in enumerate(runs)
    )


class Batches:
    """Batch ``step`` of an endless sequence of shuffled epochs; equal seed and step, equal batch."""

    def __init__(self, pool: Pool, batch: int, seed: int) -> None:
        """batch: examples per step; raises ``BadConfig`` for an empty pool."""
        self.pool, self.batch, self.seed = pool, batch, seed
        self.together = max(1, min(TOGETHER, EXAMPLES // batch))
        self.groups = groups(pool, batch)
        self.per_epoch = sum(-(-len(group.rows) // batch) for group in self.groups)
        # The loop asks for the turns of a step while the pipeline is that much ahead.
        self._epoch = functools.lru_cache(maxsize=2 + (AHEAD + 2 * self.together) // self.per_epoch)(self._shuffled)
        self._newest = functools.lru_cache(maxsize=1)(self.block)
        self._starts = np.cumsum([0, *(-(-len(group.rows) // batch) for group in self.groups)])

    def _shuffled(self, epoch: int) -> list[tuple[int, np.ndarray]]:
        rng = np.random.default_rng([self.seed, epoch])
        plan: list[tuple[int, np.ndarray]] = []
        for number, group in enumerate(self.groups):
            rows = rng.permutation(group.rows)
            missing = -len(rows) % self.batch
            if missing:
                rows = np.concatenate([rows, group.rows[rng.choice(len(rows), missing)]])
            plan += [(number, part) for part in rows.reshape(-1, self.batch)]
        return [plan[i] for i in rng.permutation(len(plan))]

    def _drawn(self, epoch: int, place: int) -> tuple[int, np.ndarray]:
        """The batch at a place of an epoch that is too long to be shuffled in memory."""
        keys = np.random.default_rng([self.seed, epoch]).integers(1, 2**32, (len(self.groups) + 1, ROUNDS), np.uint64)
        number = int(scattered(np.array([place]), self.per_epoch, keys[-1])[0])
        which = int(np.searchsorted(self._starts, number, side="right")) - 1
        group, size = self.groups[which], len(self.groups[which].rows)
        places = np.arange(self.batch) + (number - self._starts[which]) * self.batch
        over = places >= size
        if over.any():
            places[over] = np.random.default_rng([self.seed, epoch, which]).integers(size, size=int(over.sum()))
        return which, group.rows[scattered(places, size, keys[which])]

    def rows(self, step: int) -> tuple[np.ndarray, Shape]:
        """The examples of a step and the shape they are padded to."""
        epoch, place = divmod(step, self.per_epoch)
        group, rows = self._epoch(epoch)[place] if len(self.pool) <= SHUFFLED else self._drawn(epoch, place)
        return rows, self.groups[group].shape

    def block(self, number: int) -> list[Arrays]:
        """The batches from step ``number`` · ``together`` on; those of one shape are made at once, and cut."""
        batches: list[Arrays] = [{}] * self.together
        here: dict[Shape, list[int]] = {}
        taken = [self.rows(number * self.together + place) for place in range(self.together)]
        for place, (_, shape) in enumerate(taken):
            here.setdefault(shape, []).append(place)
        rng = np.random.default_rng([self.seed, number, 1])
        for shape, places in here.items():
            made = self.pool.make(np.concatenate([taken[place][0] for place in places]), shape, rng)
            self._row_each(made, len(places) * self.batch)
            for begin, place in zip(range(0, len(places) * self.batch, self.batch), places, strict=True):
                part = slice(begin, begin + self.batch)
                batches[place] = {name: a if name in self.pool.whole else a[part] for name, a in made.items()}
        return batches

    def _row_each(self, made: Arrays, examples: int) -> None:
        for name, a in made.items():
            if name not in self.pool.whole and (not a.ndim or len(a) != examples):
                reason = f"for {examples} examples; legal: a row for each, or its name in Pool.whole"
                raise BadConfig(f"array {name!r} of shape {a.shape} {reason}")

    def __getitem__(self, step: Any) -> Arrays:
        number, place = divmod(int(step), self.together)
        return self._newest(number)[place]

    def taken(self, steps: int) -> tuple[tuple[Group, int], ...]:
        """Each group with its batches among the first ``steps``; groups without any are left out."""
        epochs, rest = divmod(steps, self.per_epoch)
        number = [epochs * -(-len(group.rows) // self.batch) for group in self.groups]
        for place in range(rest):
            in_memory = len(self.pool) <= SHUFFLED
            group, _ = self._epoch(epochs)[place] if in_memory else self._drawn(epochs, place)
            number[group] += 1
        return tuple((group, n) for group, n in zip(self.groups, number, strict=True) if n)

    def turns(self, step: int) -> float:
        """Supervised turns in the batch of a step."""
        return float(self.pool.turns[self.rows(step)[0]].sum())

    def padding_share(self) -> float:
        """Positions computed on padding, of all positions of an epoch."""
        executed = sum(len(g.rows) * self.pool.executed(g.shape) for g in self.groups)
        return 1 - float(self.pool.useful.sum()) / executed if executed else 0.0


def scattered(places: np.ndarray, size: int, keys: np.ndarray) -> np.ndarray:
    """The images of ``places`` under a permutation of ``range(size)``, which ``keys`` choose.

    A Feistel network permutes a power of four at least as large; an image outside goes through it again until it is inside.
    """
    half = np.uint64(max(1, ((size - 1).bit_length() + 1) // 2))
    mask = (np.uint64(1) << half) - np.uint64(1)
    scrambled = places.astype(np.uint64)
    outside = np.ones(len(scrambled), bool)
    while outside.any():
        left, right = scrambled[outside] >> half, scrambled[outside] & mask
        for key in keys:
            mixed = (right ^ key) * np.uint64(0x9E3779B97F4A7C15)
            mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
            left, right = right, left ^ ((mixed >> np.uint64(32)) & mask)
        scrambled[outside] = (left << half) | right
        outside = scrambled >= size
    return scrambled.astype(np.int64)


def prefetched(batches: Batches, first: int, last: int) -> Iterator[Arrays]:
    """Batches ``first`` to ``last`` − 1, made by Grain in threads while the device computes."""
    try:
        grain: Any = import_module("grain")  # an extra, which the type checker may not find
    except ImportError:
        raise BadConfig("training needs Grain, which is not installed; pip install 'cr-jax[train]'") from None

    together = batches.together
    source = grain.MapDataset.range(first // together, -(-last // together)).map(batches.block)
    options = grain.ReadOptions(num_threads=2, prefetch_buffer_size=max(1, AHEAD // together))
    made = itertools.chain.from_iterable(source.to_iter_dataset(options))
    return itertools.islice(made, first % together, first % together + last - first)


def in_order(pool: Pool, batch: int, seed: int = 0) -> Iterator[tuple[np.ndarray, Arrays]]:
    """Every example once, for tests: the rows, and their batch, filled up to size with its first row."""
    for number, group in enumerate(groups(pool, batch)):
        for start in range(0, len(group.rows), batch):
            rows = group.rows[start : start + batch]
            filled = np.concatenate([rows, np.repeat(rows[:1], batch - len(rows))])
            yield rows, pool.make(filled, group.shape, np.random.default_rng([seed, number, start]))
