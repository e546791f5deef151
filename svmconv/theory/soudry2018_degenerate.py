"""Soudry et al., JMLR 19 (2018): support vectors of zero dual, where ln ln t enters.

The forecast (degenerate.py) leaves out a term C / ln t, C depending on the path. Its error bar is
rule (11a) of docs/theory.md one logarithm further on: with sigma = ln ln tau the remainder R obeys
that e^(kappa sigma) |R| is at most linear in sigma up to terms that die out, hence

    |R(end)| <= 3 max over sigma in [end/2, 3 end/4] of |R(sigma)| e^(-kappa (end - sigma)).

A wrong constant leaves an R that does not fall like that: it is refuted, not covered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import xarray as xr
from jaxtyping import Float64

from svmconv.dynamics.recording import stacked
from svmconv.geometry import length
from svmconv.measures.gaps import gaps
from svmconv.theory import problems, tolerances
from svmconv.theory import quantities as q
from svmconv.theory.claim import Case, Claim, Control, Measurement, Quantity
from svmconv.theory.comparison import EPS, Comparison, compare
from svmconv.theory.degenerate import Degenerate, degenerate
from svmconv.theory.forecast import forecast_weights
from svmconv.theory.setting import Setting

WINDOW = 0.125
"""Length of a window in which a slope is read, as a part of ln ln tau at the end."""
WINDOWS = np.array([0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.75])
"""Where windows end: later, rounding would show."""


@dataclass(frozen=True, eq=False)
class Doubly:
    """A run beside its forecast of two logarithms."""

    run: Comparison
    constants: Degenerate

    @cached_property
    def late(self) -> slice:
        """The recordings with ln tau > 1, where ln ln tau is a clock."""
        return slice(int(np.searchsorted(self.run.clock, 1.0, side="right")), None)

    @cached_property
    def sigma(self) -> Float64[np.ndarray, " t"]:
        """ln ln tau of these recordings."""
        return np.log(self.run.clock[self.late])

    @cached_property
    def arrival(self) -> float:
        """ln s at which every tight row has grown beyond where it started.

        A support vector's part of v stays until s = z.(w(0) - w_tilde). What lies outside span(S)
        grows like d_j.v = ln s + d_j.w_2~ once that exceeds d_j.w(0).
        """
        k = self.constants
        away = self.run.weights[0].ravel() - k.limit
        supporting = float((self.run.support_rows @ away).max())
        return max(
            float((k.rows @ k.outside @ k.outside.T @ away).max()), np.log(max(supporting, 1.0))
        )

    @cached_property
    def fall(self) -> Float64[np.ndarray, " k"]:
        """What is left of the terms in the slope of `coupling` from each window to the last.

        To second order in r the modes s^-mu across w_2 move it along w_2, by s^-2mu: s times that.
        """
        ends = self.sigma[np.searchsorted(self.sigma, WINDOWS * self.sigma[-1])]
        fade = 2.0 * self.constants.kappa - 1.0
        return (ends[-1] / ends[:-1]) ** 2 * np.exp(-fade * (ends[-1] - ends[:-1]))

    @property
    def unresolved(self) -> str | None:
        """Why theory foresees no verdict in this range; None where it foresees one."""
        if self.arrival > (WINDOWS[0] - WINDOW) * self.sigma[-1]:
            return f"tight rows stay where they started until ln t = {np.exp(self.arrival):.3g}"
        if self.fall.max() >= 1.0:
            return (
                f"the mode s^-{self.constants.kappa:.2g} across w_2 weighs too much in (ln s) / s"
            )
        return None

    @cached_property
    def moving(self) -> Float64[np.ndarray, "t size"]:
        """Forecast of w - w_hat ln tau."""
        return self.constants.forecast(self.run.clock[self.late])

    @cached_property
    def residual(self) -> Float64[np.ndarray, "t size"]:
        """w less its forecast."""
        c = self.run
        first = (forecast_weights(c.clock[self.late], c.constants) - c.constants.w_tilde).reshape(
            self.moving.shape
        )
        return c.weights[self.late].reshape(self.moving.shape) - first - self.moving

    def bar(self, basis: Float64[np.ndarray, "size j"], kappa: float) -> float:
        """Bound of a part of the residual at the end, from its sizes at earlier times."""
        sigma, sizes = self.sigma, length(self.residual @ basis)
        early = (sigma >= sigma[-1] / 2) & (sigma <= 0.75 * sigma[-1])
        if not early.any() or self.arrival > sigma[-1] / 2:
            return float("inf")
        fall = np.exp(-kappa * (sigma[-1] - sigma[early]))
        integrator = (self.run.weights[-1] - stacked(self.run.coarse)[-1]).ravel() @ basis
        rounding = float(np.linalg.norm(integrator)) + 16 * EPS * self.run.norm
        return 3.0 * float((sizes[early] * fall).max()) + rounding

    @cached_property
    def inside(self) -> float:
        """Error bar of P_S w: what was left out is of order (ln s) / s^2."""
        return self.bar(self.run.constants.span, 1.0)

    @cached_property
    def swing(self) -> float:
        """Error bar of P_S w orthogonal to u: what moves the support vectors apart."""
        span, u = self.run.constants.span, self.run.constants.u.ravel()
        return self.bar(span - np.outer(u, u @ span), 1.0)

    @cached_property
    def outside(self) -> float:
        """Error bar of the part outside span(S): the constant of integration over s."""
        return self.bar(self.constants.outside, self.constants.kappa)

    @cached_property
    def across(self) -> float:
        """Predicted length of w across u at the end."""
        u = self.run.constants.u.ravel()
        return float(np.linalg.norm(self.moving[-1] - (self.moving[-1] @ u) * u))

    @cached_property
    def turn(self) -> float:
        """Error bar of the angle, radians, certificate not counted."""
        norm = self.run.norm
        return (
            float(np.hypot(self.inside, self.outside)) + self.across * self.inside / norm
        ) / norm

    @cached_property
    def tight(self) -> Float64[np.ndarray, "s size"]:
        """Every (pair) row of margin 1."""
        return np.vstack([self.run.support_rows, self.constants.rows])

    @cached_property
    def forecast(self) -> xr.Dataset:
        """The forecast through the same gap code, from ln tau = 1 on."""
        c = self.run
        found = c.run.isel(log1p_t=self.late).copy()
        s = c.clock[self.late]
        k = c.constants
        w = np.outer(s, k.u.ravel() / k.gamma) + self.moving
        found["w"] = (found.w.dims, w.reshape(found.w.shape))
        found["margin"] = ("log1p_t", s + (self.moving @ self.tight.T).min(axis=1))
        return gaps(found, c.svm)


def direction(d: Doubly) -> Quantity:
    """Angle between w and the SVM, radians."""
    predicted = float(d.forecast.angle[-1])
    error = d.turn + d.run.floor / d.run.norm
    tolerance = tolerances.LOG_LOG * predicted
    return Quantity("angle", predicted, float(d.run.gaps.angle[-1]), error, tolerance)


def margin_gap(d: Doubly) -> Quantity:
    """Relative margin gap: (gamma |w_2| ln ln t / ln t)^2 / 2 of it is the second logarithm's."""
    c, gamma = d.run, d.run.constants.gamma
    predicted = float(d.forecast.margin_gap[-1])
    # what moves w along u moves |w| and every supporting margin alike
    moved = c.reach * d.swing + gamma * d.turn * d.across
    error = moved / (gamma * c.norm) + c.certified + 4 * EPS
    tolerance = tolerances.LOG_LOG * predicted
    return Quantity("margin gap", predicted, float(c.gaps.margin_gap[-1]), error, tolerance)


