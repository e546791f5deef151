"""Soudry, Hoffer, Nacson, Gunasekar, Srebro, JMLR 19 (2018), theorems 3, 4 and 5.

The implicit bias of gradient descent on separable data.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from svmconv.optimizers import GD
from svmconv.theory import problems
from svmconv.theory import quantities as q
from svmconv.theory.claim import Case, Claim, Control, Measurement
from svmconv.theory.comparison import Comparison, compare
from svmconv.theory.setting import Descent, Flow, Setting

SOURCE = "Soudry, Hoffer, Nacson, Gunasekar, Srebro, JMLR 19 (2018), theorem {}"

FIVE = Setting(problems.five_rows)
PARTIAL = Setting(problems.partial_span)
FULL = Setting(problems.full_span)
DUPLICATED = Setting(problems.duplicated)
DEPENDENT = Setting(problems.dependent)
STEPS = Setting(problems.for_steps, Descent(GD(0.5), 10**6))
HARD = Setting(problems.gaussian, Flow(690.0))
HARD_RESOLVED = Setting(problems.gaussian)


def direction(setting: Setting) -> Measurement:
    """w / |w| -> w_hat / |w_hat|, with the angle of F1 and a vanishing residual."""
    c = compare(setting)
    found = (q.direction(c), q.residual(c))
    return q.measured_case(c, found, _without_n(c) if c.settled else q.class_means(c))


def margin(setting: Setting) -> Measurement:
    """The margin gap closes like (H - H_inf) / |w|."""
    c = compare(setting)
    right = q.scaled_gap(c)
    if not c.settled:
        return q.measured_case(c, (q.margin_gap(c), right), q.class_means(c))
    wrong = c.constants.entropy + q.second_order(c)
    control = q.refuted("H in place of H - H_inf", right, wrong)
    return q.measured_case(c, (q.margin_gap(c), right), control)


def loss(setting: Setting) -> Measurement:
    """L tau -> 1 / gamma^2 for the mean loss, whatever N."""
    c = compare(setting)
    right = q.loss_constant(c)
    control = q.class_means(c)
    if c.settled:
        control = q.refuted("1 / (N gamma^2)", right, right.predicted / c.problem.n)
    found = q.measured_case(c, (right,), control)
    assert found.curves is not None
    return replace(found, curves=found.curves.assign(loss_constant=q.loss_error(c)))


def duals(setting: Setting) -> Measurement:
    """tau exp(-z_n.w) / N -> alpha_n, the maximum-entropy dual, on every support vector."""
    c = compare(setting)
    right = q.dual_error(c)
    if not c.settled:
        return q.measured_case(c, (right,), q.class_means(c))
    support = c.constants.alpha > 0
    solver = c.svm.alpha * (1.0 / c.constants.gamma**2 / c.svm.alpha.sum())
    if np.allclose(solver[support], c.constants.alpha[support], rtol=0.01):
        uniform = np.where(support, c.constants.alpha.sum() / support.sum(), 0.0)
        control = Control("uniform alpha", (q.dual_error(c, uniform),))
    else:
        control = Control("the solver's alpha", (q.dual_error(c, solver),))
    return q.measured_case(c, (right,), control)


def _without_n(c: Comparison) -> Control:
    """w_tilde for the sum of losses: every w_F moves by ln N / gamma along u."""
    wrong = q.residual(c, shift=float(np.log(c.problem.n)))
    return Control("w_tilde without N", (wrong,))


def _cases(measure, *settings: Setting) -> tuple[Case, ...]:
    """Each setting once; the hard one must come out undecided."""
    return tuple(
        Case(lambda s=s: measure(s), "undecided" if s == HARD else "holds") for s in settings
    )


CLAIMS = (
    Claim(
        "soudry2018-direction",
        SOURCE.format("3"),
        "w = w_hat ln tau + w_tilde + o(1): the direction tends to the hard-margin SVM, "
        "with angle |v_bar + w_out| / |w|.",
        _cases(direction, FIVE, PARTIAL, FULL, DUPLICATED, HARD, HARD_RESOLVED, STEPS),
    ),
    Claim(
        "soudry2018-margin",
        SOURCE.format("5"),
        "The margin tends to the best one like 1 / ln t: |w| (gamma - margin) -> H - H_inf.",
        _cases(margin, FIVE, PARTIAL, FULL, DUPLICATED, HARD, STEPS),
    ),
    Claim(
        "soudry2018-loss",
        SOURCE.format("5"),
        "The mean loss falls like 1 / (gamma^2 tau).",
        _cases(loss, FIVE, PARTIAL, FULL, DEPENDENT, HARD, HARD_RESOLVED, STEPS),
    ),
    Claim(
        "soudry2018-duals",
        "derived from " + SOURCE.format("4"),
        "tau exp(-z_n.w) / N tends to the SVM's dual variables, of maximum entropy where they "
        "are not unique.",
        _cases(duals, FIVE, PARTIAL, DUPLICATED, DEPENDENT, HARD, STEPS),
    ),
)
