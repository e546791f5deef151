"""Linear discriminants of a layer: by hand, beside scikit-learn, invariant where they should be."""

import doctest

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import log_loss

import svmconv as sc
from svmconv.measures import probe
from svmconv.measures.probe import linear_probe
from tests.tolerances import LONG_SUM


def layer(n=200, d=5, k=3, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, k, n)
    return rng.standard_normal((n, d)) + 1.5 * np.eye(k, d)[y], y


def test_documented_example():
    tried, failed = doctest.testmod(probe)[::-1]
    assert (tried > 0, failed) == (True, 0)


def test_beside_scikit_learn(monkeypatch):
    """Its covariance is weighed by class frequency too; without a ridge they are the same."""
    monkeypatch.setattr(probe, "RIDGE", 0.0)
    x, y = layer()
    found = linear_probe(x, y)
    other = LinearDiscriminantAnalysis(solver="lsqr").fit(x, y)
    assert found.accuracy == other.score(x, y)
    theirs = np.log(log_loss(y, other.predict_proba(x)))
    assert found.log_loss == pytest.approx(theirs, rel=1e-6)


@pytest.mark.parametrize(("n", "d"), [(30, 29), (30, 31), (30, 300)])
def test_both_gram_matrices_give_the_same(n, d):
    """Units that are always zero change only the mean variance, which the ridge is counted in."""
    x, _ = layer(n, d)
    within, means = x - x.mean(axis=0), np.eye(3, d)
    direct = np.linalg.solve(within.T @ within / n + 0.1 * np.eye(d), means.T).T
    np.testing.assert_allclose(probe._solve(within, 0.1, means), direct, atol=LONG_SUM)


def test_shift_and_rotation_and_scale_change_nothing():
    x, y = layer()
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((5, 5)))[0]
    a, b = linear_probe(x, y), linear_probe(1e3 * x @ turn + 7.0, y)
    assert a.accuracy == b.accuracy
    assert a.log_loss == pytest.approx(b.log_loss, rel=1e-9)


def test_labels_without_a_bearing_are_not_read():
    """A control: three classes drawn at random, 5 directions, 3000 rows."""
    x, _ = layer(3000)
    found = linear_probe(x, np.random.default_rng(2).integers(0, 3, 3000))
    assert found.accuracy < 0.40
    assert found.log_loss == pytest.approx(np.log(np.log(3)), abs=0.01)


def test_points():
    """Classes that are points: told apart for certain, or not at all where they are one point."""
    y = np.array([0, 0, 1, 1])
    apart = linear_probe(np.array([[0.0], [0.0], [1.0], [1.0]]), y)
    assert apart == (1.0, -np.inf)
    together = linear_probe(np.zeros((4, 1)), y)
    assert together.log_loss == pytest.approx(np.log(np.log(2)))
    assert together.accuracy == 0.0  # ties are no hits: a dead layer is not read


@pytest.mark.parametrize("scale", [1e-200, 1e-9, 1e200])
def test_scale_alone_changes_nothing(scale):
    x, y = layer()
    assert linear_probe(scale * x, y).accuracy == linear_probe(x, y).accuracy
    assert linear_probe(scale * x, y).log_loss == pytest.approx(linear_probe(x, y).log_loss)


def test_units_beyond_the_rows_change_nothing():
    """Forty units turned into the span of thirty rows: the ridge is counted in directions."""
    x, y = layer(30, 40)
    turned = np.linalg.qr((x - x.mean(axis=0)).T, mode="r").T
    assert turned.shape == (30, 30)
    assert linear_probe(turned, y).log_loss == pytest.approx(linear_probe(x, y).log_loss, rel=1e-9)


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        ([[0.0], [np.nan]], [0, 1], "NaN|nan|finite"),
        ([[0.0], [1.0]], [0, 0], "class"),
        ([[0.0], [1.0]], [0, 1, 1], "each of the 2 rows"),
        ([[0.0], [1.0]], None, "each of the 2 rows"),
        ([0.0, 1.0], [0, 1], "features"),
    ],
)
def test_bad_input_is_one_sentence(x, y, words):
    with pytest.raises(sc.DataError, match=words):
        linear_probe(x, y)
