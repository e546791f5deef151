"""Methods with nothing in common with ours reach the same weights."""

import numpy as np
import pytest
from sklearn.svm import SVC, LinearSVC

import svmconv as sc
from svmconv.geometry import angle
from svmconv.svm import programs
from svmconv.svm.polish import polish


@pytest.fixture(scope="module")
def problem():
    return sc.data.half_spaces(n=400, d=5, margin=0.3, seed=7)


def test_liblinear(problem):
    # numerics: this setting agrees to 1e-9 degrees = 2e-11 rad
    peer = LinearSVC(
        loss="hinge", C=1e6, fit_intercept=False, tol=1e-10, max_iter=10**7, random_state=0
    )
    peer.fit(problem.x, problem.signs)
    svm = sc.max_margin(problem)
    np.testing.assert_allclose(peer.coef_[0], svm.w, rtol=1e-8)


def test_libsvm_finds_the_classical_intercept(problem):
    # libsvm stops once margins are within tol = 1e-8 of the KKT conditions of ITS rounded kernel,
    # whose entries are hundreds: 1e-5 is what that leaves of w and b
    peer = SVC(kernel="linear", C=1e10, tol=1e-8).fit(problem.x, problem.signs)
    svm = sc.max_margin(problem, bias="free")
    np.testing.assert_allclose(peer.coef_[0], svm.w, rtol=1e-5, atol=1e-5)
    assert peer.intercept_[0] == pytest.approx(svm.b, abs=1e-5)
    np.testing.assert_array_equal(np.sort(peer.support_), svm.support)


@pytest.mark.parametrize("bias", ["none", "augmented"])
def test_dual_acceleration(problem, bias):
    # Ji, Srebro, Telgarsky, ICML 2021: |direction error| falls like 1/T
    z = problem.signs[:, None] * problem.rows(bias, 2.0)
    step = 1.0 / np.max(np.sum(z**2, axis=1))
    w = g = np.zeros(z.shape[1])
    steps = 20_000
    for t in range(steps):
        q = np.exp(-(z @ w) + (z @ w).min())
        pull = (q / q.sum()) @ z
        g = t / (t + 1) * (g + pull)
        w = w + step * (g + pull)
    svm = sc.max_margin(problem, bias=bias, bias_scale=2.0)
    gap = 1.0 - (z @ w).min() / np.linalg.norm(w) / svm.margin
    # min z.w >= |w| gamma - ln n (theory: |w| gamma - min z.w = H + KL + ..., at most ln n here)
    bound = np.log(problem.n) / (svm.margin * np.linalg.norm(w))
    assert bound <= 2e-5
    assert -1e-14 <= gap <= bound
    assert angle(w[None], svm.w_aug)[0] <= np.sqrt(2 * bound)


@pytest.mark.parametrize("bias", ["none", "free"])
@pytest.mark.parametrize("twin", [False, True])
def test_primal_and_dual_programs_agree(problem, bias, twin):
    # the two solvers, unpolished, on all rows: interior point stops near 1e-8
    a = problem.signs[:, None] * problem.x
    c = problem.signs[:, None] if bias == "free" else np.zeros((problem.n, 0))
    answer = programs.solve(a, c, twin=twin)
    assert answer is not None
    svm = sc.max_margin(problem, bias=bias)
    np.testing.assert_allclose(answer.alpha @ a, svm.w, rtol=1e-5)
    polished = polish(a, c, answer.alpha)
    assert polished is not None
    np.testing.assert_allclose(polished.v, svm.w, rtol=1e-12)


@pytest.mark.parametrize("bias", ["none", "free"])
def test_active_set_needs_no_solver(problem, bias):
    # started from nothing, or from nonsense, the pivots end at the same weights
    a = problem.signs[:, None] * problem.x
    c = problem.signs[:, None] if bias == "free" else np.zeros((problem.n, 0))
    svm = sc.max_margin(problem, bias=bias)
    for start in (np.zeros(problem.n), np.random.default_rng(0).random(problem.n)):
        polished = polish(a, c, start)
        assert polished is not None
        np.testing.assert_allclose(polished.v, svm.w, rtol=1e-11)
        np.testing.assert_allclose(polished.alpha, svm.alpha, rtol=1e-8, atol=0)


def test_program_refuses_to_answer_where_there_is_none():
    assert programs.solve(np.array([[1.0], [-1.0]]), np.zeros((2, 0))) is None


def test_crammer_singer_of_liblinear():
    rng = np.random.default_rng(3)
    centres = np.array([[4.0, 0, 0], [0, 4, 0], [0, 0, 4], [-3, -3, -3]])
    y = rng.integers(0, 4, 200)
    x = centres[y] + rng.standard_normal((200, 3)) * 0.6
    svm = sc.max_margin(sc.Problem(x, y))
    peer = LinearSVC(
        multi_class="crammer_singer", C=1e6, fit_intercept=False, tol=1e-10, max_iter=10**7,
        random_state=0,
    ).fit(x, y)  # fmt: skip
    np.testing.assert_allclose(peer.coef_ - peer.coef_.mean(axis=0), svm.w, atol=1e-6)
