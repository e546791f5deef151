"""The KKT residual of a last layer, against cases known by hand and plain numpy."""

import numpy as np
import pytest

import svmconv as sc
from svmconv.measures import kkt_residual

THREE = sc.data.multiclass_blobs(n=60)
# w* = (1, 0) = 1/3 (1, 1) + 2/3 (1, -1/2): two support vectors, unequal duals
Z = np.array([[1.0, 1.0], [1.0, -0.5]])
X, Y, ALPHA = np.array([1.0, -1.0])[:, None] * Z, [1, 0], np.array([1 / 3, 2 / 3])


def residual(*layer):
    found = kkt_residual(*layer)
    return float(found.stationarity), float(found.slackness)


@pytest.mark.parametrize("scale", [0.1, 1.0, 1e6])
def test_equal_duals_are_met_by_the_exact_svm(scale):
    """One pair of mirrored rows; three rows at the corners of a simplex."""
    mirrored = residual([[1.0, 2.0], [-1.0, -2.0]], [1, 0], [scale, 2 * scale])
    corners = residual(np.eye(3), [0, 1, 2], scale * np.eye(3), np.zeros(3))
    np.testing.assert_allclose([mirrored, corners], 0.0, atol=1e-15)


@pytest.mark.parametrize("log_loss", [-40.0, -1e3, -1e6])
def test_unequal_duals_are_met_by_weights_that_reproduce_them(log_loss):
    """w = s w* + w~, z_n.w~ = -ln alpha_n: the loss weighs the rows by alpha; w* is the pull."""
    offset = np.linalg.solve(Z, -np.log(ALPHA))
    w = -log_loss * np.array([1.0, 0.0]) + offset
    expected = np.linalg.norm(w[1:]) / np.linalg.norm(w)
    closest = -log_loss - np.log(2 / 3)
    stationarity, slackness = residual(X, Y, w)
    rounding = 4e-16 * abs(log_loss)  # of a margin, hence of its weight
    assert stationarity == pytest.approx(expected, rel=1e-9, abs=rounding)
    assert slackness == pytest.approx(np.log(2.0) / 3 / closest, rel=1e-9 + 10 * rounding)


def test_the_svm_direction_alone_is_not_stationary():
    """At s w* both rows weigh the same: the pull is (1, 1/4)."""
    stationarity, slackness = residual(X, Y, [50.0, 0.0])
    assert stationarity == pytest.approx(np.sin(np.arctan(0.25)), rel=1e-12)
    assert slackness == 0.0


def test_a_layer_that_points_away_or_nowhere():
    away = residual([[1.0, 2.0], [-1.0, -2.0]], [1, 0], [-1.0, -2.0])
    assert away[0] == 1.0
    assert np.isnan(away[1])
    assert np.isnan(residual(X, Y, [0.0, 0.0])).all()


def test_random_weights_are_not_stationary():
    for seed in range(20):
        w = np.random.default_rng(seed).standard_normal((3, 2))
        assert residual(THREE.x, THREE.y, w, np.zeros(3))[0] > 0.05


@pytest.mark.parametrize("bias", [None, np.array([0.3, -0.2, 0.1])])
def test_against_plain_numpy(bias):
    w = 0.3 * np.random.default_rng(3).standard_normal((3, 2))
    x = THREE.x if bias is None else np.column_stack([THREE.x, np.ones(THREE.n)])
    whole = w if bias is None else np.column_stack([w, bias])
    scores = x @ whole.T
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    pull = (THREE.own - p).T @ x  # -gradient of the summed softmax cross-entropy
    whole = whole - whole.mean(axis=0)
    cosine = np.vdot(pull, whole) / np.linalg.norm(pull) / np.linalg.norm(whole)
    expected = np.sqrt(1 - cosine**2) if cosine > 0 else 1.0
    assert residual(THREE.x, THREE.y, w, bias)[0] == pytest.approx(expected, rel=1e-9)


def test_slackness_against_plain_numpy():
    svm = sc.max_margin(THREE, bias="augmented")
    w, b = 2.0 * svm.w, 2.0 * np.asarray(svm.b)
    scores = THREE.x @ w.T + b
    margins = scores[np.arange(THREE.n), THREE.index][:, None] - scores
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    p, q = (v[~THREE.own] for v in (p, margins))
    expected = (p * (q - q.min())).sum() / p.sum() / q.min()
    assert residual(THREE.x, THREE.y, w, b)[1] == pytest.approx(expected, rel=1e-9)


def test_units_order_and_names_do_not_matter():
    rng = np.random.default_rng(5)
    svm = sc.max_margin(THREE, bias="augmented")
    w, b = svm.w + 0.1 * rng.standard_normal((3, 2)), np.asarray(svm.b)
    one = residual(THREE.x, THREE.y, w, b)
    order = rng.permutation(THREE.n)
    np.testing.assert_allclose(residual(THREE.x[order], THREE.y[order], w, b), one, rtol=1e-9)
    np.testing.assert_allclose(residual(THREE.x, -THREE.y, w[::-1], b[::-1]), one, rtol=1e-9)
    without = residual(THREE.x, THREE.y, w)
    np.testing.assert_allclose(residual(4.0 * THREE.x, THREE.y, w / 4.0), without, rtol=1e-12)


def test_a_bias_of_zero_has_to_be_stationary_too():
    """At (5, 1), margins 6 and 4.5, by hand: weights p and 1 - p; the pull on b is 2 p - 1."""
    weight = np.array([5.0, 1.0])
    p = 1.0 / (1.0 + np.exp(1.5) * (1 + np.exp(-6.0)) / (1 + np.exp(-4.5)))
    for bias, pull in ((None, p * Z[0] + (1 - p) * Z[1]), (0.0, [1.0, 1.5 * p - 0.5, 2 * p - 1])):
        own = weight if bias is None else np.append(weight, 0.0)
        cosine = np.vdot(pull, own) / np.linalg.norm(pull) / np.linalg.norm(own)
        expected = np.sqrt(1 - cosine**2)
        assert residual(X, Y, weight, bias)[0] == pytest.approx(expected, rel=1e-12)
