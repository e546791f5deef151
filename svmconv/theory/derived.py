"""Claims derived in docs/theory.md: one limit for all methods with an l2 bias; the trained bias."""

from __future__ import annotations

from dataclasses import replace

import optax

from svmconv.geometry import norm
from svmconv.optimizers import GD, DualAcceleration, HeavyBall, NormalizedGD
from svmconv.svm.solve import max_margin
from svmconv.theory import problems
from svmconv.theory import quantities as q
from svmconv.theory.claim import Case, Claim, Control, Measurement
from svmconv.theory.comparison import compare
from svmconv.theory.setting import Descent, Setting
from svmconv.theory.tolerances import UNIVERSAL

SIGN_DESCENT = Descent(optax.chain(optax.scale_by_sign(), optax.scale(-0.01)), 10**4)
"""Steepest descent in l_inf: its bias is not l2. Underflow ends it near log L = -708."""
FIVE_METHODS = (
    Descent(GD(0.5), 3 * 10**6),
    Descent(HeavyBall(0.05), 6 * 10**6),
    Descent(NormalizedGD(0.1), 10**5),
    Descent(NormalizedGD(0.3, power=0.5), 10**5),
    Descent(DualAcceleration(0.0065), 10**4),
)
ON_LOG_LOSS = (
    Descent(NormalizedGD(0.1), 3000),
    Descent(NormalizedGD(0.3, power=0.5), 10**5),
    Descent(DualAcceleration(0.3), 320),
)
"""Of K classes: an eigenvalue of M is about 1 / K, and 1e6 steps on L leave t^(-1/3)."""


def universal_margin(setting: Setting) -> Measurement:
    """|w| gap -> H - H_inf and |w| gamma + ln NL -> H, with w_perp -> v_bar.

    The first two alone are nearly an identity in w; the third makes them a claim.
    """
    c = compare(setting)
    wrong = compare(Setting(problems.two_of_three, SIGN_DESCENT, clock="loss"))
    control = Control("sign descent on two support vectors in R^3 too", (q.offset(wrong),))
    constants = (q.at_most(q.scaled_gap(c), UNIVERSAL), q.at_most(q.scaled_loss(c), UNIVERSAL))
    return q.measured_case(c, (*constants, q.offset(c)), control)


def bias_augmented(setting: Setting) -> Measurement:
    """Descent on (w, b), b scaled by c, minimises |w|^2 + b^2 / c, not |w|^2."""
    c = compare(setting)
    limit, best = 1.0 / norm(c.svm.w), 1.0 / norm(max_margin(c.problem, bias="free").w)
    # Where the two SVMs differ by less than the error bar, the run says nothing about either.
    margin = q.at_most(q.classical_margin(c), abs(best - limit) / 2)
    unresolved = c.unresolved
    if abs(best - limit) <= c.tolerance * limit:
        unresolved = "the augmented and the classical SVM have the same margin"
    control = q.class_means(c) if unresolved else q.classical_svm(c, margin, limit, best)
    found = (margin, q.intercept(c), q.direction(c))
    return replace(q.measured_case(c, found, control), unresolved=unresolved)


def wrong_scale(setting: Setting) -> Measurement:
    """The same, against the hypothesis that the bias scale c acts as 1 / c."""
    c = compare(setting)
    margin = q.classical_margin(c)
    inverse = max_margin(c.problem, bias="augmented", bias_scale=1.0 / c.setting.bias_scale)
    right = q.within(margin, abs(margin.predicted - 1.0 / norm(c.svm.w)))
    control = q.refuted("1/c for c", right, 1.0 / norm(inverse.w))
    return q.measured_case(c, (margin, q.intercept(c), q.direction(c)), control)


CLAIMS = (
    Claim(
        "universal-margin",
        "derived (docs/theory.md)",
        "Every l2-biased method has |w| (gamma - margin) -> H - H_inf, |w| gamma + ln NL -> H and "
        "|P_S w_perp| -> |v_bar|.",
        tuple(
            Case(lambda s=s: universal_margin(s))
            for s in (
                *(Setting(problems.for_steps, method, clock="loss") for method in FIVE_METHODS),
                Setting(problems.theory_example, clock="loss"),
                Setting(problems.partial_span, clock="loss"),
                Setting(problems.dependent, Descent(NormalizedGD(0.1), 8000), clock="loss"),
                *(Setting(problems.three_classes, m, clock="loss") for m in ON_LOG_LOSS),
            )
        ),
    ),
    Claim(
        "bias-augmented",
        "Soudry et al., JMLR 19 (2018), for c = 1; derived for c (docs/theory.md)",
        "Descent on (w, b) with bias scale c tends to min |w|^2 + b^2 / c, not to the classical "
        "SVM.",
        (
            Case(lambda: bias_augmented(Setting(problems.shifted, bias="augmented"))),
            Case(lambda: wrong_scale(
                Setting(problems.shifted, bias="augmented", bias_scale=0.01)
            )),
            Case(lambda: bias_augmented(Setting(
                problems.shifted, Descent(NormalizedGD(0.1), 10**5), "augmented", clock="loss"
            ))),
            Case(lambda: bias_augmented(Setting(
                problems.shifted, Descent(GD(0.5), 10**6), "augmented"
            )), "undecided"),
            Case(lambda: bias_augmented(
                Setting(problems.symmetric, bias="augmented")
            ), "undecided"),
        ),
    ),
)  # fmt: skip
