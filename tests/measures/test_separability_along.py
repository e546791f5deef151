"""LS_q along one direction: by hand, by brute force, and what it is invariant to."""

import doctest
from importlib import import_module

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import svmconv as sc
from svmconv.measures.ranks import below, separability_along
from svmconv.measures.separability import sandwich
from tests.tolerances import LONG_SUM, ROUNDING

ORDERS = (0, 1, 2)
XOR = np.array([[0.0, 0.0], [1.0, 1.0]]), np.array([[0.0, 1.0], [1.0, 0.0]])


def brute_force(w, a, b, order):
    """The definition, over all differences."""
    d = (a[:, None] - b[None]) @ w
    if order == 0:
        return (d > 0).mean()
    return (np.maximum(d, 0.0) ** order).sum() / (np.abs(d) ** order).sum()


def clouds(n=60, m=90, d=4, seed=0, shift=0.5):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)) + shift, rng.standard_normal((m, d)), rng


MODULES = ("ranks", "separability", "class_pairs", "hulls", "ls_degree", "directional")


@pytest.mark.parametrize("module", MODULES)
def test_examples(module):
    found = doctest.testmod(import_module(f"svmconv.measures.{module}"))
    assert found.attempted > 0
    assert found.failed == 0


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_brute_force(order, offset):
    a, b, rng = clouds()
    a, b = a + offset, b + offset
    w = rng.standard_normal((3, 4))
    expected = [brute_force(one, a, b, order) for one in w]
    np.testing.assert_allclose(separability_along(w, a, b, order), expected, rtol=LONG_SUM)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("offset", [0, 10**6])
def test_brute_force_with_ties(order, offset):
    """Small integers: projections are exact, and most pairs meet a tie."""
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 3, (50, 3)) + offset, rng.integers(0, 3, (70, 3)) + offset
    w = np.array([1.0, -2.0, 1.0])
    assert (((a[:, None] - b) @ w) == 0).mean() > 0.1
    expected = brute_force(w, a.astype(float), b.astype(float), order)
    np.testing.assert_allclose(separability_along(w, a, b, order), expected, rtol=LONG_SUM)


def test_xor_along_every_direction():
    """The four differences are +-(1, 0) and +-(0, 1): LS_1 = LS_2 = 1/2 whatever w, and LS_0 too
    unless w is along an axis, where two of them are ties."""
    angles = np.linspace(0.1, 2 * np.pi, 37)
    w = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    for order in ORDERS:
        np.testing.assert_allclose(separability_along(w, *XOR, order), 0.5, rtol=ROUNDING)
    assert separability_along([1.0, 0.0], *XOR) == 0.25


def test_touching_hulls_by_hand():
    a, b = [[1.0], [2.0]], [[0.0], [1.0]]
    assert [separability_along([1.0], a, b, q) for q in ORDERS] == [0.75, 1.0, 1.0]
    assert [separability_along([-1.0], a, b, q) for q in ORDERS] == [0.0, 0.0, 0.0]


def test_area_under_the_roc_curve():
    a, b, rng = clouds(n=300, m=200)
    w = rng.standard_normal(4)
    scores, labels = np.vstack([a, b]) @ w, np.repeat([1, 0], [300, 200])
    found = separability_along(w, a, b)
    np.testing.assert_allclose(found, roc_auc_score(labels, scores), rtol=ROUNDING)


@pytest.mark.parametrize("order", ORDERS)
def test_invariances(order):
    a, b, rng = clouds()
    w, m = rng.standard_normal(4), rng.standard_normal((4, 4))
    value = separability_along(w, a, b, order)
    np.testing.assert_allclose(
        separability_along(7.0 * w, a + 3.0, b + 3.0, order), value, rtol=LONG_SUM
    )
    np.testing.assert_allclose(separability_along(w, 1e9 * a, 1e9 * b, order), value, rtol=LONG_SUM)
    other = separability_along(np.linalg.solve(m.T, w), a @ m, b @ m, order)
    assert abs(other - value) > 1e-3  # control: the map of w must be that of the rows
    same = separability_along(np.linalg.solve(m, w), a @ m, b @ m, order)
    np.testing.assert_allclose(same, value, rtol=LONG_SUM)
    np.testing.assert_allclose(separability_along(-w, a, b, order), 1.0 - value, rtol=LONG_SUM)


@pytest.mark.parametrize("order", ORDERS)
def test_sums_below(order):
    rng = np.random.default_rng(0)
    x, y = rng.integers(-3, 4, 30).astype(float), np.sort(rng.integers(-3, 4, 40)).astype(float)
    d = x[:, None] - y
    expected = np.where(d > 0, np.maximum(d, 0.0) ** order, 0.0).sum(axis=1)
    np.testing.assert_array_equal(below(x, y, order), expected)


