"""Constants solved by hand, planted, and found again by solvers that know nothing of ours."""

import inspect

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import entr

import svmconv as sc
from svmconv.theory import problems
from svmconv.theory.constants import maximum_entropy

# Newton's method ends with a decrease below 1e-30, so duals err by 1e-15 times the condition of the
# support vectors (at most 1e3 here).
EXACT = 1e-11


def constants_of(x, y, **kind):
    problem = sc.Problem(x, y)
    rate, init = kind.pop("rate", 1.0), kind.pop("init", None)
    svm = sc.max_margin(problem, **kind)
    return sc.theory.constants(problem, svm, rate=rate, init=init)


def of(problem, **kind):
    return sc.theory.constants(problem, sc.max_margin(problem, **kind))


@pytest.mark.parametrize("geometry", ["l1", "linf", "spectral"])
def test_other_geometries_are_refused(geometry):
    with pytest.raises(sc.DataError, match="l2"):
        constants_of([[2.0, 0.0], [-2.0, 0.0]], [1, -1], geometry=geometry)


def test_two_points():
    """z = (2, 0) twice: w_hat = (1/2, 0), alpha = 1/8 each, exp(-2 w_tilde) = 2 / 8."""
    k = constants_of([[2.0, 0.0], [-2.0, 0.0]], [1, -1])
    assert k.gamma == pytest.approx(2.0, rel=EXACT)
    np.testing.assert_allclose(k.u, [1, 0], atol=EXACT)
    np.testing.assert_allclose(k.alpha, 1 / 8, rtol=EXACT)
    np.testing.assert_allclose(k.p, 1 / 2, rtol=EXACT)
    assert k.entropy == pytest.approx(np.log(2), rel=EXACT)
    assert k.min_entropy == pytest.approx(np.log(2), rel=EXACT)
    np.testing.assert_allclose(k.w_tilde, [np.log(2), 0], atol=EXACT)
    np.testing.assert_allclose(k.v_bar, 0, atol=EXACT)
    assert k.theta == np.inf
    assert k.lambda_min == pytest.approx(1.0, rel=EXACT)
    assert k.lambda_max == 0.0
    assert k.kappa == pytest.approx(1.0, rel=EXACT)
    assert k.spanning
    assert not k.unknown
    assert k.w_out is not None
    np.testing.assert_allclose(k.w_out, 0)


def test_three_dependent_support_vectors_in_the_plane():
    """z = (1, s), (1, -2s), (1, 0): p ~ (r, r^-2, 1) by maximum entropy, and p1 = 2 p2 gives
    r^3 = 2. So v_bar = (0, -ln 2 / 3s), and H = ln(r + r^-2 + 1) since sum p z.v_bar = 0."""
    s, r = 0.5, 2 ** (1 / 3)
    k = constants_of([[1, s], [1, -2 * s], [-1, 0]], [1, 1, -1])
    total = r + r**-2 + 1
    np.testing.assert_allclose(k.p, np.array([r, r**-2, 1]) / total, rtol=EXACT)
    np.testing.assert_allclose(k.v_bar, [0, -np.log(2) / 3 / s], atol=EXACT)
    assert k.entropy == pytest.approx(np.log(total), rel=EXACT)
    assert k.min_entropy == pytest.approx(np.log(total / r), rel=EXACT)
    # M = diag(1, sum p y^2) = diag(1, s^2 (r + 4 r^-2) / total)
    assert k.lambda_min == pytest.approx(s**2 * (r + 4 * r**-2) / total, rel=EXACT)
    assert k.lambda_max == pytest.approx(k.lambda_min, rel=EXACT)
    # exp(-z_3.w_tilde) = N alpha_3 with z_3 = (1, 0)
    assert k.w_tilde[0] == pytest.approx(-np.log(3 / total), rel=EXACT)


