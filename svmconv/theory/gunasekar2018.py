"""Gunasekar, Lee, Soudry, Srebro, ICML 2018: steepest descent in a norm maximises its margin."""

from __future__ import annotations

from functools import partial

import numpy as np

from svmconv.optimizers import CoordinateDescent, SignDescent
from svmconv.problem import Geometry
from svmconv.theory import other_norms, problems, tolerances
from svmconv.theory.claim import Case, Claim, Measurement, Quantity
from svmconv.theory.other_norms import Run, Setting

SOURCE = "Gunasekar, Lee, Soudry, Srebro, ICML 2018, theorem 5; speed derived (docs/theory.md)"
# Fewer support vectors than dimensions: else all norms have the same SVM.
PROBLEMS = (problems.two_of_three, problems.five_rows, problems.partial_span)


def descent(setting: Setting) -> Measurement:
    """The margin and, where the optimum is unique, the direction of this norm's SVM."""
    r = other_norms.run(setting)
    right = other_norms.growth_of_margin(r)
    found = (right, other_norms.margin(r), speed(r))
    if r.svm.unique:
        found = (*found, other_norms.direction(r))
    return other_norms.measured_case(r, found, other_norms.beside_l2(r, right))


def speed(r: Run) -> Quantity:
    """Fall of ln L per unit of step length over the last half, against gamma.

    Every step s lowers ln L by at least s gamma - s^2 R^2 / 2, since no weighting of the rows has a
    mean of dual norm below gamma, and altogether by no more than gamma |w| + ln N: so
    gamma T + ln L is bounded where sum s^2 is. Constant steps would leave s R^2 / 2; that these
    norms' balls have corners bounds it for s below a threshold, not above (docs/theory.md, 9).
    """
    gamma = r.svm.margin
    measured, error = r.slope(np.expm1(r.run.log1p_t.values), -r.run.log_loss.values)
    error += gamma * r.svm.certificate.relative_gap
    return Quantity("-d ln L / dT", gamma, measured, error, tolerances.OTHER_NORMS * gamma)


def _settings(
    method: type[SignDescent] | type[CoordinateDescent], geometry: Geometry
) -> tuple[Setting, ...]:
    constant = tuple(Setting(problem, method(0.01), 50_000, geometry) for problem in PROBLEMS)
    slowing = Setting(problems.five_rows, method(0.1, power=0.5), 10**5, geometry)
    return *constant, slowing


CLAIMS = (
    Claim(
        "gunasekar2018-sign",
        SOURCE,
        "Sign descent, steepest in l_inf, in small or shrinking steps tends to the largest l_inf "
        "margin, and to its direction where only one attains it.",
        tuple(Case(partial(descent, s)) for s in _settings(SignDescent, "linf")),
    ),
    Claim(
        "gunasekar2018-coordinate",
        SOURCE,
        "Coordinate descent, steepest in l_1 (boosting), in small or shrinking steps tends to the "
        "largest l_1 margin, and to its direction where only one attains it.",
        tuple(Case(partial(descent, s)) for s in _settings(CoordinateDescent, "l1")),
    ),
)
