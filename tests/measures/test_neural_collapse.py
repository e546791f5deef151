"""Simplices, exact and perturbed by known amounts, and exact arithmetic where float32 is lost."""

import doctest
from fractions import Fraction
from importlib import import_module

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import logsumexp

from svmconv.measures.neural_collapse import (
    cdnv,
    data_separation,
    discrimination,
    neural_collapse,
    spread_ratio,
)
from tests.tolerances import LONG_SUM, ROUNDING

module = import_module("svmconv.measures.neural_collapse")  # its function has the same name

RNG = np.random.default_rng(0)
OFFSET = 1e4
FAR = 1e-10
"""Relative, at an offset of 1e4 from the origin in float64: entries are rounded to 1e-12 there."""
NAMES = neural_collapse([[0.0], [1.0]], [0, 1])._fields


def simplex(k, d):
    """K unit vectors in d dimensions, every cosine -1/(K-1)."""
    corners = (np.eye(k) - 1 / k) * np.sqrt(k / (k - 1))
    turn = np.linalg.qr(np.random.default_rng(k).standard_normal((d, d)))[0]
    return np.pad(corners, ((0, 0), (0, d - k))) @ turn


def around(means, sigma):
    """Rows mu_c +- sigma e_j for all j: S_W is sigma^2 / d times the identity."""
    k, d = means.shape
    steps = sigma * np.vstack([np.eye(d), -np.eye(d)])
    return (means[:, None] + steps).reshape(-1, d), np.repeat(np.arange(k), 2 * d)


