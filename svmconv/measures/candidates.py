"""Directions that may separate two sides, for many pairs of sides of one layer at a time.

    mean      the difference of the side means
    lda       S^-1 of it, S the covariance within classes (within and between where a side is
              made of several: of two sides the classical direction, by Sherman and Morrison)
    logistic  logistic regression, the sides of equal weight, from lda by Barzilai and Borwein's
              steps (IMA J. Numer. Anal. 8 (1988)) in the metric of S: one pass over rows a step
    random    one fixed direction, for sides of one mean: there the others are zero

Whoever evaluates them does so both ways, along w and -w. Only directions come from here, so rows of
less than float64 are multiplied in float32. They are read in chunks: a layer is never copied whole.
Beyond FULL features S is its diagonal, and no d x d matrix is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Int
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.special import expit

from svmconv.measures.ranks import place
from svmconv.processes import cores
from svmconv.svm.solve import BLAS

NAMES = ("mean", "lda", "logistic", "random")
FULL = 2048
"""Features up to which S is a whole matrix: 32 MB, and n d^2 multiplications."""
CHUNK = 2**20
"""Numbers of a chunk of rows: 8 MB in float64."""
RIDGE = 1e-10
"""Added to S, relative to its trace: what its rounding leaves of a covariance of zero."""
PASSES = 20
"""Most passes over the rows for logistic regression; five to eight are usual."""
CLOSE = 1e-4
"""A step that promises less than this part of the loss is the last."""
GROWTH = 10.0
"""Most by which a step may be longer or shorter than the one before."""


class Contest(NamedTuple):
    """Who is held against whom."""

    x: np.ndarray
    """(n, d), of any real dtype."""
    members: list[Int[np.ndarray, " _"]]
    """Rows of every class."""
    sides: Int[np.ndarray, "k p"]
    """+1 where a class is on the upper side of a problem, -1 on the lower, 0 where it is out."""
    offset: Float64[np.ndarray, " d"]
    """Subtracted from every row; exact in the dtype of x (svm/offset.py), or zero."""
    power: int = 0
    """Rows are then multiplied by 2^power, where their squares might leave float64 (ranks.py)."""

    def chunks(self, k: int, dtype: Any) -> Iterator[np.ndarray]:
        """The rows of a class, in chunks."""
        step = max(1, CHUNK // self.x.shape[1])
        for start in range(0, len(self.members[k]), step):
            rows = self.members[k][start : start + step]
            adjacent = rows[-1] - rows[0] == len(rows) - 1
            picked = self.x[rows[0] : rows[-1] + 1] if adjacent else self.x[rows]
            picked = picked.astype(dtype, copy=False)
            picked = picked - self.offset.astype(dtype) if self.offset.any() else picked
            yield np.ldexp(picked, self.power) if self.power else picked

    def counts(self, side: int) -> Float64[np.ndarray, "k p"]:
        """Rows of every class on a side (+1 or -1) of every problem."""
        rows = np.array([len(members) for members in self.members], dtype=np.float64)
        return rows[:, None] * (self.sides == side)

    @property
    def quick(self) -> type:
        """The dtype that directions are looked for in."""
        wide = self.x.dtype.kind in "biu" or self.x.dtype.itemsize > 4
        return np.float64 if wide else np.float32


def contest_of(
    x: np.ndarray, index: Int[np.ndarray, " n"], sides: Int[np.ndarray, "k p"]
) -> Contest:
    """The contest of rows whose classes are `index`, moved and scaled as in ranks.py."""
    members = [np.flatnonzero(index == k) for k in range(len(sides))]
    offset, power = place(x.min(axis=0).astype(np.float64), x.max(axis=0).astype(np.float64))
    if x.dtype.kind == "f":
        offset = offset.astype(x.dtype).astype(np.float64)
    return Contest(x, members, sides, offset, power)


class Metric(NamedTuple):
    """S: a whole matrix as its lower Cholesky factor (d, d), or its diagonal (d,)."""

    factor: Float64[np.ndarray, "*s"]

    def solve(self, rows: Float64[np.ndarray, "p d"]) -> Float64[np.ndarray, "p d"]:
        """S^-1 of every row."""
        if self.factor.ndim == 1:
            return rows / self.factor
        return cho_solve((self.factor, True), rows.T).T

    def direction(self, z: Float64[np.ndarray, " d"]) -> Float64[np.ndarray, " d"]:
        """w = L^-T z, S = L L^T: S is the identity to z."""
        if self.factor.ndim == 1:
            return z / np.sqrt(self.factor)
        return solve_triangular(self.factor, z, lower=True, trans=1)

    def slope(self, of_w: Float64[np.ndarray, " d"]) -> Float64[np.ndarray, " d"]:
        """The slope in z from that in w."""
        if self.factor.ndim == 1:
            return of_w / np.sqrt(self.factor)
        return solve_triangular(self.factor, of_w, lower=True)

    def whitened(self, w: Float64[np.ndarray, " d"]) -> Float64[np.ndarray, " d"]:
        """z = L^T w."""
        return w * np.sqrt(self.factor) if self.factor.ndim == 1 else self.factor.T @ w


class Moments(NamedTuple):
    """What a pass over the rows tells."""

    metric: Metric
    middle: Float64[np.ndarray, "p d"]
    """Halfway between the means of the two sides."""
    difference: Float64[np.ndarray, "p d"]
    """Mean of the upper side less mean of the lower."""


def candidates(contest: Contest) -> tuple[Float64[np.ndarray, "c p d"], Metric]:
    """Directions of every kind in NAMES for every problem, and the metric they were found in."""
    found = moments(contest)
    lda = found.metric.solve(found.difference)
    random = np.random.default_rng(0).standard_normal(contest.x.shape[1])
    fitted = logistic(contest, found, lda)
    return np.stack(
        [found.difference, lda, fitted, np.broadcast_to(random, lda.shape)]
    ), found.metric


def moments(contest: Contest) -> Moments:
    """Means and S; chunks are merged as by Chan et al. (1979), so no digits cancel."""
    d, k = contest.x.shape[1], len(contest.members)
    whole = d <= FULL
    within, means = np.zeros((d, d) if whole else d), np.zeros((k, d))
    square: Callable[[np.ndarray], np.ndarray] = (
        (lambda off: off.T @ off) if whole else (lambda off: np.einsum("ij,ij->j", off, off))
    )
    for own in range(k):
        seen = 0
        for x in contest.chunks(own, np.float64):
            mean = x.mean(axis=0)
            within += square(x - mean)
            seen, part = seen + len(x), len(x) / (seen + len(x))
            away = mean - means[own]
            within += square(away[None] * np.sqrt(len(x) * (1.0 - part)))
            means[own] += part * away
    counts = np.array([len(rows) for rows in contest.members])
    if (np.abs(contest.sides).sum(axis=0) > 2).any():
        centred = means - counts @ means / counts.sum()
        within += square(centred * np.sqrt(counts)[:, None])
    upper, lower = ((share / share.sum(axis=0)).T @ means for share in map(contest.counts, (1, -1)))
    metric = _metric(within / counts.sum())
    return Moments(metric, (upper + lower) / 2.0, upper - lower)


def _metric(s: Float64[np.ndarray, "*s"]) -> Metric:
    """S with its ridge, factored; the identity where nothing varies."""
    trace = float(np.trace(s) if s.ndim == 2 else s.sum())
    ridge = RIDGE * trace or 1.0
    if s.ndim == 1:
        return Metric(s + ridge)
    s[np.diag_indices_from(s)] += ridge
    return Metric(np.tril(cho_factor(s, lower=True, overwrite_a=True)[0]))


def logistic(
    contest: Contest, found: Moments, lda: Float64[np.ndarray, "p d"]
) -> Float64[np.ndarray, "p d"]:
    """Weights of nearly the least mean logistic loss, or of the first pass without an error.

    The start is Newton's step from zero: there the loss has the Hessian S / 2 + D D^T / 8 in w,
    D the difference of means, and 1/2 in the intercept.
    """
    reach = np.einsum("pd,pd->p", lda, found.difference)
    z = np.hstack([lda / (1.0 + reach / 4.0)[:, None], np.zeros((len(lda), 1))])
    best, least = z.copy(), np.full(len(z), np.inf)
    step, before = np.ones(len(z)), None
    left = np.arange(len(z))  # problems that no pass has settled yet
    with BLAS.limit(limits=1), ThreadPoolExecutor(len(cores())) as pool:
        for _ in range(PASSES):
            slope, loss, settled = _pass(contest, found, z, left, pool)
            better = settled | (loss < least[left])
            best[left[better]] = z[left[better]]
            least[left] = np.minimum(least[left], loss)
            steepest = 2.0 * np.hstack([found.metric.solve(slope[:, :-1]), slope[:, -1:]])
            if before is not None:
                step[left] *= _growth(*before, slope)
            promised = step[left] * np.einsum("pd,pd->p", steepest, slope)
            z[left] -= step[left, None] * steepest
            going = ~settled & (promised > CLOSE * loss)
            before, left = (slope[going], steepest[going]), left[going]
            if not len(left):
                break
    return best[:, :-1]


def _growth(slope: np.ndarray, steepest: np.ndarray, now: np.ndarray) -> np.ndarray:
    """Barzilai and Borwein's step over the one before, s = -step steepest: <s, s> / <s, y>."""
    length = np.einsum("pd,pd->p", steepest, slope)
    bent = np.einsum("pd,pd->p", steepest, slope - now)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.clip(np.where(bent > 0, length / bent, GROWTH), 1.0 / GROWTH, GROWTH)


