"""The order of batches, as a function of seed and step alone, and the pipeline that makes them ahead.

Examples are put into a few groups of one padded shape each, so that few programs are compiled. An
epoch takes every example once; a group's last batch is filled up with examples of the same group.
"""

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from cr_jax.data.examples import Arrays, Pool, Shape
from cr_jax.errors import BadConfig

#: Groups a pool is cut into at most, and batches that a group holds at least.
GROUPS, BATCHES_PER_GROUP = 6, 4
#: Batches made ahead of the device.
AHEAD = 8


@dataclass(frozen=True)
class Group:
    """Rows of a pool that are padded to one shape."""

    shape: Shape
    rows: np.ndarray


def groups(pool: Pool, batch: int) -> tuple[Group, ...]:
    """The pool's rows by padded shape, neighbours joined until a group holds enough batches."""
    if not len(pool):
        raise BadConfig("nothing to train on: the training part holds no example of this objective")
    shapes = [pool.shape(row) for row in range(len(pool))]
    order = sorted(range(len(pool)), key=lambda row: (pool.executed(shapes[row]), shapes[row], row))
    enough = max(BATCHES_PER_GROUP * batch, len(pool) // GROUPS)
    runs: list[list[int]] = []
    for _, same in itertools.groupby(order, key=lambda row: shapes[row]):
        if runs and len(runs[-1]) < enough:
            runs[-1] += same
        else:
            runs.append(list(same))
    if len(runs) > 1 and len(runs[-1]) < enough:
        runs[-2:] = [runs[-2] + runs[-1]]
    return tuple(
        Group(tuple(map(max, zip(*(shapes[row] for row in run), strict=True))), np.array(sorted(run), np.int64)) for run in runs
    )


class Batches:
    """Batch ``step`` of an endless sequence of shuffled epochs; equal seed and step, equal batch."""

    def __init__(self, pool: Pool, batch: int, seed: int):
        """batch: examples per step; raises ``BadConfig`` for an empty pool."""
        self.pool, self.batch, self.seed = pool, batch, seed
        self.groups = groups(pool, batch)
        self.per_epoch = sum(-(-len(group.rows) // batch) for group in self.groups)
        self._epoch = functools.lru_cache(maxsize=2)(self._shuffled)

    def _shuffled(self, epoch: int) -> list[tuple[int, np.ndarray]]:
        rng = np.random.default_rng([self.seed, epoch])
        plan: list[tuple[int, np.ndarray]] = []
        for number, group in enumerate(self.groups):
            rows = rng.permutation(group.rows)
            missing = -len(rows) % self.batch
            rows = np.concatenate([rows, rng.choice(group.rows, missing)]) if missing else rows
            plan += [(number, part) for part in rows.reshape(-1, self.batch)]
        return [plan[i] for i in rng.permutation(len(plan))]

    def rows(self, step: int) -> tuple[np.ndarray, Shape]:
        """The examples of a step and the shape they are padded to."""
        group, rows = self._epoch(step // self.per_epoch)[step % self.per_epoch]
        return rows, self.groups[group].shape

    def __getitem__(self, step: Any) -> Arrays:
        rows, shape = self.rows(int(step))
        return self.pool.make(rows, shape, np.random.default_rng([self.seed, int(step), 1]))

    def turns(self, step: int) -> float:
        """Supervised turns in the batch of a step."""
        return float(self.pool.turns[self.rows(step)[0]].sum())

    def padding_share(self) -> float:
        """Positions computed on padding, of all positions of an epoch."""
        executed = sum(len(g.rows) * self.pool.executed(g.shape) for g in self.groups)
        return 1 - float(self.pool.useful.sum()) / executed if executed else 0.0


def prefetched(batches: Batches, first: int, last: int) -> Iterator[Arrays]:
    """Batches ``first`` to ``last`` − 1, made by Grain in threads while the device computes."""
    try:
        import grain  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise BadConfig("training needs Grain, which is not installed; pip install 'cr-jax[train]'") from None
    source = grain.MapDataset.range(first, last).map(batches.__getitem__)
    options = grain.ReadOptions(num_threads=2, prefetch_buffer_size=AHEAD)
    return iter(source.to_iter_dataset(options))


def in_order(pool: Pool, batch: int, seed: int = 0) -> Iterator[tuple[np.ndarray, Arrays]]:
    """Every example once, for tests: the rows, and their batch, filled up to size with its first row."""
    for number, group in enumerate(groups(pool, batch)):
        for start in range(0, len(group.rows), batch):
            rows = group.rows[start : start + batch]
            filled = np.concatenate([rows, np.repeat(rows[:1], batch - len(rows))])
            yield rows, pool.make(filled, group.shape, np.random.default_rng([seed, number, start]))
