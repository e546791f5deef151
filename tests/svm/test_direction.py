"""The certified direction encloses the true angle, and refuses where its proof stays open."""

from __future__ import annotations

import math

import numpy as np
import pytest

import svmconv as sc
from svmconv.geometry import angle
from svmconv.svm.direction import direction_bound


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("seed", range(4))
def test_encloses_the_planted_direction(classes: int, seed: int) -> None:
    """The planted w is exact to rounding, so the bound must hold up to the rounding of w."""
    problem = sc.data.planted(
        n=80, d=6, n_support=6 // classes * (classes - 1), classes=classes, seed=seed
    )
    svm = sc.max_margin(problem)
    assert problem.truth is not None
    bound = direction_bound(problem, svm.w, svm.alpha)
    true = float(angle(svm.w.ravel(), problem.truth.w.ravel()))
    if bound < math.pi:
        assert true <= bound + 4e-16
        assert bound < 1e-13


@pytest.mark.parametrize("offset", [1e-12, 1e-9, 1e-6, 1e-4])
def test_weights_off_by_an_angle_are_not_certified_below_it(offset: float) -> None:
    problem = sc.data.planted(n=80, d=6, n_support=4, seed=1)
    svm = sc.max_margin(problem)
    across = np.linalg.svd(svm.w[None])[2][1]
    w = svm.w + offset * np.linalg.norm(svm.w) * across
    assert direction_bound(problem, w, svm.alpha) >= 0.99 * offset


def test_exact_small_problem() -> None:
    """Rows +-(1, 1), +-(1, -1) / 2 ...: two support vectors, w = (2, 0) exactly, duals 2 and 2."""
    x = [[0.5, 0.5], [0.5, -0.5], [-1.0, 0.25], [-2.0, 0.0]]
    problem = sc.Problem(x, [1, 1, 0, 0])
    w, alpha = np.array([2.0, 0.0]), np.array([2.0, 2.0, 0.0, 0.0])
    assert direction_bound(problem, w, alpha) < 1e-14


def test_a_wrong_support_set_is_refused() -> None:
    """Duals on rows that are not the support vectors leave stationarity or feasibility open."""
    x = [[0.5, 0.5], [0.5, -0.5], [-1.0, 0.25], [-2.0, 0.0]]
    problem = sc.Problem(x, [1, 1, 0, 0])
    far = np.array([0.0, 0.0, 0.0, 0.25])
    assert direction_bound(problem, np.array([0.5, 0.0]), far) == math.pi


def test_duplicated_rows_share_a_margin_of_one() -> None:
    base = sc.data.planted(n=40, d=4, n_support=4, spanning=True)
    times = 1 + np.arange(base.n) % 3
    problem = sc.Problem(base.x.repeat(times, 0), base.y.repeat(times))
    assert sc.max_margin(problem).certificate.angle_bound < 1e-13


def test_dependent_support_vectors_fall_back_to_the_gap() -> None:
    problem = sc.data.planted(n=60, d=4, n_support=9, spanning=True)
    certificate = sc.max_margin(problem).certificate
    assert certificate.direction == math.pi
    assert 1e-9 < certificate.angle_bound < 1e-6


@pytest.mark.parametrize("scale", [2.0**-40, 1.0, 2.0**40])
def test_scale_leaves_the_bound_alone(scale: float) -> None:
    base = sc.data.half_spaces(n=200, d=5)
    svm = sc.max_margin(sc.Problem(base.x * scale, base.y))
    assert svm.certificate.direction < 1e-13


def test_a_row_that_touches_with_zero_dual_is_certified_too() -> None:
    """Its margin of 1 has no proof; what may be missing moves the SVM by as much."""
    base = sc.data.planted(n=40, d=5, n_support=3, seed=3)
    assert base.truth is not None
    w = base.truth.w
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((2, 5))
    rows += np.outer(1.0 - rows @ w, w) / (w @ w)
    problem = sc.Problem(np.vstack([base.x, rows]), np.append(base.y, [1, 1]))
    svm = sc.max_margin(problem)
    assert np.count_nonzero(svm.alpha) == 3
    assert float(angle(svm.w, w)) <= direction_bound(problem, svm.w, svm.alpha) + 4e-16
    assert svm.certificate.angle_bound < 1e-12


@pytest.mark.parametrize("missing", [1e-9, 1e-6, 1e-3])
def test_a_margin_that_is_missing_is_in_the_bound(missing: float) -> None:
    """z = (1, 0), (1 - m, 1): from (1, 0) the SVM (1, m) is m away, with duals of its own."""
    problem = sc.Problem([[1.0, 0.0], [1.0 - missing, 1.0], [-3.0, 0.0]], [1, 1, 0])
    bound = direction_bound(problem, np.array([1.0, 0.0]), np.array([1.0, 0.0, 0.0]))
    assert math.atan(missing) <= bound <= 1.01 * missing


def test_a_touching_row_inside_the_supporting_span_stays_open() -> None:
    """z = (1, 0), (1 - m, 0): no step outside the span of the first mends the second."""
    problem = sc.Problem([[1.0, 0.0], [1.0 - 1e-9, 0.0], [-3.0, 0.0]], [1, 1, 0])
    assert direction_bound(problem, np.array([1.0, 0.0]), np.array([1.0, 0, 0])) == math.pi