def test_the_seven_rows_of_the_theory_page():
    """alpha from two linear equations: .9 p2 = .8 p3 and p1 = .5 p2 + .6 p3; far row .5 * 2 * 3."""
    k = of(problems.theory_example())
    p = np.array([1.175, 1.0, 1.125]) / 3.3
    np.testing.assert_allclose(k.p[:3], p, rtol=EXACT)
    np.testing.assert_array_equal(k.p[3:], 0.0)
    assert k.gamma == pytest.approx(0.5, rel=EXACT)
    assert k.entropy - k.min_entropy == pytest.approx(0.06369361, abs=5e-9)
    assert np.linalg.norm(k.v_bar) == pytest.approx(0.09690395, abs=5e-9)
    assert k.theta == pytest.approx(3.0, rel=EXACT)
    hessian = sum(
        a * np.outer(z, z) for a, z in zip(4 * p, signed(problems.theory_example()), strict=False)
    )
    assert k.lambda_min == pytest.approx(np.linalg.eigvalsh(hessian)[0], rel=1e-10)
    assert k.lambda_max == pytest.approx(np.linalg.eigvalsh(hessian[1:, 1:])[-1], rel=1e-10)


def signed(problem):
    return problem.signs[:, None] * problem.x


PLANTED = [
    {"n": 40, "d": 4, "n_support": 4, "spanning": True},
    {"n": 40, "d": 6, "n_support": 3, "theta": 1.2},
    {"n": 60, "d": 4, "n_support": 9, "spanning": True, "theta": 3.0},
    {"n": 80, "d": 5, "n_support": 30, "spanning": True, "lambda_min": 0.2, "margin": 1e-3},
    {"n": 5, "d": 20, "n_support": 5, "margin": 1e3},
    {"n": 50, "d": 5, "n_support": 6, "classes": 3},
    {"n": 60, "d": 4, "n_support": 15, "classes": 3, "spanning": True, "lambda_min": 0.1},
]


@pytest.mark.parametrize("arguments", PLANTED, ids=str)
def test_planted_duals_come_back_even_where_they_are_not_unique(arguments):
    problem = sc.data.planted(**arguments)
    assert problem.truth is not None
    k = of(problem)
    alpha = problem.truth.alpha
    np.testing.assert_allclose(k.alpha, alpha, rtol=1e-9, atol=1e-9 * alpha.max())
    assert k.alpha.sum() == pytest.approx(1 / k.gamma**2, rel=EXACT)
    assert k.gamma == pytest.approx(arguments.get("margin", 1.0), rel=EXACT)
    if (alpha > 0).sum() < problem.n * (problem.n_classes - 1):
        assert k.theta == pytest.approx(arguments.get("theta", 1.5), rel=1e-10)
    if problem.binary or "lambda_min" in arguments:
        # M always has the eigenvalue 1 at u
        expected = min(arguments.get("lambda_min", 0.8), 1.0)
        assert k.lambda_min == pytest.approx(expected, rel=1e-9)
    assert k.spanning == (arguments.get("spanning", False) or problem.n == 5)


def test_a_solver_dual_is_not_the_one_that_training_finds():
    """Control of the test above: nine dependent support vectors leave the solver a choice."""
    problem = problems.dependent()
    assert problem.truth is not None
    alpha = sc.max_margin(problem).alpha
    assert np.abs(alpha - problem.truth.alpha).max() > 0.05 * problem.truth.alpha.max()


