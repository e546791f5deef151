"""Optima, many by hand, that a row of zero dual, a tied singular value or rounding seems to pin."""

import numpy as np
import pytest

import svmconv as sc
from tests.svm.kkt import pair_margins
from tests.tolerances import LONG_SUM


def turned(x, seed):
    """The rows in other coordinates: what is zero by hand is then rounding."""
    d = len(x[0])
    turn = np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))[0]
    return np.array(x) @ (np.eye(d) if seed is None else turn)


def supporting_margins(problem, svm):
    margins = pair_margins(problem, svm.w, svm.b)
    return margins[svm.alpha > 0]


@pytest.mark.parametrize("seed", [None, 0, 1])
@pytest.mark.parametrize(
    ("h", "s", "more", "unique"),
    [
        (1.0, 1.0, [], False),
        (0.5, 0.65, [], False),
        (0.5, 0.6, [], False),
        (0.5, 0.7, [], False),
        (0.4, 0.8, [], False),
        (1.0, 3**-0.5, [], True),
        (1.0, 1.0, [[2.0, -1.0]], True),
    ],
)
def test_a_tied_row_of_zero_dual_in_the_span_of_the_top_singular_vectors(h, s, more, unique, seed):
    """By hand: classes A: (1, 0), (1/2, h) and `more`; B: (-1, 0); C: (0, -s).

    W = [[1, b], [-1, b], [0, -2 b]] has norm sqrt 2 while sqrt 6 b <= sqrt 2. Row (1/2, h) has
    margin 1 against B whatever b, with dual zero: it says nothing about the move of b. C asks
    3 s b >= 1, (1/2, h) against C 1/2 + 3 h b >= 1, (2, -1) against C 3 b <= 1: more than one b is
    left, but at s = 1 / sqrt 3, or with (2, -1) at s = 1.
    """
    x = turned([[1.0, 0.0], [-1.0, 0.0], [0.5, h], [0.0, -s], *more], seed)
    problem = sc.Problem(x, [0, 1, 0, 2, *[0] * len(more)])
    svm = sc.max_margin(problem, geometry="spectral")
    assert svm.margin == pytest.approx(0.5**0.5, rel=LONG_SUM)
    np.testing.assert_allclose(supporting_margins(problem, svm), 1.0, rtol=LONG_SUM)
    assert svm.unique is unique


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("beyond", [0.0, 1e-10, 1e-7, 1e-6])
def test_a_second_singular_value_that_is_tied_does_not_hide_the_third(beyond, seed):
    """By hand: A, B, C, D = e_1, -e_1, s e_2, 2 e_3. Columns (1, -1, 0, 0) of norm sqrt 2, then
    (-1, -1, 3, -1) / (4 s), of the same norm at s = sqrt(3/8), then -y (1, 1, 0, -2) with any y
    from 1/4 to 1 / sqrt 3."""
    s = 0.375**0.5 * (1 + beyond)
    x = turned([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [0.0, s, 0.0], [0.0, 0.0, 2.0]], seed)
    problem = sc.Problem(x, [0, 1, 2, 3])
    svm = sc.max_margin(problem, geometry="spectral")
    assert svm.margin == pytest.approx(0.5**0.5, rel=1e-9)
    # these answers may be Clarabel's own, whose gap is up to 1e-9
    np.testing.assert_allclose(supporting_margins(problem, svm), 1.0, rtol=2e-9)
    assert not svm.unique


@pytest.mark.parametrize("weak", [0.3, 1e-6, 1e-8, 1e-10])
def test_tied_rows_that_hardly_feel_the_move_do_not_stop_it(weak):
    """As above at h = s = 1; (1 - 1.2 g, g) and (1 + 1.5 g, -g) of A leave b from .4 to .5."""
    x = [[1.0, 0.0], [-1.0, 0.0], [0.5, 1.0], [0.0, -1.0]]
    more = [[1 - 1.2 * weak, weak], [1 + 1.5 * weak, -weak]]
    problem = sc.Problem(turned([*x, *more], 0), [0, 1, 0, 2, 0, 0])
    assert not sc.max_margin(problem, geometry="spectral").unique


@pytest.mark.parametrize("size", [1e3, 35_366_002.0, 66_465_869.0])
def test_rows_far_longer_than_their_margin_do_not_hide_the_free_entries(size):
    """By hand: (1 - 2 e, e, e) has margins 1 and l1 norm 1 for every e from 0 to 1/2."""
    z = np.array([[1.0, -size, size + 2], [1.0, size + 2, -size]])
    signs = np.array([1, -1])
    svm = sc.max_margin(sc.Problem(signs[:, None] * z, signs), geometry="l1")
    assert svm.margin == pytest.approx(1.0, rel=1e-9)
    assert not svm.unique
