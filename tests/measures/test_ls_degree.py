"""LS_Degree: by hand, against all pairs, and bounds that hold in exact arithmetic."""

from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest

import svmconv as sc
from svmconv.measures.ls_degree import ls_degree
from tests.measures.sets import TOUCHING, XOR, near_pair, overlapping
from tests.tolerances import LONG_SUM, ROUNDING


def test_ls_degree_by_hand():
    """Directions (1, 0) and (cos t, sin t): half the angle is left, LS_Degree = 1 - sin(t / 2)."""
    t = 0.8
    found = ls_degree([[1.0, 0.0], [3 * np.cos(t), 3 * np.sin(t)]], [[0.0, 0.0]])
    assert found.lower <= 1 - np.sin(t / 2) + ROUNDING
    assert found.upper >= 1 - np.sin(t / 2) - ROUNDING
    assert found.upper - found.lower < LONG_SUM
    np.testing.assert_allclose(found.direction, [np.cos(t / 2), np.sin(t / 2)], rtol=1e-6)


def test_ls_degree_against_all_pairs():
    """g is the exact SVM, through the origin, of all normalised differences (and one mirrored)."""
    a, b = overlapping(25, 3, 7.0)
    d = (a[:, None] - b).reshape(-1, 3)
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    svm = sc.max_margin(sc.Problem(np.vstack([d, -d[:1]]), np.append(np.ones(len(d)), 0)))
    found = ls_degree(a, b)
    assert found.g == pytest.approx(svm.margin, rel=LONG_SUM)
    assert (d @ found.direction).min() == pytest.approx(found.g, rel=LONG_SUM)
    assert found.value == pytest.approx(1 - np.sqrt(1 - svm.margin**2), rel=LONG_SUM)
    moved = ls_degree(1e3 * (a + 50.0), 1e3 * (b + 50.0))
    assert moved.value == pytest.approx(found.value, rel=1e-10)  # rows rounded at 5e4


@pytest.mark.parametrize("sets", [XOR, TOUCHING, overlapping()])
def test_ls_degree_of_hulls_that_meet(sets):
    found = ls_degree(*sets)
    assert (found.value, found.lower, found.g) == (0.0, 0.0, 0.0)
    assert found.upper <= ROUNDING**2  # half the square of the rounding of the proof
    assert not found.direction.any()


def degree_in_the_plane(a, b):
    """1 - sin(t / 2), t the largest angle between two differences, to 60 digits; all in a half."""
    with localcontext() as context:
        context.prec = 60
        differences = [
            [Fraction(float(p)) - Fraction(float(q)) for p, q in zip(one, other, strict=True)]
            for one in a
            for other in b
        ]
        assert all(x > 0 for x, _ in differences)

        def cosine(p, q):
            dot = p[0] * q[0] + p[1] * q[1]
            square = (p[0] ** 2 + p[1] ** 2) * (q[0] ** 2 + q[1] ** 2)
            root = (Decimal(square.numerator) / square.denominator).sqrt()
            return Decimal(dot.numerator) / dot.denominator / root

        least = min(cosine(p, q) for p, q in combinations(differences, 2))
        return 1 - ((1 - least) / 2).sqrt()


@pytest.mark.parametrize(
    ("distance", "offset"), [(1e-6, 1e6), (1e-6, 0.0), (1e-9, 1e3), (1e-9, 0.0), (1e-12, 0.0)]
)
@pytest.mark.parametrize("seed", range(8))
def test_ls_degree_bounds_hold_for_a_near_pair(distance, offset, seed):
    a, b = near_pair(distance, offset, seed)
    found = ls_degree(a, b)
    assert Decimal(found.lower) <= degree_in_the_plane(a, b) <= Decimal(found.upper)
    assert found.lower <= found.value <= found.upper
    assert found.upper - found.lower < LONG_SUM


def test_ls_degree_of_a_near_pair_by_exact_arithmetic():
    """Centred copies of the points lose eight digits of the difference: 0.38324359874."""
    a, b = [[0.1, 0.7], [3.0, 0.0]], [[0.1 - 1e-10, 0.7 + 2e-10], [-3.0, 0.0]]
    assert ls_degree(a, b).value == pytest.approx(0.383243610211, abs=1e-12)


def test_ls_degree_of_a_near_pair_among_many_features():
    """The plane in 40 coordinates, permuted: exact, and more features than points."""
    a, b = near_pair(1e-9, 0.0, 1)
    wide = [np.hstack([np.zeros((4, 30)), x, np.zeros((4, 8))]) for x in (a, b)]
    assert ls_degree(*wide).value == pytest.approx(ls_degree(a, b).value, abs=LONG_SUM)


def test_ls_degree_far_down_the_line():
    """More pairs than the working set holds, most of them by the expanded square."""
    a, b = overlapping(80, 6, 12.0)
    d = (a[:, None] - b).reshape(-1, 6)
    found = ls_degree(a, b)
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    assert (d @ found.direction).min() == pytest.approx(found.g, rel=ROUNDING)
    assert found.upper - found.lower < LONG_SUM


def test_ls_degree_of_one_unit_is_one():
    found = ls_degree([[1.0], [2.0]], [[0.0], [-3.0]])
    assert (found.value, found.upper) == (1.0, 1.0)