@pytest.mark.parametrize("classes", [2, 3])
def test_the_defining_equations(classes):
    """sum p z = gamma u, exp(-z.w_tilde) = N alpha and z.v_bar = ln(1/p) - H on S."""
    problem = sc.data.planted(n=40, d=5, n_support=7, classes=classes, seed=4)
    k = of(problem)
    if problem.binary:
        z, p = signed(problem), k.p
    else:
        row, rival = np.nonzero(~problem.own)
        e = np.eye(3)
        z = np.einsum("pk,pd->pkd", e[problem.index[row]] - e[rival], problem.x[row])
        z, p = z.reshape(len(row), -1), k.p[row, rival]
    on = p > 0
    np.testing.assert_allclose(p @ z, k.gamma * k.u.ravel(), atol=EXACT)
    np.testing.assert_allclose(
        z[on] @ k.w_tilde.ravel(), -np.log(problem.n * p[on] / k.gamma**2), atol=EXACT * 100
    )
    np.testing.assert_allclose(z[on] @ k.v_bar.ravel(), -np.log(p[on]) - k.entropy, atol=1e-9)
    assert float(np.vdot(k.u, k.v_bar)) == pytest.approx(0.0, abs=EXACT)
    np.testing.assert_allclose(k.inside(k.w_tilde), k.w_tilde, atol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_maximum_entropy_against_a_conic_solver(seed):
    """max sum entr(p) over p >= 0, sum p = 1, Z^T p = gamma u, stated to cvxpy as it stands."""
    rng = np.random.default_rng(seed)
    d, s = 3, 6 + seed
    across = rng.standard_normal((s, d))
    across -= rng.dirichlet(np.ones(s)) @ across  # the origin is inside their hull
    z = np.column_stack([np.ones(s), across])
    u = np.eye(d + 1)[0]
    p, v_bar = maximum_entropy(z, u)
    q = cp.Variable(s)
    given = [cp.sum(q) == 1, z.T @ q == u]
    cp.Problem(cp.Maximize(cp.sum(cp.entr(q))), given).solve(solver=cp.CLARABEL)
    assert q.value is not None
    np.testing.assert_allclose(p, q.value, atol=2e-5)  # the conic solver's own accuracy
    np.testing.assert_allclose(z.T @ p, u, atol=1e-13)
    weights = np.exp(-z @ v_bar)
    np.testing.assert_allclose(p, weights / weights.sum(), rtol=1e-12)
    assert entr(p).sum() >= entr(np.maximum(q.value, 0)).sum() - 1e-8


BASE = sc.data.planted(n=20, d=3, n_support=6, spanning=True, lambda_min=0.6)


def same(k, other, *names):
    for name in names:
        np.testing.assert_allclose(
            getattr(other, name), getattr(k, name), rtol=1e-9, atol=1e-9, err_msg=name
        )


ROTATION_FREE = ("gamma", "alpha", "p", "entropy", "min_entropy", "theta", "lambda_min",
                 "lambda_max")  # fmt: skip


@settings(max_examples=15)
@given(st.integers(0, 1000))
def test_rotations_turn_vectors_and_leave_numbers(seed):
    q = np.linalg.qr(np.random.default_rng(seed).standard_normal((3, 3)))[0]
    k, other = of(BASE), constants_of(BASE.x @ q.T, BASE.y)
    same(k, other, *ROTATION_FREE)
    for name in ("u", "w_tilde", "v_bar"):
        np.testing.assert_allclose(getattr(other, name), q @ getattr(k, name), atol=1e-9)


@settings(max_examples=15)
@given(st.integers(-12, 12))
def test_scaled_rows(exponent):
    """x -> s x: gamma -> s gamma, alpha -> alpha / s^2, w_tilde -> (w_tilde + 2 ln s w_hat) / s,
    so that exp(-s z.w_tilde') = N alpha / s^2."""
    s = 10.0**exponent
    k, other = of(BASE), constants_of(s * BASE.x, BASE.y)
    same(k, other, "p", "entropy", "min_entropy", "theta", "lambda_min", "lambda_max", "u")
    assert other.gamma == pytest.approx(s * k.gamma, rel=1e-11)
    np.testing.assert_allclose(s**2 * other.alpha, k.alpha, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(s * other.v_bar, k.v_bar, atol=1e-9)
    np.testing.assert_allclose(
        s * other.w_tilde, k.w_tilde + 2 * np.log(s) * k.u / k.gamma, atol=1e-8
    )


def test_flipped_labels_flip_vectors():
    k, other = of(BASE), constants_of(BASE.x, -BASE.y)
    same(k, other, *ROTATION_FREE)
    for name in ("u", "w_tilde", "v_bar"):
        np.testing.assert_allclose(getattr(other, name), -getattr(k, name), atol=1e-10)


def test_far_rows_count_in_the_mean_only():
    """Twenty more rows at margin 10: N doubles, so w_tilde moves by -ln 2 / gamma along u."""
    k = of(BASE)
    far = 10 * np.tile(k.u / k.gamma, (20, 1)) * k.gamma**2
    other = constants_of(np.concatenate([BASE.x, far]), np.concatenate([BASE.y, np.ones(20)]))
    same(k, other, "gamma", "entropy", "theta", "lambda_min", "v_bar")
    np.testing.assert_allclose(other.alpha, np.concatenate([k.alpha, np.zeros(20)]), atol=1e-10)
    np.testing.assert_allclose(other.w_tilde, k.w_tilde - np.log(2) * k.u / k.gamma, atol=1e-9)


@pytest.mark.parametrize("times", [2, 5])
def test_repeated_rows_share_their_dual_and_change_no_limit(times):
    """The mean loss is the same function, so is its limit; only the entropy counts the copies."""
    k, other = of(BASE), constants_of(BASE.x.repeat(times, 0), BASE.y.repeat(times))
    same(k, other, "gamma", "theta", "lambda_min", "v_bar", "w_tilde", "u")
    np.testing.assert_allclose(other.alpha, k.alpha.repeat(times) / times, rtol=1e-9, atol=1e-12)
    assert other.entropy == pytest.approx(k.entropy + np.log(times), rel=1e-10)
    assert other.min_entropy == pytest.approx(k.min_entropy + np.log(times), rel=1e-10)


def test_copies_of_independent_rows_share_its_dual_equally():
    """Rows repeated once, twice or three times: each total dual is unique, its copies are equal."""
    problem = sc.data.planted(n=20, d=4, n_support=4, spanning=True)
    assert problem.truth is not None
    times = 1 + np.arange(problem.n) % 3
    k = constants_of(problem.x.repeat(times, 0), problem.y.repeat(times))
    np.testing.assert_allclose(
        k.alpha, (problem.truth.alpha / times).repeat(times), rtol=1e-9, atol=1e-12
    )


def test_a_degenerate_row_is_named():
    """z = (1, 0), (1, 1): w_hat = (1, 0), and the second row touches with dual zero."""
    k = constants_of([[1.0, 0.0], [-1.0, -1.0]], [1, -1])
    assert k.degenerate
    assert k.theta == 1.0
    assert k.kappa == 0.0
    np.testing.assert_allclose(k.p, [1, 0])
    assert any("zero dual" in sentence for sentence in k.unknown)


def test_a_degenerate_row_among_dependent_ones_is_named():
    """(1, 0) twice and (1, 1): the linear program tells the two kinds of tight row apart."""
    k = constants_of([[1.0, 0.0], [1.0, 0.0], [-1.0, -1.0]], [1, 1, -1])
    assert k.degenerate
    np.testing.assert_allclose(k.p, [0.5, 0.5, 0.0])


def test_almost_degenerate_is_not_degenerate():
    """z2 = (1.01, 1) is off S: control of the two tests above."""
    k = constants_of([[1.0, 0.0], [-1.01, -1.0]], [1, -1])
    assert not k.degenerate
    assert k.theta == pytest.approx(1.01, rel=1e-12)


def test_support_vectors_that_do_not_span_say_so():
    k = of(problems.partial_span())
    assert not k.spanning
    assert k.w_out is None
    assert any("do not span" in sentence for sentence in k.unknown)
    assert k.span.shape == (10, 6)
    full = of(problems.full_span())
    assert full.spanning
    assert full.unknown == ()


def test_initial_weights_outside_all_rows_stay():
    """Rows in a plane of R^3: the third coordinate of w(0) never moves, the others fade."""
    x = np.array([[1.0, 1.0, 0.0], [1.0, -2.0, 0.0], [3.0, 0.0, 0.0], [-4.0, 1.0, 0.0]])
    k = constants_of(x, [1, 1, 1, -1], init=[5.0, -2.0, 7.0])
    assert k.spanning
    assert k.w_out is not None
    np.testing.assert_allclose(k.w_out, [0, 0, 7], atol=EXACT)


def test_augmented_constants_are_those_of_the_rows_with_a_column():
    problem = problems.shifted()
    c = 4.0
    k = of(problem, bias="augmented", bias_scale=c)
    column = np.full((problem.n, 1), np.sqrt(c))
    other = constants_of(np.hstack([problem.x, column]), problem.y)
    same(k, other, *ROTATION_FREE, "u", "w_tilde", "v_bar")


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_a_rate_must_be_a_positive_number(rate):
    with pytest.raises(sc.DataError, match="effective rate, a positive number"):
        constants_of(BASE.x, BASE.y, rate=rate)


def test_a_custom_method_has_no_rate():
    """`run.attrs["rate"]` of a plain optax method is a word; the type checker is left out here."""
    function = inspect.unwrap(sc.theory.constants)
    with pytest.raises(sc.DataError, match="positive number, got 'custom'"):
        function(BASE, sc.max_margin(BASE), rate="custom")


def test_no_descent_reaches_the_classical_svm():
    with pytest.raises(sc.DataError, match='no descent reaches bias="free"'):
        constants_of(BASE.x, BASE.y, bias="free")


def test_an_svm_of_another_problem_is_refused():
    other = sc.data.planted(n=20, d=3, n_support=6, spanning=True, seed=1)
    with pytest.raises(sc.DataError, match="another problem"):
        sc.theory.constants(BASE, sc.max_margin(other))
