"""What makes a problem hard: the margin gap against theta, lambda_min, gamma, n and d.

One parameter at a time of a planted problem, whose exact SVM is known, is followed by the gradient
flow and judged by the rules of `svmconv verify`; beside them ordinary Gaussian rows. A forecast is
off by a remainder t^-kappa, kappa = min(lambda_min, theta - 1): where that is not yet small the
verdict must be "undecided".

    python -m simulations.hardness --preset smoke

writes runs/hardness-smoke.nc, which `python -m figures runs` draws.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr

from simulations import command
from svmconv import data
from svmconv.problem import Problem
from svmconv.theory import quantities as q
from svmconv.theory.comparison import compare
from svmconv.theory.setting import Flow, Setting

GAUSSIAN = "n of Gaussian rows"


@dataclass(frozen=True, kw_only=True)
class Config:
    """The base problem is spanned by d support vectors; each tuple replaces one of its numbers."""

    log_t: float = 30.0
    n: int = 100
    d: int = 6
    theta: float = 2.0
    lambda_min: float = 0.8
    margin: float = 1.0
    thetas: tuple[float, ...] = ()
    lambda_mins: tuple[float, ...] = ()
    margins: tuple[float, ...] = ()
    ns: tuple[int, ...] = ()
    ds: tuple[int, ...] = ()
    gaussian_ns: tuple[int, ...] = ()
    seeds: int = 1


PRESETS = {
    "smoke": Config(thetas=(1.1, 2.0), lambda_mins=(0.05, 0.5), gaussian_ns=(30,)),
    "paper": Config(
        thetas=(1.02, 1.05, 1.1, 1.2, 1.4, 1.7, 2.0, 3.0, 5.0),
        lambda_mins=(0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0),
        margins=(1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 1e2),
        ns=(10, 30, 100, 300, 1000),
        ds=(2, 4, 8, 16, 32),
        gaussian_ns=(10, 30, 100, 300, 1000),
        seeds=3,
    ),
}


def run(config: Config) -> xr.Dataset:
    """Over `problem`: what was varied, its value, the gap beside its forecast, and the verdict.

    `error` is the bar of the comparison and `tolerance` what it must stay below; `log_tau` the
    clock, counted in the problem's own time tau gamma^2.
    """
    rows = []
    for varied, value, seed, problem in problems(config):
        c = compare(Setting(lambda problem=problem: problem, Flow(config.log_t)))
        gap, k = q.margin_gap(c), c.constants
        rows.append({
            "varied": varied, "value": float(value), "seed": seed,
            "theta": k.theta, "lambda_min": k.lambda_min, "kappa": k.kappa, "gamma": k.gamma,
            "log_tau": float(c.clock[-1]) + 2.0 * np.log(k.gamma),
            "gap": gap.measured, "gap_forecast": gap.predicted, "error": gap.error,
            "tolerance": gap.tolerance, "verdict": gap.verdict, "settled": c.settled,
        })  # fmt: skip
    columns = {name: ("problem", np.array([row[name] for row in rows])) for name in rows[0]}
    return xr.Dataset(columns).assign_attrs(log_t=config.log_t)


def problems(config: Config) -> Iterator[tuple[str, float, int, Problem]]:
    """What is varied, its value, seed, and the problem."""
    base = {name: getattr(config, name) for name in ("n", "d", "theta", "lambda_min", "margin")}
    for name in base:
        for value in getattr(config, f"{name}s"):
            for seed in range(config.seeds):
                chosen = base | {name: value}
                chosen["n_support"] = chosen["d"]
                yield name, value, seed, data.planted(**chosen, spanning=True, seed=seed)
    for n in config.gaussian_ns:
        for seed in range(config.seeds):
            yield GAUSSIAN, n, seed, data.half_spaces(n=n, d=config.d, margin=0.3, seed=seed)


if __name__ == "__main__":
    sys.exit(command.main("hardness", PRESETS, run, __doc__))
