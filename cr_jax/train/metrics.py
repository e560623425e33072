"""Ranking figures from the rank of the sought item, baselines, and a paired bootstrap over users.

Every conversation state has one sought item, so Recall at k is Hit at k, and NDCG at k is 1/log2(rank + 1) within the first k.
Ranks count from 1; ties are broken by one seeded order of the items, the same for every model and baseline.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

#: Reported cut-offs, and the draws of a bootstrap.
CUTS = (1, 5, 10, 50)
DRAWS = 10_000
#: Rows whose scores are held at once.
ROWS = 1024


def ranks(scores: Float[np.ndarray, "N I"], target: Int[np.ndarray, "N"], seed: int = 0) -> Int[np.ndarray, "N"]:
    """The rank of each row's target among all items; a NaN score ranks last."""
    scores = np.where(np.isnan(scores), -np.inf, scores)
    order = tie_order(scores.shape[1], seed)
    mine = np.take_along_axis(scores, target[:, None], axis=1)
    ahead = (scores > mine) | ((scores == mine) & (order[None] < order[target][:, None]))
    return 1 + ahead.sum(axis=1)


def tie_order(items: int, seed: int = 0) -> Int[np.ndarray, "I"]:
    """The place of each item among items of equal score."""
    return np.random.default_rng(seed).permutation(items)


def at_cut(rank: Int[np.ndarray, "N"], k: int) -> dict[str, np.ndarray]:
    """Per row: Recall (= Hit), reciprocal rank and NDCG within the first k."""
    inside = rank <= k
    return {
        f"recall@{k}": inside.astype(float),
        f"hit@{k}": inside.astype(float),
        f"mrr@{k}": np.where(inside, 1 / rank, 0.0),
        f"ndcg@{k}": np.where(inside, 1 / np.log2(rank + 1), 0.0),
    }


def per_row(rank: Int[np.ndarray, "N"], cuts: Sequence[int] = CUTS) -> dict[str, np.ndarray]:
    """Every ranking figure of every row, the uncut reciprocal rank included."""
    figures = {"mrr": 1 / rank}
    for k in cuts:
        figures |= at_cut(rank, k)
    return figures


def means(rank: Int[np.ndarray, "N"], cuts: Sequence[int] = CUTS) -> dict[str, float]:
    """Ranking figures on average."""
    return {name: float(values.mean()) for name, values in per_row(rank, cuts).items()}


def success_by_turn(
    rank: Int[np.ndarray, "N"], conversation: Int[np.ndarray, "N"], t: Int[np.ndarray, "N"], k: int
) -> list[float]:
    """Share of conversations whose item was among the first k at turn 0, by turn 1, ...; a conversation
    that has ended keeps its outcome.
    """
    never = int(t.max()) + 1
    first = np.full(int(conversation.max()) + 1, never)
    np.minimum.at(first, conversation, np.where(rank <= k, t, never))
    return [float((first <= turn).mean()) for turn in range(never)]


def popularity(counts: np.ndarray, target: Int[np.ndarray, "N"]) -> Int[np.ndarray, "N"]:
    """Ranks when the items most frequent in training come first, always."""
    counts = counts.astype(float)
    return _by_rows(target, lambda number: np.broadcast_to(counts, (number, len(counts))))


def random_order(items: int, target: Int[np.ndarray, "N"], seed: int) -> Int[np.ndarray, "N"]:
    """Ranks in a random order of the items, drawn anew for every row."""
    rng = np.random.default_rng(seed)
    return _by_rows(target, lambda number: rng.random((number, items)))


def _by_rows(target: np.ndarray, scores: Callable[[int], np.ndarray]) -> np.ndarray:
    parts = [target[begin : begin + ROWS] for begin in range(0, len(target), ROWS)]
    return np.concatenate([ranks(scores(len(part)), part) for part in parts]) if parts else np.zeros(0, np.int64)


@dataclass(frozen=True)
class Difference:
    """The mean difference of model less baseline, with the 95% interval of the bootstrap, its draws and users."""

    mean: float
    low: float
    high: float
    users: int
    draws: int = DRAWS

    @property
    def above(self) -> bool:
        """Whether the whole interval lies above 0."""
        return self.low > 0


def paired_bootstrap(
    model: Float[np.ndarray, "N"], baseline: Float[np.ndarray, "N"], users: Sequence[str], seed: int = 0, draws: int = DRAWS
) -> Difference:
    """The difference of two figures on the same rows. Users are drawn with replacement, with all their rows; the statistic is the
    mean over the drawn rows.
    """
    names, member = np.unique(np.asarray(users), return_inverse=True)
    total = np.bincount(member, weights=np.asarray(model, float) - np.asarray(baseline, float))
    rows = np.bincount(member).astype(float)
    rng = np.random.default_rng(seed)
    differences = np.empty(draws)
    for i in range(draws):
        drawn = rng.integers(len(names), size=len(names))
        differences[i] = total[drawn].sum() / rows[drawn].sum()
    low, high = np.quantile(differences, [0.025, 0.975])
    return Difference(float(total.sum() / rows.sum()), float(low), float(high), len(names), draws)


def published(relevant: Mapping[str, Sequence[int]], ranked: Mapping[str, Sequence[int]]) -> dict[str, float]:
    """Hit, MAP, MRR and NDCG as the public MMN code computes them, averaged over users.

    Its definitions are its own: hit looks at the first item alone; MAP sums the precisions at the hits within 100 and divides by
    nothing; NDCG at 10 takes all 10 as relevant in its ideal. They serve to compare with published figures.
    """
    hit = average = reciprocal = gain = 0.0
    for user, wanted in relevant.items():
        shown = ranked[user]
        places = [i for i, item in enumerate(shown) if item in set(wanted)]
        hit += 0 in places
        average += sum((n + 1) / (i + 1) for n, i in enumerate(j for j in places if j < 100))
        reciprocal += 1 / (places[0] + 1) if places and places[0] < 100 else 0.0
        ideal = sum(1 / math.log2(i + 2) for i in range(min(10, len(shown))))
        gain += sum(1 / math.log2(i + 2) for i in places if i < 10) / ideal
    n = len(relevant)
    return {"hit": hit / n, "map": average / n, "mrr": reciprocal / n, "ndcg": gain / n}
