"""One run beside its forecast, with the error bar of every comparison.

e = integrator error (rerun at tolerance / 100) + certificate floor + remainder bound. The remainder
r = P_S (w - w_F) is a sum of modes tau^-lambda and (ln tau) / tau, the slowest tau^-kappa
(docs/theory.md): r exp(kappa s) is at most linear in s = ln tau, up to terms that die out. By
Chebyshev a linear function that is at most 1 on [end/2, 3 end/4] is at most 3 at the end, so

    |r(end)| <= 3 max over s in [end/2, 3 end/4] of |r(s)| exp(-kappa (end - s)).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import optax
import xarray as xr
from jaxtyping import Bool, Float64
from scipy.special import logsumexp

from svmconv.dynamics.descent import descend
from svmconv.dynamics.flow import gradient_flow
from svmconv.dynamics.recording import stacked
from svmconv.geometry import length
from svmconv.measures.gaps import gaps
from svmconv.optimizers import SGD, DualAcceleration, Optimizer
from svmconv.problem import Problem
from svmconv.svm.result import MaxMargin
from svmconv.svm.rows import SignedRows
from svmconv.svm.solve import max_margin
from svmconv.theory import tolerances
from svmconv.theory.constants import Constants, constants
from svmconv.theory.forecast import forecast, forecast_weights, log_tau, out, outside
from svmconv.theory.setting import Descent, Flow, Setting

EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class Comparison:
    """A run, its SVM and constants, and what can be said of them at the end of the run."""

    setting: Setting
    problem: Problem
    svm: MaxMargin
    constants: Constants
    run: xr.Dataset
    coarse: xr.Dataset
    """The same run at 100 times the tolerance; for descent the run itself."""

    @cached_property
    def clock(self) -> Float64[np.ndarray, " t"]:
        """ln tau of every recording."""
        if self.setting.clock == "time":
            return log_tau(self.run)
        return -self.run.log_loss.values - 2.0 * np.log(self.constants.gamma)

    @cached_property
    def weights(self) -> Float64[np.ndarray, "t *w"]:
        """The run's weights in the space of (w, b / sqrt c)."""
        return stacked(self.run)

    @cached_property
    def w_out(self) -> Float64[np.ndarray, "*w"]:
        """The weights outside span(S): predicted if S spans the rows, else measured earlier on."""
        return out(self.weights, self.constants, self.clock)

    @cached_property
    def drift(self) -> float:
        """How far w_out may still move after it was measured, as a length.

        w_out(s) - w_out(inf) = f(s) decays like exp(-(theta - 1) s), the slowest row off S. What is
        seen at earlier times s is f(s) - f(h), h = 3 end / 4, hence |f(h)| <= 3 max over
        s in [h/2, 3h/4] of |f(s) - f(h)| q / (1 - q), q = exp(-(theta - 1) (h - s)).
        """
        if self.constants.w_out is not None:
            return 0.0
        s, h = self.clock, 0.75 * self.clock[-1]
        early = (s >= h / 2) & (s <= 0.75 * h)
        if not (early.any() and self.settled):
            return float("inf")
        moved = outside(self.weights[early], self.constants) - self.w_out
        log_q = -(self.constants.theta - 1.0) * (h - s[early])
        bound = length(moved.reshape(len(moved), -1)) * np.exp(log_q) / -np.expm1(log_q)
        return 3.0 * float(bound.max()) + self.rounding

    @cached_property
    def residual(self) -> Float64[np.ndarray, "t *w"]:
        """P_S (w - w_F), nan at the start."""
        with np.errstate(invalid="ignore"):
            expected = forecast_weights(self.clock, self.constants)
        return self.constants.inside(self.weights - expected)

    @cached_property
    def residual_norm(self) -> Float64[np.ndarray, " t"]:
        """|P_S (w - w_F)| of every recording."""
        return length(self.residual.reshape(len(self.residual), -1))

    @cached_property
    def gaps(self) -> xr.Dataset:
        """The run against the SVM."""
        return gaps(self.run, self.svm)

    @cached_property
    def forecast_run(self) -> xr.Dataset:
        """The forecast at the times of the run."""
        return forecast(self.run, self.constants, self.clock)

    @cached_property
    def forecast_gaps(self) -> xr.Dataset:
        """The forecast through the same gap code."""
        return gaps(self.forecast_run, self.svm)

    @cached_property
    def norm(self) -> float:
        """|w| at the end, centred over classes."""
        return float(self.gaps.norm[-1])

    @property
    def optimizer(self) -> Optimizer | optax.GradientTransformation | None:
        """Whose steps the run took; None for the flow."""
        method = self.setting.method
        return method.optimizer if isinstance(method, Descent) else None

    @cached_property
    def fading(self) -> Float64[np.ndarray, " t"]:
        """The s of the law exp(-kappa s) by which a remainder fades: ln tau.

        Dual acceleration is the exception: where m = rate gamma^2 lambda is below 1 for all modes
        they oscillate, and step t multiplies each by sqrt(t / (t + 1) (1 - m)), the root of the
        determinant of its recursion; the slowest is that of lambda_min. Within a factor of two of
        its step limit, as of normalized descent's, a mode of lambda_max may be slower than this.
        """
        optimizer = self.optimizer
        if not isinstance(optimizer, DualAcceleration):
            return self.clock
        k, steps = self.constants, self.run.step.values.astype(float)
        slow = -np.log1p(-optimizer.rate * k.gamma**2 * k.lambda_min)
        return (np.log1p(steps) + slow * steps) / (2.0 * k.lambda_min)

    def remainder(self, sizes: Float64[np.ndarray, " t"], kappa: float, at: int = -1) -> float:
        """Bound of `sizes` at a record, from its values at earlier times; inf if there are none."""
        s = self.fading[: at % len(self.fading) + 1]
        early = np.flatnonzero((s >= s[-1] / 2) & (s <= 0.75 * s[-1]))
        if not early.size:
            return float("inf")
        return 3.0 * float((sizes[early] * np.exp(-kappa * (s[-1] - s[early]))).max())

    @cached_property
    def rounding(self) -> float:
        """What integrator and float64 leave of w at the end, as a length.

        The flow keeps v = w - s w_hat, which is of order one; a step of descent rounds w itself,
        once, and what it leaves is not amplified.
        """
        integrator = np.linalg.norm(stacked(self.run)[-1] - stacked(self.coarse)[-1])
        method = self.setting.method
        roundings = method.steps / 2 if isinstance(method, Descent) else 0
        return float(integrator) + (16 + roundings) * EPS * self.norm

    @cached_property
    def floor(self) -> float:
        """What the certificate leaves of w_hat ln tau, as a length."""
        return self.svm.certificate.angle_bound * self.norm

    @property
    def certified(self) -> float:
        """Relative uncertainty of gamma."""
        return self.svm.certificate.relative_gap

    @cached_property
    def across(self) -> Float64[np.ndarray, "t size"]:
        """The residual orthogonal to u, flattened."""
        flat, u = self.residual.reshape(len(self.residual), -1), self.constants.u.ravel()
        return flat - np.outer(flat @ u, u)

    @cached_property
    def error(self) -> float:
        """Error bar of P_S w at the end, as a length; inf while other rows still dominate (F6)."""
        return self._bar(self.residual_norm, self.constants.kappa)

    @cached_property
    def across_error(self) -> float:
        """Error bar of the part of P_S w orthogonal to u."""
        return self._bar(length(self.across), self.constants.kappa)

    @cached_property
    def along_error(self) -> float:
        """Error bar of w.u.

        It converges like the loss, with min(1, theta - 1, 2 lambda_min): to first order the modes
        of M orthogonal to u do not enter (F4).
        """
        along = np.abs(self.residual.reshape(len(self.residual), -1) @ self.constants.u.ravel())
        kappa = min(1.0, self.constants.theta - 1.0, 2.0 * self.constants.lambda_min)
        return self._bar(along, kappa)

    @cached_property
    def swing(self) -> float:
        """Error bar of every supporting margin z.w but for its part along u."""
        return self.swing_at(-1)

    def swing_at(self, record: int) -> float:
        """The same at an earlier record."""
        moved = np.abs(self.across @ self.support_rows.T).max(axis=1)
        bar = self._bar(moved, self.constants.kappa, record)
        return bar + self.reach * self.rounding

    def _bar(self, sizes: Float64[np.ndarray, " t"], kappa: float, at: int = -1) -> float:
        if not self.settled:
            return float("inf")
        return self.remainder(sizes, kappa, at) + self.rounding

    @cached_property
    def end_margins(self) -> Float64[np.ndarray, "n j"]:
        """Forecast of every (pair) row's margin at the end."""
        expected = forecast_weights(self.clock[-1:], self.constants)[0] + self.w_out
        rows = SignedRows(self.problem, self.setting.bias, self.setting.bias_scale)
        return rows.margins((expected * self.problem.scale).ravel(), np.zeros(0))

    @cached_property
    def run_margins(self) -> Float64[np.ndarray, "*nj"]:
        """Every (pair) row's margin at the end of the run, shaped like alpha."""
        rows = SignedRows(self.problem, self.setting.bias, self.setting.bias_scale)
        margins = rows.margins((self.weights[-1] * self.problem.scale).ravel(), np.zeros(0))
        return margins.reshape(self.constants.alpha.shape)

    @cached_property
    def supporting(self) -> Bool[np.ndarray, "n j"]:
        """Which (pair) rows support."""
        return self.constants.alpha.reshape(self.end_margins.shape) > 0

    @cached_property
    def support_duals(self) -> Float64[np.ndarray, " s"]:
        """Maximum-entropy duals of `support_rows`."""
        return self.constants.alpha.reshape(self.supporting.shape)[self.supporting]

    @cached_property
    def settled(self) -> bool:
        """F6: whether every row off S is forecast to lie farther than the support vectors."""
        on, off = self.end_margins[self.supporting], self.end_margins[~self.supporting]
        return bool(off.min(initial=np.inf) > on.max())

    @cached_property
    def settling(self) -> float:
        """F6: ln tau at which the last row off S falls behind the support vectors.

        A margin z.w_F grows by z.w_hat a unit of ln tau, 1 for the support vectors.
        """
        rows = SignedRows(self.problem, self.setting.bias, self.setting.bias_scale)
        w_hat = self.constants.u / self.constants.gamma
        slopes = rows.margins((w_hat * self.problem.scale).ravel(), np.zeros(0))
        ahead = self.end_margins[self.supporting].max() - self.end_margins[~self.supporting]
        with np.errstate(invalid="ignore"):  # a row and its own class: inf / inf
            wait = ahead / (slopes[~self.supporting] - 1.0)
        return float(self.clock[-1] + np.nanmax(wait, initial=-np.inf))

    @property
    def unresolved(self) -> str | None:
        """Why theory foresees no verdict in this range; None where it foresees one."""
        end, kappa = float(self.clock[-1]), self.constants.kappa
        if not self.settled:
            return f"rows off S weigh more until t = 10^{self.settling / np.log(10.0):.4g}"
        if kappa * end < -np.log(self.tolerance):
            return f"the remainder t^-kappa is still {np.exp(-kappa * end):.1g}"
        return None

    @cached_property
    def off_support(self) -> float:
        """What the loss gets from rows off S and from logistic instead of exponential tails."""
        on, off = self.end_margins[self.supporting], self.end_margins[~self.supporting]
        share = np.exp(logsumexp(-off) - logsumexp(-on)) if np.isfinite(off).any() else 0.0
        return float(share + np.exp(-on.min()) / 2.0)

    @cached_property
    def support_rows(self) -> Float64[np.ndarray, "s size"]:
        """The supporting (pair) rows."""
        rows = SignedRows(self.problem, self.setting.bias, self.setting.bias_scale)
        z = rows.take(np.flatnonzero(self.supporting.ravel()))[0]
        return self.problem.scale * z

    @cached_property
    def reach(self) -> float:
        """Largest norm of a supporting (pair) row."""
        return float(length(self.support_rows).max())

    @property
    def log_t(self) -> tuple[float, float]:
        """First and last ln t used by the comparison."""
        end = float(self.clock[-1])
        return end / 2, end

    @property
    def tolerance(self) -> float:
        """Relative tolerance of this kind of method."""
        if self.optimizer is None:
            return tolerances.FLOW
        stochastic = isinstance(self.optimizer, SGD)
        return tolerances.STOCHASTIC if stochastic else tolerances.STEPS


@cache
def compare(setting: Setting) -> Comparison:
    """Run a setting and put it beside its forecast; equal settings are run once per process."""
    problem = setting.problem()
    svm = max_margin(problem, bias=setting.bias, bias_scale=setting.bias_scale)
    kind: dict[str, Any] = {"bias": setting.bias, "bias_scale": setting.bias_scale}
    method = setting.method
    init = None if setting.init is None else setting.init()
    kind["init"] = init
    if init is not None and setting.bias == "augmented":
        kind["init"] = init[..., :-1], init[..., -1] * np.sqrt(setting.bias_scale)
    if isinstance(method, Flow):
        rate = 1.0
        coarse = gradient_flow(problem, method.log_t, rtol=method.rtol, **kind)
        run = gradient_flow(problem, method.log_t, rtol=method.rtol / 100, **kind)
    else:
        known = isinstance(method.optimizer, Optimizer)
        rate = method.optimizer.effective_rate if known else 1.0
        run = coarse = descend(problem, method.optimizer, method.steps, **kind)
    return Comparison(
        setting, problem, svm, constants(problem, svm, rate=rate, init=init), run, coarse
    )
