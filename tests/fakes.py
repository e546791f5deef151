"""Verdicts and curves made up for the tests of pictures, reports and the command line."""

from __future__ import annotations

import numpy as np
import xarray as xr

from svmconv.theory.claim import (
    Case,
    CaseVerdict,
    Claim,
    Control,
    Measurement,
    Quantity,
    Verdict,
    Word,
)


def curve(log_t: float = 1e6, kappa: float = 0.4, floor: float = 1e-9) -> xr.Dataset:
    """Gaps of a run that follows its forecast up to t^-kappa; the first time is 0."""
    s = np.concatenate([[0.0], np.geomspace(0.01, log_t, 60)])
    forecast = 0.3 / (s + 1.0)
    residual = 0.5 * np.exp(-kappa * s) + 1e-15
    data = {
        "angle": forecast + residual,
        "angle_forecast": forecast,
        "margin_gap": forecast**2 * (1.0 + residual),
        "margin_gap_forecast": forecast**2,
        "residual": residual,
        "residual_forecast": 0.5 * np.exp(-kappa * s),
        "log_loss": -s - 0.1,
        "norm": s,
        "floor": np.full_like(s, floor),
    }
    return xr.Dataset({k: ("log1p_t", v) for k, v in data.items()}, {"log1p_t": s})


def quantity(measured: float = 2.0, error: float = 0.1, name: str = "limit") -> Quantity:
    """Predicted 2, tolerance 0.5: holds unless told otherwise."""
    return Quantity(name, 2.0, measured, error, 0.5)


REFUTED = Control("uniform [alpha] & <p>", (quantity(3.0),))
MISSED = Control("a control that nothing refutes", (quantity(),))


def measurement(
    *quantities: Quantity,
    control: Control = REFUTED,
    problem: str = "planted(n=1000, d=20)",
    kappa: float = 0.5,
    unresolved: str | None = None,
    curves: xr.Dataset | None = None,
) -> Measurement:
    """A measurement by gradient flow up to t = 10^434294."""
    return Measurement(
        problem,
        "none",
        "gradient flow",
        (2.0, 1e6),
        kappa,
        quantities or (quantity(),),
        control,
        unresolved,
        curves=curves,
    )


def claim(name: str, *cases: tuple[Measurement, Word]) -> Claim:
    """A claim whose cases are measured already."""
    made = tuple(Case(lambda m=m: m, expected) for m, expected in cases)
    return Claim(name, "Nobody <2018>, theorem 3", f"the statement of {name} [.5, 1]", made)


def verdict(name: str, *cases: tuple[Measurement, Word]) -> Verdict:
    """The same, judged."""
    made = claim(name, *cases)
    judged = tuple(CaseVerdict(m, expected) for m, expected in cases)
    return Verdict(made.id, made.source, made.statement, judged, 1.5)


UNDECIDED = quantity(error=1.0)
"""An error bar wider than the tolerance."""
HARD = measurement(UNDECIDED, problem="hard <rows> [x]", unresolved="rows off S weigh more")
"""Undecided for a reason that theory foresaw."""
