"""Small flows beside their forecasts: one padded shape, so one compilation serves every test."""

from __future__ import annotations

from functools import cache

from svmconv import data
from svmconv.problem import Problem
from svmconv.theory.comparison import Comparison, Flow, Setting, compare

GENERIC = ((1.5, 0.8), (3.0, 0.3), (1.3, 0.9))
"""(theta, lambda_min): the slowest term comes from far rows, from a mode of M, from far rows."""


@cache
def flow(
    seed: int, log_t: float = 200.0, theta: float = 1.5, lambda_min: float = 0.8
) -> Comparison:
    """Forty rows in R^4 spanned by four support vectors, followed up to ln t = log_t."""
    planted = data.planted(
        n=40, d=4, n_support=4, spanning=True, theta=theta, lambda_min=lambda_min, seed=seed
    )
    return compare(Setting(lambda: planted, Flow(log_t)))


@cache
def shifted(seed: int) -> Problem:
    """Rows moved off the origin, so that the augmented and the classical SVM differ."""
    base = data.planted(n=40, d=3, n_support=3, spanning=True, seed=seed)
    assert base.truth is not None
    return Problem(base.x + 1.5 * base.truth.w, base.y, f"shifted {base.name}")
