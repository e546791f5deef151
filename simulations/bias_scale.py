"""What the price of the bias does: from no bias at all to the classical SVM.

Descent on (w, b), whose step on b is c times that on w, tends to the SVM that minimises
|w|^2 + b^2 / c (docs/theory.md). As c grows that becomes the classical SVM, in which b is free; as
c falls, the SVM through the origin, if there is one. Each is solved exactly, and followed by the
gradient flow and by gradient descent, which are not there yet.

    python -m simulations.bias_scale --preset smoke

writes runs/bias_scale-smoke.nc, which `python -m figures runs` draws.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import xarray as xr
from jaxtyping import Float64

from simulations import command
from svmconv import data
from svmconv.dynamics.descent import descend
from svmconv.dynamics.flow import gradient_flow
from svmconv.geometry import angle
from svmconv.optimizers import GD
from svmconv.problem import Problem
from svmconv.svm.solve import max_margin
from svmconv.theory import problems

BY = ("exact", "late", "early", "gd")
"""The augmented SVM; the flow at its end and long before; gradient descent."""
PROBLEMS: dict[str, Callable[[], Problem]] = {
    "half plane": lambda: data.half_plane(n=100, margin=0.1),
    "shifted": problems.shifted,
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """Values of c, and how far the flow and descent are followed."""

    scales: tuple[float, ...]
    log_t: float = 1000.0
    early: float = 30.0
    """ln t at which the flow is looked at before its end."""
    steps: int = 10**5


PRESETS = {
    "smoke": Config(scales=(1e-2, 1.0, 1e2), steps=10**4),
    "paper": Config(scales=tuple(float(c) for c in np.logspace(-3, 4, 22))),
}


def run(config: Config) -> xr.Dataset:
    """Over problem, bias_scale and by: angle_w to the classical SVM (rad), b / |w|, margin.

    `margin` is min y (w.x + b) / |w| relative to that of the classical SVM. `log_t` is when.
    """
    each = [_one(make(), config) for make in PROBLEMS.values()]
    found = xr.concat(each, xr.Variable("problem", list(PROBLEMS)))
    return found.assign_attrs(steps=config.steps)


def _one(problem: Problem, config: Config) -> xr.Dataset:
    free = max_margin(problem, bias="free")
    found = np.empty((len(config.scales), len(BY), 4))
    for at, c in enumerate(config.scales):
        svm = max_margin(problem, bias="augmented", bias_scale=c)
        flow = gradient_flow(problem, config.log_t, bias="augmented", bias_scale=c)
        near = int(np.abs(flow.log1p_t.to_numpy() - config.early).argmin())
        gd = descend(
            problem, GD(half_limit(problem, c)), config.steps, bias="augmented", bias_scale=c
        )
        reached = {
            "exact": (svm.w, svm.b, np.inf),
            **{
                name: (run.w.values[k], run.b.values[k], float(run.log1p_t[k]))
                for name, run, k in (("late", flow, -1), ("early", flow, near), ("gd", gd, -1))
            },
        }
        for place, by in enumerate(BY):
            w, b, log_t = reached[by]
            size = float(np.linalg.norm(w))
            margin = float((problem.signs * (problem.x @ w + b)).min()) / size
            found[at, place] = angle(w, free.w), b / size, margin / free.margin, log_t
    names = ("angle_w", "bias", "margin", "log_t")
    return xr.Dataset(
        {name: (("bias_scale", "by"), found[..., k]) for k, name in enumerate(names)},
        {"bias_scale": np.array(config.scales), "by": list(BY)},
        {},
    ).assign(free_bias=free.b / float(np.linalg.norm(free.w)))


def half_limit(problem: Problem, c: float) -> float:
    """Half of the step limit of gradient descent on (w, b), 8 N / sigma_max^2."""
    rows: Float64[np.ndarray, "n size"] = problem.rows("augmented", c)
    return 4.0 * problem.n / float(np.linalg.norm(rows, 2)) ** 2


if __name__ == "__main__":
    sys.exit(command.main("bias_scale", PRESETS, run, __doc__))
