"""Zhang, Zou, Cao, NeurIPS 2024: Adam without eps tends to the largest l_inf margin.

Theirs are steps that shrink; constant ones are ours too. Along it the gradient decays like
exp(-r t), and all of Adam's averages with it (derived): the first moment is
(1 - b1) / (1 - b1 e^r) gradients, the second (1 - b2) / (1 - b2 e^2r) squares, so that every step
has the length r / gamma_inf with

    r = gamma_inf rate (1 - b1) / (1 - b1 e^r) sqrt((1 - b2 e^2r) / (1 - b2)),  b2 e^2r < 1.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np
from scipy.optimize import brentq

from svmconv.optimizers import Adam
from svmconv.theory import other_norms, problems, tolerances
from svmconv.theory.claim import Case, Claim, Measurement, Quantity
from svmconv.theory.comparison import EPS
from svmconv.theory.other_norms import Run, Setting

CONSTANT = tuple(
    Setting(problem, Adam(rate, b2=0.99), 10**5, "linf")
    for problem in (problems.two_of_three, problems.five_rows)
    for rate in (1e-3, 1e-2)
)
SCHEDULES = tuple(
    Setting(problems.five_rows, Adam(rate, power, b2=0.9), steps, "linf")
    for rate, power, steps in (
        (0.01, 0.3, 10**5),
        (0.05, 0.5, 10**5),
        (0.3, 0.7, 10**5),
        (3.0, 1.0, 10**6),
    )
)


def constant_rate(setting: Setting) -> Measurement:
    """The exponent r, and the margin."""
    r = other_norms.run(setting)
    right = exponent(r)
    found = (right, other_norms.growth_of_margin(r), other_norms.margin(r))
    return other_norms.measured_case(r, found, other_norms.beside_l2(r, found[1]))


def exponent(r: Run) -> Quantity:
    """Fall of ln L per step over the last half of |w|, against r.

    The bar is how straight the run is: that the average before is nearly the same may be luck, for
    entries that the margin does not feel go on alternating.
    """
    method = r.setting.optimizer
    assert isinstance(method, Adam)
    measured, error = r.slope(r.run.step.values.astype(float), -r.run.log_loss.values)
    predicted = decay(r.svm.margin, method, method.rate)
    return Quantity("r", predicted, measured, error, tolerances.ADAM * predicted)


def decay(gamma: float, method: Adam, length: float) -> float:
    """r for steps of this length: the root in (0, -ln(b2) / 2), the only one where b1 <= b2."""

    def short_of(r: float) -> float:
        first = (1.0 - method.b1) / (1.0 - method.b1 * math.exp(r))
        second = math.sqrt(max(0.0, -math.expm1(2 * r + math.log(method.b2))) / (1.0 - method.b2))
        return gamma * length * first * second - r

    largest = -math.log(method.b2) / 2.0
    return float(brentq(short_of, 0.0, largest, xtol=1e-300, rtol=4 * EPS))


def schedule(setting: Setting) -> Measurement:
    """Steps that shrink: the published direction of the bound, and the speed, adiabatically."""
    r = other_norms.run(setting)
    right = other_norms.growth_of_margin(r)
    found = (right, other_norms.margin(r), adiabatic(r))
    return other_norms.measured_case(r, found, other_norms.beside_l2(r, right))


def adiabatic(r: Run) -> Quantity:
    """Fall of ln L over the last half of |w|, against the sum of r over the steps it took.

    Steps that shrink like t^-a change r by a / t of itself a step, and the second moment remembers
    1 / (1 - b2) steps: that share is missed.
    """
    method, half = r.setting.optimizer, r.half
    assert isinstance(method, Adam)
    steps, log_loss = r.run.step.values[[half, -1]].astype(float), r.run.log_loss.values
    nodes, weights = np.polynomial.legendre.leggauss(64)
    width = np.log(steps[1] / steps[0]) / 2.0
    t = np.exp(np.log(steps[0]) + width * (1.0 + nodes))
    speeds = [decay(r.svm.margin, method, method.rate * at**-method.power) for at in t]
    predicted = float(width * (weights * t) @ speeds)
    missed = method.power / (steps[0] * (1.0 - method.b2))
    measured = float(log_loss[half] - log_loss[-1])
    wobble = r.slope(r.norms, r.run.margin.values)[1] * float(r.norms[-1] - r.norms[half])
    error = (missed + EPS) * predicted + wobble
    return Quantity("fall of ln L", predicted, measured, error, tolerances.SCHEDULE * predicted)


CLAIMS = (
    Claim(
        "zhang2024-adam",
        "Zhang, Zou, Cao, NeurIPS 2024, abstract; exponent derived (docs/theory.md)",
        "Adam with eps = 0 tends to the largest l_inf margin; the loss decays like exp(-r t) at a "
        "constant rate, and with the sum of r(rate t^-a) where it shrinks.",
        (
            *(Case(partial(constant_rate, setting)) for setting in CONSTANT),
            *(Case(partial(schedule, setting)) for setting in SCHEDULES),
        ),
    ),
)
