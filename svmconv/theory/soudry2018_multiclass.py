"""Soudry et al., JMLR 19 (2018), theorem 7: the softmax loss tends to the K-class SVM.

Rows become pairs (n, k), k != y_n; N stays the number of rows. What W does on average over classes
moves no margin and stays what it was at the start: it only makes |W| longer, which the SVM centred
over classes has to be told apart from.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from jaxtyping import Float64

from svmconv.errors import NotSeparableError
from svmconv.geometry import centre, norm
from svmconv.optimizers import NormalizedGD
from svmconv.problem import Problem
from svmconv.svm.solve import max_margin
from svmconv.theory import problems
from svmconv.theory import quantities as q
from svmconv.theory.claim import Case, Claim, Control, Measurement, Quantity
from svmconv.theory.comparison import EPS, Comparison, compare
from svmconv.theory.setting import Descent, Flow, Setting
from svmconv.theory.soudry2018 import SOURCE


def uncentred() -> Float64[np.ndarray, "3 5"]:
    """Random weights for three classes, every entry moved by 3: |W_bar| = 11."""
    return 3.0 + np.random.default_rng(0).standard_normal((3, 5))


THREE = Setting(partial(problems.gaussian_classes, 30, 5, 3, 1), Flow(1e4), init=uncentred)
TEN = Setting(
    partial(problems.gaussian_classes, 60, 12, 10, 2),
    Descent(NormalizedGD(0.1), 30_000),
    clock="loss",
)
DEPENDENT = Setting(problems.dependent_pairs, Descent(NormalizedGD(0.1), 5_000), clock="loss")


def limit(setting: Setting) -> Measurement:
    """Direction, margin gap and duals against the Crammer-Singer SVM, not one against the rest."""
    c = compare(setting)
    found = (q.direction(c), q.scaled_gap(c), q.offset(c), q.dual_error(c))
    return q.measured_case(c, found, one_against_the_rest(c))


def logarithm(setting: Setting) -> Measurement:
    """W = W_hat ln tau + W_tilde, with the N of rows, not of pairs."""
    c = compare(setting)
    right = q.loss_constant(c)
    wrong = right.predicted / (c.problem.n_classes - 1)
    control = q.refuted("a mean over pairs, 1 / (N (K - 1))", right, wrong)
    return q.measured_case(c, (right, q.dual_error(c), q.margin_gap(c)), control)


def longer(setting: Setting) -> Measurement:
    """The mean W_bar over classes adds gamma |W_bar|^2 / (|W| + |W - W_bar|) to the gap of |W|."""
    c = compare(setting)
    right = uncentred_gap(c)
    centred = q.scaled_gap(c)
    control = q.refuted("W_bar adds nothing", right, centred.predicted)
    return q.measured_case(c, (right, centred), control)


def duals(setting: Setting) -> Measurement:
    """Supporting pairs are more than dimensions: training finds the maximum-entropy dual."""
    c = compare(setting)
    solver = c.svm.alpha / (c.constants.gamma**2 * c.svm.alpha.sum())
    control = Control("the solver's alpha", (q.dual_error(c, solver),))
    return q.measured_case(c, (q.dual_error(c), q.scaled_gap(c), q.scaled_loss(c)), control)


def uncentred_gap(c: Comparison) -> Quantity:
    """|W| (gamma - margin / |W|) for W as it is, W_bar predicted to be that of the start."""
    centred = q.scaled_gap(c)
    start = np.zeros_like(c.constants.u) if c.setting.init is None else c.setting.init()
    mean = float(norm(start - centre(start)))
    whole = float(np.hypot(mean, c.norm))
    predicted = centred.predicted + c.constants.gamma * mean**2 / (whole + c.norm)
    measured = float(c.run.norm[-1]) * c.constants.gamma - float(c.run.margin[-1])
    # the steps keep W_bar to rounding; what they do not keep is in the integrator's error
    error = centred.error + c.constants.gamma * (c.rounding * mean / whole + 16 * EPS * whole)
    return Quantity("|W| gap, uncentred", predicted, measured, error, centred.tolerance)


def one_against_the_rest(c: Comparison) -> Control:
    """Wrong hypothesis: every class tends to its own SVM against all others; else `class_means`."""
    x, index = c.problem.rows(c.setting.bias, c.setting.bias_scale), c.problem.index
    try:
        rest = [max_margin(Problem(x, index == k)).w for k in range(c.problem.n_classes)]
    except NotSeparableError:
        return q.class_means(c)
    return q.wrong_direction("one SVM for each class against the rest", c, centre(np.array(rest)))


CLAIMS = (
    Claim(
        "soudry2018-multiclass",
        SOURCE.format("7") + "; constants derived (docs/theory.md)",
        "With K classes W = W_hat ln tau + W_tilde + o(1): W tends to the Crammer-Singer SVM, with "
        "every constant of two classes over pairs, and keeps its mean over classes.",
        (
            Case(partial(limit, THREE)),
            Case(partial(logarithm, THREE)),
            Case(partial(longer, THREE)),
            Case(partial(limit, TEN)),
            Case(partial(duals, DEPENDENT)),
        ),
    ),
)
