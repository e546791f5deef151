"""Ranks of spectra written down, dimensions that classify, distances by brute force."""

import doctest
import itertools

import jax.numpy as jnp
import numpy as np
import pytest

from svmconv.errors import DataError
from svmconv.measures import dimension
from svmconv.measures.dimension import (
    classification_dimension,
    diversity,
    effective_rank,
    numerical_rank,
)
from tests.tolerances import LONG_SUM, ROUNDING

RNG = np.random.default_rng(0)


def with_spectrum(sizes, n, d):
    """Centred rows with these singular values."""
    r = len(sizes)
    left = RNG.standard_normal((n, r))
    u = np.linalg.qr(left - left.mean(axis=0))[0]  # of centred columns: centred
    v = np.linalg.qr(RNG.standard_normal((d, r)))[0]
    return u * sizes @ v.T


def test_examples():
    found = doctest.testmod(dimension)
    assert found.attempted > 0
    assert found.failed == 0


@pytest.mark.parametrize(("n", "d"), [(60, 8), (12, 300)])
def test_effective_rank_of_a_known_spectrum(n, d):
    for sizes in ([5.0, 5.0, 5.0], [4.0, 2.0, 1.0, 1.0], [1.0]):
        p = np.array(sizes) / np.sum(sizes)
        expected = np.prod(p**-p)
        for offset in (0.0, 100.0):
            x = with_spectrum(np.array(sizes), n, d) + offset
            np.testing.assert_allclose(effective_rank(x), expected, rtol=LONG_SUM * (1 + offset))
            assert numerical_rank(x) == len(sizes)


def test_bounds_and_invariances():
    x = RNG.standard_normal((50, 6)) * [9.0, 5.0, 1.0, 1.0, 0.1, 0.0]
    one = effective_rank(x)
    assert 1.0 < one < numerical_rank(x) == 5
    turn = np.linalg.qr(RNG.standard_normal((6, 6)))[0]
    np.testing.assert_allclose(effective_rank(1e30 * (x @ turn)), one, rtol=LONG_SUM)
    np.testing.assert_allclose(effective_rank(x[::-1] + 3.0), one, rtol=LONG_SUM)


def test_rounding_of_the_dtype_is_no_direction():
    line = np.outer(RNG.standard_normal(50), [1.0, 3.0, 7.0])
    single = line.astype(np.float32)
    assert numerical_rank(single) == numerical_rank(line) == 1
    assert effective_rank(single) == 1.0
    assert numerical_rank(single.astype(np.float64)) > 1  # taken at its word


DTYPES = [jnp.bfloat16, np.float16, np.float32, np.float64]


@pytest.mark.parametrize("dtype", DTYPES)
def test_clouds_are_of_full_rank_in_every_dtype(dtype):
    rng = np.random.default_rng(0)
    y = np.arange(500) % 8
    x = rng.standard_normal((500, 40)) + 3.0 * rng.standard_normal((8, 40))[y]
    stored = x.astype(dtype)
    assert numerical_rank(stored) == 40
    eps = float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(effective_rank(stored), effective_rank(x), rtol=eps + LONG_SUM)
    assert classification_dimension(stored, y) == classification_dimension(x, y) > 1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(50, 3), (500, 40), (40, 500)])
@pytest.mark.parametrize("offset", [0.0, 3.0])
def test_lines_and_planes_have_their_rank_in_every_dtype(dtype, shape, offset):
    rng, (n, d) = np.random.default_rng(1), shape
    constant = offset * rng.standard_normal(d)
    for rank in (0, 1, 2):
        x = rng.standard_normal((n, rank)) @ rng.standard_normal((rank, d)) + constant
        assert numerical_rank(x.astype(dtype)) == rank


@pytest.mark.parametrize("dtype", DTYPES)
def test_rounding_is_never_resolved_however_it_falls(dtype):
    """All entries of a column up in half of the rows, down in the others: the worst case."""
    eps, sign = float(jnp.finfo(dtype).eps), np.tile([1.0, -1.0], 20)[:, None]
    x = np.ones((40, 9)) + sign * eps / 2.0
    assert numerical_rank(x.astype(dtype)) == 0
    assert numerical_rank((np.ones((40, 9)) + 200 * sign * eps).astype(dtype)) == 1


@pytest.mark.parametrize("measure", [effective_rank, numerical_rank])
def test_one_point_and_one_unit(measure):
    assert measure(np.full((5, 3), 0.1)) == 0
    assert measure(np.full((5000, 3), 0.1)) == 0  # a long sum of which rounds
    assert measure([[1.0]]) == 0
    assert measure([[1.0], [2.0]]) == 1


