"""All pairs of classes of a layer at a time: digits, unlike dtypes, awkward layers."""

import os

import numpy as np
import pytest

import svmconv as sc
from svmconv.measures import candidates as module
from svmconv.measures.class_pairs import class_separability
from svmconv.measures.hulls import hull_distance
from svmconv.measures.ranks import separability_along
from svmconv.measures.separability import linear_separability
from tests.tolerances import LONG_SUM

DIGITS = sc.data.digits()


def layer(n=120, d=6, k=3, signal=1.0, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, k, n)
    return rng.standard_normal((n, d)) + signal * rng.standard_normal((k, d))[y], y


def test_every_pair_of_digits_is_separable():
    found = class_separability(DIGITS.x, DIGITS.y)
    assert found.sizes == {"order": 3, "pair": 45}
    assert found.separable.all()
    assert (found.separability == 1.0).all()
    labels = list(zip(found.first.values.tolist(), found.second.values.tolist(), strict=True))
    assert labels == [(i, j) for i in range(10) for j in range(i + 1, 10)]


def test_one_digit_against_the_rest():
    """Separable for 0 to 7, not for 8 and 9; what the quick directions prove is among that."""
    exact = [hull_distance(DIGITS.x[DIGITS.y == k], DIGITS.x[DIGITS.y != k]) for k in range(10)]
    assert [hulls.separable for hulls in exact] == [True] * 8 + [False] * 2
    found = class_separability(DIGITS.x, DIGITS.y, "rest")
    assert found["class"].values.tolist() == list(range(10))
    assert not found.separable.values[8:].any()
    assert found.separable.values[:8].sum() >= 4
    assert (found.separability.sel(order=0).values[8:] < 1.0).all()


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("SVMCONV_DATA"), reason="SVMCONV_DATA is not set")
def test_no_digit_of_mnist_is_separable_from_the_rest():
    train, test = sc.data.mnist(), sc.data.mnist(split="test")
    x, y = np.vstack([train.x, test.x]), np.append(train.y, test.y)
    assert not any(hull_distance(x[y == k], x[y != k]).separable for k in range(10))


@pytest.mark.parametrize("against", ["pairs", "rest"])
@pytest.mark.parametrize("order", [0, 1, 2])
def test_no_better_than_a_long_look_and_not_much_worse(against, order):
    x, y = layer()
    found = class_separability(x, y, against).sel(order=order).separability.values
    sets = [(x[y == 0], x[y == 1]), (x[y == 0], x[y == 2]), (x[y == 1], x[y == 2])]
    if against == "rest":
        sets = [(x[y == k], x[y != k]) for k in range(3)]
    for value, (a, b) in zip(found, sets, strict=True):
        longer = linear_separability(a, b, order, permutations=0).value
        assert longer - 0.02 < value <= longer + LONG_SUM


def test_values_are_those_of_their_direction():
    x, y = layer(k=2, signal=0.3)
    found = class_separability(x, y)
    contest = module.contest_of(x, y, np.array([[1], [-1]]))
    directions = module.candidates(contest)[0][:, 0]
    for order in (0, 1, 2):
        values = separability_along(directions, x[y == 0], x[y == 1], order)
        one = found.isel(pair=0).sel(order=order)
        values = np.maximum(values, separability_along(-directions, x[y == 0], x[y == 1], order))
        assert one.separability.item() == pytest.approx(values.max(), rel=LONG_SUM)
        assert one.candidate.item() == module.NAMES[values.argmax()]


def test_lda_is_fishers_for_pairs_and_the_rest():
    """Of one class against the rest, S may be the total covariance (Sherman and Morrison)."""
    x, y = layer(400)
    contest = module.contest_of(x, y, 2 * np.eye(3, dtype=int) - 1)
    found = module.candidates(contest)[0][1]
    for k in range(3):
        a, b = x[y == k], x[y != k]
        within = len(a) * np.cov(a.T, bias=True) + len(b) * np.cov(b.T, bias=True)
        w = np.linalg.solve(within, a.mean(axis=0) - b.mean(axis=0))
        cosine = found[k] @ w / np.linalg.norm(found[k]) / np.linalg.norm(w)
        assert cosine == pytest.approx(1.0, abs=1e-9)  # the ridge


