"""The scatter of batches drawn with replacement: its covariance step by step, and runs made up with
another scatter or mean."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from svmconv.optimizers import SGD
from svmconv.theory import nacson2019, problems
from svmconv.theory.forecast import forecast_weights
from svmconv.theory.setting import Descent, Setting
from tests.theory.runs import made

BATCH, STEPS = 5, 50_000


@cache
def still():
    """A run on the forecast itself."""
    method = SGD(0.05, batch=BATCH, replacement=True)
    where = Setting(problems.for_steps, Descent(method, STEPS))
    blank = made(where, lambda n, _: np.zeros((len(n), 4)))
    k = blank.constants
    return made(where, lambda _, t: forecast_weights(np.log(np.maximum(t, 0.05)), k))


@pytest.mark.slow
def test_the_covariance_by_its_own_recursion():
    """d <- d - M d / t + xi / t, xi of covariance (N sum alpha^2 z z^T - w_hat w_hat^T) / B."""
    c = still()
    k, z = c.constants, c.problem.signs[:, None] * c.problem.x
    w_hat = k.u / k.gamma
    m = (z * k.alpha[:, None]).T @ z
    each = k.n * (z * k.alpha[:, None] ** 2).T @ z - np.outer(w_hat, w_hat)
    found, start = np.zeros((4, 4)), 50
    for t in range(start, STEPS):
        kept = np.eye(4) - m / t
        found = kept @ found @ kept + each / (BATCH * t**2)
    # what the first steps leave is start / t
    np.testing.assert_allclose(nacson2019.noise(c), found, atol=3 * start / STEPS * found.max())


def scattered(factor, seed, shift=0.0):
    """SEEDS runs whose end is normal about the forecast; factor times the predicted variance."""
    c, rng = still(), np.random.default_rng(seed)
    root = np.linalg.cholesky(factor * nacson2019.noise(c) + 1e-30 * np.eye(4))
    found = []
    for _ in range(nacson2019.SEEDS):
        w = c.run.w.values.copy()
        w[-1] += root @ rng.standard_normal(4)
        log_loss = c.run.log_loss.values + shift
        run = c.run.assign(w=(c.run.w.dims, w), log_loss=("log1p_t", log_loss))
        found.append(replace(c, run=run, coarse=run))
    return found


def test_the_predicted_scatter_holds():
    found = [nacson2019.scatter(scattered(1.0, seed)) for seed in range(8)]
    assert {quantity.verdict for quantity in found} == {"holds"}
    assert found[0].predicted == pytest.approx(np.log(np.trace(nacson2019.noise(still()))))


@pytest.mark.parametrize("factor", [0.0, 1 / 20, 1 / BATCH, BATCH, 20.0])
def test_a_scatter_that_is_off_by_the_batch_is_contradicted(factor):
    """Too small as well as too large: a bar of 81 % about the variance let a fifth pass."""
    found = [nacson2019.scatter(scattered(factor, seed)) for seed in range(8)]
    assert {quantity.verdict for quantity in found} == {"contradicted"}


@pytest.fixture
def quiet(monkeypatch):
    """Without replacement: the run on the forecast."""
    monkeypatch.setattr(nacson2019, "compare", lambda _: still())


@pytest.mark.usefixtures("quiet")
def test_the_mean_loss_constant():
    right = nacson2019.mean_loss_constant(scattered(0.0, 0))
    assert right.verdict == "holds"
    assert right.error < 0.03
    for factor in (1 / 20, 1 / BATCH, 0.9, 0.96, 1.04, 1.1, BATCH, 20):
        wrong = nacson2019.mean_loss_constant(scattered(0.0, 0, np.log(factor)))
        assert wrong.verdict == "contradicted"


@pytest.mark.parametrize("batch", [1, BATCH])
def test_the_scatter_is_that_of_one_row_over_the_batch(batch):
    c = still()
    method = Descent(SGD(0.05, batch=batch, replacement=True), STEPS)
    other = replace(c, setting=replace(c.setting, method=method))
    expected = nacson2019.noise(c) * BATCH / batch
    np.testing.assert_allclose(nacson2019.noise(other), expected, rtol=1e-12)
