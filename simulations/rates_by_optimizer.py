"""How fast each method reaches the SVM of its norm, all of them on the same problems.

With steps on L the gap falls like 1 / ln t; with steps on ln L like 1 / T, T the total length of
the steps: t, sqrt t or t^2. Methods with an l2 bias share one constant, H - H_inf, which the SVM
gives: their forecast has no free parameter. Off l2 (sign and coordinate descent, Adam) theory gives
the exponent alone.

    python -m simulations.rates_by_optimizer --preset smoke

writes runs/rates_by_optimizer-smoke.nc, which `python -m figures runs` draws.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import xarray as xr
from jaxtyping import Float64

from simulations import command
from svmconv.optimizers import (
    GD,
    SGD,
    Adam,
    CoordinateDescent,
    DualAcceleration,
    HeavyBall,
    NormalizedGD,
    Optimizer,
    SignDescent,
)
from svmconv.problem import Problem
from svmconv.theory import other_norms, problems
from svmconv.theory import quantities as q
from svmconv.theory.comparison import Comparison, compare
from svmconv.theory.setting import Descent, Flow, Setting

PROBLEMS: dict[str, Callable[[], Problem]] = {
    "planted, n = 20, d = 4": problems.for_steps,
    "the seven rows of docs/theory.md": problems.theory_example,
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """How far each method goes; the rate of those with an l2 bias is 1 / max |x|^2."""

    log_t: float = 1e5
    steps: int = 10**6
    steps_on_log_loss: int = 10**5
    rate_off_l2: float = 0.01


PRESETS = {
    "smoke": Config(log_t=1e3, steps=10**4, steps_on_log_loss=10**3),
    "paper": Config(),
}


def methods(problem: Problem, config: Config) -> dict[str, Optimizer | None]:
    """Every method by its name in a legend; None for the flow."""
    rate, small = 1.0 / float(np.square(problem.x).sum(axis=1).max()), config.rate_off_l2
    return {
        "gradient flow": None,
        "gradient descent": GD(rate),
        "heavy ball": HeavyBall(rate / 2),
        "SGD, batch 1": SGD(rate),
        "normalized GD": NormalizedGD(rate),
        "normalized GD, 1/sqrt t": NormalizedGD(rate, power=0.5),
        "dual acceleration": DualAcceleration(rate),
        "sign descent (l_inf)": SignDescent(small),
        "coordinate descent (l_1)": CoordinateDescent(small),
        "Adam, eps = 0 (l_inf)": Adam(small, b2=0.99),
    }


def run(config: Config) -> xr.Dataset:
    """Over problem, optimizer and record: step, log1p_t, margin_gap and its forecast.

    nan after the last record of a run, and where theory gives no constant.
    """
    each = []
    for make in PROBLEMS.values():
        problem = make()
        curves = [_one(problem, method, config) for method in methods(problem, config).values()]
        each.append(xr.concat(curves, "optimizer", join="outer"))
    names = list(methods(PROBLEMS[next(iter(PROBLEMS))](), config))
    return xr.concat(each, "problem", join="outer").assign_coords(
        problem=list(PROBLEMS), optimizer=names
    )


def _one(problem: Problem, method: Optimizer | None, config: Config) -> xr.Dataset:
    """One run beside its forecast, from the first step on."""
    if method is not None and method.geometry != "l2":
        steps = config.steps_on_log_loss
        other = other_norms.run(
            other_norms.Setting(lambda: problem, method, steps, method.geometry)
        )
        gap = other_norms.curves(other).margin_gap.to_numpy()[1:]
        return _curves(other.run, gap, np.full(len(gap), np.nan))
    if method is None:
        c = compare(Setting(lambda: problem, Flow(config.log_t)))
        return _curves(c.run, c.gaps.margin_gap.values[1:], c.forecast_gaps.margin_gap.values[1:])
    on_log_loss = method.on_log_loss
    steps = config.steps_on_log_loss if on_log_loss else config.steps
    descent = Descent(method, steps)
    c = compare(Setting(lambda: problem, descent, clock="loss" if on_log_loss else "time"))
    expected = _by_length(c) if on_log_loss else c.forecast_gaps.margin_gap.values
    return _curves(c.run, c.gaps.margin_gap.values[1:], expected[1:])


def _by_length(c: Comparison) -> Float64[np.ndarray, " t"]:
    """Margin gap if w.u is gamma times the total length T of the steps; first steps left out."""
    k, along = c.constants, c.constants.gamma * np.expm1(c.run.log1p_t.to_numpy())
    norm = np.hypot(along, q.w_perp(c))
    bend = k.gamma * q.w_perp(c) ** 2 / (norm + along)
    return (k.entropy - k.min_entropy + bend) / (k.gamma * norm)


def _curves(
    run: xr.Dataset, gap: Float64[np.ndarray, " t"], expected: Float64[np.ndarray, " t"]
) -> xr.Dataset:
    step = run.step.to_numpy()[1:] if "step" in run.coords else np.full(len(gap), np.nan)
    columns = {
        "step": step.astype(float), "log1p_t": run.log1p_t.to_numpy()[1:],
        "margin_gap": gap, "margin_gap_forecast": expected,
    }  # fmt: skip
    return xr.Dataset(
        {name: ("record", value) for name, value in columns.items()},
        {"record": np.arange(len(gap))},
    )


if __name__ == "__main__":
    sys.exit(command.main("rates_by_optimizer", PRESETS, run, __doc__))
