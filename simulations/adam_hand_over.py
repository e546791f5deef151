"""Adam leaves the l_inf SVM for that of l2 once its gradient is small beside eps.

Wang, Meng, Chen, Liu, ICML 2021 (the limit for eps > 0); Zhang, Zou, Cao, NeurIPS 2024 (eps = 0).

    python -m simulations.adam_hand_over --preset smoke

writes runs/adam_hand_over-smoke.nc, which `python -m figures runs` draws.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
import xarray as xr

from simulations import command
from svmconv.dynamics.descent import descend
from svmconv.geometry import angle
from svmconv.optimizers import Adam
from svmconv.svm.solve import max_margin
from svmconv.theory import problems


@dataclass(frozen=True, kw_only=True)
class Config:
    """Adam at several eps on the two support vectors in R^3 of theory.problems."""

    rate: float = 0.01
    b2: float = 0.99
    eps: tuple[float, ...] = (1e-2, 1e-4, 1e-6, 0.0)
    steps: int


PRESETS = {"smoke": Config(steps=10**5), "paper": Config(steps=10**7)}


def run(config: Config) -> xr.Dataset:
    """Over eps and step: log_loss, and the angles (radians) to the SVMs of both norms.

    `between` is the angle of those two.
    """
    problem = problems.two_of_three()
    svms = {name: max_margin(problem, geometry=name).w for name in ("l2", "linf")}
    runs = []
    for eps in config.eps:
        path = descend(problem, Adam(config.rate, b2=config.b2, eps=eps), config.steps)
        moved = path.isel(log1p_t=slice(1, None))
        angles = {f"angle_{name}": ("step", angle(moved.w.values, w)) for name, w in svms.items()}
        log_loss = {"log_loss": ("step", moved.log_loss.values)}
        runs.append(xr.Dataset(log_loss | angles, {"step": moved.step.values}))
    found = xr.concat(runs, "eps").assign_coords(eps=np.array(config.eps))
    return found.assign(between=float(angle(svms["l2"], svms["linf"])))


if __name__ == "__main__":
    sys.exit(command.main("adam_hand_over", PRESETS, run, __doc__))