def _pass(
    contest: Contest,
    found: Moments,
    z: Float64[np.ndarray, "p e"],
    left: Int[np.ndarray, " l"],
    pool: ThreadPoolExecutor,
) -> tuple[Float64[np.ndarray, "l e"], Float64[np.ndarray, " l"], np.ndarray]:
    """Slope and value of the loss of the problems that are left, and which have no error."""
    w, dtype = z[:, :-1], contest.quick
    shift = z[:, -1] - np.einsum("pd,pd->p", w, found.middle)
    upper, lower = contest.counts(1), contest.counts(-1)
    weight = upper / upper.sum(axis=0) + lower / lower.sum(axis=0)

    def of_class(k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        here = np.flatnonzero(contest.sides[k, left])
        which = left[here]
        side = contest.sides[k, which].astype(dtype)
        share = weight[k, which] / len(contest.members[k])  # of one row
        weights, shifts = w[which].T.astype(dtype), shift[which].astype(dtype)
        slope, loss = np.zeros((len(here), z.shape[1])), np.zeros(len(here))
        smallest = np.full(len(here), np.inf)
        for x in contest.chunks(k, dtype):
            margins = side * (x @ weights + shifts)
            wrong = expit(-margins)
            smallest = np.minimum(smallest, margins.min(axis=0))
            loss += np.logaddexp(0, -margins).sum(axis=0, dtype=np.float64) * share
            pull = -side * wrong
            slope[:, :-1] += (pull.T @ x) * share[:, None]
            slope[:, -1] += pull.sum(axis=0, dtype=np.float64) * share
        slope[:, :-1] -= slope[:, -1:] * found.middle[which]
        return here, slope, loss, smallest

    slope, loss = np.zeros((len(left), z.shape[1])), np.zeros(len(left))
    smallest = np.full(len(left), np.inf)
    for here, part, lost, least in pool.map(of_class, range(len(contest.members))):
        slope[here] += part
        loss[here] += lost
        smallest[here] = np.minimum(smallest[here], least)
    return slope, loss, smallest > 0
