"""A cheap first guess: the squared-hinge SVM by Newton's method, ever harder.

min |v|^2 / 2 + C / 2 sum max(0, 1 - margin)^2 is piecewise quadratic, so Newton's method with a
line search ends after a few steps (Keerthi and DeCoste, JMLR 6 (2005)); its weights approach the
hard-margin ones as C grows. It only chooses the rows that the exact program starts from.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

RIDGE = 1e-10
"""Weight of the unpenalised biases, relative to the others, so that a step always exists."""


def soften(
    a: Float64[np.ndarray, "m s"],
    c: Float64[np.ndarray, "m q"],
    start: Float64[np.ndarray, " p"],
    hardness: float,
    steps: int = 15,
) -> Float64[np.ndarray, " p"]:
    """(v, u) near the minimiser of the squared-hinge SVM with C = hardness, from `start`."""
    rows = np.hstack([a, c])
    weight = np.append(np.ones(a.shape[1]), np.full(c.shape[1], RIDGE))
    v, margins = start, rows @ start
    for _ in range(steps):
        short = margins < 1.0
        hit = rows[short]
        slope = weight * v - hardness * (hit.T @ (1.0 - margins[short]))
        curvature = hardness * (hit.T @ hit)
        curvature[np.diag_indices_from(curvature)] += weight
        try:
            step = -np.linalg.solve(curvature, slope)
        except np.linalg.LinAlgError:  # too hard for float64: the guess so far will do
            return v
        along = rows @ step
        t = _line_search(v, step, margins, along, weight, hardness)
        v, margins = v + t * step, margins + t * along
        if t == 1.0 and ((margins < 1.0) == short).all():
            break
    return v


def _line_search(
    v: np.ndarray,
    step: np.ndarray,
    margins: np.ndarray,
    along: np.ndarray,
    weight: np.ndarray,
    hardness: float,
) -> float:
    """The first of 1, 1/2, 1/4, ... that lowers the objective."""

    def value(t: float) -> float:
        short = np.maximum(1.0 - margins - t * along, 0.0)
        moved = v + t * step
        return float(weight @ moved**2 + hardness * (short @ short))

    t, before = 1.0, value(0.0)
    while value(t) > before and t > 1e-3:
        t /= 2.0
    return t
