"""E, Wojtowytsch, arXiv:2012.05420, lemma 18: a gradient flow whose outputs differ within a class.

    F = p1 e^-a1 + p2 e^-a2 + p3 e^(a2 - a3),     a' = -grad F.

*The limit.* Put u = a2 - s, v = a3 - a2 - s, s = ln t. Then du/ds = p2 e^-u - p3 e^-v - 1 and
dv/ds = 2 p3 e^-v - p2 e^-u - 1, which rest at p2 e^-u = 3, p3 e^-v = 2, with Jacobian
[[-3, 2], [3, -4]] of eigenvalues -1 and -6; and a1 = ln(e^a1(0) + p1 t). So a3 - a2 - a1 ->
ln(p3 / 2) - ln p1, up to C / t, whatever the start and p2.

*The bar.* C / t is read off at the root of the last t, and allowed thrice; the integrator's error
is what a hundred times its tolerance changes.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from jaxtyping import Float64
from scipy.integrate import solve_ivp

from svmconv.theory import quantities as q
from svmconv.theory import tolerances
from svmconv.theory.claim import Case, Claim, Measurement
from svmconv.theory.optima import farthest

LOG_T = 25.0
STARTS = 3
REACH = 3.0
"""Starts are drawn up to here on both sides of zero; the first is zero itself."""

Weights = tuple[float, float, float]
Triple = Float64[np.ndarray, " 3"]


def velocity(p: Weights, s: float, a: Triple) -> Triple:
    """da / ds, s = ln(1 + t)."""
    one, two, three = p * np.exp(s - np.array([a[0], a[1], a[2] - a[1]]))
    return np.array([one, two - three, three])


def jacobian(p: Weights, s: float, a: Triple) -> Float64[np.ndarray, "3 3"]:
    """Of the velocity in a."""
    one, two, three = p * np.exp(s - np.array([a[0], a[1], a[2] - a[1]]))
    return np.array([[-one, 0, 0], [0, -two - three, three], [0, three, -three]])


def difference(p: Weights, start: Triple, rtol: float) -> Float64[np.ndarray, " 2"]:
    """a3 - a2 - a1 at half of LOG_T and at LOG_T."""
    flow = solve_ivp(
        partial(velocity, p), (0.0, LOG_T), start, "Radau", (LOG_T / 2, LOG_T),
        rtol=rtol, atol=rtol, jac=partial(jacobian, p),
    )  # fmt: skip
    return flow.y[2] - flow.y[1] - flow.y[0]


def limit(p: Weights) -> Measurement:
    """The difference from several starts, the farthest of them, and their range."""
    draws = np.random.default_rng(0).uniform(-REACH, REACH, (STARTS - 1, 3))
    starts = [np.zeros(3), *draws]
    fine, coarse = (np.stack([difference(p, a, rtol) for a in starts]) for rtol in (1e-10, 1e-8))
    half, end = fine.T
    remainder = 3.0 * np.abs(half - end) * np.exp(-LOG_T / 2)
    error = float((np.abs(fine - coarse).max(axis=1) + remainder).max())
    predicted = float(np.log(p[2] / (2.0 * p[0])))
    right = farthest("a3 - a2 - a1", predicted, end, error, tolerances.FLOW)
    spread = farthest("over starts", 0.0, np.ptp(end, keepdims=True), 2 * error, tolerances.FLOW)
    control = q.refuted("ln(p3 / p1)", right, predicted + float(np.log(2.0)))
    return Measurement(
        f"three losses weighted {p[0]:.3g}, {p[1]:.3g}, {p[2]:.3g}", "none",
        f"flow from {STARTS} starts, Radau", (LOG_T / 2, LOG_T), 1.0, (right, spread), control,
        clock="t",
    )  # fmt: skip


CLAIMS = (
    Claim(
        "ew2020-lemma18",
        "E, Wojtowytsch, arXiv:2012.05420 (2020), lemma 18; rate derived",
        "Gradient flow can end with outputs that differ within a class, by a constant that depends "
        "on the weights of the data and not on the start: ln(p3 / (2 p1)).",
        (
            Case(partial(limit, (1 / 3, 1 / 3, 1 / 3))),
            Case(partial(limit, (0.5, 0.3, 0.2))),
            Case(partial(limit, (0.25, 0.25, 0.5))),
        ),
    ),
)
