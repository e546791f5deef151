"""Programs solved by descent, for claims about optima: no time passes in them.

What a program finds is certified by a lower bound that comes from the same gradient, and how far it
is from the optimum by how much that lower bound leaves: the closed form does not enter. It does for
two shapes that descent on ln L ends in, W W^T of ji2022 and h(2) / h(1) of ew2020_relu: their bars
come from how much of the largest margin, which is the predicted one, is missing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float64
from scipy.special import logsumexp, softmax

from svmconv.theory.claim import Control, Measurement, Quantity
from svmconv.theory.comparison import EPS

Vector = Float64[np.ndarray, " p"]
NAN = float("nan")


def cross_entropy(
    z: Float64[np.ndarray, "n k"], own: Bool[np.ndarray, "n k"]
) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, "n k"]]:
    """Loss of every row of logits, and its gradient softmax(z) - own."""
    return logsumexp(z, axis=1) - z[own], softmax(z, axis=1) - own


def accelerated(
    gradient: Callable[[Vector], Vector],
    start: Vector,
    step: float,
    steps: int,
    project: Callable[[Vector], Vector] = lambda x: x,
) -> Vector:
    """Nesterov's projected descent, begun anew where the gradient opposes the motion.

    Ends early where a step is no longer than rounding (O'Donoghue & Candes 2015).
    """
    x = y = project(start)
    momentum = 1.0
    for _ in range(steps):
        new = project(y - step * gradient(y))
        moved, along = y - new, new - x
        if np.abs(moved).max() <= EPS * max(1.0, np.abs(new).max()):
            return new
        following = (1.0 + np.sqrt(1.0 + 4.0 * momentum**2)) / 2.0
        if moved @ along > 0.0:
            y, momentum = new, 1.0
        else:
            y, momentum = new + (momentum - 1.0) / following * along, following
        x = new
    return x


def slope(x: Vector, y: Vector) -> tuple[float, float]:
    """(y per x over the last half of x, error bar), x rising.

    The bar is three times the range of y - slope x over the quarter before, by the x of that half:
    how far y is from straight, whatever its slope is (docs/theory.md, section 9).
    """
    quarter, half = np.searchsorted(x, x[-1] * np.array([0.25, 0.5]))
    passed = float(x[-1] - x[half])
    found = float(y[-1] - y[half]) / passed
    early = (y - found * x)[quarter:half]
    return found, 3.0 * float(np.ptp(early)) / passed


def farthest(
    name: str, predicted: float, measured: Float64[np.ndarray, "*n"], error: float, tolerance: float
) -> Quantity:
    """Of several measurements of one number, the one that is farthest from its prediction."""
    flat = measured.ravel()
    worst = float(flat[np.abs(flat - predicted).argmax()])
    return Quantity(name, predicted, worst, error, tolerance)


def measured_case(
    problem: str, method: str, quantities: tuple[Quantity, ...], control: Control
) -> Measurement:
    """The measurement of one program: log_t and kappa are nan and the clock is "", no time."""
    return Measurement(problem, "none", method, (NAN, NAN), NAN, quantities, control, clock="")
