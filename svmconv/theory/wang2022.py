"""Wang et al., NeurIPS 2022: momentum does not change where descent goes.

Heavy ball goes where gradient descent of rate eta / (1 - momentum) goes, constants included; only
its (ln t) / t correction is another (F4, derived in docs/theory.md).
"""

from __future__ import annotations

from functools import partial

import numpy as np

from svmconv.optimizers import GD, HeavyBall
from svmconv.theory import problems, tolerances
from svmconv.theory import quantities as q
from svmconv.theory.claim import Case, Claim, Measurement, Quantity
from svmconv.theory.comparison import Comparison, compare
from svmconv.theory.setting import Descent, Setting

HEAVY = Setting(problems.for_steps, Descent(HeavyBall(0.05), 10**6))
LIGHT = Setting(problems.for_steps, Descent(HeavyBall(0.25, 0.5), 10**6))
PLAIN = Setting(problems.for_steps, Descent(GD(0.5), 10**6))
FIRST = 10**5
"""Steps from which the (ln t) / t correction is read: before, its square is not yet small."""


def momentum(setting: Setting) -> Measurement:
    """The direction, L tau and the (ln t) / t correction, with tau = eta t / (1 - momentum)."""
    c = compare(setting)
    right, method = q.loss_constant(c), setting.method
    assert isinstance(method, Descent)
    assert isinstance(method.optimizer, HeavyBall)
    share = 1.0 - method.optimizer.momentum
    control = q.refuted("rate eta (EMA form)", right, right.predicted / share)
    return q.measured_case(c, (q.direction(c), q.scaled_gap(c), right, correction(c)), control)


def correction(c: Comparison) -> Quantity:
    """Slope in ln t of t (1 / (gamma^2 L tau) - 1), from FIRST steps on, against F4's bracket B.

    y = 1 / (gamma^2 rate L) obeys dy/dt = 1 + B / y up to faster terms, so that y = t + x with
    x = B ln t + C + O(B x / t) (derived). The error bar is that order with its constants set to
    one, an estimate and not a bound.
    """
    late = np.flatnonzero(c.run.step.values >= FIRST)[[0, -1]]
    t = c.run.step.values[late].astype(float)
    log_ratio = c.run.log_loss.values[late] + c.clock[late] + 2.0 * np.log(c.constants.gamma)
    shift = t * np.expm1(-log_ratio)
    measured = float((shift[1] - shift[0]) / np.log(t[1] / t[0]))
    predicted = bracket(c)
    error = 2.0 * (1.0 + abs(predicted)) * (1.0 + abs(shift[1])) / t[0]
    return Quantity(
        "slope of t (1 / (gamma^2 L tau) - 1)", predicted, measured, float(error),
        tolerances.CORRECTION * abs(predicted),
    )  # fmt: skip


def bracket(c: Comparison) -> float:
    """(1 + beta) / (2 (1 - beta)) - (N gamma^2 / rate) sum alpha^2: of steps, of logistic tails."""
    k, method = c.constants, c.setting.method
    assert isinstance(method, Descent)
    beta = method.optimizer.momentum if isinstance(method.optimizer, HeavyBall) else 0.0
    squares = float(np.square(k.alpha.reshape(k.n, -1).sum(axis=1)).sum())
    return (1 + beta) / (2 * (1 - beta)) - k.n * k.gamma**2 / k.rate * squares


CLAIMS = (
    Claim(
        "wang2022-momentum",
        "Wang et al., NeurIPS 2022, abstract; constants derived (docs/theory.md, F4)",
        "Heavy ball tends to the same SVM with the constants of descent at rate eta / (1 - beta); "
        "its (ln t) / t correction is F4's.",
        (Case(partial(momentum, HEAVY)), Case(partial(momentum, LIGHT))),
    ),
)