def zero_dual(d: Doubly) -> Quantity:
    """ln tau x the dual estimate tau exp(-z.w) / N of the zero-dual row that is farthest off.

    It vanishes as it should, but like beta / ln tau.
    """
    c, z = d.run, d.constants.rows
    s, longest = float(c.clock[-1]), float(length(z).max())
    moving = c.weights[-1].ravel() - s * c.constants.u.ravel() / c.constants.gamma
    with np.errstate(over="ignore"):
        predicted, measured = (s * np.exp(-z @ v) / c.constants.n for v in (d.moving[-1], moving))
    worst = int(np.argmax(np.abs(measured / predicted - 1.0)))
    expected = float(predicted[worst])
    error = np.expm1(longest * (np.hypot(d.inside, d.outside) + c.floor))
    return Quantity(
        "ln t x zero dual", expected, float(measured[worst]), expected * float(error),
        tolerances.LOG_LOG * expected,
    )  # fmt: skip


def coupling(d: Doubly) -> Quantity:
    """The coefficient of w_2 (ln s) / s, which the bar of a remainder C / s would cover.

    y = s (w.w_2 / |w_2|^2 - ln s - its limit) is a straight line in sigma = ln s, up to terms of
    order sigma^2 e^-((2 mu - 1) sigma), mu <= 1 the least eigenvalue of M_2. How much of those is
    left in its slope over a window is told by windows before it, by the worst of several: the terms
    change sign, and one alone may have none of them.
    """
    c, k = d.run, d.constants
    s, sigma, unit = c.clock[d.late], d.sigma, k.growth / (k.growth @ k.growth)
    predicted = float(k.forcing @ k.outside.T @ unit)
    moving = d.residual + d.moving
    y = s * ((moving - k.limit) @ unit - sigma)
    ends = np.searchsorted(sigma, WINDOWS * sigma[-1])
    starts = np.searchsorted(sigma, (WINDOWS - WINDOW) * sigma[-1])
    slopes = (y[ends] - y[starts]) / (sigma[ends] - sigma[starts])
    left = np.abs(slopes[:-1] - slopes[-1]) * d.fall / (1.0 - d.fall)
    late, length_of_window = float(slopes[-1]), float(sigma[ends[-1]] - sigma[starts[-1]])
    rounding = c.rounding * s[ends[-1]] * float(np.linalg.norm(unit)) / length_of_window
    error = 3.0 * float(left.max()) + 2.0 * float(rounding)
    error = error if d.unresolved is None else float("inf")
    tolerance = tolerances.LOG_LOG * max(1.0, abs(predicted))
    return Quantity("(ln ln t)/ln t", -predicted, late, error, tolerance)


