"""What must not change the SVM, and what must change it in a known way."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import svmconv as sc
from tests.svm.kkt import assert_optimal

BIASES = ("none", "augmented", "free")
problems = st.builds(
    lambda n, d, seed: sc.data.half_spaces(n=n, d=d, margin=0.3, seed=seed),
    st.integers(6, 60),
    st.integers(1, 8),
    st.integers(0, 10**6),
)
few = settings(max_examples=15)


# half-spaces of margin .3 in at most 8 dimensions: cond(active rows) < 1e4, so 1e-10 is loose
def assert_close(actual, desired):
    np.testing.assert_allclose(actual, desired, rtol=1e-9, atol=1e-10)


@given(problem=problems, bias=st.sampled_from(BIASES))
@few
def test_kkt(problem, bias):
    assert_optimal(problem, sc.max_margin(problem, bias=bias))


@given(problem=problems, bias=st.sampled_from(BIASES), scale=st.floats(1e-3, 1e3))
@few
def test_scale(problem, bias, scale):
    svm = sc.max_margin(problem, bias=bias)
    moved = sc.max_margin(sc.Problem(scale * problem.x, problem.y), bias=bias, bias_scale=scale**2)
    assert_close(scale * moved.w, svm.w)
    assert moved.margin == pytest.approx(scale * svm.margin, rel=1e-10)


@given(problem=problems, bias=st.sampled_from(BIASES), seed=st.integers(0, 99))
@few
def test_rotation(problem, bias, seed):
    turn = np.linalg.qr(np.random.default_rng(seed).standard_normal((problem.d, problem.d)))[0]
    svm = sc.max_margin(problem, bias=bias)
    moved = sc.max_margin(sc.Problem(problem.x @ turn, problem.y), bias=bias)
    assert_close(moved.w, svm.w @ turn)
    np.testing.assert_array_equal(moved.support, svm.support)


@given(problem=problems, bias=st.sampled_from(BIASES))
@few
def test_label_flip(problem, bias):
    svm = sc.max_margin(problem, bias=bias)
    moved = sc.max_margin(sc.Problem(problem.x, -problem.y), bias=bias)
    assert_close(moved.w, -svm.w)
    assert_close(moved.b, -svm.b)


@given(problem=problems, bias=st.sampled_from(BIASES), seed=st.integers(0, 99))
@few
def test_permutation(problem, bias, seed):
    order = np.random.default_rng(seed).permutation(problem.n)
    svm = sc.max_margin(problem, bias=bias)
    moved = sc.max_margin(sc.Problem(problem.x[order], problem.y[order]), bias=bias)
    assert_close(moved.w, svm.w)
    np.testing.assert_allclose(moved.alpha, svm.alpha[order], rtol=1e-7, atol=1e-9)


@given(problem=problems, bias=st.sampled_from(BIASES), seed=st.integers(0, 99))
@few
def test_duplicates(problem, bias, seed):
    again = np.random.default_rng(seed).integers(0, problem.n, 20)
    svm = sc.max_margin(problem, bias=bias)
    more = sc.Problem(
        np.vstack([problem.x, problem.x[again]]), np.append(problem.y, problem.y[again])
    )
    assert_close(sc.max_margin(more, bias=bias).w, svm.w)


@given(problem=problems, bias=st.sampled_from(BIASES), seed=st.integers(0, 99))
@few
def test_far_points(problem, bias, seed):
    # rows pushed along w by more than they lack have margin above 1: nothing may change
    rng = np.random.default_rng(seed)
    svm = sc.max_margin(problem, bias=bias)
    x, y = rng.standard_normal((10, problem.d)), np.where(rng.random(10) < 0.5, 1.0, -1.0)
    lack = 2.0 - y * (x @ svm.w + svm.b)
    x += (np.maximum(lack, 0.0) * y)[:, None] * svm.w / (svm.w @ svm.w)
    more = sc.Problem(np.vstack([problem.x, x]), np.append(problem.y, y))
    moved = sc.max_margin(more, bias=bias)
    assert_close(moved.w, svm.w)
    np.testing.assert_array_equal(moved.support, svm.support)


@given(problem=problems, bias=st.sampled_from(BIASES))
@few
def test_losing_a_support_vector_widens_the_margin(problem, bias):
    # the control of the invariances: a change that must show
    svm = sc.max_margin(problem, bias=bias)
    keep = np.arange(problem.n) != svm.support[np.argmax(svm.alpha[svm.support])]
    if len(np.unique(problem.y[keep])) == 2:
        moved = sc.max_margin(sc.Problem(problem.x[keep], problem.y[keep]), bias=bias)
        assert moved.margin > svm.margin * (1 + 1e-12)


@given(seed=st.integers(0, 10**6), classes=st.integers(3, 6), bias=st.sampled_from(BIASES))
@few
def test_classes_kkt_and_renaming(seed, classes, bias):
    rng = np.random.default_rng(seed)
    w = rng.standard_normal((classes, 4))
    x = rng.standard_normal((30, 4))
    y = np.append((x @ w.T).argmax(axis=1), np.arange(classes))
    x = np.vstack([x + 0.2 * w[y[:30]], w * 3 * np.linalg.norm(w, axis=1).max()])
    keep = (x @ w.T).argmax(axis=1) == y
    problem = sc.Problem(x[keep], y[keep])
    svm = sc.max_margin(problem, bias=bias)
    assert_optimal(problem, svm)
    if not problem.binary:
        turned = sc.Problem(problem.x, (problem.index + 1) % problem.n_classes)
        moved = sc.max_margin(turned, bias=bias)
        assert_close(moved.w, np.roll(svm.w, 1, axis=0))
