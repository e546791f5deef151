"""What a claim is, and the rule that turns numbers into a verdict.

A claim is a published or derived statement with several cases. A case is one problem, method and
range; measuring it gives quantities, each with a predicted and a measured value and an error bar,
and a control: a wrong hypothesis that the same rule must refute.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import xarray as xr

from svmconv.problem import Bias

Word = Literal["holds", "undecided", "contradicted"]
_SEVERITY: tuple[Word, ...] = ("holds", "undecided", "contradicted")


@dataclass(frozen=True)
class Quantity:
    """One number that theory predicts and a run measures; all four in the same unit.

    `error` is the error bar e of the comparison (integrator + certificate floor + remainder bound);
    `tolerance` is the largest e at which the comparison is still worth a verdict.
    """

    name: str
    predicted: float
    measured: float
    error: float
    tolerance: float

    @property
    def verdict(self) -> Word:
        """undecided if e > tolerance, holds if |measured - predicted| <= e, else contradicted."""
        numbers = (self.predicted, self.measured, self.error, self.tolerance)
        if not all(map(math.isfinite, numbers)) or self.error > self.tolerance:
            return "undecided"
        return "contradicted" if self.missed else "holds"

    @property
    def missed(self) -> bool:
        """Whether measured and predicted differ by more than the error bar, however wide it is."""
        return not abs(self.measured - self.predicted) <= self.error


@dataclass(frozen=True)
class Control:
    """A wrong hypothesis: the same measured numbers beside what it would have predicted."""

    hypothesis: str
    quantities: tuple[Quantity, ...]

    @property
    def verdict(self) -> Word:
        """The worst verdict of its quantities; must be "contradicted"."""
        return worst(q.verdict for q in self.quantities)


@dataclass(frozen=True)
class Measurement:
    """What measuring one case gives."""

    problem: str
    bias: Bias
    method: str
    log_t: tuple[float, float]
    """Natural logs of the first and last reading of `clock` used by the comparison; nan without."""
    kappa: float
    """Predicted exponent of the remainder t^-kappa; nan where none is known."""
    quantities: tuple[Quantity, ...]
    control: Control
    unresolved: str | None = None
    """Why theory itself foresees no verdict in this range; None where it foresees one."""
    bias_scale: float = 1.0
    clock: str = "rate t"
    """What log_t is the logarithm of; empty for a statement without time, about an optimum, say."""
    curves: xr.Dataset | None = None
    """Gaps with their forecasts (`*_forecast`) over log1p_t, for the pictures."""


@dataclass(frozen=True)
class Case:
    """A measurement to make, and the verdict it should come to."""

    measure: Callable[[], Measurement]
    expected: Word = "holds"


@dataclass(frozen=True)
class Claim:
    """A statement with its source and the cases that test it."""

    id: str
    source: str
    statement: str
    cases: tuple[Case, ...]
    extended: bool = False
    """Whether it takes minutes, and is measured only by name or with --all."""


@dataclass(frozen=True)
class CaseVerdict:
    """A measured case beside the verdict that was expected of it."""

    measurement: Measurement
    expected: Word

    @property
    def verdict(self) -> Word:
        """The worst verdict of the quantities."""
        return worst(q.verdict for q in self.measurement.quantities)

    @property
    def as_expected(self) -> bool:
        """The expected verdict came out and the control was refuted."""
        return self.met and self.measurement.control.verdict == "contradicted"

    @property
    def met(self) -> bool:
        """Whether the expected verdict came out.

        "undecided" counts only where theory itself foresaw it and no error bar was broken, however
        wide (an infinite one cannot be: such a case says nothing for or against a forecast).
        """
        m = self.measurement
        if self.verdict == "undecided" and (
            m.unresolved is None or any(q.missed for q in m.quantities)
        ):
            return False
        return self.verdict == self.expected


@dataclass(frozen=True)
class Verdict:
    """A claim after its cases were measured."""

    id: str
    source: str
    statement: str
    cases: tuple[CaseVerdict, ...]
    seconds: float

    @property
    def as_expected(self) -> bool:
        """Every case came out as expected and refuted its control."""
        return all(case.as_expected for case in self.cases)

    @property
    def verdict(self) -> Word:
        """ "holds" when every case came out as expected, else the worst of its cases.

        A control that was not refuted leaves the claim undecided at best.
        """
        if self.as_expected:
            return "holds"
        found = worst(case.verdict for case in self.cases)
        return "undecided" if found == "holds" else found


def worst(words: Iterable[Word]) -> Word:
    """The most severe of some verdicts; "undecided" when there is none."""
    found = list(words)
    return max(found, key=_SEVERITY.index) if found else "undecided"