def box(m):
    """Classes at the corners (+-m, ..., +-2, +-1) of a box, each axis smaller than the last."""
    signs = np.array(list(itertools.product([-1.0, 1.0], repeat=m)))
    return np.repeat(signs * np.arange(m, 0, -1), 2, axis=0), np.repeat(np.arange(2**m), 2)


@pytest.mark.parametrize("m", [1, 2, 4])
def test_dimensions_that_classify(m):
    """With j axes 2^(m-j) classes coincide, and ties go to the first of them: 2^(j-m) are right."""
    x, y = box(m)
    assert classification_dimension(x, y) == m
    for j in range(m + 1):
        assert classification_dimension(x, y, share=2.0 ** (j - m)) == j
    x = np.column_stack([x, 30.0 * np.tile([1.0, -1.0], len(x) // 2)])  # tells nothing, comes first
    assert classification_dimension(x, y) == m + 1
    assert classification_dimension(x + 1e3, y) == m + 1


def test_with_a_layer_its_bias_counts():
    x, y = np.array([[0.0], [1.0], [2.0], [3.0]]), [0, 0, 1, 1]
    assert classification_dimension(x, y, [[-1.0], [1.0]], [1.5, -1.5]) == 1
    assert classification_dimension(x, y, [[-1.0], [1.0]], [9.0, 0.0]) == 0  # always class 0
    x = np.column_stack([x, 10.0 * np.array([1.0, -1.0, -1.0, 1.0])])
    assert classification_dimension(x, y, [[-1.0, 0.0], [1.0, 0.0]], [1.5, -1.5]) == 2


@pytest.mark.parametrize("layer", [False, True])
def test_dimension_by_brute_force(layer):
    y = RNG.integers(0, 4, 120)
    x = RNG.standard_normal((120, 12)) * np.linspace(3, 0.5, 12)
    x += 2.0 * RNG.standard_normal((4, 12))[y] + 5.0
    w, b = RNG.standard_normal((4, 12)), RNG.standard_normal(4)
    centre = x.mean(axis=0)
    means = np.array([x[y == c].mean(axis=0) for c in range(4)])
    v = np.linalg.svd(x - centre)[2]
    accuracy = []
    for m in range(13):
        p = v[:m].T @ v[:m]
        flat = centre + (x - centre) @ p
        flat_means = centre + (means - centre) @ p
        distances = ((flat[:, None] - flat_means) ** 2).sum(axis=2)
        told = (flat @ w.T + b).argmax(axis=1) if layer else distances.argmin(axis=1)
        accuracy.append(np.mean(told == y))
    given = (w, b) if layer else ()
    for share in (0.7, 0.95, 1.0):
        expected = next(m for m in range(13) if accuracy[m] >= share * accuracy[-1])
        assert classification_dimension(x, y, *given, share=share) == expected


@pytest.mark.parametrize("block", [2048, 7])
def test_diversity_by_brute_force(block, monkeypatch):
    monkeypatch.setattr(dimension, "BLOCK", block)
    x = RNG.standard_normal((40, 5))
    pairs = [np.linalg.norm(x[i] - x[j]) for i in range(40) for j in range(i)]
    np.testing.assert_allclose(diversity(x), np.mean(pairs), rtol=ROUNDING)
    np.testing.assert_allclose(diversity(x + 1e6), np.mean(pairs), rtol=1e-9)
    np.testing.assert_allclose(diversity(3.0 * x), 3.0 * np.mean(pairs), rtol=ROUNDING)


def test_diversity_where_almost_all_rows_coincide():
    """The worst case of its error bound, 1e-6: two points, each 200 times, 512 units."""
    x = np.repeat(RNG.standard_normal((2, 512)), 200, axis=0)
    expected = np.linalg.norm(x[0] - x[-1]) * 200**2 / (400 * 399 / 2)
    np.testing.assert_allclose(diversity(x), expected, rtol=1e-6)
    assert diversity(np.full((5, 3), 0.3)) == 0.0


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: effective_rank([[np.nan]]), "NaN"),
        (lambda: effective_rank(np.zeros((3, 0))), "one unit"),
        (lambda: effective_rank([[1.0], [1.0, 2.0]]), "rectangular"),
        (lambda: effective_rank(list), "real numbers"),
        (lambda: diversity([[1.0]]), "at least two"),
        (lambda: classification_dimension([[1.0], [2.0]], [0, 0]), "two classes"),
        (lambda: classification_dimension([[1.0], [2.0]], [0]), "must match"),
        (lambda: classification_dimension([[1.0], [2.0]], [0, 1], share=0.0), "share"),
        (lambda: classification_dimension([[1.0], [2.0]], [0, 1], np.ones((2, 2))), "shape"),
    ],
)
def test_one_clear_sentence(call, says):
    with pytest.raises(DataError, match=says):
        call()
