"""Whether a student is within a margin of its teacher: paired over users within a seed, over several seeds.

The margin is a share of the teacher's own figure, which is measured too. With x = student - (1 - margin) * teacher on every row,
the student is not inferior where the mean of x is above 0, so both figures' errors are in the test (Fieller, 1954). The statistic
is the mean over seeds of the mean over a seed's rows. Its variance is the two-way clustered one,

    V = V(seeds) + V(users) - V(users within seeds),

each from the sums of squared deviations of its clusters (Cameron, Gelbach and Miller, JBES 2011), and never below V(seeds).
Seeds that draw splits of their own share few users, and V is then the variance of Student's t over seeds; seeds of one split
share all users, and their variance is added. The quantile is Student's t of S - 1 degrees of freedom: the seeds are the fewest
clusters.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

#: Seeds below which nothing is decided.
SEEDS = 5
MARGIN = 0.05
#: Student's t for 95% one-sided and 97.5%, by degrees of freedom from 1; beyond the table by Cornish and Fisher.
_T95 = (6.3138, 2.9200, 2.3534, 2.1318, 2.0150, 1.9432, 1.8946, 1.8595, 1.8331, 1.8125)
_T975 = (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281)
_HALVINGS = 60

Verdict = Literal["not inferior", "inferior", "not shown", "not decided"]


@dataclass(frozen=True)
class Pairs:
    """Figures of two models on the same rows of one seed, with the user of each row."""

    student: Float[np.ndarray, "N"]
    teacher: Float[np.ndarray, "N"]
    users: Sequence[str]


@dataclass(frozen=True)
class MeanDifference:
    """Student less teacher on average; low and high: 95%, two-sided, ``None`` for a single seed."""

    mean: float
    low: float | None
    high: float | None
    seeds: int


@dataclass(frozen=True)
class NonInferiority:
    """The test at ``margin``. ratio: student over teacher. low, high: one-sided 95% bounds of the ratio; ``None``: no bound.

    verdict: not inferior where ``low`` is above 1 - margin; inferior where ``high`` is below it; else not shown; not decided
    for fewer than five seeds.
    """

    margin: float
    ratio: float
    low: float | None
    high: float | None
    seeds: int
    verdict: Verdict


def mean_difference(seeds: Sequence[Pairs]) -> MeanDifference:
    """The mean difference over seeds, each weighted alike, with its interval."""
    moments = _Moments.of(seeds)
    mean = moments.mean(1.0)
    if len(seeds) < 2:
        return MeanDifference(mean, None, None, len(seeds))
    reach = _t(_T975, len(seeds) - 1) * moments.error(1.0)
    return MeanDifference(mean, mean - reach, mean + reach, len(seeds))


def noninferiority(seeds: Sequence[Pairs], margin: float = MARGIN) -> NonInferiority:
    """The test of non-inferiority within ``margin``, a share of the teacher's figure.

    Raises ``ValueError`` for a margin outside 0 to 1, and where the teacher's figure is not above 0 on average.
    """
    if not 0 < margin < 1:
        raise ValueError(f"margin={margin}: legal: above 0, below 1")
    moments = _Moments.of(seeds)
    ours, theirs = moments.means.tolist()
    if not theirs > 0:
        raise ValueError(f"the teacher's figure is {theirs} on average; legal: above 0")
    ratio = ours / theirs
    if len(seeds) < 2:
        return NonInferiority(margin, ratio, None, None, len(seeds), "not decided")
    quantile = _t(_T95, len(seeds) - 1)
    low, high = _bound(moments, quantile, ratio, 0.0), _bound(moments, quantile, ratio, 2 * ratio + 2)
    verdict: Verdict = "not shown"
    if len(seeds) < SEEDS:
        verdict = "not decided"
    elif low is not None and low > 1 - margin:
        verdict = "not inferior"
    elif high is not None and high < 1 - margin:
        verdict = "inferior"
    return NonInferiority(margin, ratio, low, high, len(seeds), verdict)


@dataclass(frozen=True)
class _Moments:
    """Means of (student, teacher), and their 2 x 2 covariances by clusters: seeds, users, and users within seeds."""

    means: np.ndarray
    of_seeds: np.ndarray
    of_users: np.ndarray
    within: np.ndarray

    @classmethod
    def of(cls, seeds: Sequence[Pairs]) -> "_Moments":
        rows = [np.stack([np.asarray(one.student, float), np.asarray(one.teacher, float)], axis=1) for one in seeds]
        of_each = np.stack([row.mean(axis=0) for row in rows])
        means, number = of_each.mean(axis=0), len(seeds)
        parts = []
        for row, middle, one in zip(rows, of_each, seeds, strict=True):
            _, member = np.unique(np.asarray(one.users), return_inverse=True)
            sums = [np.bincount(member, weights=column) for column in (row - middle).T]
            parts.append(np.stack(sums, axis=1) / (len(row) * number))
        every, names = np.concatenate(parts), np.concatenate([np.unique(np.asarray(one.users)) for one in seeds])
        _, member = np.unique(names, return_inverse=True)
        users = np.stack([np.bincount(member, weights=column) for column in every.T], axis=1)
        spread = of_each - means
        return cls(means, spread.T @ spread / number / max(number - 1, 1), users.T @ users, every.T @ every)

    def mean(self, share: float) -> float:
        """Of student - share * teacher."""
        return float(np.array([1, -share]) @ self.means)

    def error(self, share: float) -> float:
        """The standard error of that mean."""
        weights = np.array([1, -share])
        of_seeds, both = (float(weights @ v @ weights) for v in (self.of_seeds, self.of_users - self.within))
        return math.sqrt(max(of_seeds + both, of_seeds))


def _bound(moments: _Moments, quantile: float, ratio: float, far: float) -> float | None:
    """The share between ``ratio`` and ``far`` at which the mean of student - share * teacher begins to differ from 0."""

    def differs(share: float) -> bool:
        return abs(moments.mean(share)) > quantile * moments.error(share)

    if not differs(far):
        return None
    near = ratio
    for _ in range(_HALVINGS):
        middle = (near + far) / 2
        near, far = (near, middle) if differs(middle) else (middle, far)
    return far


def _t(table: Sequence[float], freedom: int) -> float:
    if freedom <= len(table):
        return table[freedom - 1]
    z = 1.6448536 if table is _T95 else 1.9599640
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
