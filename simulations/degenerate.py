"""A support vector with zero dual, beside neighbours whose row lies a little beyond the margin.

Soudry et al., JMLR 19 (2018): for almost all data the direction converges like 1 / ln t; where a
row touches the margin with zero dual, like (ln ln t) / ln t. Rows z = (1, 0), (1 + delta, 1): the
neighbour, delta > 0, follows the degenerate problem until ln t = 1 / delta, then comes free of it.

With s = ln t the second row pulls as dw_2/ds = exp(-delta s - w_2) once w_1 = s + O(1) (derived:
inserted into the flow), so that to leading order w_2 = ln((1 - exp(-delta s)) / delta), or ln s.

    python -m simulations.degenerate --preset smoke

writes runs/degenerate-smoke.nc, which `python -m figures runs` draws.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
import xarray as xr
from jaxtyping import Float64

from simulations import command
from svmconv.dynamics.flow import gradient_flow
from svmconv.measures.gaps import gaps
from svmconv.problem import Problem
from svmconv.svm.solve import max_margin


@dataclass(frozen=True, kw_only=True)
class Config:
    """How far beyond the margin the second row lies, in units of the margin; 0: upon it."""

    deltas: tuple[float, ...] = (0.0, 1e-4, 1e-2, 1.0)
    log_t: float = 1e6


PRESETS = {"smoke": Config(deltas=(0.0, 1e-2), log_t=1e4), "paper": Config()}


def run(config: Config) -> xr.Dataset:
    """Over delta and log1p_t: angle (rad), margin_gap, w, and the leading order of angle."""
    runs = []
    for delta in config.deltas:
        problem = rows(delta)
        flow = gradient_flow(problem, config.log_t).isel(log1p_t=slice(1, None))
        found = gaps(flow, max_margin(problem))[["angle", "margin_gap"]]
        s = flow.log1p_t.to_numpy()
        runs.append(
            found.assign(w=flow.w, angle_forecast=("log1p_t", np.arctan2(second(s, delta), s)))
        )
    joined = xr.concat(runs, xr.Variable("delta", np.array(config.deltas)), join="exact")
    return joined.drop_attrs()


def rows(delta: float) -> Problem:
    """z = (1, 0), (1 + delta, 1), whose SVM through the origin is (1, 0)."""
    name = f"z = (1, 0), (1 + {delta:g}, 1)"
    return Problem([[1.0, 0.0], [-1.0 - delta, -1.0]], [1, -1], name)


def second(s: Float64[np.ndarray, " t"], delta: float) -> Float64[np.ndarray, " t"]:
    """Leading order of w_2 at s = ln t; nan where it would be negative."""
    grown = s if delta == 0 else -np.expm1(-delta * s) / delta
    return np.log(np.where(grown > 1, grown, np.nan))


if __name__ == "__main__":
    sys.exit(command.main("degenerate", PRESETS, run, __doc__))
