"""Descent against plain numpy loops, against the flow, and where it leaves the numbers."""

import numpy as np
import optax
import pytest

import svmconv as sc
from svmconv.optimizers import GD, HeavyBall, NormalizedGD
from tests.dynamics import references
from tests.tolerances import CONSERVED, LONG_SUM

STEPS = 300


def loop(problem, x, steps, update, start=None):
    """The weights after `steps` of w <- update(t, w, grad L(w)), t = 1, 2, ..."""
    k = () if problem.binary else (problem.n_classes,)
    w = np.zeros((*k, x.shape[1])) if start is None else start
    for t in range(1, steps + 1):
        w = update(t, w, references.gradient(problem, x, w))
    return w


@pytest.mark.parametrize(
    "problem", [references.small(), references.small_three_classes()], ids=["two", "three"]
)
def test_gd(problem):
    run = sc.descend(problem, GD(0.5), STEPS)
    expected = loop(problem, problem.x, STEPS, lambda _, w, g: w - 0.5 * g)
    np.testing.assert_allclose(run.w[-1], expected, atol=LONG_SUM)
    assert run.step[-1] == STEPS


def test_every_recording_is_the_weights_after_that_many_steps():
    problem = references.small()
    run = sc.descend(problem, GD(0.5), STEPS)
    for i in (0, 1, 10, 60):
        steps = int(run.step[i])
        expected = loop(problem, problem.x, steps, lambda _, w, g: w - 0.5 * g)
        np.testing.assert_allclose(run.w[i], expected, atol=LONG_SUM)
        m = problem.signs * (problem.x @ expected)
        assert float(run.margin[i]) == pytest.approx(m.min(), abs=LONG_SUM)
        log_loss = np.log(np.log1p(np.exp(-m)).mean())
        assert float(run.log_loss[i]) == pytest.approx(log_loss, abs=LONG_SUM)


def test_heavy_ball():
    problem, m = references.small(), 0.0

    def update(_, w, g):
        nonlocal m
        m = 0.9 * m + g
        return w - 0.2 * m

    run = sc.descend(problem, HeavyBall(0.2), STEPS)
    np.testing.assert_allclose(run.w[-1], loop(problem, problem.x, STEPS, update), atol=LONG_SUM)
    np.testing.assert_allclose(run.log1p_t, np.log1p(2.0 * run.step), rtol=1e-14)


def test_adam_from_optax():
    problem, m, v = references.small(), 0.0, 0.0

    def update(t, w, g):
        nonlocal m, v
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        return w - 0.01 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)

    run = sc.descend(problem, optax.adam(0.01), STEPS)
    # bias corrections are powers 0.999^t, computed otherwise
    np.testing.assert_allclose(run.w[-1], loop(problem, problem.x, STEPS, update), rtol=1e-10)
    assert run.attrs["rate"] == "custom"
    np.testing.assert_allclose(run.log1p_t, np.log1p(run.step), rtol=1e-14)


def test_normalized_gd_goes_on_where_the_loss_has_underflowed():
    problem = references.small()
    z, steps = problem.signs[:, None] * problem.x, 2000
    w = np.zeros(4)
    for _ in range(steps):
        log_losses, log_slopes = references.log_weights(z, w)
        top = log_losses.max()
        w = w + z.T @ np.exp(log_slopes - top - np.log(np.exp(log_losses - top).sum()))
    run = sc.descend(problem, NormalizedGD(1.0), steps)
    assert float(run.log_loss[-1]) < -1900
    # weights e^(-m) of margins of 2000 are ratios known to 2000 EPS
    np.testing.assert_allclose(run.w[-1], w, rtol=1e-11)


def test_plain_optax_stops_where_the_loss_underflows():
    """As documented: grad L is exactly zero once log L < -708; grad log L is not."""
    problem = references.small()
    init = 800.0 * problem.truth.w
    stuck = sc.descend(problem, optax.sgd(0.5), 10, init=init)
    np.testing.assert_array_equal(stuck.w[-1], stuck.w[0])
    assert float(stuck.log_loss[-1]) < -790
    moving = sc.descend(problem, NormalizedGD(0.5), 10, init=init)
    assert float(moving.norm[-1]) > float(moving.norm[0]) + 1


