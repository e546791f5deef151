"""Nacson, Lee, Gunasekar, Savarese, Srebro, Soudry, AISTATS 2019; Nacson, Srebro, Soudry, ibid.

Steps of length 1 / sqrt t on ln L; and stochastic gradients of a fixed step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float64
from scipy.stats import chi2, norm

from svmconv.optimizers import SGD, NormalizedGD
from svmconv.theory import problems, rates, tolerances
from svmconv.theory import quantities as q
from svmconv.theory.claim import Case, Claim, Control, Measurement, Quantity
from svmconv.theory.comparison import Comparison, compare
from svmconv.theory.setting import Descent, Setting

SQRT = tuple(
    Setting(problem, Descent(NormalizedGD(rate, power=0.5), 10**5), clock="loss")
    for problem, rate in ((problems.theory_example, 1.0), (problems.for_steps, 0.3))
)
RATE = 0.05
"""Below 8 / max |x|^2 = .056, the limit of steps on single rows."""
SHUFFLED = tuple(
    Setting(problems.for_steps, Descent(SGD(RATE, batch=size), 5 * 10**5)) for size in (1, 5)
)
DRAWN = tuple(
    Setting(problems.for_steps, Descent(SGD(RATE, batch=size, replacement=True), 3 * 10**4))
    for size in (1, 5)
)
SEEDS = 16
"""Runs with replacement, over which is averaged; twelve would not tell a scatter of a fifth."""


def square_root(setting: Setting) -> Measurement:
    """The gap falls like 1 / sqrt(steps): |w| = 2 gamma rate sqrt(steps)."""
    c = compare(setting)
    right, speed = rates.exponent(c, 0.5), rates.growth(c)
    method = setting.method
    assert isinstance(method, Descent)
    assert isinstance(method.optimizer, NormalizedGD)
    length = float(np.expm1(c.run.log1p_t[-1])) / method.steps
    wrong = speed.predicted * method.optimizer.rate / length
    control = q.refuted("|w| = gamma rate t", speed, wrong)
    return q.measured_case(c, (right, speed, q.scaled_gap(c)), control)


def shuffled(setting: Setting) -> Measurement:
    """Without replacement: every constant of plain descent, per iteration, whatever the batch."""
    c = compare(setting)
    right = q.loss_constant(c)
    found = (q.direction(c), q.scaled_gap(c), right, q.dual_error(c))
    return q.measured_case(c, found, _per_epoch(c, right))


def drawn(setting: Setting) -> Measurement:
    """With replacement: the same constants, and a scatter about w_F that is predicted too."""
    runs = [compare(_with(setting, seed=seed)) for seed in range(SEEDS)]
    c = runs[0]
    right = mean_loss_constant(runs)
    return q.measured_case(c, (right, scatter(runs)), _per_epoch(c, right))


def mean_loss_constant(runs: Sequence[Comparison]) -> Quantity:
    """L tau, averaged over runs, against 1 / gamma^2.

    Five standard deviations of the mean, and the error bar of a run without replacement, which does
    not scatter.
    """
    c = runs[0]
    along, everywhere = c.constants.u.ravel() @ noise(c) @ c.constants.u.ravel(), _curved(c)
    found = [q.loss_constant(run) for run in runs]
    predicted, gamma = found[0].predicted, c.constants.gamma
    spread = 5.0 * gamma * np.sqrt(along / len(runs)) + gamma**2 * everywhere
    still = q.loss_constant(compare(_with(c.setting, replacement=False)))
    return Quantity(
        "mean of L tau",
        predicted,
        float(np.mean([quantity.measured for quantity in found])),
        predicted * float(np.expm1(spread)) + still.error,
        tolerances.SAMPLED * predicted,
    )


def scatter(runs: Sequence[Comparison]) -> Quantity:
    """ln of the variance of P_S w over the runs, all directions together, against `noise`.

    The sample variance of n numbers is one of chi^2 / nu, nu = n - 1, more if several directions
    share it. Its logarithm, so that a scatter too small by the batch size is told as well as one
    too large; the bar is its wider side, at the probability of four standard deviations.
    """
    c = runs[0]
    weights = np.stack([c.constants.inside(run.weights[-1]).ravel() for run in runs])
    predicted = float(np.trace(noise(c)))
    share = float(np.square(noise(c)).sum()) / predicted**2
    freedom = (len(runs) - 1) / share
    error = -float(np.log(chi2.ppf(norm.sf(4.0), freedom) / freedom))
    measured = float(np.log(weights.var(axis=0, ddof=1).sum()))
    return Quantity(
        "ln variance of w", float(np.log(predicted)), measured, error, tolerances.SCATTER
    )


def noise(c: Comparison) -> Float64[np.ndarray, "size size"]:
    """Covariance of w after t steps on batches of B rows drawn with replacement (derived).

    A step on row n is N alpha_n z_n / t, of mean w_hat / t and covariance C / (B t^2),
    C = N sum alpha_n^2 z_n z_n^T - w_hat w_hat^T; a deviation then fades like t^-M. In the
    eigenvectors of M the sum over steps is C_ij / (B t (lambda_i + lambda_j - 1)), if that is > 0.
    """
    k, alpha, rows = c.constants, c.support_duals, c.support_rows
    each = k.n * (rows * alpha[:, None] ** 2).T @ rows
    each -= np.outer(k.u.ravel(), k.u.ravel()) / k.gamma**2
    values, vectors = np.linalg.eigh(k.span.T @ (rows * alpha[:, None]).T @ rows @ k.span)
    vectors = k.span @ vectors
    summed = vectors.T @ each @ vectors / (values[:, None] + values - 1.0)
    return vectors @ summed @ vectors.T / (_sgd(c.setting).batch * int(c.run.step[-1]))


def _curved(c: Comparison) -> float:
    """E[sum alpha (z.r)^2] of the scatter, by half of which it raises the loss at once.

    Through w.u, in resonance, it lowers it by about ln t times as much (docs/theory.md, 3).
    """
    moved = np.einsum("si,ij,sj->s", c.support_rows, noise(c), c.support_rows)
    return float(c.support_duals @ moved)


def _sgd(setting: Setting) -> SGD:
    method = setting.method
    assert isinstance(method, Descent)
    assert isinstance(method.optimizer, SGD)
    return method.optimizer


def _with(setting: Setting, **changed: Any) -> Setting:
    """The setting with another seed, say."""
    method = setting.method
    assert isinstance(method, Descent)
    return replace(setting, method=replace(method, optimizer=replace(_sgd(setting), **changed)))


def _per_epoch(c: Comparison, right: Quantity) -> Control:
    """Wrong hypothesis: at a fixed rate an epoch is worth the same whatever the batch."""
    steps = c.constants.n / _sgd(c.setting).batch
    return q.refuted("a constant per epoch, whatever the batch", right, right.predicted * steps)


CLAIMS = (
    Claim(
        "nacson2019-sqrt",
        "Nacson, Lee, Gunasekar, Savarese, Srebro, Soudry, AISTATS 2019, abstract; derived",
        "Steps of rate / sqrt t on ln L: |w| = 2 gamma rate sqrt t, and the margin gap falls like "
        "1 / sqrt t.",
        tuple(Case(partial(square_root, setting)) for setting in SQRT),
    ),
    Claim(
        "nacson2019-sgd",
        "Nacson, Srebro, Soudry, AISTATS 2019, abstract; constants derived (docs/theory.md)",
        "Stochastic gradients of a fixed rate go to the same SVM: L rate t -> 1 / gamma^2, t in "
        "iterations, for every batch size; batches drawn with replacement scatter by t^-1/2.",
        (
            *(Case(partial(shuffled, setting)) for setting in SHUFFLED),
            *(Case(partial(drawn, setting)) for setting in DRAWN),
        ),
    ),
)
