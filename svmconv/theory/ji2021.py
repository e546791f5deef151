"""Ji, Telgarsky, ALT 2021, and Ji, Srebro, Telgarsky, ICML 2021: faster than 1 / ln t.

Descent on ln L, whose gap falls like 1 / t, and momentum on its dual variables, 1 / t^2.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from svmconv.optimizers import DualAcceleration, NormalizedGD
from svmconv.theory import problems, rates, tolerances
from svmconv.theory import quantities as q
from svmconv.theory.claim import Case, Claim, Measurement, Quantity
from svmconv.theory.comparison import EPS, Comparison, compare
from svmconv.theory.setting import Descent, Setting

# Rates below 1 / max |z|^2, for which the published bound is stated.
NORMALIZED = tuple(
    Setting(problem, Descent(NormalizedGD(rate), 10**5), clock="loss")
    for problem, rate in (
        (problems.theory_example, 0.2), (problems.for_steps, 0.0065), (problems.dependent, 0.035)
    )
)  # fmt: skip
ACCELERATED = tuple(
    Setting(problem, Descent(DualAcceleration(rate), steps), clock="loss")
    for problem, rate, steps in (
        (problems.theory_example, 0.2, 10**4),
        (problems.for_steps, 0.0065, 3 * 10**4),
        (problems.dependent, 0.035, 10**4),
    )
)
INSIDE, BEYOND = 0.98, 1.02
"""Factors of the step limit on both sides of it."""


def normalized(setting: Setting) -> Measurement:
    """The gap falls like 1 / steps, w.u grows by gamma a unit of step length."""
    c = compare(setting)
    found = (
        rates.exponent(c, 1.0),
        rates.growth(c),
        q.scaled_gap(c),
        q.offset(c),
        rates.published_bound(c),
    )
    return q.measured_case(c, found, rates.other_exponent("exponent", c, 0.5))


def accelerated(setting: Setting) -> Measurement:
    """The gap falls like 1 / steps^2, w.u grows by gamma rate steps / 2 a step."""
    c = compare(setting)
    found = (rates.exponent(c, 2.0), rates.growth(c), q.scaled_gap(c), oracle(c))
    control = rates.other_exponent("without momentum (b = 0): exponent", c, 1.0)
    return q.measured_case(c, found, control)


def oracle(c: Comparison) -> Quantity:
    """1 - cos of the angle to the exact SVM, which this method finds without solving for it."""
    predicted = float(c.forecast_gaps.direction_gap[-1])
    angle = np.sqrt(2.0 * predicted)
    doubt = q.turn(c) + c.floor / c.norm + 4 * EPS
    return Quantity(
        "1 - cos",
        predicted,
        float(c.gaps.direction_gap[-1]),
        float(doubt * (angle + doubt / 2)),
        tolerances.ORACLE,
    )


def step_limit(method: type[NormalizedGD] | type[DualAcceleration], limit: float) -> Measurement:
    """Steps a little below limit / lambda_max(gamma^2 M, u-perp) settle, those above never do."""
    settling = compare(NORMALIZED[0])
    largest = limit / rates.stability(settling)
    inside = Descent(method(INSIDE * largest), 10**4)
    c = compare(Setting(problems.theory_example, inside, clock="loss"))
    control = rates.unstable(f"the same at {BEYOND:g} times the step limit", c, BEYOND * largest)
    return q.measured_case(c, (q.scaled_gap(c), q.scaled_loss(c)), control)


CLAIMS = (
    Claim(
        "ji2021-normalized",
        "Ji, Telgarsky, ALT 2021, theorems 7 to 9; constants derived (docs/theory.md)",
        "Descent on ln L: the margin gap is (H - H_inf) / (gamma |w|) and |w| = gamma rate t, so "
        "that it falls like 1 / t; steps are stable up to 2 / lambda_max(gamma^2 M).",
        (
            *(Case(partial(normalized, setting)) for setting in NORMALIZED),
            Case(partial(step_limit, NormalizedGD, 2.0)),
        ),
    ),
    Claim(
        "ji2021-dual-acceleration",
        "Ji, Srebro, Telgarsky, ICML 2021, abstract; constants derived (docs/theory.md)",
        "Momentum on the dual variables: the margin gap falls like 1 / t^2; steps are stable up to "
        "(4/3) / lambda_max(gamma^2 M).",
        (
            *(Case(partial(accelerated, setting)) for setting in ACCELERATED),
            Case(partial(step_limit, DualAcceleration, 4 / 3)),
        ),
    ),
)
