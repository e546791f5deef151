"""The KKT conditions of the hard-margin program, as assertions any test can use.

min |v|^2 / 2 over (w, b), every pair margin at least 1. Tolerances are relative to the numbers that
are summed: each condition is a sum of at most a few thousand terms, so 1e-10 leaves six digits for
the conditioning of the active set.
"""

from __future__ import annotations

import numpy as np

from svmconv.problem import Problem, Truth
from svmconv.svm.result import MaxMargin


def truth(problem: Problem) -> Truth:
    """The SVM a planted problem was built around."""
    assert problem.truth is not None
    return problem.truth


def pair_margins(problem: Problem, w: np.ndarray, b: float | np.ndarray) -> np.ndarray:
    """(n, 1) or (n, K) margins, +inf at a row's own class; written without the package's code."""
    if problem.binary:
        return (np.where(problem.index == 1, 1.0, -1.0) * (problem.x @ w + b))[:, None]
    scores = problem.x @ w.T + b
    margins = np.take_along_axis(scores, problem.index[:, None], axis=1) - scores
    np.put_along_axis(margins, problem.index[:, None], np.inf, axis=1)
    return margins


def coefficients(problem: Problem, alpha: np.ndarray) -> np.ndarray:
    """(n,) y alpha, or (n, K): what each row contributes to each class's weights."""
    if problem.binary:
        return np.where(problem.index == 1, 1.0, -1.0) * alpha
    spread = -alpha
    np.put_along_axis(spread, problem.index[:, None], alpha.sum(axis=1)[:, None], axis=1)
    return spread


def assert_feasible(problem: Problem, svm: MaxMargin, tolerance: float = 1e-10) -> None:
    """Every margin is at least 1, and the smallest is 1."""
    smallest = pair_margins(problem, svm.w, svm.b).min()
    assert abs(smallest - 1.0) <= tolerance


def assert_dual_feasible(problem: Problem, svm: MaxMargin, tolerance: float = 1e-10) -> None:
    """alpha >= 0; with a free bias its signed sum is zero (per class)."""
    assert (svm.alpha >= 0).all()
    if svm.bias == "free":
        balance = coefficients(problem, svm.alpha).sum(axis=0)
        assert np.abs(balance).max() <= tolerance * svm.alpha.sum()


def assert_stationary(problem: Problem, svm: MaxMargin, tolerance: float = 1e-10) -> None:
    """w = sum alpha z, b / c = the signed sum of alpha (augmented), sum alpha = 1 / margin^2."""
    spread = coefficients(problem, svm.alpha)
    size = np.linalg.norm(svm.w)
    assert np.linalg.norm(spread.T @ problem.x - svm.w) <= tolerance * size
    assert abs(svm.alpha.sum() * svm.margin**2 - 1.0) <= tolerance
    if svm.bias == "augmented":
        reached = svm.bias_scale * spread.sum(axis=0)
        assert np.abs(reached - svm.b).max() <= tolerance * max(1.0, np.abs(svm.b).max())


def assert_complementary(problem: Problem, svm: MaxMargin, tolerance: float = 1e-9) -> None:
    """A positive dual means a margin of 1; support is where the duals are; active contains it."""
    margins = pair_margins(problem, svm.w, svm.b)
    alpha = svm.alpha.reshape(margins.shape)
    assert np.abs(margins[alpha > 0] - 1.0).max() <= tolerance
    np.testing.assert_array_equal(svm.support, np.flatnonzero(alpha.any(axis=1)))
    assert np.isin(svm.support, svm.active).all()
    assert margins[svm.active].min(axis=1).max() <= 1.0 + 2 * tolerance


def assert_optimal(problem: Problem, svm: MaxMargin, tolerance: float = 1e-10) -> None:
    """All four, and the certificate encloses the margin."""
    assert_feasible(problem, svm, tolerance)
    assert_dual_feasible(problem, svm, tolerance)
    assert_stationary(problem, svm, tolerance)
    assert_complementary(problem, svm)
    slack = 1 + 1e-14  # margin = 1 / |v| is itself rounded
    assert svm.certificate.lower <= svm.margin * slack
    assert svm.margin <= svm.certificate.upper * slack
    assert svm.certificate.relative_gap <= 1e-12
