"""Statistics of samples: median and mean with intervals, percentiles, outliers, and ratios of two sets.

Successive samples are correlated (clock rate, other load of the machine), so the bootstrap resamples blocks of successive
samples: about ``_BLOCKS`` of them, at least one sample long. Everything is seeded: the same samples give the same figures.
"""

import math
from collections.abc import Sequence

import numpy as np

from cr_jax.documents.bench_report import StepTime, Stopped
from cr_jax.report.bench import RatioOfMedians

_BLOCKS = 10
_RESAMPLES = 400
#: Above this number of samples, each block's order is kept but only every n-th sample enters the bootstrap.
_DENSEST = 20_000
#: Student's t for 90%, two-sided, of four values.
_T90 = 2.353
#: Outlier: more than this number of scaled median absolute deviations away from the median.
_FAR = 5.0
#: A percentile needs samples beyond it: p99 from 100 samples on.
_PERCENTILES = {"p50_s": 0.5, "p90_s": 0.9, "p95_s": 0.95, "p99_s": 0.99}


def describe(times_s: Sequence[float], seed: int = 0, stopped: Stopped = "run limit") -> StepTime:
    """The figures of a set of samples, in seconds; every figure is ``None`` for fewer than two.

    median_interval_s: 95% block bootstrap interval of the median. repeat_interval_s: the interval that has the median of another
    run of this bench at least nine times of ten (see ``repeat_interval``). mean_interval_s: 95% block bootstrap interval of the
    mean. Percentiles are ``None`` when no sample lies beyond them. outliers: samples more than 5 scaled median absolute
    deviations away from the median.
    """
    n = len(times_s)
    if n < 2:
        unknown = dict.fromkeys(name for name in StepTime.__struct_fields__ if name not in ("samples", "stopped", "tag"))
        return StepTime(samples=n, stopped=stopped, tag="measured", **unknown)
    x = np.asarray(times_s, float)
    rng = np.random.default_rng(seed)
    medians, means = _bootstrap(x, rng)
    low, _, high = _repeat(x, medians)
    percentiles = {k: float(np.quantile(x, q)) if n * (1 - q) >= 1 - 1e-9 else None for k, q in _PERCENTILES.items()}
    return StepTime(
        samples=n,
        median_s=float(np.median(x)),
        median_interval_s=_interval(medians),
        repeat_interval_s=(low, high),
        mean_s=float(x.mean()),
        mean_interval_s=_interval(means),
        min_s=float(x.min()),
        max_s=float(x.max()),
        **percentiles,
        outliers=int(outliers(x).sum()),
        stopped=stopped,
        tag="measured",
    )


def median_interval(times_s: Sequence[float], seed: int = 0) -> tuple[float, float, float]:
    """(low, median, high): the 95% block bootstrap interval of this run's median, at least as wide as the spread of the medians
    of its quarters.
    """
    x = np.asarray(times_s, float)
    low, high = _interval(_bootstrap(x, np.random.default_rng(seed), 200)[0])
    quarters = _quarters(x)
    return min(low, *quarters), float(np.median(x)), max(high, *quarters)


def repeat_interval(times_s: Sequence[float], seed: int = 0) -> tuple[float, float, float]:
    """(low, median, high): the interval in which the median of another run is expected.

    The median of a repeat varies as this one does, so the bootstrap interval of the median is stretched by the square root of two
    about the median. It is at least as wide as the interval that the medians of this run's quarters predict for another quarter
    (Student's t, 90%), which drift moves and a bootstrap cannot see.
    """
    x = np.asarray(times_s, float)
    medians, _ = _bootstrap(x, np.random.default_rng(seed), 200)
    return _repeat(x, medians)


def outliers(times_s: Sequence[float] | np.ndarray) -> np.ndarray:
    """Whether each sample lies more than 5 scaled median absolute deviations away from the median."""
    x = np.asarray(times_s, float)
    distance = np.abs(x - np.median(x))
    spread = 1.4826 * np.median(distance)
    return distance > _FAR * max(spread, 1e-3 * np.median(x))


