"""Ji, Dudik, Schapire, Telgarsky, COLT 2020: descent follows the regularisation path.

The minimiser of the loss on the sphere of radius B has, to the same order, the direction of descent
at norm B. Sharper (derived): on the sphere the part across u minimises Phi(v) + mu |v|^2 / 2 with
mu = gamma / B, so v = v_bar - (gamma / B) (gamma^2 M)^+ v_bar + O(B^-2) where S spans, while
descent has v = v_bar: B^2 |difference of the directions| -> gamma |(gamma^2 M)^+ v_bar|.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from jaxtyping import Float64
from scipy.special import softmax

from svmconv.errors import SvmconvError
from svmconv.geometry import unit
from svmconv.optimizers import NormalizedGD
from svmconv.svm.rows import SignedRows
from svmconv.theory import problems, rates, tolerances
from svmconv.theory import quantities as q
from svmconv.theory.claim import Case, Claim, Measurement, Quantity
from svmconv.theory.comparison import EPS, Comparison, compare
from svmconv.theory.setting import Descent, Flow, Setting

NEWTON_STEPS = 60
SETTINGS = (
    Setting(problems.theory_example, Flow(1e4)),
    Setting(problems.for_steps, Flow(1e4)),
    Setting(problems.theory_example, Descent(NormalizedGD(2.0), 5_000), clock="loss"),
    Setting(problems.three_classes, Descent(NormalizedGD(0.5), 10_000), clock="loss"),
)


def path(setting: Setting) -> Measurement:
    """B^2 times the distance of the two directions, at the radius where the run ends."""
    c = compare(setting)
    right = distance(c)
    # All norms share one SVM where S spans: the l1 ball's path would be no control.
    apart = q.w_perp(c) * c.norm
    control = q.refuted("no nearer to one another than to the SVM", right, apart)
    return q.measured_case(c, (right, q.scaled_gap(c)), control)


def distance(c: Comparison) -> Quantity:
    """B^2 |direction of descent - direction of the path| against gamma |(gamma^2 M)^+ v_bar|.

    What is left falls like 1 / B: halving B changes it by as much again. A run whose offset is not
    v_bar is off by B times that, which halving B changes by half: less than the bar of 3/2 covers.
    """
    half = int(np.searchsorted(c.gaps.norm.values, c.norm / 2))
    late, early = (_distance(c, record) for record in (len(c.weights) - 1, half))
    error = 1.5 * abs(late - early) + c.norm * (c.across_error + 32 * EPS * c.norm)
    predicted = offset_of_path(c)
    return Quantity(
        "B^2 |descent - path|", predicted, late, float(error), tolerances.STEPS * predicted
    )


def offset_of_path(c: Comparison) -> float:
    """gamma |(gamma^2 M)^+ v_bar|, M on the span of S across u."""
    inverse = np.linalg.pinv(rates.curvature(c), 1e-9)
    return c.constants.gamma * float(np.linalg.norm(inverse @ c.constants.v_bar.ravel()))


def on_path(
    z: Float64[np.ndarray, "n size"], start: Float64[np.ndarray, " size"]
) -> Float64[np.ndarray, " size"]:
    """argmin of logsumexp(-z.w) over |w| = |start|, by Newton's method on its KKT system.

    With margins of 40 and more the logistic tail is below rounding. Raises SvmconvError if the
    method does not settle.
    """
    radius = float(np.linalg.norm(start))
    w, size = start, start.size
    for _ in range(NEWTON_STEPS):
        weights = softmax(-z @ w)
        slope = -z.T @ weights
        curvature = (z * weights[:, None]).T @ z - np.outer(slope, slope)
        mu = -float(slope @ w) / radius**2
        system = np.zeros((size + 1, size + 1))
        system[:size, :size] = curvature + mu * np.eye(size)
        system[:size, size] = system[size, :size] = w / radius
        step = np.linalg.solve(system, np.append(-(slope + mu * w), 0.0))[:size]
        w = unit(w + step) * radius
        if np.linalg.norm(step) <= 4 * EPS * radius:
            return w
    raise SvmconvError("the minimiser on the sphere did not settle: the radius is too small")


def _distance(c: Comparison, record: int) -> float:
    rows = SignedRows(c.problem, c.setting.bias, c.setting.bias_scale)
    pairs = np.flatnonzero(np.isfinite(c.end_margins.ravel()))
    w = c.weights[record].ravel()
    other = on_path(c.problem.scale * rows.take(pairs)[0], w)
    return float(np.linalg.norm(unit(w) - unit(other))) * float(w @ w)


CLAIMS = (
    Claim(
        "ji2019-path",
        "Ji, Dudik, Schapire, Telgarsky, COLT 2020; constant derived (docs/theory.md)",
        "Descent and the minimisers of the loss at equal norm have the same direction up to "
        "gamma |(gamma^2 M)^+ v_bar| / |w|^2.",
        tuple(Case(partial(path, setting)) for setting in SETTINGS),
    ),
)
