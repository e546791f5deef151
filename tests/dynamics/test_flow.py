"""Gradient flow against closed forms, other integrators, its limit, and exact symmetries."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import minimize

import svmconv as sc
from tests.dynamics import references
from tests.tolerances import CONSERVED, EPS, FLOW, FLOW_LOG_LOSS, FLOW_RESIDUAL, FRAMES

LOSSES = ("logistic", "exponential")


def log_time(flow):
    """ln t of every recording after the first, from ln(1 + t)."""
    s = flow.log1p_t.values[1:]
    return s + np.log(-np.expm1(-s))


@pytest.mark.parametrize("loss", ["logistic", pytest.param("exponential", marks=pytest.mark.slow)])
def test_two_equal_signed_rows(loss):
    """m = z.w obeys m' = |z|^2 e^-m, so e^m = 1 + |z|^2 t; logistic: e^m + m = 1 + |z|^2 t."""
    z = np.array([3.0, -4.0])
    flow = sc.gradient_flow(sc.Problem([z, -z], [1, 0]), loss=loss)
    m, expected = flow.w.values[1:] @ z, log_time(flow) + np.log(25.0)
    with np.errstate(over="ignore"):
        # ln(e^m - 1 [+ m]) = m + ln(1 - e^-m [+ m e^-m])
        reached = m + np.log(-np.expm1(-m) + (m * np.exp(-m) if loss == "logistic" else 0.0))
    np.testing.assert_allclose(reached, expected, rtol=FLOW, atol=FLOW)
    np.testing.assert_allclose(flow.w.values @ [4.0, 3.0], 0.0, atol=EPS * m[-1])


def test_two_orthogonal_support_vectors():
    """Each coordinate on its own: e^(a w_1) = 1 + a^2 t / 2, the mean over two rows."""
    a = np.array([2.0, 0.5])
    flow = sc.gradient_flow(sc.Problem(np.diag(a), [1, 0]), loss="exponential")
    sign = np.array([1.0, -1.0])
    expected = np.logaddexp(0.0, log_time(flow)[:, None] + np.log(a**2 / 2))
    np.testing.assert_allclose(flow.w.values[1:] * sign * a, expected, rtol=FLOW, atol=FLOW)
    np.testing.assert_allclose(flow.margin[1:], expected.min(axis=1), rtol=FLOW, atol=FLOW)


def test_simplex_of_three_classes():
    """Rows e_k: W = g (I - 1/3), g' = 1 / (e^g + 2), so e^g + 2 g = 1 + t."""
    flow = sc.gradient_flow(sc.Problem(np.eye(3), ["a", "b", "c"]))
    assert flow.w.dims == ("log1p_t", "class", "feature")
    assert flow["class"].values.tolist() == ["a", "b", "c"]
    g = flow.w.values[1:, 0, 0] * 1.5
    np.testing.assert_allclose(
        flow.w.values[1:], g[:, None, None] * (np.eye(3) - 1 / 3), rtol=FLOW, atol=FLOW
    )
    with np.errstate(under="ignore"):
        reached = g + np.log(-np.expm1(-g) + 2 * g * np.exp(-g))
    np.testing.assert_allclose(reached, log_time(flow), rtol=FLOW, atol=FLOW)


@pytest.mark.parametrize(
    ("problem", "bias", "c"),
    [
        (sc.data.planted(n=1000, d=10), "none", 1.0),
        (sc.data.half_spaces(n=1000, d=10), "none", 1.0),
        (sc.data.half_spaces(n=60, d=3, seed=1), "augmented", 4.0),
        (sc.data.planted(n=30, d=11, n_support=5, margin=1e-3), "none", 1.0),
    ],
    ids=["planted", "Gaussian", "augmented", "margin 1e-3"],
)
def test_residual_against_the_forecast(problem, bias, c):
    svm = sc.max_margin(problem, bias=bias, bias_scale=c)
    # planted duals are known, and not those of a solver where the support vectors are dependent
    alpha = svm.alpha if problem.truth is None else problem.truth.alpha
    flow = sc.gradient_flow(problem, log_t=1e6, bias=bias, bias_scale=c)
    w = flow.w.values[-1]
    if bias == "augmented":
        w = np.append(w, flow.b.values[-1] / np.sqrt(c))
    left = references.residual(problem, w, log_time(flow)[-1], svm.w_aug, alpha, bias, c)
    assert svm.margin * np.linalg.norm(left) <= FLOW_RESIDUAL
    # mean loss: gamma^2 L t -> 1
    assert flow.log_loss[-1] + log_time(flow)[-1] + 2 * np.log(svm.margin) == pytest.approx(
        0.0, abs=FLOW_LOG_LOSS
    )