def cloud(counts=(7, 30, 11, 3), d=9, seed=0):
    """Unequal classes in no order, and a layer that knows nothing of them."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    x = rng.standard_normal((len(y), d)) + 2 * rng.standard_normal((len(counts), d))[y]
    return x, y, rng.standard_normal((len(counts), d)), rng.standard_normal(len(counts))


def by_definition(x, y, w, b):
    """Every number from its formula, with d x d matrices and a pseudo-inverse in float64."""
    k, n = len(w), len(x)
    means = np.array([x[y == c].mean(axis=0) for c in range(k)])
    m = means - means.mean(axis=0)
    within = sum(np.outer(r, r) for r in x - means[y]) / n
    lengths, i_j = np.linalg.norm(m, axis=1), np.triu_indices(k, 1)
    var = [np.mean(np.sum((x[y == c] - means[c]) ** 2, axis=1)) for c in range(k)]
    nearest = ((x[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    ideal = (np.eye(k) - 1 / k) / np.sqrt(k - 1)

    def angles(rows):
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return np.mean([abs(unit[i] @ unit[j] + 1 / (k - 1)) for i, j in zip(*i_j, strict=True)])

    def gram(g):
        return np.linalg.norm(g / np.linalg.norm(g) - ideal)

    w_lengths = np.linalg.norm(w, axis=1)
    return (
        np.trace(within @ np.linalg.pinv(m.T @ m / k, rcond=1e-12)) / k,
        lengths.std() / lengths.mean(),
        angles(m),
        np.linalg.norm(w / np.linalg.norm(w) - m / np.linalg.norm(m)) ** 2,
        np.mean((x @ w.T + b).argmax(axis=1) != nearest),
        np.mean([
            (var[i] + var[j]) / (2 * np.sum((means[i] - means[j]) ** 2))
            for i, j in zip(*i_j, strict=True)
        ]),
        gram(m @ m.T),
        w_lengths.std() / w_lengths.mean(),
        angles(w),
        gram(w @ w.T),
        gram(w @ m.T),
        np.linalg.norm(b + w @ means.mean(axis=0)),
        k - 1,
    )  # fmt: skip


def test_examples():
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0


# What is known exactly


@pytest.mark.parametrize("k", [2, 3, 4, 10])
def test_a_collapsed_layer(k):
    means = 3.0 * simplex(k, k + 2)
    x, y = around(means, 0.0)
    found = neural_collapse(x, y, 0.7 * means, np.zeros(k))
    assert found.rank == k - 1
    np.testing.assert_allclose(found[:-1], 0.0, atol=10 * ROUNDING)
    assert found.nc4 == 0.0


@pytest.mark.parametrize("k", [2, 3, 4, 10])
def test_equal_spread_in_all_directions(k):
    """S_B = P / (K-1) on the span of unit corners, |mu_i - mu_j|^2 = 2K/(K-1)."""
    d, sigma = k + 3, 0.25
    x, y = around(simplex(k, d), sigma)
    found = neural_collapse(x, y)
    np.testing.assert_allclose(found.nc1, sigma**2 * (k - 1) ** 2 / (d * k), rtol=ROUNDING)
    np.testing.assert_allclose(found.cdnv, sigma**2 * (k - 1) / (2 * k), rtol=ROUNDING)
    np.testing.assert_allclose(data_separation(x, y), k * found.nc1, rtol=ROUNDING)
    np.testing.assert_allclose(spread_ratio(x, y), sigma**2, rtol=ROUNDING)
    np.testing.assert_allclose(discrimination(x, y), k / (k - 1), rtol=ROUNDING)


@pytest.mark.parametrize("k", [3, 4, 10])
@pytest.mark.parametrize("step", [1e-3, 1e-6])
def test_one_class_mean_too_long_is_no_collapse(k, step):
    """mu_1 -> (1 + e) mu_1, centred again, to first order in e (NC3: to second)."""
    means = simplex(k, k + 1)
    moved = means.copy()
    moved[0] *= 1 + step
    x, y = around(moved, 0.0)
    found = neural_collapse(x, y, means, np.zeros(k))
    near = {"rtol": 3 * step + 1e-15 / step}
    np.testing.assert_allclose(found.nc2_norm, step * (k - 2) / (k * np.sqrt(k - 1)), **near)
    np.testing.assert_allclose(found.nc2_angle, step * 4 * (k - 2) / (k * (k - 1) ** 2), **near)
    np.testing.assert_allclose(np.sqrt(found.nc3), step * np.sqrt(k - 2) / k, **near)
    # |G - I/..|, G = (A + e dA)/|A + e dA|: the part of dA across A, dA = mu_1's row and column
    a = means @ means.T
    change = np.zeros((k, k))
    change[0] += a[0]
    change[:, 0] += a[0]
    centre = np.eye(k) - 1 / k
    change = centre @ change @ centre
    across = change - a * np.sum(a * change) / np.sum(a**2)
    expected = step * np.linalg.norm(across) / np.linalg.norm(a)
    np.testing.assert_allclose(found.nc2_gram, expected, **near)


def test_orthonormal_rows():
    """All within-class spread is across the means: C is large, NC1 zero."""
    n, k = 5, 4
    x, y = np.linalg.qr(RNG.standard_normal((30, n * k)))[0].T, np.repeat(np.arange(k), n)
    np.testing.assert_allclose(spread_ratio(x, y), (n - 1) * k / (k - 1), rtol=ROUNDING)
    assert neural_collapse(x, y).nc1 < ROUNDING
    np.testing.assert_allclose(discrimination(x, y), 1.0, rtol=ROUNDING)


def test_unconstrained_features_end_in_a_simplex():
    """Zhu et al.'s problem, minimised from a random start."""
    k, n, d, decay_w, decay_h = 4, 5, 6, 5e-3, 5e-4
    y = np.repeat(np.arange(k), n)
    own = np.eye(k)[y]

    def objective(flat):
        w, h = flat[: k * d].reshape(k, d), flat[k * d :].reshape(-1, d)
        z = h @ w.T
        log_sum = logsumexp(z, axis=1)
        pull = (np.exp(z - log_sum[:, None]) - own) / len(y)
        value = (
            np.mean(log_sum - z[own > 0]) + (decay_w * np.sum(w**2) + decay_h * np.sum(h**2)) / 2
        )
        return value, np.concatenate([
            (pull.T @ h + decay_w * w).ravel(), (pull @ w + decay_h * h).ravel()
        ])  # fmt: skip

    start = np.random.default_rng(0).standard_normal(k * d + len(y) * d)
    options = {"maxiter": 10**4, "maxfun": 10**5, "ftol": 0.0, "gtol": 1e-12, "maxcor": 50}
    end = minimize(objective, start, jac=True, method="L-BFGS-B", options=options)
    slack = np.abs(end.jac).max() / decay_h  # distance from the optimum: curvature >= the decay
    assert slack < 1e-5
    w, h = end.x[: k * d].reshape(k, d), end.x[k * d :].reshape(-1, d)
    np.testing.assert_allclose(end.fun, 0.0704232619, atol=1e-10)
    np.testing.assert_allclose(np.sum(w**2, axis=1), 2.98800, atol=1e-5)
    found = neural_collapse(h, y, w)
    assert found.nc1 < slack**2
    assert found.nc3 < slack**2
    assert found.nc4 == 0.0
    assert max(found.nc2_norm, found.nc2_angle, found.nc2_gram, found.nc2_weight_gram) < slack
    assert neural_collapse(start[k * d :].reshape(-1, d), y, w).nc1 > 0.1  # control: where it began


# Against exact and dense arithmetic