@pytest.mark.parametrize("seed", range(5))
def test_sandwich_holds_and_is_the_best_threshold(seed):
    rng = np.random.default_rng(seed)
    u, v = rng.integers(0, 12, 40) + 2.0, rng.integers(0, 12, 30) + 0.0
    lower, upper = sandwich(u, v)
    assert lower <= (u[:, None] > v).mean() <= upper
    errors = [((u <= t).mean(), (v > t).mean()) for t in np.arange(-1.0, 15.0)]
    e, f = min(errors, key=sum)
    assert (1 - e) * (1 - f) <= (u[:, None] > v).mean() <= 1 - e * f
    assert any(
        np.allclose([(1 - e) * (1 - f), 1 - e * f], [lower, upper], rtol=ROUNDING)
        for e, f in errors
        if sum((e, f)) <= min(map(sum, errors)) + ROUNDING
    )


@pytest.mark.parametrize("seed", range(40))
def test_bounds_hold_to_the_last_digit(seed):
    """Shares like 1/3 are not floats: all three numbers are one division of counts."""
    rng = np.random.default_rng(seed)
    n, m = rng.integers(1, 12, 2)
    u, v = rng.integers(0, 4, n).astype(float), rng.integers(0, 4, m).astype(float)
    lower, upper = sandwich(u, v)
    assert lower <= separability_along([1.0], u[:, None], v[:, None]) <= upper


def test_bounds_of_one_third():
    u, v = np.array([1.0, 1.0, 0.0, 0.0, 0.0, 0.0]), np.array([0.0])
    assert sandwich(u, v)[0] <= separability_along([1.0], u[:, None], v[:, None])


@pytest.mark.parametrize("power", [-1070, -1000, -540, -250, 250, 520, 1020])
@pytest.mark.parametrize("order", ORDERS)
def test_every_scale_has_the_same_value(power, order):
    """Small integers times a power of two: exact down to the smallest numbers there are."""
    rng = np.random.default_rng(1)
    a, b = rng.integers(-7, 8, (50, 3)).astype(float), rng.integers(-7, 8, (70, 3)).astype(float)
    w = np.array([1.0, -2.0, 1.5])
    value = separability_along(w, a, b, order)
    scaled = np.ldexp(a, power), np.ldexp(b, power)
    assert separability_along(w, *scaled, order) == pytest.approx(value, rel=ROUNDING)
    assert separability_along(np.ldexp(w, power), a, b, order) == pytest.approx(value, rel=ROUNDING)


@pytest.mark.parametrize("order", ORDERS)
def test_beside_a_large_constant_feature(order):
    """It tells no two points apart, and must not hide that the others are small."""
    a, b, rng = clouds()
    w = rng.standard_normal(4)
    value = separability_along(w, a, b, order)
    beside = [np.hstack([1e-250 * x, np.full((len(x), 1), 5.0)]) for x in (a, b)]
    found = separability_along(np.append(w, 1.0), *beside, order)
    assert found == pytest.approx(value, rel=LONG_SUM)


def test_where_nothing_differs():
    point = [[2.0, 3.0]] * 3
    assert separability_along([1.0, 1.0], point, point[:2], 0) == 0.0
    assert np.isnan(separability_along([1.0, 1.0], point, point, 1))
    assert np.isnan(separability_along([1.0, 0.0], [[0.0, 1.0]], [[0.0, 5.0]], 2))
    assert separability_along([0.0, 1.0], [[0.0, 5.0]], [[0.0, 1.0]], 2) == 1.0


BAD = [
    (([1.0], np.zeros((0, 1)), [[1.0]]), "A is empty"),
    (([1.0], [[1.0]], np.zeros((3, 0))), "B is empty"),
    (([1.0], [[1.0]], [[1.0, 2.0]]), "A has 1 features and B has 2"),
    (([1.0], [[np.nan]], [[1.0]]), "A has NaN"),
    (([1.0], [[1.0]], [[-np.inf]]), "B has NaN or infinite"),
    (([1.0], [1.0, 2.0], [[1.0]]), "A must be two-dimensional"),
    (([1.0], [["a"]], [[1.0]]), "A must hold real numbers"),
    (([1.0], [[1.0], [1.0, 2.0]], [[1.0]]), "A is not rectangular"),
    (([1.0, 2.0], [[1.0]], [[2.0]]), "w must have one entry per feature"),
    (([np.inf], [[1.0]], [[2.0]]), "w has NaN or infinite"),
]


@pytest.mark.parametrize(("given", "words"), BAD)
def test_bad_input(given, words):
    with pytest.raises(sc.DataError, match=words):
        separability_along(*given)


@pytest.mark.parametrize("order", [3, -1, True])
def test_unknown_order(order):
    with pytest.raises(sc.DataError, match="choose one of 0, 1, 2"):
        separability_along([1.0], [[1.0]], [[2.0]], order)