@pytest.mark.parametrize("c", [1.0, 6.25])
def test_bias_scale_is_the_learning_rate_factor_of_b(c):
    problem = sc.data.half_spaces(n=40, d=3)
    x = np.column_stack([problem.x, np.ones(40)])
    rates = 0.05 * np.array([1.0, 1.0, 1.0, c])
    start = np.array([0.1, -0.2, 0.3, 0.4])
    expected = loop(problem, x, STEPS, lambda _, w, g: w - rates * g, start)
    run = sc.descend(
        problem, GD(0.05), STEPS, bias="augmented", bias_scale=c, init=(start[:3], start[3])
    )
    np.testing.assert_allclose(run.w[-1], expected[:3], atol=LONG_SUM)
    np.testing.assert_allclose(run.b[-1], expected[3], atol=LONG_SUM)
    np.testing.assert_allclose(
        run.norm[-1], np.sqrt(expected[:3] @ expected[:3] + expected[3] ** 2 / c), rtol=LONG_SUM
    )


def test_exponential_loss():
    problem = references.small()
    w = np.zeros(4)
    for _ in range(STEPS):
        w = w - 0.05 * references.gradient(problem, problem.x, w, "exponential")
    run = sc.descend(problem, GD(0.05), STEPS, loss="exponential")
    np.testing.assert_allclose(run.w[-1], w, atol=LONG_SUM)


def test_sum_over_classes_is_conserved_by_momentum_but_not_by_adam():
    problem = references.small_three_classes()
    init = np.random.default_rng(3).standard_normal((3, 4))

    def drift(method):
        run = sc.descend(problem, method, STEPS, init=init)
        return np.abs(run.w.values[-1].sum(axis=0) - init.sum(axis=0)).max()

    assert drift(HeavyBall(0.2)) <= CONSERVED * np.sqrt(STEPS) * 10  # |W| < 10, a random walk
    assert drift(optax.adam(0.01)) > 1e-3


def test_small_steps_approach_the_flow_to_first_order():
    problem = references.small()
    flow = sc.gradient_flow(problem, np.log(20.0)).w.values[-1]
    coarse, fine = (
        np.abs(sc.descend(problem, GD(20.0 / n), n).w.values[-1] - flow).max() for n in (1000, 2000)
    )
    assert coarse < 0.01
    assert coarse / fine == pytest.approx(2.0, rel=0.05)  # next order: the rate, .02


def test_a_million_steps_agree_with_the_flow_within_the_forecast_error():
    """Both tend to the forecast like tau^-kappa, kappa = .8: bounds from a factor 100 earlier."""
    problem = references.small(theta=3.0)
    w_hat, alpha = problem.truth
    rate, end = 0.5, np.log(0.5e6)
    run = sc.descend(problem, GD(rate), steps=1e6)
    flow = sc.gradient_flow(problem, end)

    def forecast_error(trajectory):
        s = trajectory.log1p_t.values
        i = np.searchsorted(s, end - np.log(100.0))
        earlier = references.residual(problem, trajectory.w.values[i], s[i], w_hat, alpha)
        return np.linalg.norm(earlier) * np.exp(-0.8 * (end - s[i]))

    error = forecast_error(run)
    assert error < 1e-3
    left = references.residual(problem, run.w.values[-1], end, w_hat, alpha)
    assert np.linalg.norm(left) <= 1.1 * error
    assert np.linalg.norm(run.w.values[-1] - flow.w.values[-1]) <= error
    # control: a flow of another rate is ln 2 away along w_hat
    other = sc.gradient_flow(problem, end + np.log(2.0))
    assert np.linalg.norm(run.w.values[-1] - other.w.values[-1]) > 100 * error


def test_a_rate_too_large_ends_in_a_sentence():
    # z and -z: the exponential loss has its minimum at 0, and a step from 1 overshoots to -116
    problem = sc.Problem([[1.0], [1.0]], [0, 1])
    with pytest.raises(sc.DivergedError, match=r"GD left the finite numbers by step .* lower its"):
        sc.descend(problem, GD(100.0), 50, loss="exponential", init=np.array([1.0]))
