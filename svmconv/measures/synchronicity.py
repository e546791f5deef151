"""Whether a measure of a hidden layer moves together with training, over several seeds.

Two series that both rise are correlated whatever binds them: levels are correlated by their trend.
Increments are free of a linear trend, but not of one that bends: two curves that both level off
have increments that both shrink. Hence the excess: the correlation of increments with the progress
of the same run, less that with the progress of the other seeds, which has the same trend and is of
another run.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats

from svmconv.errors import DataError

SATURATED = 0.999
"""Training accuracy that ends the comparison: after it only one of the two can move."""
FEWEST = 4
"""Records that a correlation needs at least, of increments as well: three always fit too well."""
ENOUGH = 3
"""Seeds that an interval needs at least."""


class Interval(NamedTuple):
    """A mean over seeds with its 95 % confidence interval, Student's.

    Near a correlation of 1 five seeds and more are needed for 95 %: at .999, measured, an interval
    of three covers the mean over seeds 82 % of the time, of five 95 %. Two have none.
    """

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
    excess: Interval
    """spearman_increments of every seed, less its mean over the progress of all other seeds."""


def synchronicity(measure: Any, progress: Any, before: Any) -> Synchronicity:
    """Correlate two series of every seed where `before` holds, then average over the seeds.

    All three (seed, step); `before` as before_saturation(accuracy) gives it.

    `progress` rises as training succeeds: accuracy, or minus the log-loss. All seeds are recorded
    at the same steps. Intervals are cut off at the ends of the scale. Constant series, and those of
    fewer than FEWEST records, count for no seed; increments are of consecutive records. Raises
    DataError where the shapes differ or a value within `before` is not finite.

    >>> rise = np.array([[0.0, 1.0, 3.0, 4.0, 6.0], [0.0, 2.0, 3.0, 5.0, 6.0]])
    >>> found = synchronicity(rise**3, rise, np.ones((2, 5), bool))
    >>> found.spearman
    Interval(mean=1.0, low=nan, high=nan, seeds=2)
    >>> round(found.spearman_increments.mean, 3)  # of ranks 1234, 1212: 1/sqrt 5; 1243, 2121: 0
    0.224
    """
    measure, progress = (np.asarray(v, dtype=np.float64) for v in (measure, progress))
    before = np.asarray(before, dtype=bool)
    if measure.ndim != 2 or not measure.shape == progress.shape == before.shape:
        raise DataError(
            f"measure, progress and before must be of one shape (seed, step), got {measure.shape}, "
            f"{progress.shape} and {before.shape}"
        )
    if not (np.isfinite(measure[before]).all() and np.isfinite(progress[before]).all()):
        raise DataError("a record before saturation is not finite: leave it out of `before`")
    both = before[:, 1:] & before[:, :-1]
    levels = measure, progress, before
    increments = np.diff(measure), np.diff(progress), both
    spearman, pearson, spearman_increments, pearson_increments = (
        _interval([_correlation(m[b], p[b], rank) for m, p, b in zip(*series, strict=True)], -1.0)
        for series in (levels, increments)
        for rank in (True, False)
    )
    moves = zip(*increments, strict=True)
    return Synchronicity(
        spearman, pearson, spearman_increments, pearson_increments,
        same_sign=_interval([_agreement(m[b], p[b]) for m, p, b in moves], 0.0),
        excess=_interval(_excesses(*increments), -2.0, 2.0),
    )  # fmt: skip


def _excesses(
    measure: Float[np.ndarray, "seed m"],
    progress: Float[np.ndarray, "seed m"],
    before: Bool[np.ndarray, "seed m"],
) -> list[float]:
    """Rank correlation of each seed with its own progress, less the mean of that with others'."""
    n = len(measure)
    table = np.full((n, n), np.nan)
    for i in range(n):
        for j in range(n):
            shared = before[i] & before[j]
            table[i, j] = _correlation(measure[i][shared], progress[j][shared], rank=True)
    others = np.where(np.eye(n, dtype=bool) | np.isnan(table), 0.0, table)
    count = (~np.isnan(table) & ~np.eye(n, dtype=bool)).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (np.diag(table) - others.sum(axis=1) / count).tolist()


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


def _interval(values: list[float], least: float, most: float = 1.0) -> Interval:
    """Of the values that are not nan; all are between `least` and `most`."""
    x = np.array([value for value in values if not np.isnan(value)])
    if not len(x):
        return Interval(np.nan, np.nan, np.nan, 0)
    mean = float(x.mean())
    if len(x) < ENOUGH:
        return Interval(mean, np.nan, np.nan, len(x))
    half = float(stats.t.ppf(0.975, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x)))
    return Interval(mean, max(least, mean - half), min(most, mean + half), len(x))
