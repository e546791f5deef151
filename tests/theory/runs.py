"""Small flows beside their forecasts (one padded shape, so one compilation serves every test), and
runs that never were, for rules to be tried on."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import xarray as xr
from scipy.special import logsumexp

from svmconv import data
from svmconv.dynamics import recording
from svmconv.optimizers import Optimizer
from svmconv.problem import Problem
from svmconv.svm.result import MaxMargin
from svmconv.svm.solve import max_margin
from svmconv.theory.comparison import Comparison, compare
from svmconv.theory.constants import Constants, constants
from svmconv.theory.setting import Descent, Flow, Setting

GENERIC = ((1.5, 0.8), (3.0, 0.3), (1.3, 0.9))
"""(theta, lambda_min): the slowest term comes from far rows, from a mode of M, from far rows."""


@cache
def flow(
    seed: int, log_t: float = 200.0, theta: float = 1.5, lambda_min: float = 0.8
) -> Comparison:
    """Forty rows in R^4 spanned by four support vectors, followed up to ln t = log_t."""
    planted = data.planted(
        n=40, d=4, n_support=4, spanning=True, theta=theta, lambda_min=lambda_min, seed=seed
    )
    return compare(Setting(lambda: planted, Flow(log_t)))


@cache
def shifted(seed: int) -> Problem:
    """Rows moved off the origin, so that the augmented and the classical SVM differ."""
    base = data.planted(n=40, d=3, n_support=3, spanning=True, seed=seed)
    assert base.truth is not None
    return Problem(base.x + 1.5 * base.truth.w, base.y, f"shifted {base.name}")


def made(setting: Setting, weights: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Comparison:
    """A run of `setting` that never was: weights(steps, time), with their own margin and loss."""
    problem, method = setting.problem(), setting.method
    assert isinstance(method, Descent)
    assert isinstance(method.optimizer, Optimizer)
    rate = method.optimizer.effective_rate
    svm, k = solved(setting.problem, rate)
    steps = np.append(0, recording.log_spaced_steps(method.steps))
    time = np.array([method.optimizer.elapsed(step) for step in steps.tolist()])
    w = weights(steps.astype(float), time)
    scores = np.einsum("nd,t...d->tn...", problem.x, w)
    if problem.binary:
        flat = (problem.signs * scores)[..., None]
    else:
        own = scores[:, problem.own][..., None]
        flat = np.where(problem.own, np.inf, own - scores)
    run = xr.Dataset(
        {
            "w": (("log1p_t", *("class", "feature")[-(w.ndim - 1) :]), w),
            "b": (("log1p_t", *(["class"] if w.ndim == 3 else [])), np.zeros(w.shape[:-1])),
            "margin": ("log1p_t", flat.min(axis=(1, 2))),
            "log_loss": ("log1p_t", [log_loss(each) for each in flat]),
            "norm": ("log1p_t", np.linalg.norm(w.reshape(len(w), -1), axis=1)),
        },
        {"log1p_t": np.log1p(time), "step": ("log1p_t", steps)},
        {"rate": rate, "bias": "none", "bias_scale": 1.0, "problem_id": problem.id},
    )
    return Comparison(setting, problem, svm, k, run, run)


@cache
def solved(problem: Callable[[], Problem], rate: float) -> tuple[MaxMargin, Constants]:
    """The SVM of a problem and the constants of descent at this rate."""
    svm = max_margin(problem())
    return svm, constants(problem(), svm, rate=rate)


def log_loss(margins: np.ndarray) -> float:
    """ln of the mean logistic loss of (pair) margins (n, rivals)."""
    hardest = -logsumexp(-margins, axis=1)
    tail = np.exp(-np.abs(hardest))
    usual = np.log(np.maximum(np.log1p(tail) + np.maximum(-hardest, 0.0), 1e-300))
    # ln ln(1 + e^-m) = -m - e^-m / 2 + O(e^-2m)
    logs = np.where(hardest > 30, -hardest - tail / 2, usual)
    return float(logsumexp(logs) - np.log(len(margins)))
