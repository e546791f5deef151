"""How fast methods with a law for |w| reach the SVM: exponents, growth, a published bound.

A method with steps s_t on ln L moves w.u by gamma s_t once only support vectors weigh (their z.u is
gamma), and w_perp to v_bar (docs/theory.md, 3): w.u = gamma T + a constant, T the total length of
the steps, and the relative margin gap is (H - H_inf + e2) / (gamma |w|). The constant is what the
first steps leave; it is read at one time and used at a later one.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float64
from scipy.special import digamma

from svmconv.optimizers import DualAcceleration, Optimizer
from svmconv.theory import quantities as q
from svmconv.theory import tolerances
from svmconv.theory.claim import Control, Quantity
from svmconv.theory.comparison import EPS, Comparison, compare
from svmconv.theory.setting import Descent

SPAN = 10.0
"""The exponent is read off the last factor of so much in the number of steps."""
FAR = 10**6
"""Steps after which the exponent of their length is that of infinitely many, up to 1 / FAR."""


def exponent(c: Comparison, power: float) -> Quantity:
    """Slope of ln(margin gap) in ln(steps) over the last decade, corrected, against -`power`.

    Corrected: less what the forecast's slope at these times differs by from its limit (the run's
    own is up to .0024 off). So `measured` says how near the run's slope is to the forecast's, not
    what a line through the run would give; the limit comes from the lengths of the optimizer's
    steps, not from `power`.
    """
    first, steps = _first(c), c.run.step.values
    doubt = _relative_error(c, first) + _relative_error(c, len(steps) - 1)
    decade = float(np.log(steps[-1] / steps[first]))
    measured, expected = (
        float(np.log(gaps[-1] / gaps[first])) / decade
        for gaps in (c.gaps.margin_gap.values, _forecast_gap(c, first))
    )
    limit = _limit(c)
    return Quantity(
        "exponent, corrected",
        -power,
        limit + measured - expected,
        doubt / decade + abs(limit) / FAR,
        tolerances.RATE,
    )


def other_exponent(hypothesis: str, c: Comparison, power: float) -> Control:
    """Wrong hypothesis: another exponent, judged by the same rule."""
    return Control(f"{hypothesis} -{power:g}", (exponent(c, power),))


def growth(c: Comparison) -> Quantity:
    """Growth of w.u per unit of step length over the last decade, against gamma."""
    first, time, along = _first(c), _time(c), _along(c)
    passed = float(time[-1] - time[first])
    gamma = c.constants.gamma
    measured = gamma + float(along[-1] - _forecast_along(c, first)[-1]) / passed
    # Every step rounds w, its momentum and their sums.
    error = (2 * c.along_error + 4 * int(c.run.step[-1]) * EPS * float(along[-1])) / passed
    return Quantity("d w.u / dT", gamma, measured, error, tolerances.RATE * gamma)


def published_bound(c: Comparison) -> Quantity:
    """How far margin / |w| falls below gamma - (ln N + 1) / (gamma T), at any time: nowhere.

    Ji, Telgarsky, ALT 2021, theorem 7, for steps of at most 1 / max |z|^2 in units of the rows and
    the exponential loss; the runs are of the logistic one, whose first steps are shorter.
    """
    time, gamma = _time(c)[1:], c.constants.gamma
    allowed = (np.log(c.constants.n) + 1.0) / (gamma**2 * time)
    excess = float((c.gaps.margin_gap.values[1:] - allowed).max())
    return Quantity("gap beyond the bound", 0.0, max(excess, 0.0), c.certified + 4 * EPS, 1e-9)


def unstable(hypothesis: str, c: Comparison, rate: float) -> Control:
    """Wrong hypothesis: the same limit at a larger rate."""
    method = c.setting.method
    assert isinstance(method, Descent)
    assert isinstance(method.optimizer, Optimizer)
    faster = replace(method, optimizer=replace(method.optimizer, rate=rate))
    right, wrong = q.scaled_gap(c), q.scaled_gap(compare(replace(c.setting, method=faster)))
    return Control(hypothesis, (replace(right, measured=wrong.measured),))


def stability(c: Comparison) -> float:
    """lambda_max(gamma^2 M, orthogonal to u): methods on ln L with larger steps never settle."""
    return c.constants.gamma**2 * c.constants.lambda_max


def curvature(c: Comparison) -> Float64[np.ndarray, "size size"]:
    """gamma^2 M orthogonal to u: what steps on ln L meet at the end."""
    u = c.constants.u.ravel()
    rows = c.support_rows - np.outer(c.support_rows @ u, u)
    return c.constants.gamma**2 * (rows * c.support_duals[:, None]).T @ rows


def _limit(c: Comparison) -> float:
    """Exponent of the gap after ever more steps: |w| is gamma times their total length.

    Steps of a length like n^q add up to n^(q+1), up to 1 / n.
    """
    assert isinstance(c.optimizer, Optimizer)
    elapsed = c.optimizer.elapsed
    near, far = (elapsed(n) - elapsed(n - 1) for n in (FAR, int(SPAN) * FAR))
    return -1.0 - float(np.log(far / near) / np.log(SPAN))


def _forecast_along(c: Comparison, first: int) -> np.ndarray:
    """w.u at every record from `first` on, from its value there and the total step length.

    What rows off S once added stays in g, the momentum of dual acceleration, with weight 1 / t: it
    adds a multiple of 1 + 1/2 + ... + 1/t to w.u, which is read off the decade before.
    """
    time, along = _time(c), _along(c)
    gamma = c.constants.gamma
    expected = along[first] + gamma * (time - time[first])
    if isinstance(c.optimizer, DualAcceleration):
        steps = c.run.step.values
        harmonic = digamma(steps + 1.0)
        before = int(np.searchsorted(steps, steps[first] / SPAN))
        extra = along[first] - along[before] - gamma * (time[first] - time[before])
        expected += extra / (harmonic[first] - harmonic[before]) * (harmonic - harmonic[first])
    return expected


def _forecast_gap(c: Comparison, first: int) -> np.ndarray:
    """The relative margin gap at every record from `first` on."""
    k, along = c.constants, _forecast_along(c, first)
    norm = np.hypot(along, q.w_perp(c))
    bend = k.gamma * q.w_perp(c) ** 2 / (norm + along)
    return (k.entropy - k.min_entropy + bend) / (k.gamma * norm)


def _relative_error(c: Comparison, record: int) -> float:
    """Error bar of ln(margin gap) at a record: of |w| gap (e2 moves with it) and of |w|."""
    k, norm = c.constants, float(c.gaps.norm[record])
    moved = c.swing_at(record) * (1.0 + q.w_perp(c)) + q.scaled_floor(c)
    return moved / (k.entropy - k.min_entropy) + (c.along_error + c.rounding) / norm


def _first(c: Comparison) -> int:
    steps = c.run.step.values
    return int(np.searchsorted(steps, steps[-1] / SPAN))


def _time(c: Comparison) -> np.ndarray:
    return np.expm1(c.run.log1p_t.values)


def _along(c: Comparison) -> np.ndarray:
    return c.weights.reshape(len(c.weights), -1) @ c.constants.u.ravel()