def test_logistic_is_the_least_loss():
    """Slope of the loss, the sides of equal weight, at the end beside that at zero."""
    x, y = layer(600, 4, 2, 0.4)
    contest = module.contest_of(x, y, np.array([[1], [-1]]))
    w = module.candidates(contest)[0][2, 0]
    s = np.where(y == 0, 1.0, -1.0)
    share = np.where(y == 0, 1 / (y == 0).sum(), 1 / (y == 1).sum())

    def slope(w, b):
        pull = -s * share / (1 + np.exp(s * (x @ w + b)))
        return np.append(pull @ x, pull.sum())

    best = min((slope(w, b) for b in np.linspace(-3, 3, 601)), key=lambda g: abs(g[-1]))
    assert np.linalg.norm(best) < 0.02 * np.linalg.norm(slope(0 * w, 0.0))


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int8])
def test_unlike_dtypes_and_shuffled_rows(dtype):
    x, y = layer(signal=2.0)
    x = np.round(4 * x).astype(dtype)
    before = x.copy()
    found = class_separability(x, y)
    np.testing.assert_array_equal(x, before)
    whole = class_separability(x.astype(np.float64), y)
    np.testing.assert_allclose(found.separability, whole.separability, atol=1e-3)
    order = np.argsort(y, kind="stable")
    again = class_separability(x[order], y[order])
    np.testing.assert_allclose(again.separability, found.separability, atol=1e-3)


def test_many_small_chunks_change_nothing_but_rounding(monkeypatch):
    x, y = layer()
    whole = module.moments(module.contest_of(x, y, np.array([[1], [-1], [0]])))
    monkeypatch.setattr(module, "CHUNK", 40)
    parts = module.moments(module.contest_of(x, y, np.array([[1], [-1], [0]])))
    np.testing.assert_allclose(parts.metric.factor, whole.metric.factor, atol=LONG_SUM)
    np.testing.assert_allclose(parts.difference, whole.difference, atol=LONG_SUM)


def test_far_from_the_origin():
    x, y = layer(signal=0.5)
    near = class_separability(np.round(64 * x) / 64, y)
    far = class_separability(np.round(64 * x) / 64 + 1e6, y)
    np.testing.assert_allclose(far.separability, near.separability, atol=1e-9)


@pytest.mark.parametrize("power", [-670, -540, -250, 250, 515, 1010])
@pytest.mark.parametrize("beside", [0.0, 5.0])
def test_every_scale_has_the_same_values(power, beside):
    """Also beside a constant unit, which tells no rows apart."""
    x, y = layer(signal=2.0)
    x = np.hstack([x, np.zeros((len(x), 1))])
    expected = class_separability(x, y)
    x = np.ldexp(x, power)
    x[:, -1] = beside
    found = class_separability(x, y)
    np.testing.assert_allclose(found.separability, expected.separability, rtol=LONG_SUM)
    np.testing.assert_array_equal(found.separable, expected.separable)
    np.testing.assert_array_equal(found.candidate, expected.candidate)


@pytest.mark.parametrize("scale", [1e-38, 1e37])
def test_every_scale_of_float32(scale):
    x, y = layer(signal=2.0)
    expected = class_separability(x.astype(np.float32), y)
    found = class_separability((scale * x).astype(np.float32), y)
    np.testing.assert_allclose(found.separability, expected.separability, atol=1e-3)


def test_more_units_than_a_matrix_holds():
    rng = np.random.default_rng(0)
    x = np.maximum(rng.standard_normal((90, 3 * module.FULL), dtype=np.float32), 0.0)
    found = class_separability(x, np.arange(90) % 3)
    assert found.separable.all()


def test_one_unit_dead_units_a_class_of_one_row_and_one_point():
    x, y = np.array([[0.0], [1.0], [2.0], [5.0]]), ["a", "a", "b", "c"]
    assert class_separability(x, y).separable.all()
    dead = np.hstack([x, np.zeros((4, 2))])
    assert class_separability(dead, y).separable.all()
    point = class_separability(np.ones((4, 3), dtype=np.float32), y)
    assert (point.separability.sel(order=0) == 0.0).all()
    assert np.isnan(point.separability.sel(order=[1, 2])).all()
    assert not point.separable.any()


def test_equal_means():
    """XOR in the middle of noise that is symmetric: still a value of at least one half."""
    x = np.array([[0.0, 0.0], [1.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    found = class_separability(x, [0, 0, 1, 1])
    np.testing.assert_allclose(found.separability, 0.5, rtol=LONG_SUM)


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (np.zeros((3, 0)), [0, 1, 1], "features is empty"),
        ([1.0, 2.0], [0, 1], "two-dimensional"),
        ([[1.0], [np.nan]], [0, 1], "NaN"),
        ([[1.0], [2.0]], [0, 0], "every label is 0"),
        ([[1.0], [2.0]], [0, 1, 1], "labels"),
    ],
)
def test_bad_input(x, y, words):
    with pytest.raises(sc.DataError, match=words):
        class_separability(x, y)
    with pytest.raises(sc.DataError, match="choose one of pairs, rest"):
        class_separability([[1.0], [2.0]], [0, 1], "all")


def test_at_least_one_half_where_the_means_mislead():
    """One outlier turns the difference of means against all other rows."""
    x = np.append(np.arange(20.0), [-1000.0, *np.arange(-19.5, 0.0)])[:, None]
    y = np.array([0] * 20 + [0] + [1] * 20)
    found = class_separability(x, y).sel(order=0).separability.item()
    assert found == pytest.approx(20 / 21, rel=LONG_SUM)