def test_residual_notices_a_wrong_limit():
    """Control: the same residual with equal duals, and with the sum for the mean."""
    problem = references.small()
    w_hat, alpha = problem.truth
    w = sc.gradient_flow(problem).w.values[-1]
    s = np.log1p(0.0) + 1e6
    assert np.linalg.norm(references.residual(problem, w, s, w_hat, alpha)) <= FLOW_RESIDUAL
    equal = np.where(alpha > 0, 0.25, 0.0)
    assert np.linalg.norm(references.residual(problem, w, s, w_hat, equal)) > 0.1
    total = references.residual(problem, w, s, w_hat, alpha / problem.n)
    assert np.linalg.norm(total) > 0.1


@pytest.mark.parametrize(
    "problem",
    [references.small(), sc.data.half_spaces(n=200, d=6)],
    ids=["planted", "Gaussian"],
)
def test_co_moving_and_plain_frame_agree(problem):
    moving, plain = (sc.gradient_flow(problem, 30.0, frame=f) for f in ("co-moving", "plain"))
    for name in ("w", "margin", "log_loss", "norm"):
        np.testing.assert_allclose(moving[name], plain[name], atol=FRAMES)


@pytest.mark.parametrize(
    ("loss", "bias", "c"),
    [("logistic", "none", 1.0), ("exponential", "none", 1.0), ("logistic", "augmented", 2.5)],
)
def test_small_times_against_scipy(loss, bias, c):
    problem = sc.data.half_spaces(n=40, d=3)
    start = (np.array([0.3, -0.2, 0.1]), 0.5 if bias == "augmented" else 0.0)
    flow = sc.gradient_flow(problem, np.log(50.0), loss=loss, bias=bias, bias_scale=c, init=start)
    x, at = problem.rows(bias, c), np.expm1(flow.log1p_t.values)
    w0 = np.append(start[0], start[1] / np.sqrt(c)) if bias == "augmented" else start[0]
    oracle = solve_ivp(
        lambda _, w: -references.gradient(problem, x, w, loss),
        (0.0, at[-1] * (1 + EPS)), w0, method="DOP853", t_eval=at, rtol=1e-11, atol=1e-12,
    ).y.T  # fmt: skip
    np.testing.assert_allclose(flow.w, oracle[:, :3], atol=FLOW)
    if bias == "augmented":
        np.testing.assert_allclose(flow.b, oracle[:, 3] * np.sqrt(c), atol=FLOW)


@pytest.mark.parametrize("bias", ["none", "augmented"])
def test_what_is_recorded_belongs_to_the_weights(bias):
    problem = sc.data.half_spaces(n=40, d=3)
    flow = sc.gradient_flow(problem, 30.0, bias=bias, bias_scale=4.0)
    m = problem.signs * (flow.w.values @ problem.x.T + flow.b.values[:, None])
    np.testing.assert_allclose(flow.margin, m.min(axis=1), atol=1e-12)
    log_loss = np.log(np.log1p(np.exp(-m)).mean(axis=1))
    np.testing.assert_allclose(flow.log_loss, log_loss, atol=1e-12)
    norm = np.sqrt((flow.w.values**2).sum(axis=1) + flow.b.values**2 / 4.0)
    np.testing.assert_allclose(flow.norm, norm, rtol=1e-14)
    assert (np.diff(flow.log_loss) < 0).all()
    assert flow.log1p_t[0] == 0.0
    assert flow.log1p_t[-1] == np.logaddexp(0.0, 30.0)