def loss_constant(d: Doubly) -> Quantity:
    """L tau -> 1 / gamma^2 all the same, up to O(1 / ln^2 t).

    The tight rows add sum beta / s, and P_S w takes as much away: w_hat.M^+ z_j = w_hat.z_j = 1.
    """
    c, k = d.run, d.run.constants
    predicted = float(np.exp(-d.tight @ d.moving[-1]).sum() / k.n)
    measured = float(np.exp(c.run.log_loss[-1] + c.clock[-1]))
    late = d.constants.beta.sum() / c.clock[-1] * float(length(d.constants.rows).max())
    moved = k.gamma * d.inside + (c.reach * d.inside) ** 2 + k.gamma**2 * late * d.outside
    error = predicted * (moved + 2 * c.certified + q.clock_rounding(c))
    return Quantity("L tau", predicted, measured, float(error), tolerances.FLOW * predicted)


def beyond_degenerate(d: Doubly) -> Control:
    """The same forecast for z = (1.01, 1): that row leaves, and what lies outside span(S) stops."""
    c = compare(NEARLY)
    wrong = direction(Doubly(c, degenerate(c, np.array([1]))))
    # its bar, from a run that obeys another law, is wide, and it misses even that
    wrong = replace(wrong, tolerance=max(wrong.tolerance, wrong.error))
    return Control("ln ln t for z = (1.01, 1) too", (wrong,))


def stays(d: Doubly) -> Control:
    """What lies outside span(S) tends to a limit, as without rows of zero dual: it has arrived."""
    at = int(np.searchsorted(d.sigma, 0.75 * d.sigma[-1]))
    outside = np.linalg.norm(d.moving[at] @ d.constants.outside)
    inside = d.across**2 - np.linalg.norm(d.moving[-1] @ d.constants.outside) ** 2
    stopped = float(np.sqrt(inside + outside**2)) / d.run.norm
    return q.refuted("w outside span(S) converges", direction(d), stopped)


def measure(setting: Setting, control: Callable[[Doubly], Control]) -> Measurement:
    """One degenerate problem against a control."""
    c = compare(setting)
    d = Doubly(c, degenerate(c))
    found = (direction(d), margin_gap(d), zero_dual(d), coupling(d), loss_constant(d))
    curves = c.gaps.isel(log1p_t=d.late).assign(
        residual=("log1p_t", c.constants.gamma * length(d.residual)),
        angle_forecast=d.forecast.angle,
        margin_gap_forecast=d.forecast.margin_gap,
    )
    return Measurement(
        problem=c.problem.name,
        bias=setting.bias,
        method=str(setting.method),
        log_t=c.log_t,
        kappa=0.0,
        quantities=found,
        control=control(d),
        unresolved=d.unresolved,
        curves=curves,
    )


NEARLY = Setting(problems.nearly_degenerate)

CLAIMS = (
    Claim(
        "soudry2018-degenerate",
        "Soudry, Hoffer, Nacson, Gunasekar, Srebro, JMLR 19 (2018), theorem 3, the data sets "
        "of measure zero; constants derived (docs/theory.md)",
        "Rows that touch the margin with zero dual make the direction converge like "
        "ln ln t / ln t: w = w_hat ln tau + w_2 ln ln tau + O(1), w_2 a second SVM.",
        (
            Case(partial(measure, Setting(problems.degenerate), beyond_degenerate)),
            Case(partial(measure, Setting(problems.two_zero_duals), stays)),
        ),
    ),
)