def compare(ours_s: Sequence[float], theirs_s: Sequence[float], paired: bool, seed: int = 0) -> RatioOfMedians:
    """The ratio of medians ours / theirs, its 95% interval and a significance test.

    paired: the samples were taken in turn, the i-th of one beside the i-th of the other; the interval is then a block bootstrap
    over pairs and the test a permutation that swaps pairs by blocks. Otherwise blocks of each set are resampled on their own and
    the test is Mann-Whitney's, its variance corrected for correlated neighbours.
    """
    a, b = np.asarray(ours_s, float), np.asarray(theirs_s, float)
    rng = np.random.default_rng(seed)
    if paired:
        n = min(len(a), len(b))
        a, b = a[:n], b[:n]
        rows = [_blocks(n, rng) for _ in range(2 * _RESAMPLES)]
        ratios = np.array([np.median(a[r]) / np.median(b[r]) for r in rows])
        p, test = _swap_test(a, b, rng), "permutation of pairs by blocks"
    else:
        ratios = np.array(
            [np.median(a[_blocks(len(a), rng)]) / np.median(b[_blocks(len(b), rng)]) for _ in range(2 * _RESAMPLES)]
        )
        p, test = _mann_whitney(a, b), "Mann-Whitney"
    return RatioOfMedians(float(np.median(a) / np.median(b)), _interval(ratios), p, test, paired)


def _interval(values: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)


def _blocks(n: int, rng: np.random.Generator) -> np.ndarray:
    """Indices of n samples drawn as blocks of successive samples, the end joined to the start."""
    length = max(1, n // _BLOCKS)
    starts = rng.integers(0, n, -(-n // length))
    return ((starts[:, None] + np.arange(length)) % n).reshape(-1)[:n]


def _bootstrap(x: np.ndarray, rng: np.random.Generator, resamples: int = _RESAMPLES) -> tuple[np.ndarray, np.ndarray]:
    thin = x[:: -(-len(x) // _DENSEST)]
    draws = (thin[_blocks(len(thin), rng)] for _ in range(resamples))
    pairs = np.array([(np.median(d), d.mean()) for d in draws])
    return pairs[:, 0], pairs[:, 1]


def _repeat(x: np.ndarray, medians: np.ndarray) -> tuple[float, float, float]:
    middle = float(np.median(x))
    low, high = _interval(medians)
    stretch = math.sqrt(2)
    quarters = _quarters(x)
    # A shared machine drifts at every scale of time: two runs differ as much as two quarters of one do.
    drift = _T90 * stretch * float(np.std(quarters, ddof=1))
    low, high = middle - max(drift, stretch * (middle - low)), middle + max(drift, stretch * (high - middle))
    return max(low, 0.0), middle, high


def _quarters(x: np.ndarray) -> list[float]:
    """Medians of the quarters of a run, in order; a run of too few samples is one quarter."""
    parts = np.array_split(x, 4) if len(x) >= 12 else (x, x)
    return [float(np.median(part)) for part in parts]


def _swap_test(a: np.ndarray, b: np.ndarray, rng: np.random.Generator) -> float:
    """Two-sided p value: how often swapping whole blocks of pairs gives as large a mean log ratio."""
    parts = [p.mean() for p in np.array_split(np.log(a / b), min(len(a), 2 * _BLOCKS))]
    differences = np.asarray(parts)
    observed = abs(differences.mean())
    signs = rng.choice((-1.0, 1.0), size=(20_000, len(differences)))
    return float((1 + np.sum(np.abs((signs * differences).mean(axis=1)) >= observed - 1e-15)) / (1 + len(signs)))


def _mann_whitney(a: np.ndarray, b: np.ndarray) -> float:
    """Two-sided p value by the normal limit, ties counted half; each set's size is its number of
    independent samples (``_effective``).
    """
    both = np.concatenate([a, b])
    _, inverse, counts = np.unique(both, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    n, m = len(a), len(b)
    u = ranks[:n].sum() - n * (n + 1) / 2
    share = u / (n * m)  # P(ours > theirs) + half the ties
    n_eff, m_eff = _effective(a), _effective(b)
    deviation = math.sqrt((n_eff + m_eff + 1) / (12 * n_eff * m_eff))
    return math.erfc(abs(share - 0.5) / deviation / math.sqrt(2))


def _effective(x: np.ndarray) -> float:
    """The number of independent samples: from the ranks' autocorrelation, summed until it first falls below 0.05."""
    ranks = np.argsort(np.argsort(x)).astype(float)
    ranks -= ranks.mean()
    total = float(ranks @ ranks)
    if total == 0 or len(x) < 4:
        return float(len(x))
    summed = 0.0
    for lag in range(1, len(x) // 2):
        similar = float(ranks[:-lag] @ ranks[lag:]) / total
        if similar < 0.05:
            break
        summed += similar
    return max(2.0, len(x) / (1 + 2 * summed))
