"""Bounds on the hard margin that hold whatever produced (w, b, alpha), rounding included.

Let gamma be the largest value of min <pair row, weights> over weights of norm 1, |.|_* the dual
norm (l2 -> l2, l1 -> linf, linf -> l1, spectral -> nuclear).

    lower   any weights v give gamma >= min over ALL rows of their margin, divided by |v|
    upper   any a >= 0 gives gamma <= |Z^T a|_* / sum a, since for |v| = 1
            gamma sum a <= sum_i a_i z_i.v = <Z^T a, v> <= |Z^T a|_*
    angle   (l2) weights v with smallest margin 1 lie in the convex set whose least-norm point is
            v*, so v.v* >= |v*|^2 and cos(v, v*) >= |v*| / |v| >= lower / upper

With the free bias only w has a norm, and the upper bound needs sum_i a_i c_i = 0 (c_i = y_i, or
e_y - e_k for K classes). A remainder rho is cancelled by pairs that lead from a class with too
little to one with too much: |rho|_1 / 2 of mass for K classes, |rho| for two, put on the shortest
row of the class with too little. Hence gamma <= (|Z^T a|_* + mass |z|_*) / sum a, whatever rho.
The augmented margin is no larger than the free one, so this bounds it too, and better where the
bias costs little.

Rounding: a dot product of p terms errs by at most p u sum|x_j v_j| (Higham, Accuracy and Stability,
section 3.1), used to set aside the rows that cannot be the smallest. The others, and Z^T a, are
computed again with twice the digits (dot2.py), whose error is u |result| + (p u)^2 sum|x_j v_j|.
The rounding of the norms themselves is norms.py's.

This file imports nothing of the solver.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int

from svmconv.errors import DataError
from svmconv.problem import Bias, Geometry, Problem
from svmconv.svm.dot2 import U, dot2
from svmconv.svm.norms import (
    PAIR,
    dual_norm_above,
    euclidean,
    norm_bounds,
    power_above,
    row_dual_norms,
)


@dataclass(frozen=True)
class Certificate:
    """lower <= hard margin <= upper, and the largest angle (radians) between w and the exact w.

    For the augmented bias the margin and the angle are those of (w, b / sqrt c). In the l1, linf
    and spectral norms the bounds say nothing about the angle: it is nan.
    """

    lower: float
    upper: float
    direction: float = math.pi
    """Angle certified by the support vectors (direction.py); pi where that proof did not close, nan
    where no angle is certified."""

    @property
    def relative_gap(self) -> float:
        """(upper - lower) / upper."""
        return (self.upper - self.lower) / self.upper if self.upper > 0 else math.inf

    @property
    def angle_bound(self) -> float:
        """The better of `direction` and arccos(lower / upper) = 2 asin sqrt(gap / 2); else pi."""
        if math.isnan(self.direction):
            return math.nan
        gap = self.relative_gap
        from_gap = 2.0 * math.asin(math.sqrt(gap / 2.0)) * (1 + 8 * U) if gap < 1.0 else math.pi
        return min(self.direction, from_gap)


def certify(
    problem: Problem,
    w: Float64[np.ndarray, "*w"],
    b: float | Float64[np.ndarray, " k"],
    alpha: Float64[np.ndarray, "*alpha"],
    *,
    bias: Bias = "none",
    bias_scale: float = 1.0,
    geometry: Geometry = "l2",
) -> Certificate:
    """Bounds from weights (w, b) and duals alpha ((n,) or (n, K), >= 0, zero at own class).

    Reads every row. Any w, b, alpha give true bounds, good ones tight bounds. Raises DataError on
    negative duals, shapes that do not fit, or the augmented bias off l2.
    """
    k = problem.n_classes
    shapes = ((problem.d,), (), (problem.n,)) if problem.binary else (
        (k, problem.d), (k,), (problem.n, k))  # fmt: skip
    if (np.shape(w), np.shape(b), np.shape(alpha)) != shapes:
        raise DataError(
            f"w, b, alpha must have shapes {shapes}, got {np.shape(w)}, {np.shape(b)}, "
            f"{np.shape(alpha)}"
        )
    if not (alpha >= 0).all():
        raise DataError("the duals alpha must be nonnegative numbers: clip them at zero")
    if not problem.binary and alpha[problem.own].any():
        raise DataError("alpha must be zero at every row's own class: no row rivals itself")
    if problem.binary and geometry == "spectral":
        geometry = "l2"  # of a single vector they are one norm
    check_augmented(bias, geometry)
    # the bounds do not feel the lengths of (w, b) and alpha, float64 does
    power = power_above(np.append(w, b))
    w, b, alpha = np.ldexp(w, -power), np.ldexp(b, -power), np.ldexp(alpha, -power_above(alpha))
    upper = _dual_bound(problem, alpha, bias, bias_scale, geometry)
    smallest = _smallest_margin(problem, w, b)
    if geometry != "l2":
        return Certificate(_divided(smallest, *norm_bounds(w, geometry)), upper, math.nan)
    length = _size(w, b, bias, bias_scale)
    lower = smallest / length if length > 0 else 0.0
    return Certificate(lower - 12 * U * abs(lower), upper)


def check_augmented(bias: Bias, geometry: Geometry) -> None:
    """DataError for the augmented bias off l2: b / sqrt c is an entry of w in no other norm."""
    if bias == "augmented" and geometry != "l2":
        raise DataError(
            f'bias="augmented" has no meaning with geometry={geometry!r}: use "none" or "free"'
        )


def check_infeasible(
    problem: Problem,
    rows: Int[np.ndarray, " m"],
    weights: Float64[np.ndarray, " m"],
    rivals: Int[np.ndarray, " m"] | None = None,
    *,
    bias: Bias = "none",
) -> float:
    """How far the convex combination of signed rows (and signs, with a bias) is from zero.

    |sum weights x row| / sum weights x |row|, every feature (and the sign) in units of the power of
    two above its largest entry in these rows: no direction separates all of them by a larger angle.
    Zero proves that nothing separates the classes. Raises DataError unless weights > 0 have sum 1.
    """
    if not (weights > 0).all() or abs(math.fsum(weights) - 1.0) > 1e-12:
        raise DataError("the weights must be positive and sum to one")
    if (rivals is None) != problem.binary:
        raise DataError("rivals are needed for more than two classes, and only then")
    x = problem.x[rows]
    if bias != "none":
        x = np.column_stack([x, np.ones(len(x))])
    x = np.ldexp(x, -np.frexp(np.abs(x).max(axis=0))[1])
    if rivals is None:
        coefficients = (weights * problem.signs[rows])[:, None]
    else:
        if (rivals == problem.index[rows]).any():
            raise DataError("a row cannot rival its own class")
        coefficients = np.zeros((len(rows), problem.n_classes))
        coefficients[np.arange(len(rows)), problem.index[rows]] = weights
        coefficients[np.arange(len(rows)), rivals] -= weights
    sums = [dot2(x, column[:, None])[0] for column in coefficients.T]
    sizes = weights * np.linalg.norm(x, axis=1) * math.sqrt(1.0 if rivals is None else 2.0)
    total = math.fsum(sizes)
    return euclidean(np.concatenate(sums)) / total if total > 0 else 0.0


def _divided(margin: float, below: float, above: float) -> float:
    """A lower bound on margin / norm for a norm between `below` and `above`."""
    if above <= 0:
        return 0.0
    if margin > 0:
        return margin / above * (1 - 2 * U)
    return margin / below * (1 + 2 * U) if below > 0 else -math.inf


def _size(w: np.ndarray, b: np.ndarray | float, bias: Bias, bias_scale: float) -> float:
    """|w|, or |(w, b / sqrt c)|, to a few units in the last place."""
    biases = np.atleast_1d(b) / math.sqrt(bias_scale) if bias == "augmented" else np.zeros(1)
    return euclidean(np.append(np.ravel(w), biases))


def _smallest_margin(
    problem: Problem, w: Float64[np.ndarray, "*w"], b: float | Float64[np.ndarray, " k"]
) -> float:
    """A lower bound on the smallest margin, tight to a few units in the last place."""
    index = problem.index
    both, thresholds = (w[None], np.atleast_1d(b)) if problem.binary else (w, np.asarray(b))
    scores = problem.x @ both.T + thresholds
    if problem.binary:
        margins = problem.signs[:, None] * scores
    else:
        margins = scores[np.arange(problem.n), index][:, None] - scores
        margins[problem.own] = np.inf
    longest = math.sqrt(float(np.einsum("ij,ij->i", problem.x, problem.x).max()))
    steepest = max(euclidean(row) for row in both)
    # each of two scores errs by (d + 1) u (|x| |w| + |b|), their difference by u more
    doubt = 2.1 * (problem.d + 3) * U * (longest * steepest + float(np.abs(thresholds).max()))
    row, rival = np.nonzero(margins <= margins.min() + 2.0 * doubt)
    if len(row) * both.shape[1] > 2**24:  # nearly every row is that close: keep the plain bound
        return float(margins.min()) - doubt
    x, ones = problem.x[row], np.ones((len(row), 1))
    if problem.binary:
        terms, weights = np.hstack([x, ones]), np.append(both[0], thresholds)[None]
        terms = problem.signs[row, None] * terms
    else:
        own = index[row]
        terms = np.hstack([x, -x, ones, -ones])
        weights = np.hstack([w[own], w[rival], thresholds[own, None], thresholds[rival, None]])
    values, errors = dot2(terms.T, np.broadcast_to(weights, terms.shape).T)
    return float((values - errors).min())


def _dual_bound(
    problem: Problem,
    alpha: Float64[np.ndarray, "*alpha"],
    bias: Bias,
    bias_scale: float,
    geometry: Geometry,
) -> float:
    """(|Z^T a|_* + mass |z|_*) / sum a, rounded up; inf without duals."""
    total = math.fsum(alpha[alpha > 0]) * (1 - 2 * U)
    if total <= 0:
        return math.inf
    terms = _terms(problem, alpha)
    found = [dot2(problem.x[used], coefficients[:, None]) for used, coefficients in terms]
    values, errors = np.array([v for v, _ in found]), np.array([e for _, e in found])
    sums = [abs(math.fsum(coefficients)) * (1 + 2 * U) for _, coefficients in terms]
    bound = math.inf
    if bias == "augmented":
        biases = np.array(sums) * math.sqrt(bias_scale) * (1 + 2 * U)
        bound = euclidean(np.append(np.abs(values) + errors, biases))
    elif bias == "none":
        bound = dual_norm_above(values, errors, geometry)
    if bias != "none":
        # any class may be the one with too little: the longest of their shortest rows will do
        shortest = np.full(problem.n_classes, np.inf)
        np.minimum.at(shortest, problem.index, row_dual_norms(problem.x, geometry))
        mass = sums[0] if problem.binary else math.fsum(sums) / 2.0 * PAIR[geometry]
        moved = mass * float(shortest.max()) * (1 + 1e-10)
        bound = min(bound, dual_norm_above(values, errors, geometry) + moved)
    return bound / total * (1 + 16 * U)


def _terms(
    problem: Problem, alpha: Float64[np.ndarray, "*alpha"]
) -> list[tuple[Int[np.ndarray, " t"], Float64[np.ndarray, " t"]]]:
    """Z^T a as rows and coefficients: one sum for two classes, one per class for K."""
    if problem.binary:
        used = np.flatnonzero(alpha)
        return [(used, (alpha * problem.signs)[used])]
    row, rival = np.nonzero(alpha)
    own, a = problem.index[row], alpha[row, rival]
    return [
        (np.append(row[own == k], row[rival == k]), np.append(a[own == k], -a[rival == k]))
        for k in range(problem.n_classes)
    ]
