"""A run beside the SVM of a norm other than l2, and what can be said without constants.

No w_tilde is known there, but the way to the limit is bounded: in the clock of |w| the shortfall
c = gamma |w| - (smallest margin) >= 0 of a method whose bias is this norm stays bounded, and of any
other grows in proportion to |w|. The same of |w| times the angle where the optimum is unique. Bars
come from [|w|/4, |w|/2] of the same run. A c in proportion to |w| would break those of growth and
speed; those of `margin` and `direction` it would just meet: they say no more than "consistent".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import xarray as xr
from jaxtyping import Float64

from svmconv.dynamics.descent import descend
from svmconv.geometry import angle, norm
from svmconv.optimizers import Optimizer
from svmconv.problem import Geometry, Problem
from svmconv.svm.result import MaxMargin
from svmconv.svm.solve import max_margin
from svmconv.theory import tolerances
from svmconv.theory.claim import Control, Measurement, Quantity
from svmconv.theory.comparison import EPS


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
        """|w| times the angle between w and the SVM, as vectors."""
        flat = self.run.w.values.reshape(len(self.norms), -1)
        with np.errstate(invalid="ignore"):
            return np.nan_to_num(self.norms * angle(flat, self.svm.w.ravel()))

    @cached_property
    def early(self) -> slice:
        """The records from a quarter to half of the final |w|."""
        first, last = np.searchsorted(self.norms, self.norms[-1] * np.array([0.25, 0.5]))
        return slice(int(first), int(last) + 1)

    @cached_property
    def log_t(self) -> tuple[float, float]:
        """Natural logs of the first and last step used."""
        steps = self.run.step.values[[self.early.start, -1]]
        return float(np.log(steps[0])), float(np.log(steps[1]))

    def change(self, values: Float64[np.ndarray, " t"]) -> float:
        """How much what is bounded may change over the last half: 3/2 of its early range.

        3/2 because some ten records need not show all of the range; what grew in proportion to |w|
        would change by 4/3 of this bar.
        """
        return 1.5 * float(np.ptp(values[self.early])) + self.rounding

    @cached_property
    def rounding(self) -> float:
        """What rounding leaves of w, of margins and of ln L: every step rounds once."""
        sizes = np.abs([self.norms[-1], self.run.margin[-1], self.run.log_loss[-1]])
        return 4 * EPS * int(self.run.step[-1]) * float(sizes.max())


@cache
def run(setting: Setting) -> Run:
    """Run a setting and solve for its SVM, once per process."""
    problem = setting.problem()
    svm = max_margin(problem, geometry=setting.geometry)
    return Run(setting, problem, svm, descend(problem, setting.optimizer, setting.steps))


def growth_of_margin(r: Run) -> Quantity:
    """Smallest margin gained per unit of |w| over the last half, against gamma."""
    half = r.early.stop - 1
    gained = float(r.norms[-1] - r.norms[half])
    measured = float(r.run.margin[-1] - r.run.margin[half]) / gained
    gamma = r.svm.margin
    error = r.change(r.shortfall) / gained + gamma * r.svm.certificate.relative_gap
    return Quantity(
        "d margin / d|w|", gamma, measured, error, tolerances.OTHER_NORMS * gamma
    )  # fmt: skip


def margin(r: Run) -> Quantity:
    """margin / |w| against gamma; c may not exceed twice its early maximum."""
    gamma, size = r.svm.margin, float(r.norms[-1])
    error = (2.0 * float(np.abs(r.shortfall[r.early]).max()) + r.rounding) / size
    return Quantity(
        "margin / |w|", gamma, float(r.run.margin[-1]) / size,
        error + gamma * r.svm.certificate.relative_gap, tolerances.LIMIT * gamma,
    )  # fmt: skip


def direction(r: Run) -> Quantity:
    """Angle to the SVM, radians, against 0; only where the optimum is unique."""
    size = float(r.norms[-1])
    error = (2.0 * float(r.aside[r.early].max()) + r.rounding) / size
    return Quantity("angle", 0.0, float(r.aside[-1]) / size, error, tolerances.LIMIT)


def beside_l2(r: Run, right: Quantity) -> Control:
    """Wrong hypothesis: the l2 SVM, whose margin in this norm is smaller."""
    other = max_margin(r.problem)
    wrong = 1.0 / norm(other.w, r.svm.geometry)
    error = right.error if abs(wrong - right.predicted) >= 2 * right.error else float("inf")
    quantity = Quantity(right.name, wrong, right.measured, error, right.tolerance)
    return Control("the l2 SVM", (quantity,))


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
    )