@pytest.mark.slow
@pytest.mark.parametrize("c", [2.0**40, 1e-12, 1e12])
def test_rows_of_any_scale(c):
    """Rows c z: the flow is w(c^2 t) / c."""
    problem = references.small()
    shift = 2 * np.log(c)
    one = sc.gradient_flow(problem, 1e4)
    moved = sc.gradient_flow(sc.Problem(c * problem.x, problem.y), 1e4 - shift)
    # |w_hat| = 1; other recording times, so other steps
    np.testing.assert_allclose(c * moved.w[-1], one.w[-1], atol=FLOW)
    assert float(moved.log_loss[-1]) == pytest.approx(float(one.log_loss[-1]), abs=FLOW)


def test_before_t_is_one():
    """log_t may be negative: w = -t grad L(0) + O(t^2)."""
    problem = references.small()
    flow = sc.gradient_flow(problem, np.log(1e-5))
    first = -references.gradient(problem, problem.x, np.zeros(4))
    np.testing.assert_allclose(flow.w[-1] / 1e-5, first, rtol=1e-4)  # next order: 1e-5


def test_start_is_honoured_and_forgotten():
    """The first recording is the start itself; where the support vectors span, the end is not."""
    problem = references.small()
    init = np.array([1.0, -2.0, 3.0, 0.1])
    flow = sc.gradient_flow(problem, init=init)
    np.testing.assert_array_equal(flow.w[0], init)
    assert float(flow.margin[0]) == pytest.approx((problem.signs * (problem.x @ init)).min())
    w_hat, alpha = problem.truth
    left = references.residual(problem, flow.w.values[-1], 1e6, w_hat, alpha)
    assert np.linalg.norm(left) <= FLOW_RESIDUAL


def test_what_no_row_sees_keeps_its_start():
    flat = references.small(d=3)
    problem = sc.Problem(np.column_stack([flat.x, np.zeros(flat.n)]), flat.y)
    flow = sc.gradient_flow(problem, init=np.array([1.0, -2.0, 3.0, 0.7]))
    np.testing.assert_allclose(flow.w[:, 3], 0.7, rtol=4 * EPS)


def test_three_classes():
    """The residual against the forecast from any start, and the sum over classes, conserved."""
    problem = references.small_three_classes()
    init = np.random.default_rng(3).standard_normal((3, 4))
    flow = sc.gradient_flow(problem, init=init)
    w_hat, alpha = problem.truth
    left = references.residual(problem, flow.w.values[-1], 1e6, w_hat, alpha)
    assert np.linalg.norm(left) <= FLOW_RESIDUAL
    drift = flow.w.values.sum(axis=1) - init.sum(axis=0)
    size = np.abs(flow.w.values).max(axis=(1, 2))
    assert (np.abs(drift).max(axis=1) <= CONSERVED * size).all()


@pytest.mark.slow
def test_plain_flow_without_a_separator_ends_at_the_minimiser():
    rng = np.random.default_rng(0)
    problem = sc.Problem(rng.standard_normal((40, 3)), np.arange(40) % 2)
    flow = sc.gradient_flow(problem, 8.0, frame="plain")  # e^(-t/10) is gone at t = e^8
    z = problem.signs[:, None] * problem.x
    best = minimize(
        lambda w: np.logaddexp(0.0, -z @ w).mean(),
        np.zeros(3),
        jac=lambda w: references.gradient(problem, problem.x, w),
        tol=1e-14,
    )
    np.testing.assert_allclose(flow.w[-1], best.x, atol=FLOW)


def test_the_tolerance_is_felt():
    problem = sc.data.half_spaces(n=200, d=6)
    loose, usual, tight = (
        sc.gradient_flow(problem, 1e4, rtol=r).w.values for r in (1e-3, 1e-8, 1e-11)
    )
    assert 5 * np.abs(usual - tight).max() < np.abs(loose - tight).max()
    w_hat = np.linalg.norm(usual[-1]) / 1e4
    np.testing.assert_allclose(usual, tight, atol=FLOW * w_hat)
