"""Whether a measure of a hidden layer moves together with training, over several seeds.

Two numbers that both rise over training are correlated whatever binds them: levels are correlated
by the trend alone. Hence beside them the increments from record to record, which a common trend
does not correlate.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats

from svmconv.errors import DataError

SATURATED = 0.999
"""Training accuracy that ends the comparison: after it only one of the two can move."""
FEWEST = 4
"""Records that a correlation needs at least, of increments as well: three always fit too well."""


class Interval(NamedTuple):
    """A mean over seeds with its 95 % confidence interval."""

    mean: float
    low: float
    high: float
    seeds: int
    """Seeds that had something to correlate: neither of the two series was constant."""


class Synchronicity(NamedTuple):
    """Correlations of a measure with a sign of progress, before accuracy saturates."""

    spearman: Interval
    pearson: Interval
    spearman_increments: Interval
    pearson_increments: Interval
    same_sign: Interval
    """Share of increments that have the same sign; ties are left out."""


def synchronicity(
    measure: Float[np.ndarray, "seed step"],
    progress: Float[np.ndarray, "_ _"],
    before: Bool[np.ndarray, "_ _"],
) -> Synchronicity:
    """Correlate two series of every seed where `before` holds, then average over the seeds.

    `progress` rises as training succeeds: accuracy, or minus the log-loss. The interval is
    Student's, over seeds, cut off at the ends of the scale; nan with fewer than two. Constant
    series, and those of fewer than FEWEST records, count for no seed. Raises DataError where the
    shapes differ or a value within `before` is not finite.

    >>> rise = np.array([[0.0, 1.0, 3.0, 4.0, 6.0], [0.0, 2.0, 3.0, 5.0, 6.0]])
    >>> found = synchronicity(rise**3, rise, np.ones((2, 5), bool))
    >>> found.spearman
    Interval(mean=1.0, low=1.0, high=1.0, seeds=2)
    >>> round(found.spearman_increments.mean, 3)  # of ranks 1234, 1212: 1/sqrt 5; 1243, 2121: 0
    0.224
    """
    if not measure.shape == progress.shape == before.shape:
        raise DataError(
            f"measure, progress and before must be of one shape (seed, step), got {measure.shape}, "
            f"{progress.shape} and {before.shape}"
        )
    pairs = [(m[b], p[b]) for m, p, b in zip(measure, progress, before, strict=True)]
    if not all(np.isfinite(pair).all() for pair in pairs):
        raise DataError("a record before saturation is not finite: leave it out of `before`")
    steps = [(np.diff(m), np.diff(p)) for m, p in pairs]
    spearman, pearson, spearman_increments, pearson_increments = (
        _interval([_correlation(*pair, rank) for pair in series], -1.0)
        for series in (pairs, steps)
        for rank in (True, False)
    )
    agreement = _interval([_agreement(*pair) for pair in steps], 0.0)
    return Synchronicity(spearman, pearson, spearman_increments, pearson_increments, agreement)


def before_saturation(
    accuracy: Float[np.ndarray, "seed step"], saturated: float = SATURATED
) -> Bool[np.ndarray, "seed step"]:
    """Records up to the first at which the accuracy of training is saturated, and that one."""
    reached = accuracy >= saturated
    return np.cumsum(reached, axis=1) - reached == 0


def _correlation(a: Float[np.ndarray, " m"], b: Float[np.ndarray, " m"], rank: bool) -> float:
    if len(a) < FEWEST or np.ptp(a) == 0 or np.ptp(b) == 0:
        return np.nan
    if rank:
        a, b = stats.rankdata(a), stats.rankdata(b)
    return float(np.clip(np.corrcoef(a, b)[0, 1], -1.0, 1.0).round(15))  # 1, not 1 - 1e-16


def _agreement(a: Float[np.ndarray, " m"], b: Float[np.ndarray, " m"]) -> float:
    moved = (a != 0) & (b != 0)
    return float((np.sign(a) == np.sign(b))[moved].mean()) if moved.any() else np.nan


def _interval(values: list[float], least: float) -> Interval:
    """Of the values that are not nan; all are between `least` and 1."""
    x = np.array([value for value in values if not np.isnan(value)])
    if not len(x):
        return Interval(np.nan, np.nan, np.nan, 0)
    mean = float(x.mean())
    if len(x) == 1:
        return Interval(mean, np.nan, np.nan, 1)
    half = float(stats.t.ppf(0.975, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x)))
    return Interval(mean, max(least, mean - half), min(1.0, mean + half), len(x))