def exact_separation(x, y):
    """tr(S_W pinv(S_B)) of the numbers as they are, in rational arithmetic.

    A = the first K-1 centred means, M = C A, S_B = M^T M / K, so pinv(S_B) =
    K A^T (A A^T)^-1 (C^T C)^-1 (A A^T)^-1 A, and (C^T C)^-1 = I - 11^T/K.
    """
    rows, k = [[Fraction(float(v)) for v in row] for row in x], int(y.max()) + 1
    members = [[r for r, c in zip(rows, y, strict=True) if c == own] for own in range(k)]
    means = [[sum(column) / len(rs) for column in zip(*rs, strict=True)] for rs in members]
    centre = [sum(column) / k for column in zip(*means, strict=True)]
    a = [[u - v for u, v in zip(m, centre, strict=True)] for m in means[:-1]]

    def dot(u, v):
        return sum(p * q for p, q in zip(u, v, strict=True))

    gram, total = [[dot(u, v) for v in a] for u in a], Fraction(0)
    for row, c in zip(rows, y, strict=True):
        off = [u - v for u, v in zip(row, means[c], strict=True)]
        g = solved(gram, [dot(u, off) for u in a])
        total += dot(g, g) - sum(g) ** 2 / k
    return k * total / len(rows)


def solved(matrix, right):
    """Gauss and Jordan, exactly."""
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for i in range(len(rows)):
        rows[i] = [v / rows[i][i] for v in rows[i]]
        for j in range(len(rows)):
            if j != i:
                rows[j] = [u - rows[j][i] * v for u, v in zip(rows[j], rows[i], strict=True)]
    return [row[-1] for row in rows]


def far_float32():
    rng = np.random.default_rng(1)
    y = np.arange(40) % 4
    x = rng.standard_normal((4, 16))[y] + 0.5 * rng.standard_normal((40, 16)) + 20.0
    return x.astype(np.float32), y


def test_exact_where_a_pseudo_inverse_of_float32_statistics_is_lost():
    x, y = far_float32()
    exact = float(exact_separation(x, y))
    np.testing.assert_allclose(data_separation(x, y), exact, rtol=LONG_SUM)
    np.testing.assert_allclose(4 * neural_collapse(x, y).nc1, exact, rtol=LONG_SUM)
    means = np.array([x[y == c].mean(axis=0) for c in range(4)])
    m, off = means - means.mean(axis=0), x - means[y]
    assert m.dtype == off.dtype == np.float32
    between, within = m.T @ m / np.float32(4), off.T @ off / np.float32(40)
    for cast in (np.float32, np.float64):  # of float32, and upcast after the sums
        naive = np.trace(within.astype(cast) @ np.linalg.pinv(between.astype(cast)))
        assert abs(naive / exact) > 1e3


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("counts", "d"), [((7, 30, 11, 3), 9), ((5, 8), 1), ((20, 20, 20), 40)])
def test_the_definitions(counts, d, seed):
    given = cloud(counts, d, seed)
    np.testing.assert_allclose(
        neural_collapse(*given), by_definition(*given), rtol=LONG_SUM, atol=ROUNDING
    )


def test_he_and_su_weigh_classes_by_their_rows():
    x, y, *_ = cloud()
    share = np.bincount(y) / len(y)
    means = np.array([x[y == c].mean(axis=0) for c in range(4)])
    off, m = x - means[y], means - x.mean(axis=0)
    expected = np.trace(off.T @ off / len(y) @ np.linalg.pinv(m.T * share @ m, rcond=1e-12))
    np.testing.assert_allclose(data_separation(x, y), expected, rtol=LONG_SUM)
    assert abs(4 * neural_collapse(x, y).nc1 / expected - 1) > 0.1


def test_pairs():
    x, y, *_ = cloud()
    pairs = cdnv(x, y)
    np.testing.assert_array_equal(pairs, pairs.T)
    assert np.isnan(np.diag(pairs)).all()
    np.testing.assert_allclose(np.nanmean(pairs), neural_collapse(x, y).cdnv, rtol=ROUNDING)


def test_a_bias_decides():
    x, y = around(simplex(3, 4), 0.1)
    w = simplex(3, 4)
    assert neural_collapse(x, y, w).nc4 == 0.0
    assert neural_collapse(x, y, w, [9.0, 0.0, 0.0]).nc4 == pytest.approx(2 / 3)
    assert neural_collapse(x, y, -w).nc4 > 0.9
    assert neural_collapse(x, y, -w).nc3 == pytest.approx(4.0)


