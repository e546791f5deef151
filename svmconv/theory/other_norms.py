"""A run beside the SVM of a norm other than l2, and what can be said without constants.

No w_tilde is known there. What is known: a method whose bias is this norm gains gamma of margin per
unit of |w|, up to a shortfall gamma |w| - (smallest margin) that stays bounded. Slopes are measured
over the last half of |w|; their bar is how far the run is from straight over the quarter before,
whatever gamma is. A run that is straight with another slope is contradicted.
`margin` and `direction` take the largest of the shortfall, and of |w| times the angle, over the
last half, for no lucky end to pass; it may come to 3/2 of the largest over [|w|/4, |w|/2]. In
proportion to |w|, as for any other norm and any other direction, it comes to twice. Growth like
|w|^.58 or slower is not told from bounded, and its share of |w| vanishes too; nor is an oscillation
seen that takes four times |w| for a period.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import xarray as xr
from jaxtyping import Float64

from svmconv.dynamics.descent import descend
from svmconv.geometry import angle, centre, norm
from svmconv.optimizers import Optimizer
from svmconv.problem import Geometry, Problem
from svmconv.svm.result import MaxMargin
from svmconv.svm.solve import max_margin
from svmconv.theory import tolerances
from svmconv.theory.claim import Control, Measurement, Quantity
from svmconv.theory.comparison import EPS

ROOM = 1.5
"""Between 1, of what stays, and 2, of what grows in proportion to |w|: ten records need not show
all of a range."""
FEW = 5
"""Fewer records show no range."""


@dataclass(frozen=True)
class Setting:
    """One problem, method and norm; equal settings share their run."""

    problem: Callable[[], Problem]
    optimizer: Optimizer
    steps: int
    geometry: Geometry


@dataclass(frozen=True, eq=False)
class Run:
    """A run and the SVM of its norm."""

    setting: Setting
    problem: Problem
    svm: MaxMargin
    run: xr.Dataset

    @cached_property
    def norms(self) -> Float64[np.ndarray, " t"]:
        """|w| in the norm of the SVM."""
        return np.array([norm(w, self.svm.geometry) for w in self.run.w.values])

    @cached_property
    def shortfall(self) -> Float64[np.ndarray, " t"]:
        """gamma |w| - min margin, never negative."""
        return self.svm.margin * self.norms - self.run.margin.values

    @cached_property
    def aside(self) -> Float64[np.ndarray, " t"]:
        """|w| times the angle between w and the SVM, as vectors, centred over classes."""
        w, best = self.run.w.values, self.svm.w
        if not self.problem.binary:  # unique only up to one vector added to every class
            w, best = centre(w), centre(best)
        with np.errstate(invalid="ignore"):
            turned = angle(w.reshape(len(self.norms), -1), best.ravel())
            return np.where(self.norms == 0, 0.0, self.norms * turned)  # any other nan stays one

    @cached_property
    def early(self) -> slice:
        """The records from a quarter to half of the final |w|, the half itself not passed."""
        first, last = np.searchsorted(self.norms, self.norms[-1] * np.array([0.25, 0.5]))
        return slice(int(first), int(last))

    @property
    def half(self) -> int:
        """The last record of `early`."""
        return self.early.stop - 1

    @cached_property
    def log_t(self) -> tuple[float, float]:
        """Natural logs of the first and last step used."""
        steps = self.run.step.values[[self.early.start, -1]]
        return float(np.log(steps[0])), float(np.log(steps[1]))

    @cached_property
    def rounding(self) -> float:
        """What rounding leaves of w, of margins and of ln L: every step rounds once."""
        sizes = np.abs([self.norms[-1], self.run.margin[-1], self.run.log_loss[-1]])
        return 4 * EPS * int(self.run.step[-1]) * float(sizes.max())

    def slope(
        self, x: Float64[np.ndarray, " t"], y: Float64[np.ndarray, " t"]
    ) -> tuple[float, float]:
        """(y per x over the last half of |w|, error bar).

        The bar is three times the range of y - slope x over the early records. What bends like
        ln x is covered: its slope is off by 2 ln 2 / x and its early range .35, thrice over x / 2.
        """
        passed = float(x[-1] - x[self.half])
        slope = float(y[-1] - y[self.half]) / passed
        early = (y - slope * x)[self.early]
        bent = float(np.ptp(early)) if len(early) >= FEW else float("inf")
        return slope, (3.0 * bent + self.rounding) / passed

    def largest(self, values: Float64[np.ndarray, " t"]) -> tuple[float, float]:
        """(largest in size over the last half, error bar) of what is bounded and not negative."""
        early, late = values[self.early], values[self.half + 1 :]
        most = float(np.maximum(0.0, early.max())) if len(early) >= FEW else float("inf")
        return float(late[np.abs(late).argmax()]), ROOM * most + self.rounding


@cache
def run(setting: Setting) -> Run:
    """Run a setting and solve for its SVM, once per process."""
    problem = setting.problem()
    svm = max_margin(problem, geometry=setting.geometry)
    return Run(setting, problem, svm, descend(problem, setting.optimizer, setting.steps))


def growth_of_margin(r: Run) -> Quantity:
    """Smallest margin gained per unit of |w| over the last half, against gamma."""
    gamma = r.svm.margin
    measured, error = r.slope(r.norms, r.run.margin.values)
    error += gamma * r.svm.certificate.relative_gap
    return Quantity("d margin / d|w|", gamma, measured, error, tolerances.OTHER_NORMS * gamma)


def margin(r: Run) -> Quantity:
    """margin / |w| against gamma, by the worst shortfall of the last half."""
    gamma, size = r.svm.margin, float(r.norms[-1])
    shortfall, bar = r.largest(r.shortfall)
    error = bar / size + gamma * r.svm.certificate.relative_gap
    return Quantity(
        "margin / |w|", gamma, gamma - shortfall / size, error, tolerances.LIMIT * gamma
    )


def direction(r: Run) -> Quantity:
    """Angle to the SVM, radians, against 0, by the worst of the last half; if it is unique."""
    size = float(r.norms[-1])
    aside, bar = r.largest(r.aside)
    return Quantity("angle", 0.0, aside / size, bar / size, tolerances.LIMIT)


def beside_l2(r: Run, right: Quantity) -> Control:
    """Wrong hypothesis: the l2 SVM, whose margin in this norm is smaller."""
    other = max_margin(r.problem)
    wrong = 1.0 / norm(other.w, r.svm.geometry)
    error = right.error if abs(wrong - right.predicted) >= 2 * right.error else float("inf")
    quantity = Quantity(right.name, wrong, right.measured, error, right.tolerance)
    return Control("the l2 SVM", (quantity,))


def curves(r: Run) -> xr.Dataset:
    """Margin gap in the norm and, where the optimum is unique, angle; nan at the start."""
    with np.errstate(invalid="ignore", divide="ignore"):
        found = {"margin_gap": r.shortfall / (r.svm.margin * r.norms)}
        if r.svm.unique:
            found["angle"] = r.aside / r.norms
    return xr.Dataset(
        {name: ("log1p_t", value) for name, value in found.items()},
        {"log1p_t": r.run.log1p_t},
        {"geometry": r.svm.geometry},
    ).assign(log_loss=r.run.log_loss)


def measured_case(r: Run, quantities: tuple[Quantity, ...], control: Control) -> Measurement:
    """The measurement of one case."""
    return Measurement(
        problem=r.problem.name,
        bias="none",
        method=f"{r.setting.optimizer}, {r.setting.steps:,} steps, {r.setting.geometry}",
        log_t=r.log_t,
        kappa=float("nan"),
        quantities=quantities,
        control=control,
        clock="steps",
        curves=curves(r),
    )
