"""Ascent on LS_q from a given direction, every slope a sum over sorted projections.

P_q = sum over u > v of (u - v)^q has the slope q sum over v < u of (u - v)^(q - 1) in each u, and
minus the like in each v. LS_1 and LS_2 are climbed as they are. LS_0 is piecewise constant, so it
is climbed with a smooth step of half-width h in place of the jump,

    step(t) = ((t + h)_+^2 - 2 t_+^2 + (t - h)_+^2) / (2 h^2),   0 below -h, 1 above h,

again a difference of P_2 of shifted numbers (derived), with ever smaller h.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float64
from scipy.optimize import minimize

from svmconv.geometry import unit
from svmconv.measures.candidates import Metric
from svmconv.measures.ranks import below

STEPS = 50
"""Most quasi-Newton steps, at every width."""
WIDTHS = (0.3, 0.1, 0.03)
"""Half-widths of the step, in standard deviations of the projection within classes. In the plane
the last one ends within 1e-4 of the best of all angles; without the first, ascent gets stuck."""

Slopes = tuple[float, np.ndarray, np.ndarray]
"""A loss, and its slopes in every u and every v."""


def ascent(
    start: Float64[np.ndarray, " d"],
    metric: Metric,
    a: Float64[np.ndarray, "n d"],
    b: Float64[np.ndarray, "m d"],
    order: int,
) -> Float64[np.ndarray, " d"]:
    """A direction with LS_q above that of `start`, as a rule; L-BFGS in the metric of S."""
    losses: list[Callable[[np.ndarray, np.ndarray], Slopes]] = (
        [lambda u, v, h=h: smoothed(u, v, h) for h in WIDTHS]
        if order == 0
        else [lambda u, v: missed(u, v, order)]
    )
    z = unit(metric.whitened(start))
    for loss in losses:

        def of_unit(z: np.ndarray, loss: Callable[..., Slopes] = loss) -> tuple[float, np.ndarray]:
            size = float(np.linalg.norm(z))
            w = metric.direction(z / size)
            value, of_u, of_v = loss(a @ w, b @ w)
            slope = metric.slope(a.T @ of_u + b.T @ of_v)
            return value, (slope - z * (z @ slope) / size**2) / size

        found = minimize(of_unit, z, jac=True, method="L-BFGS-B", options={"maxiter": STEPS})
        z = unit(found.x)
    return metric.direction(z)


def missed(u: Float64[np.ndarray, " n"], v: Float64[np.ndarray, " m"], order: int) -> Slopes:
    """1 - LS_q = N / (P + N), q = 1 or 2; 1 where every difference is zero."""
    us, vs = np.sort(u), np.sort(v)
    up, down = float(below(u, vs, order).sum()), float(below(v, us, order).sum())
    total = up + down
    if not total > 0:
        return 1.0, np.zeros_like(u), np.zeros_like(v)
    of_u = -up * below(-u, -vs[::-1], order - 1) - down * below(u, vs, order - 1)
    of_v = up * below(v, us, order - 1) + down * below(-v, -us[::-1], order - 1)
    return down / total, of_u * (order / total**2), of_v * (order / total**2)


def smoothed(u: Float64[np.ndarray, " n"], v: Float64[np.ndarray, " m"], h: float) -> Slopes:
    """1 - the mean over all pairs of step(u - v)."""
    us, vs = np.sort(u), np.sort(v)
    pairs = 2.0 * h**2 * len(u) * len(v)
    value, of_u, of_v = 0.0, np.zeros_like(u), np.zeros_like(v)
    for shift, weight in ((h, 1.0), (0.0, -2.0), (-h, 1.0)):
        value += weight * float(below(u + shift, vs, 2).sum())
        of_u -= 2.0 * weight * below(u + shift, vs, 1)
        of_v += 2.0 * weight * below(shift - v, -us[::-1], 1)
    return 1.0 - value / pairs, of_u / pairs, of_v / pairs