def test_two_classes_in_one_row_of_weights():
    x, y, w, b = cloud((9, 14))
    both = neural_collapse(x, y, [-(w[1] - w[0]) / 2, (w[1] - w[0]) / 2], [-b[1] / 2, b[1] / 2])
    assert neural_collapse(x, y, [w[1] - w[0]], [b[1]]) == both
    assert neural_collapse(x, y, w[1] - w[0], b[1]) == both


# Invariances


@pytest.mark.parametrize("factor", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize("offset", [0.0, OFFSET])
def test_size_place_and_orientation_do_not_matter(factor, offset):
    x, y, w, b = cloud()
    turn = np.linalg.qr(RNG.standard_normal((9, 9)))[0]
    moved = factor * (x @ turn + offset)
    one = neural_collapse(x, y, w, b)
    other = neural_collapse(moved, y, w @ turn, factor * (b - offset * (w @ turn).sum(axis=1)))
    kept = [name for name in NAMES if name != "bias_residual"]
    rtol = FAR if offset else LONG_SUM
    for name in kept:
        np.testing.assert_allclose(getattr(other, name), getattr(one, name), rtol=rtol)
    for measure in (data_separation, spread_ratio):
        np.testing.assert_allclose(measure(moved, y), measure(x, y), rtol=rtol)


def test_names_and_order_of_rows_and_classes_do_not_matter():
    x, y, w, b = cloud()
    one, order, names = neural_collapse(x, y, w, b), RNG.permutation(len(x)), np.array([*"dbca"])
    rows = neural_collapse(x[order], y[order], w, b)
    sort = np.argsort(names)
    strings = neural_collapse(x, names[y], w[sort], b[sort])
    np.testing.assert_allclose(rows, one, rtol=LONG_SUM)
    np.testing.assert_allclose(strings, one, rtol=LONG_SUM)


# Conventions


def test_all_rows_one_point():
    found = neural_collapse(np.full((6, 3), 0.1), [0, 1] * 3, np.eye(2, 3))
    assert found.rank == 0
    assert np.isnan([found.nc1, found.cdnv, found.nc2_norm, found.nc2_angle, found.nc3]).all()
    assert np.isnan(spread_ratio(np.zeros((4, 1)), [0, 0, 1, 1]))
    assert np.isnan(data_separation(np.zeros((4, 1)), [0, 0, 1, 1]))
    assert np.isnan(discrimination(np.zeros((4, 1)), [0, 0, 1, 1]))


def test_all_class_means_equal_is_no_collapse():
    x, y = np.array([[-1.0], [1.0], [-2.0], [2.0]]) + 0.3, [0, 0, 1, 1]
    found = neural_collapse(x, y)
    assert (found.nc1, found.cdnv, found.rank) == (np.inf, np.inf, 0)
    assert data_separation(x, y) == spread_ratio(x, y) == np.inf


def test_two_class_means_equal():
    """The third is apart: one direction is left, and the pair that coincides says so."""
    x, y = [[-1.0], [1.0], [-2.0], [2.0], [5.0], [7.0]], [0, 0, 1, 1, 2, 2]
    found = neural_collapse(x, y)
    assert found.rank == 1
    assert found.nc1 == pytest.approx(2.0 / 8.0 / 3)  # S_W = (1 + 4 + 1) / 3, S_B = (4+4+16) / 3
    assert found.cdnv == np.inf
    assert np.isfinite(cdnv(x, y)[0, 2])


@pytest.mark.parametrize("d", [1, 2, 3])
def test_more_classes_than_dimensions(d):
    given = cloud((6, 9, 8, 7, 5), d)
    expected = by_definition(*given)
    found = neural_collapse(*given)
    assert found.rank == d
    np.testing.assert_allclose(found[:-1], expected[:-1], rtol=LONG_SUM)


def test_constant_features_change_nothing():
    x, y, w, b = cloud()
    padded = np.column_stack([np.full(len(x), 7.0), x, np.zeros(len(x))])
    wide = np.column_stack([np.zeros(4), w, np.zeros(4)])
    np.testing.assert_allclose(
        neural_collapse(padded, y, wide, b), neural_collapse(x, y, w, b), rtol=LONG_SUM
    )


def test_without_a_layer():
    x, y, w, b = cloud()
    with_layer, found = neural_collapse(x, y, w, b), neural_collapse(x, y)
    for name in NAMES:
        told = getattr(found, name)
        layered = name in ("nc3", "nc4", "nc3_gram", "bias_residual") or "weight" in name
        assert np.isnan(told) if layered else told == getattr(with_layer, name)
    assert np.isnan(neural_collapse(x, y, 0 * w).nc3)
