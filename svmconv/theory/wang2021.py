"""Wang, Meng, Chen, Liu, ICML 2021: Adam with eps > 0 ends in the l2 margin.

While the gradient is large beside eps Adam does not feel its size, and heads for the l_inf SVM;
once it is small Adam is momentum of rate `rate / eps` (in EMA form). Hence, derived: 1 / L grows by
gamma^2 a unit of tau = rate t / eps; on S the weights settle at v_bar; and the way that is left
goes along u, whatever part outside span(S) the first phase has left behind. The root of the second
moment beside eps is of order 1 / t: it costs a time of order ln t, which growth hardly feels.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from svmconv.geometry import angle
from svmconv.optimizers import Adam
from svmconv.svm.solve import max_margin
from svmconv.theory import problems, tolerances
from svmconv.theory import quantities as q
from svmconv.theory.claim import Case, Claim, Control, Measurement, Quantity
from svmconv.theory.comparison import Comparison, compare
from svmconv.theory.setting import Descent, Setting

HAND_OVER = Descent(Adam(0.01, b2=0.99, eps=1e-6), 10**6)
"""eps is reached after some thousand steps, where 1e6 leave ln L = -23 to see what follows."""
SETTINGS = tuple(
    Setting(problem, HAND_OVER, clock="loss")
    for problem in (problems.two_of_three, problems.five_rows)
)


FADED = 0.75
"""Of an angle, from [t / 16, t / 4] to [t / 4, t]: where it fades like t^-kappa, 4^-kappa."""


def hand_over(setting: Setting) -> Measurement:
    """The speed of 1 / L, the way of the last steps, the offset on S: all those of l2."""
    c = compare(setting)
    right = way(c)
    return q.measured_case(c, (inverse_loss(c), right, q.offset(c)), _l_inf(c, right))


def inverse_loss(c: Comparison) -> Quantity:
    """Growth of 1 / L per unit of tau = rate t / eps from t / 4 on, against gamma^2.

    Corrections fall like 1 / t: they were four times as large before.
    """
    method = c.setting.method
    assert isinstance(method, Descent)
    assert isinstance(method.optimizer, Adam)
    tau = c.run.step.values * (method.optimizer.rate / method.optimizer.eps)
    inverse = np.exp(-c.run.log_loss.values)
    earlier, measured = (
        float((inverse[b] - inverse[a]) / (tau[b] - tau[a])) for a, b in _windows(c)
    )
    predicted = c.constants.gamma**2
    return Quantity(
        "d(1/L) / d tau", predicted, measured, abs(earlier - measured),
        tolerances.STEPS * predicted,
    )  # fmt: skip


def way(c: Comparison) -> Quantity:
    """Angle between u and the way from t / 4 on, radians, against 0.

    At most FADED of what it was before: an angle that stays, however small, is another direction.
    """
    flat = c.weights.reshape(len(c.weights), -1)
    earlier, measured = (
        float(angle(flat[b] - flat[a], c.constants.u.ravel())) for a, b in _windows(c)
    )
    return Quantity("angle of the way", 0.0, measured, FADED * earlier, tolerances.LIMIT)


def _windows(c: Comparison) -> tuple[tuple[int, int], tuple[int, int]]:
    """Records at t / 16 and t / 4; at t / 4 and t."""
    steps = c.run.step.values
    first, middle = np.searchsorted(steps, steps[-1] / np.array([16.0, 4.0]))
    return (int(first), int(middle)), (int(middle), len(steps) - 1)


def _l_inf(c: Comparison, right: Quantity) -> Control:
    """Wrong hypothesis: it goes on to the l_inf SVM."""
    other = max_margin(c.problem, geometry="linf")
    away = float(angle(other.w.ravel(), c.constants.u.ravel()))
    return q.refuted("the l_inf SVM", right, away)


CLAIMS = (
    Claim(
        "wang2021-adam-eps",
        "Wang, Meng, Chen, Liu, ICML 2021, abstract; constants derived (docs/theory.md)",
        "Adam with eps > 0 leaves the l_inf SVM for that of l2 once the gradient is below eps: "
        "momentum at rate / eps, with its constants.",
        tuple(Case(partial(hand_over, setting)) for setting in SETTINGS),
    ),
)
