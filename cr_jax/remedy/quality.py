"""Ranks on the test part by conversation and turn, and what is said of them: per seed, over seeds, and against the teacher."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from cr_jax.documents.remedy_report import MeanDifferenceOverSeeds, NonInferiorityTest, QualityOverSeeds, TurnQuality
from cr_jax.documents.training_report import BootstrapDifference
from cr_jax.errors import BadConfig
from cr_jax.records import plain
from cr_jax.remedy.noninferiority import Pairs, mean_difference, noninferiority
from cr_jax.train.metrics import DRAWS

CUT = 10


@dataclass(frozen=True)
class Ranks:
    """Ranks of the sought item of one seed's test part: ranks[c, t] after turn t of conversation c, t = 0 to the last turn of the
    longest one. After its end a conversation keeps the rank of its last state.
    """

    ranks: Int[np.ndarray, "C T"]
    lengths: Int[np.ndarray, "C"]
    """The last turn of each conversation."""
    users: tuple[str, ...]

    @classmethod
    def of(cls, rank: Sequence[int], conversation: Sequence[int], t: Sequence[int], users: Sequence[str]) -> "Ranks":
        """From a row per state; users: by conversation."""
        by_state = {(c, turn): r for c, turn, r in zip(conversation, t, rank, strict=True)}
        lengths = np.zeros(len(users), np.int64)
        np.maximum.at(lengths, np.asarray(conversation, np.int64), np.asarray(t, np.int64))
        ranks = np.array(
            [[by_state[c, min(turn, last)] for turn in range(int(lengths.max()) + 1)] for c, last in enumerate(lengths.tolist())]
        )
        return cls(ranks, lengths, tuple(users))

    def stopped(self, turn: int) -> "Ranks":
        """As if the list of ``turn`` were kept for all later turns."""
        last = np.minimum(np.arange(self.ranks.shape[1]), turn)
        return Ranks(self.ranks[:, last], self.lengths, self.users)

    def mrr(self, t: int) -> np.ndarray:
        """Reciprocal ranks after turn t, by conversation."""
        return 1 / self.ranks[:, min(t, self.ranks.shape[1] - 1)]

    def recall(self, t: int) -> np.ndarray:
        """Whether the item is among the first 10 after turn t, by conversation."""
        return (self.ranks[:, min(t, self.ranks.shape[1] - 1)] <= CUT).astype(float)


def turn_quality(mine: Ranks, teacher: Ranks | None, seed: int) -> tuple[TurnQuality, ...]:
    """One seed's figures after every turn, with the 95% interval of a paired bootstrap over users (``DRAWS`` draws).

    teacher: on the same conversations; ``None``: ``mine`` are the teacher's. Raises ``BadConfig`` for other conversations.
    """
    turns = range(mine.ranks.shape[1])
    differences = _bootstraps(mine, teacher, seed) if teacher is not None else None
    return tuple(
        TurnQuality(
            t=t,
            mrr=float(mine.mrr(t).mean()),
            recall_10=float(mine.recall(t).mean()),
            mrr_difference=None if differences is None else differences[2 * t],
            recall_10_difference=None if differences is None else differences[2 * t + 1],
        )
        for t in turns
    )


def _bootstraps(mine: Ranks, teacher: Ranks, seed: int) -> list[BootstrapDifference]:
    """As ``metrics.paired_bootstrap`` for MRR and recall after every turn, all with the same draws."""
    same(mine, teacher)
    columns = [
        f(t) - g(t) for t in range(mine.ranks.shape[1]) for f, g in ((mine.mrr, teacher.mrr), (mine.recall, teacher.recall))
    ]
    _, member = np.unique(np.asarray(mine.users), return_inverse=True)
    rows = np.bincount(member).astype(float)
    totals = np.stack([np.bincount(member, weights=column) for column in columns], axis=1)
    number = len(rows)
    times = np.random.default_rng(seed).multinomial(number, np.full(number, 1 / number), size=DRAWS).astype(float)
    drawn = (times @ totals) / (times @ rows)[:, None]
    low, high = np.quantile(drawn, (0.025, 0.975), axis=0)
    means = totals.sum(axis=0) / rows.sum()
    return [
        BootstrapDifference(mean=float(m), low=float(a), high=float(b), users=number, draws=DRAWS, above=bool(a > 0))
        for m, a, b in zip(means, low, high, strict=True)
    ]


def same(mine: Ranks, teacher: Ranks) -> None:
    """Raise ``BadConfig`` unless both are of the same conversations."""
    if mine.users != teacher.users or not np.array_equal(mine.lengths, teacher.lengths):
        raise BadConfig("ranks of other conversations than the teacher's; legal: runs of one split of one data set")


def quality_over_seeds(mine: Sequence[Ranks], teachers: Sequence[Ranks]) -> tuple[QualityOverSeeds, ...]:
    """Figures after every turn on average over seeds, each weighted alike."""
    turns = max(one.ranks.shape[1] for one in mine)
    return tuple(
        QualityOverSeeds(
            t=t,
            mrr=float(np.mean([one.mrr(t).mean() for one in mine])),
            recall_10=float(np.mean([one.recall(t).mean() for one in mine])),
            mrr_difference=over_seeds([Pairs(a.mrr(t), b.mrr(t), a.users) for a, b in zip(mine, teachers, strict=True)]),
            recall_10_difference=over_seeds(
                [Pairs(a.recall(t), b.recall(t), a.users) for a, b in zip(mine, teachers, strict=True)]
            ),
        )
        for t in range(turns)
    )


def over_seeds(pairs: Sequence[Pairs]) -> MeanDifferenceOverSeeds:
    """The mean difference as a document has it."""
    found = mean_difference(pairs)
    return MeanDifferenceOverSeeds(mean=found.mean, low=found.low, high=found.high)


def final_pairs(mine: Sequence[Ranks], theirs: Sequence[Ranks]) -> list[Pairs]:
    """Reciprocal ranks after the last turn, by seed."""
    for a, b in zip(mine, theirs, strict=True):
        same(a, b)
    last = [one.ranks.shape[1] - 1 for one in mine]
    return [Pairs(a.mrr(t), b.mrr(t), a.users) for a, b, t in zip(mine, theirs, last, strict=True)]


def noninferiority_test(mine: Sequence[Ranks], teachers: Sequence[Ranks], margin: float) -> NonInferiorityTest:
    """The test of MRR after the last turn, as a document has it."""
    found = plain(noninferiority(final_pairs(mine, teachers), margin))
    found.pop("margin")
    return NonInferiorityTest(**found)
