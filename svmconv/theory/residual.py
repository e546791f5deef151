"""How fast the forecast is reached: the remainder is a power law t^-kappa with a known kappa.

With s = ln tau, r = P_S (w - w_F) obeys (F2 of docs/theory.md), S spanning all rows,

    dr/ds = -M r + sum_{n not in S} a_n e^-(theta_n - 1)s z_n + (1/2) sum_S alpha_n (z_n.r)^2 z_n
            + O(e^-s) + O(|r|^3),                        a_n = exp(-z_n.w_tilde) / N.

- Forced by far rows (theta - 1 < lambda_min): r_F = sum (M - (theta_n - 1))^-1 a_n z_n
  e^-(theta_n - 1)s, amplitude and all. What is left falls with min(lambda_min, 2 (theta - 1), 1).
- Free (lambda = lambda_min < theta - 1), amplitude open: rho = r.e along the slow eigenvector e,
  less its forced part. The quadratic term is solved by the normal form: rho' = -lambda rho +
  g rho^2 / 2, g = sum alpha_n (z_n.e)^3, has x = rho / (1 - g rho / (2 lambda)) fall exactly like
  e^-(lambda s). What is left: min(3 lambda, lambda + the next eigenvalue, lambda + theta - 1, 1).

Every number is compared over a window [s_2 / 2, s_2], s_2 the last time at which what is measured
stands a thousandfold above rounding. A slope between two times errs by the sum of the relative
errors at both, over their distance.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
from jaxtyping import Float64

from svmconv.dynamics.recording import stacked
from svmconv.errors import DataError
from svmconv.geometry import length
from svmconv.svm.rows import SignedRows
from svmconv.theory import problems, tolerances
from svmconv.theory import quantities as q
from svmconv.theory.claim import Case, Claim, Measurement, Quantity
from svmconv.theory.comparison import EPS, Comparison, compare
from svmconv.theory.setting import Flow, Setting

ABOVE_ROUNDING = 1e3
NEAR = 1.2
"""Rates nearer than this factor part too late for any run: their terms are one."""

Times = Float64[np.ndarray, " t"]


@dataclass(frozen=True, eq=False)
class Remainder:
    """The remainder of a run beside its slowest term."""

    c: Comparison

    @cached_property
    def modes(self) -> tuple[Float64[np.ndarray, " r"], Float64[np.ndarray, "size r"]]:
        """Eigenvalues of M other than that of u, rising, and their eigenvectors."""
        k, z = self.c.constants, self.c.support_rows
        alpha, u = k.alpha[k.alpha > 0], k.u.ravel()
        # u, of eigenvalue 1, goes last
        m = k.span.T @ ((z.T * alpha) @ z + 1e6 * np.outer(u, u)) @ k.span
        values, vectors = np.linalg.eigh(m)
        return values[:-1], (k.span @ vectors)[:, :-1]

    @cached_property
    def far(self) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, "n size"]]:
        """theta_n - 1 and a_n P_S z_n of every (pair) row off S."""
        c, k = self.c, self.c.constants
        if not k.spanning:
            raise DataError("the amplitudes of far rows need support vectors that span all rows")
        rows = SignedRows(c.problem, c.setting.bias, c.setting.bias_scale)
        off = np.flatnonzero(~c.supporting.ravel() & np.isfinite(c.end_margins.ravel()))
        z = c.problem.scale * rows.take(off)[0]
        shares = np.exp(-z @ (k.w_tilde + c.w_out).ravel()) / k.n
        return z @ k.u.ravel() / k.gamma - 1.0, shares[:, None] * (z @ k.span @ k.span.T)

    @cached_property
    def forced(self) -> Float64[np.ndarray, "t size"]:
        """What the far rows make of r, from constants alone."""
        (slopes, pushes), k = self.far, self.c.constants
        values, vectors = self.modes
        values, vectors = np.append(values, 1.0), np.column_stack([vectors, k.u.ravel()])
        amplitudes = (pushes @ vectors) / (values - slopes[:, None])
        with np.errstate(over="ignore", invalid="ignore"):
            return np.exp(-np.outer(self.c.clock, slopes)) @ amplitudes @ vectors.T

    @cached_property
    def rest(self) -> Float64[np.ndarray, "t size"]:
        """The remainder less what the far rows make of it."""
        with np.errstate(invalid="ignore"):  # both are infinite at t = 0
            return self.c.residual.reshape(self.forced.shape) - self.forced

    @cached_property
    def rounding(self) -> Times:
        """What integrator and float64 leave of w, as a length, at every time.

        Late, steps of run and rerun end on the same recordings and err alike: by the tolerance of
        a step, what earlier steps erred by falling with lambda_min.
        """
        c, method = self.c, self.c.setting.method
        assert isinstance(method, Flow)
        moved = length((c.weights - stacked(c.coarse)).reshape(self.forced.shape))
        between = np.gradient(c.run.log1p_t.values)
        step = method.rtol / 100 * max(1.0, 1.0 / c.constants.gamma)
        step = step * (1.0 + 1.0 / (c.constants.lambda_min * between))
        return moved + step + 16 * EPS * c.run.norm.values

    @cached_property
    def is_forced(self) -> bool:
        """Whether the slowest term is that of a far row."""
        return bool(self.c.constants.theta - 1.0 < self.modes[0].min(initial=np.inf))

    @cached_property
    def law(self) -> tuple[Times, Times]:
        """What falls like t^-kappa, corrected by what theory knows of the next terms, and raw.

        Forced: |r| / |r_F| times the slowest term of r_F.
        """
        if self.is_forced:
            raw, slowest = self.c.residual_norm, self.far[0].min()
            with np.errstate(invalid="ignore", divide="ignore"):
                return raw / length(self.forced) * np.exp(-slowest * self.c.clock), raw
        values, vectors = self.modes
        raw, slow = self.rest @ vectors[:, 0], values[0]
        alpha = self.c.constants.alpha
        g = float(alpha[alpha > 0] @ (self.c.support_rows @ vectors[:, 0]) ** 3)
        with np.errstate(invalid="ignore", divide="ignore"):
            return raw / (1.0 - g * raw / (2.0 * slow)), np.abs(raw)

    @cached_property
    def next_rate(self) -> float:
        """The slowest rate whose terms are not predicted."""
        values, far = self.modes[0], self.c.constants.theta - 1.0
        if self.is_forced:
            return float(min(values.min(initial=1.0), 2.0 * far, 1.0))
        following = values[1] if len(values) > 1 else np.inf
        return float(min(3.0 * values[0], values[0] + following, values[0] + far, 1.0))

    @cached_property
    def window(self) -> tuple[int, int]:
        """First and last recording that are compared."""
        s = self.c.clock
        clear = np.flatnonzero((self.law[1] >= ABOVE_ROUNDING * self.rounding) & (s > 1.0))
        last = int(clear[-1])
        return int(np.searchsorted(s, s[last] / 2)), last

    def left(self, at: int) -> float:
        """Relative size of what is not predicted, at a recording: next terms and rounding.

        Forced: rule (11a) on r - r_F with the next rate. Free: x e^(lambda s) = c + f(s), f of
        order e^-(next - lambda)s, is seen to move between earlier times and `at`: as for drift in
        comparison.py.
        """
        s, kappa = self.c.clock, self.c.constants.kappa
        early = (s >= s[at] / 2) & (s <= 0.75 * s[at])
        wait = s[at] - s[early]
        if self.is_forced:
            sizes = length(self.rest[early]) * np.exp(-self.next_rate * wait)
            share = sizes.max() / length(self.forced[[at]])[0]
        else:
            straight = self.law[0] * np.exp(kappa * (s - s[at]))
            log_q = -(self.next_rate - kappa) * wait
            moved = np.abs(straight[early] - straight[at]) * np.exp(log_q) / -np.expm1(log_q)
            share = moved.max() / abs(straight[at])
        return 3.0 * float(share) + float(self.rounding[at] / self.law[1][at])

    @property
    def unresolved(self) -> str | None:
        """Why theory foresees that no exponent can be read off; None where one can."""
        kappa = self.c.constants.kappa
        if self.next_rate < NEAR * kappa:
            return f"t^-{kappa:.3g} and t^-{self.next_rate:.3g} are one in any run"
        return None


def exponent(r: Remainder) -> Quantity:
    """The slope of the corrected remainder over the window."""
    first, last = r.window
    s, law = r.c.clock, np.abs(r.law[0])
    slope = -float(np.log(law[last] / law[first]) / (s[last] - s[first]))
    error = (r.left(first) + r.left(last)) / float(s[last] - s[first])
    return Quantity("kappa", r.c.constants.kappa, slope, error, tolerances.RATE)


def raw_exponent(r: Remainder) -> float:
    """The slope before anything is corrected: next terms make it a few hundredths wrong."""
    first, last = r.window
    s, raw = r.c.clock, r.c.residual_norm
    return -float(np.log(raw[last] / raw[first]) / (s[last] - s[first]))


def amplitude(r: Remainder) -> Quantity:
    """t^kappa |r| where its error bar is smallest, from constants alone; far rows only."""
    first, last = r.window
    at = min(range(first, last + 1), key=r.left)
    up = float(np.exp(r.c.constants.kappa * r.c.clock[at]))
    predicted = up * float(length(r.forced[[at]])[0])
    measured = up * float(r.c.residual_norm[at])
    return Quantity(
        "t^kappa |r|", predicted, measured, predicted * r.left(at), tolerances.RATE * predicted
    )


def power_law(setting: Setting) -> Measurement:
    """The exponent, and the amplitude where constants give it."""
    r = Remainder(compare(setting))
    found = exponent(r)
    k, s = r.c.constants, r.c.clock
    if r.unresolved is not None:
        control = q.class_means(r.c)
    elif r.is_forced:
        control = q.refuted("kappa = 1, a shift of time", found, 1.0)
    else:
        control = q.refuted("kappa = theta - 1, although lambda_min is smaller", found, k.theta - 1)
    quantities = (found, amplitude(r)) if r.is_forced else (found,)
    case = q.measured_case(r.c, quantities, control)
    return replace(case, unresolved=r.unresolved, log_t=tuple(s[list(r.window)].tolist()))


def _setting(theta: float, lambda_min: float, log_t: float) -> Setting:
    return Setting(partial(problems.two_rates, theta, lambda_min), Flow(log_t, rtol=1e-10))


FAR = _setting(1.5, 1.0, 50.0)
SLOWER = _setting(1.2, 0.8, 100.0)
FREE = _setting(3.0, 0.174, 130.0)
ALIKE = _setting(1.5, 0.55, 50.0)

CLAIMS = (
    Claim(
        "residual-power-law",
        "derived (docs/theory.md, F2)",
        "What is left of w less its forecast falls like t^-kappa, kappa = min(lambda_min, "
        "theta - 1); the amplitude too follows from the constants where far rows are slowest.",
        (
            *(Case(partial(power_law, setting)) for setting in (FAR, SLOWER, FREE)),
            Case(partial(power_law, ALIKE), "undecided"),
        ),
    ),
)
