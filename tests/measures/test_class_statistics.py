"""Class statistics of many and of long rows, in batches, and what is refused."""

import doctest
import tracemalloc

import numpy as np
import pytest

from svmconv.errors import DataError
from svmconv.measures import batches as reading
from svmconv.measures import class_statistics
from svmconv.measures.neural_collapse import data_separation, neural_collapse
from tests.measures.test_neural_collapse import OFFSET, RNG, around, by_definition, cloud, simplex
from tests.tolerances import LONG_SUM, ROUNDING


def test_examples():
    found = doctest.testmod(class_statistics)
    assert found.attempted > 0
    assert found.failed == 0


def test_batches_are_the_array():
    x, y, w, b = cloud((40, 90, 25, 45), 1500)
    assert x.size > reading.NUMBERS  # more than one block
    calls = []

    def batches():
        calls.append(None)
        return ((x[i : i + 17], y[i : i + 17]) for i in range(0, len(x), 17))

    found = neural_collapse(batches, None, w, b)
    np.testing.assert_allclose(found, neural_collapse(x, y, w, b), rtol=LONG_SUM)
    assert len(calls) == 2
    assert data_separation(batches) == pytest.approx(data_separation(x, y), rel=LONG_SUM)


def test_batches_that_change():
    x, y, *_ = cloud()
    once = iter([(x, y)])
    with pytest.raises(DataError, match="fresh iterator"):
        neural_collapse(lambda: once)
    for other in (x[:-1], y[:-1]), (x, y[::-1]), (x, np.where(y == 3, 5, y)), (x + 0.1, y):
        turns = iter([[(x, y)], [other]])
        with pytest.raises(DataError, match="other rows"):
            neural_collapse(lambda turns=turns: next(turns))


def test_as_many_features_as_a_convolution_has():
    """Against the definition, in coordinates of the rows' own span."""
    x, y, w, b = cloud((9, 12, 11), 65_536)
    basis, square = np.linalg.qr(np.vstack([x, w]).T)
    small = (square.T[: len(x)], y, square.T[len(x) :], b)
    np.testing.assert_allclose(neural_collapse(x, y, w, b), by_definition(*small), rtol=LONG_SUM)
    assert basis.shape == (65_536, 35)


def test_memory():
    x = RNG.standard_normal((40_000, 100)).astype(np.float32)
    y = np.arange(len(x)) % 10
    tracemalloc.start()
    neural_collapse(x, y, RNG.standard_normal((10, 100)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < x.nbytes  # half of a copy in float64


def test_digits_of_the_means_at_an_offset():
    """Collapsed to 1e-3 at 1e4: sums of squares less squared sums would have no digit left."""
    x, y = around(simplex(4, 6), 1e-3)
    x = x + OFFSET
    found = neural_collapse(x, y).nc1
    rounded = (x - OFFSET).astype(np.float64)  # exact: the numbers that x holds
    np.testing.assert_allclose(found, neural_collapse(rounded, y).nc1, rtol=ROUNDING)
    np.testing.assert_allclose(found, 1e-6 * 9 / 24, rtol=1e-6)


X, Y, W, B = cloud()
NAN_ROW = np.where(np.arange(len(X))[:, None] == 3, np.nan, X)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ((X, np.zeros(len(X), int)), "two classes"),
        ((X, Y, np.ones((5, 9))), "every class"),
        ((NAN_ROW, Y), "NaN"),
        ((np.inf * X, Y), "NaN or infinite"),
        ((1e200 * X, Y), "rescale"),
        ((1e-200 * X, Y), "rescale"),
        ((X, Y[:-1]), "must match"),
        ((X[:, :0], Y), "one unit"),
        ((X[:0], Y[:0]), "one row"),
        ((X[0], Y[:1]), "flatten"),
        ((X, Y + 0.5), "fractional"),
        ((X, np.full(len(X), np.nan)), "NaN"),
        ((X, Y[:, None]), "per row"),
        ((X,), "labels are missing"),
        ((lambda: [(X, Y)], Y), "labels=None"),
        ((lambda: [X],), "pair"),
        ((list,), "no rows"),
        ((lambda: [(X, Y), (X[:, 1:], Y)],), "one layer"),
        ((X.astype(str), Y), "real numbers"),
        (([[1.0], [1.0, 2.0]], Y), "rectangular"),
        ((X, Y, W.T), "transposed"),
        ((X, Y, W, B[:-1]), "bias"),
        ((X, Y, None, B), "without its weight"),
        ((X, Y, np.nan * W), "weight has NaN"),
        ((X, Y, [["a"]]), "numbers"),
    ],
)
def test_one_clear_sentence(given, says):
    with pytest.raises(DataError, match=says):
        neural_collapse(*given)
