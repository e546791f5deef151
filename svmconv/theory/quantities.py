"""The numbers that claims compare, each with its finite-t forecast and error bar.

Every function reads a Comparison at the end of its run. With the remainder r = P_S (w - w_F) split
into r.u (at most `along_error`, a) and the rest (at most `across_error`, x; it moves a supporting
margin by at most `swing`), to first order and with |w_perp|^2 = |v_bar|^2 + |w_out|^2 (derived):

    angle                (x + drift + |w_perp| a / |w|) / |w|
    gamma |w| - margin   swing + bend,  bend = gamma |w_perp| x the error bar of the angle
    gamma |w| + ln NL    bend + swing^2 + what rows off S and the logistic tail add to the loss
    ln (L tau)           gamma a + swing^2 + the same
    ln dual              swing + gamma a

drift being what w_out, measured at 3/4 of the run, may still move. For r along u moves |w| and
every supporting margin alike, and sum p z = gamma u lets r across u enter the loss only squared.
The certificate adds its angle bound where a direction is compared, and its relative gap where only
gamma is.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import xarray as xr

from svmconv.errors import NotSeparableError
from svmconv.geometry import angle, centre
from svmconv.problem import Problem
from svmconv.svm.solve import max_margin
from svmconv.theory import tolerances
from svmconv.theory.claim import Control, Measurement, Quantity
from svmconv.theory.comparison import EPS, Comparison
from svmconv.theory.setting import Flow


def direction(c: Comparison) -> Quantity:
    """Angle between w and the SVM, radians, against F1."""
    predicted = float(c.forecast_gaps.angle[-1])
    return Quantity(
        "angle", predicted, float(c.gaps.angle[-1]), turn(c) + c.floor / c.norm,
        c.tolerance * predicted,
    )  # fmt: skip


def residual(c: Comparison, shift: float = 0.0) -> Quantity:
    """|P_S (w - w_F)| in units of 1/gamma: predicted to vanish.

    `shift` moves the forecast along u, in units of 1/gamma: a wrong hypothesis.
    """
    flow = isinstance(c.setting.method, Flow)
    gamma = c.constants.gamma
    return Quantity(
        "gamma |w - w_F|",
        0.0,
        float(np.linalg.norm(gamma * c.residual[-1] - shift * c.constants.u)),
        gamma * (c.error + c.floor),
        tolerances.RESIDUAL if flow else tolerances.RESIDUAL_STEPS,
    )


def margin_gap(c: Comparison) -> Quantity:
    """Relative margin gap against F1."""
    predicted = float(c.forecast_gaps.margin_gap[-1])
    length = c.constants.gamma * c.norm
    error = (c.swing + bend(c)) / length + predicted * c.along_error / c.norm
    return Quantity(
        "margin gap", predicted, float(c.gaps.margin_gap[-1]), error + c.certified + 4 * EPS,
        c.tolerance * predicted,
    )  # fmt: skip


def loss_constant(c: Comparison) -> Quantity:
    """L tau against 1 / gamma^2 (mean loss); a tautology where tau is read from the loss."""
    assert c.setting.clock == "time"
    predicted = 1.0 / c.constants.gamma**2
    log_measured = float(c.run.log_loss[-1]) + float(c.clock[-1])
    relative = np.expm1(c.constants.gamma * c.along_error + c.swing**2)
    error = predicted * (relative + c.off_support + 2 * c.certified + clock_rounding(c))
    return Quantity(
        "L tau", predicted, float(np.exp(log_measured)), float(error), c.tolerance * predicted
    )


def loss_error(c: Comparison) -> xr.DataArray:
    """|gamma^2 L tau - 1| of every recording, predicted to vanish."""
    logs = c.run.log_loss + c.clock + 2.0 * np.log(c.constants.gamma)
    return np.abs(np.expm1(logs))


def dual_error(c: Comparison, alpha: np.ndarray | None = None) -> Quantity:
    """max over S of |tau exp(-z.w) / N - alpha| / alpha: predicted to vanish.

    `alpha` is the hypothesis, by default the maximum-entropy duals, which are always the scale.
    """
    measured = measured_duals(c)
    hypothesis = c.constants.alpha if alpha is None else alpha
    on = c.supporting.reshape(hypothesis.shape)
    off_by = float((np.abs(measured - hypothesis)[on] / c.constants.alpha[on]).max())
    exponent = c.swing + c.constants.gamma * c.along_error
    # On S every z.w_hat is 1, so the certificate's angle bound is not multiplied by ln tau.
    error = float(np.expm1(exponent)) + c.off_support + clock_rounding(c)
    error += c.reach * c.svm.certificate.angle_bound * float(np.linalg.norm(c.constants.w_tilde))
    return Quantity("dual error", 0.0, off_by, error, 10 * c.tolerance)


def measured_duals(c: Comparison) -> np.ndarray:
    """tau exp(-z.w) / N of every (pair) row at the end of the run."""
    return np.exp(c.clock[-1] - c.run_margins) / c.constants.n


def scaled_gap(c: Comparison) -> Quantity:
    """|w| (gamma - margin / |w|) against H - H_inf + e2."""
    k = c.constants
    predicted = k.entropy - k.min_entropy + second_order(c)
    measured = c.norm * k.gamma - float(c.run.margin[-1])
    error = c.swing + bend(c) + scaled_floor(c)
    return Quantity("|w| gap", predicted, measured, error, _scaled(c))


def scaled_loss(c: Comparison) -> Quantity:
    """|w| gamma + ln(N L) against H + e2."""
    k = c.constants
    predicted = k.entropy + second_order(c)
    measured = c.norm * k.gamma + float(c.run.log_loss[-1]) + np.log(k.n)
    error = bend(c) + c.swing**2 + c.off_support
    return Quantity("|w| gamma + ln NL", predicted, measured, error + scaled_floor(c), _scaled(c))


def offset(c: Comparison) -> Quantity:
    """|P_S w_perp| against |v_bar|: without it a wrong geometry passes as an identity."""
    k = c.constants
    inside = k.inside(c.weights[-1])
    across = inside - float(np.vdot(inside, k.u)) * k.u
    predicted = float(np.linalg.norm(k.v_bar))
    measured = float(np.linalg.norm(across))
    return Quantity(
        "|P_S w_perp|", predicted, measured, c.across_error + c.floor, _scaled(c) / k.gamma
    )


def turn(c: Comparison) -> float:
    """Error bar of the angle, radians, certificate not counted."""
    return (c.across_error + c.drift + w_perp(c) * c.along_error / c.norm) / c.norm


def bend(c: Comparison) -> float:
    """Error bar of gamma (|w| - w.u)."""
    return c.constants.gamma * turn(c) * w_perp(c)


def w_perp(c: Comparison) -> float:
    """sqrt(|v_bar|^2 + |w_out|^2): predicted length of w across u, centred over classes."""
    out = c.w_out if c.problem.binary else centre(c.w_out)
    return float(np.sqrt(np.sum(c.constants.v_bar**2) + np.sum(out**2)))


def scaled_floor(c: Comparison) -> float:
    """F5: what the certificate and float64 leave of |w| gamma."""
    return c.norm * c.constants.gamma * (c.certified + 16 * EPS)


def clock_rounding(c: Comparison) -> float:
    """Rounding of ln tau + ln L, both as large as ln t."""
    return 8 * EPS * abs(float(c.clock[-1]))


def classical_margin(c: Comparison) -> Quantity:
    """min y (w.x + b) / |w|, the margin that the classical SVM would make largest."""
    predicted, measured = (_margin_of_w(c, run) for run in (c.forecast_run, c.run))
    length = _length_of_w(c.run)
    error = (c.reach + abs(predicted)) * (c.error + c.drift + c.floor) / length
    return Quantity("min y(w.x+b)/|w|", predicted, measured, error, c.tolerance * abs(predicted))


def intercept(c: Comparison) -> Quantity:
    """b / |w| (K classes: its largest component) against the forecast."""
    predicted, measured = (_intercept_of(c, run) for run in (c.forecast_run, c.run))
    root = float(np.sqrt(c.setting.bias_scale))
    error = (root + abs(predicted)) * (c.error + c.drift + c.floor) / _length_of_w(c.run)
    return Quantity("b/|w|", predicted, measured, error, c.tolerance * abs(predicted))


def classical_svm(c: Comparison, right: Quantity, limit: float, classical: float) -> Control:
    """`right` had the run gone to the classical SVM; its error bar gains the way still to go."""
    return refuted("the classical SVM", within(right, abs(right.predicted - limit)), classical)


def within(right: Quantity, distance: float) -> Quantity:
    """The same quantity compared with a limit it has come within `distance` of."""
    error = right.error + distance
    return replace(right, error=error, tolerance=max(right.tolerance, error))


def at_most(right: Quantity, tolerance: float) -> Quantity:
    """The same quantity, undecided beyond a smaller tolerance too."""
    return replace(right, tolerance=min(right.tolerance, tolerance))


def _margin_of_w(c: Comparison, run: xr.Dataset) -> float:
    return float(run.margin[-1]) / _length_of_w(run)


def largest_intercept(c: Comparison, b: np.ndarray | float) -> float:
    """b itself for two classes; of K centred intercepts the one largest in the SVM."""
    each = np.atleast_1d(np.asarray(b))
    each = each - each.mean() if len(each) > 1 else each
    return float(each[np.argmax(np.abs(np.atleast_1d(c.svm.b)))])


def _intercept_of(c: Comparison, run: xr.Dataset) -> float:
    return largest_intercept(c, run.b.values[-1]) / _length_of_w(run)


def _length_of_w(run: xr.Dataset) -> float:
    w = run.w.values[-1]
    return float(np.linalg.norm(centre(w) if w.ndim == 2 else w))


def second_order(c: Comparison) -> float:
    """e2 = gamma |w_perp|^2 / (|w| + w.u), from the predicted v_bar and w_out, not from the run."""
    across = w_perp(c) ** 2
    parallel = np.sqrt(max(c.norm**2 - across, 0.0))
    return c.constants.gamma * across / (c.norm + parallel)


def _scaled(c: Comparison) -> float:
    """Absolute tolerance of quantities of order one in nats: relative to H."""
    return c.tolerance * max(1.0, c.constants.entropy)


def refuted(hypothesis: str, right: Quantity, predicted: float) -> Control:
    """`right` under a wrong hypothesis; undecided if that is less than 2e from the right one."""
    wrong = replace(right, predicted=predicted)
    if not abs(predicted - right.predicted) >= 2 * right.error:
        wrong = replace(wrong, error=float("inf"))
    return Control(hypothesis, (wrong,))


def class_means(c: Comparison) -> Control:
    """Wrong hypothesis: w tends to the difference of the class means."""
    x = c.problem.rows(c.setting.bias, c.setting.bias_scale)
    means = np.stack([x[c.problem.index == k].mean(axis=0) for k in range(c.problem.n_classes)])
    expected = means[1] - means[0] if c.problem.binary else centre(means)
    return wrong_direction("the class-mean direction", c, expected)


def initial_svm(c: Comparison, initial: Problem) -> Control:
    """Wrong hypothesis: w tends to the SVM of the features before training; else `class_means`."""
    try:
        svm = max_margin(initial, bias=c.setting.bias, bias_scale=c.setting.bias_scale)
    except NotSeparableError:
        return class_means(c)
    return wrong_direction("the SVM of the initial features", c, svm.w_aug)


def wrong_direction(hypothesis: str, c: Comparison, expected: np.ndarray) -> Control:
    """Wrong hypothesis: w tends to `expected`, so that its angle to the SVM tends to theirs.

    It is refuted where even a run still at twice the forecast angle could not be meant.
    """
    away = float(angle(expected.ravel(), c.constants.u.ravel()))
    within = 2 * w_perp(c) / c.norm
    right = Quantity("angle", 0.0, float(c.gaps.angle[-1]), within, tolerances.DIRECTION)
    return refuted(hypothesis, right, away)


def measured_case(c: Comparison, quantities: tuple[Quantity, ...], control: Control) -> Measurement:
    """The measurement of one case, with its curves."""
    predicted = c.forecast_gaps
    curves = c.gaps.assign(
        residual=("log1p_t", c.constants.gamma * c.residual_norm),
        angle_forecast=predicted.angle,
        margin_gap_forecast=predicted.margin_gap,
    ).assign_attrs(geometry=c.svm.geometry)
    return Measurement(
        problem=c.problem.name,
        bias=c.setting.bias,
        bias_scale=c.setting.bias_scale,
        method=str(c.setting.method),
        log_t=c.log_t,
        kappa=c.constants.kappa,
        quantities=quantities,
        control=control,
        unresolved=c.unresolved,
        clock=c.setting.tau,
        curves=curves,
    )
